"""Reading a policy from YAML: what is not known is refused, with the nearest key that is.

`load_policy` reads a file, `parse_policy` a text. YAML's silent ways are closed: a key that is given twice is an error,
and so is a number that YAML 1.1 takes for one to another base, such as 010 (8) or 1:30 (90).
"""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from core.approval import ApprovalRules
from core.constraints import NameLimit
from core.errors import ConfigurationError, nearest_hint
from core.inputs import GateConfig, SignalConfig
from core.limits import RebalancingLimits
from core.policy import Constraint, Policy, Scoring, Sizing, SourceConfig

NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
OTHER_BASE = re.compile(r"[-+]?0[0-7_]+|[^:]+:.+")  # 8 and 60, for YAML 1.1 alone


class _Strict(yaml.SafeLoader):
    """YAML without the silent last-one-wins of duplicate keys, and without numbers to bases that nobody means."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {str(key) for key in keys if keys.count(key) > 1}
        if twice:
            raise _at(node, f"{', '.join(sorted(twice))} is given twice: keep one of them.")
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """What looks like a date or a number and is none, such as 2026-13-45, is told with its place."""
        if node.tag in NUMBERS and OTHER_BASE.fullmatch(node.value):
            raise _at(node, f"{node.value} can be read as more than one number: write it in decimal, or in quotes.")
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError) as error:
            told = f"{node.value!r:.80} cannot be read: correct it, or put it in quotes to have a text."
            raise _at(node, told) from error


def _at(node: yaml.Node, told: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, told, node.start_mark)


def parse_policy(text: str, origin: str) -> Policy:
    """A policy from YAML text; `origin` names it in errors. Raises `ConfigurationError`."""
    try:
        loader = _Strict(text)
        loader.name = origin  # for errors
        content = loader.get_single_data()
    except yaml.YAMLError as error:
        raise ConfigurationError(f"policy {origin} is no valid YAML: {error}") from error
    except RecursionError as error:
        raise ConfigurationError(f"policy {origin} is no valid YAML: it is nested too deeply.") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"policy {origin} is empty or no mapping: it needs at least a `name`.")
    try:
        policy = Policy.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(f"policy {origin}: " + " ".join(map(_sentence, error.errors()))) from error
    misread = [*_truths_as_numbers(content, policy, ())]
    if misread:
        raise ConfigurationError(f"policy {origin}: " + " ".join(misread))
    return policy


def _truths_as_numbers(given: Any, made: Any, where: tuple[str, ...]) -> Iterator[str]:
    """Where a number was made of true or false, which YAML takes yes, no, on and off for."""
    if isinstance(given, bool) and not isinstance(made, bool):
        yield f"{'.'.join(where)} is {str(given).lower()}: give a number."
    elif isinstance(given, dict):
        for key, value in given.items():
            part = made.get(key) if isinstance(made, Mapping) else getattr(made, str(key))
            yield from _truths_as_numbers(value, part, (*where, str(key)))
    elif isinstance(given, list):
        for place, value in enumerate(given):
            yield from _truths_as_numbers(value, made[place], (*where, str(place)))


def load_policy(path: Path) -> Policy:
    """The policy of a YAML file. Raises `ConfigurationError` where the file or a key is not right."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"policy {path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"policy {path} cannot be read: {error}. Write it as UTF-8.") from error
    return parse_policy(text, str(path))


def _sentence(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{where} is unknown; {nearest_hint(str(error['loc'][-1]), _known_keys(error['loc']))}"
    return f"{where or 'the document'}: {error['msg'].removeprefix('Value error, ')}"


def _known_keys(location: Sequence[str | int]) -> set[str]:
    """The keys that are known where an unknown one was met."""
    if len(location) == 1:
        return set(Policy.model_fields)
    sections: dict[str | int, Any] = {
        "source": (SourceConfig,),
        "data_gate": (GateConfig,),
        "limits": (RebalancingLimits,),
        "approval": (ApprovalRules,),
        "scoring": (Scoring,) if len(location) == 2 else get_args(SignalConfig),
        "sizing": get_args(Sizing),
        "constraints": get_args(Constraint) if len(location) == 4 else (NameLimit,),
    }
    candidates = sections[location[0]]
    tagged = [kind for kind in candidates if getattr(kind, "kind", None) in location]
    return {known.name for kind in tagged or candidates for known in fields(kind)}
