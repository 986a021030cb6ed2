"""Everything that Evenkeel refuses, as one family of errors.

Each message is one clear paragraph: what is wrong, the value, and the remedy. The command line prints it as it stands.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class EvenkeelError(Exception):
    """Base of all errors that are meant for a person to read."""


class ConfigurationError(EvenkeelError, ValueError):
    """A policy, a limit or a setting that cannot be right."""


class InputError(EvenkeelError, ValueError):
    """Input rows that cannot be used; the message names rows, column and remedy."""


class InvalidWeightsError(InputError):
    """A weights frame with a missing column, a null group key, or a weight that is not a finite number."""


class StoreError(EvenkeelError):
    """The database or the target folder cannot be read or written."""


class PublishingRefusedError(EvenkeelError):
    """Targets that were not verified, or that breach a limit, were about to be published."""


def nearest_hint(word: str, known: Iterable[str]) -> str:
    """`known: A, B. Did you mean 'B'?` for an unknown word; the closing part of many messages."""
    words = sorted(known)
    match = get_close_matches(word, words, n=1, cutoff=0.6)
    hint = f" Did you mean {match[0]!r}?" if match else ""
    return f"known: {', '.join(words)}.{hint}"
