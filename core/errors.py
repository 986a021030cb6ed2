"""Everything that Evenkeel refuses, as one family of errors.

Each message is one clear paragraph: what is wrong, the value, and the remedy. The command line prints it as it stands.
"""

from collections.abc import Iterable
from difflib import get_close_matches

TOLD = 30  # so many known words a message tells


class EvenkeelError(Exception):
    """Base of all errors that are meant for a person to read."""


class ConfigurationError(EvenkeelError, ValueError):
    """A policy, a limit or a setting that cannot be right."""


class InputError(EvenkeelError, ValueError):
    """Input rows that cannot be used; the message names rows, column and remedy."""


class InvalidWeightsError(InputError):
    """A weights frame with a missing column, a null group key, or a weight that is not a finite number."""


class UnsolvedError(EvenkeelError):
    """Limits of a group of names that the solver could not settle in either way."""


class InfeasibleError(EvenkeelError):
    """No weights meet all limits; the message says which limits conflict, and what makes room."""


class StoreError(EvenkeelError):
    """The database or the target folder cannot be read or written."""


class PublishingRefusedError(EvenkeelError):
    """Targets that were not verified, or that breach a limit, were about to be published."""


def nearest_hint(word: str, known: Iterable[str]) -> str:
    """`known: A, B. Did you mean 'B'?` for an unknown word; the closing part of many messages.

    Upper and lower case are taken for the same; many known words are told in part, or only counted where one is near.
    `none is known.` where there are none.
    """
    words = sorted(known)
    if not words:
        return "none is known."
    by_case = {known_word.casefold(): known_word for known_word in words}
    near = get_close_matches(word.casefold(), by_case, n=1, cutoff=0.6)
    told = f"known: {', '.join(words[:TOLD])}"
    if len(words) > TOLD:
        told = f"{len(words)} are known" if near else f"{told} and {len(words) - TOLD} more"
    return f"{told}. Did you mean {by_case[near[0]]!r}?" if near else f"{told}."


class SkippedError(EvenkeelError):
    """There was nothing to do, and that is right: the message says why."""
