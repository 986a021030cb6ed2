"""Limits that no weights could ever meet, told when they are configured and not every morning anew.

`require_consistent` compares the hard limits of a policy two by two: a least value above the largest one that another
allows. What is taken for a percentage is refused with the fraction it must be: a fraction of more than
`LARGEST_FRACTION`, and a limit on names, buckets or turnover above 1 that the largest gross exposure leaves no use for.
Limits that conflict only in a portfolio's circumstances are told on the day, with the ways out
(`core.constraints.infeasible`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from core.constraints import NameLimit, WeightConstraint
from core.errors import ConfigurationError
from core.limits import TOLERANCE

LARGEST_FRACTION = 10.0  # ten times net asset value

# A least value, and what it may not exceed: kind and field.
CONFLICTS = (
    (("min_position_weight", "min_weight"), ("max_position", "max_weight")),
    (("min_position_weight", "min_weight"), ("max_gross_exposure", "max_exposure")),
    (("min_gross_exposure", "min_exposure"), ("max_gross_exposure", "max_exposure")),
    (("net_exposure", "minimum"), ("max_gross_exposure", "max_exposure")),
    (("min_bucket_weight", "min_weight"), ("max_gross_exposure", "max_exposure")),
    (("min_bucket_weight", "min_weight"), ("max_bucket_weight", "max_weight")),
)

CAPS = (
    ("max_position", "max_weight"),
    ("max_bucket_weight", "max_weight"),
    ("turnover", "max_turnover"),
    ("name_limits", "names"),
)

Value = tuple[str, float]
"""The bucket that a value is for, empty for all, and the value."""


def require_consistent(constraints: Sequence[WeightConstraint]) -> None:
    """Raise `ConfigurationError` for limits that exclude each other, or that cannot be fractions."""
    for constraint in constraints:
        for field in fields(constraint):
            if field.type is int:  # a count
                continue
            for value in _values(constraint, field.name):
                _require_fraction(f"{constraint.kind}.{field.name}", value, LARGEST_FRACTION)
    hard = [constraint for constraint in constraints if constraint.mode == "hard"]
    for (low_kind, low_field), (high_kind, high_field) in CONFLICTS:
        for low in _of(hard, low_kind, low_field):
            for high in _of(hard, high_kind, high_field):
                _require_room(f"{low_kind}.{low_field}", low, f"{high_kind}.{high_field}", high)
    largest = min((gross for _, gross in _of(hard, "max_gross_exposure", "max_exposure")), default=LARGEST_FRACTION)
    for kind, capped in CAPS:
        for cap in _of(constraints, kind, capped):
            _require_fraction(f"{kind}.{capped}", cap, max(1.0, largest))


def _of(constraints: Sequence[WeightConstraint], kind: str, field: str) -> Iterator[Value]:
    for constraint in constraints:
        if constraint.kind == kind:
            yield from _values(constraint, field)


def _values(constraint: WeightConstraint, field: str) -> Iterator[Value]:
    given = getattr(constraint, field)
    if isinstance(given, Mapping):
        for name, value in given.items():
            bounds = (value.minimum, value.maximum) if isinstance(value, NameLimit) else (value,)
            yield from ((str(name), float(bound)) for bound in bounds if isinstance(bound, float | int))
    elif isinstance(given, float | int) and not isinstance(given, bool):
        yield "", float(given)


def _require_fraction(name: str, value: Value, largest: float) -> None:
    scope, fraction = value
    if abs(fraction) > largest + TOLERANCE:
        named = f"{name}{f' of {scope}' if scope else ''}"
        raise ConfigurationError(
            f"{named} is {fraction:g}, which is {100 * fraction:,.0f} % of net asset value: fractions are meant; "
            f"{fraction:g} % is {fraction / 100:g}."
        )


def _require_room(low_name: str, low: Value, high_name: str, high: Value) -> None:
    (low_scope, least), (high_scope, most) = low, high
    concerns = low_scope == high_scope or not high_scope or not low_scope
    if concerns and least > most + TOLERANCE:
        scope = f" of {low_scope or high_scope}" if low_scope or high_scope else ""
        raise ConfigurationError(
            f"{low_name}{scope} is {least:g}, but {high_name} allows {most:g} at most: no weights can meet both. "
            f"Raise {high_name}, or lower {low_name}."
        )
