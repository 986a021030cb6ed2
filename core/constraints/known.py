"""Names that constraints speak of: a bucket or symbol that no asset has is a typing error, not a limit.

A constraint itself cannot tell, as it sees the names of one group alone; `require_known` is asked by whoever has the
assets.
"""

from collections.abc import Collection, Iterable, Mapping

from core.constraints.base import WeightConstraint
from core.constraints.bucket import MaxBucketWeightConstraint, MinBucketWeightConstraint
from core.constraints.names import FrozenNamesConstraint, NameLimitsConstraint
from core.errors import ConfigurationError, nearest_hint


def require_known(constraints: Iterable[WeightConstraint], symbols: Collection[str], buckets: Collection[str]) -> None:
    """Raise `ConfigurationError` where a constraint names a symbol or bucket that no asset has."""
    for constraint in constraints:
        for bucket in _buckets_of(constraint):
            if bucket not in buckets:
                raise ConfigurationError(
                    f"bucket {bucket!r} of {constraint.kind} is in no asset; {nearest_hint(bucket, buckets)}"
                )
        for symbol in _symbols_of(constraint):
            if symbol not in symbols:
                raise ConfigurationError(
                    f"symbol {symbol!r} of {constraint.kind} is no asset: correct it, or add it to the assets."
                )


def _buckets_of(constraint: WeightConstraint) -> Collection[str]:
    match constraint:
        case MaxBucketWeightConstraint(max_weight=Mapping() as named):
            return named
        case MinBucketWeightConstraint(min_weight=Mapping() as named):
            return named
    return ()


def _symbols_of(constraint: WeightConstraint) -> Collection[str]:
    match constraint:
        case NameLimitsConstraint(names=named):
            return named
        case FrozenNamesConstraint(symbols=listed):
            return listed
    return ()
