"""The constraints that the limits of a rebalance imply, and how they join those that a policy lists.

`implied_constraints` lists the ones, `joined` makes one chain of both: where two limit one thing, the tighter holds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from core.constraints import (
    MaxBucketWeightConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    MaxPositionsConstraint,
    MinBucketsConstraint,
    MinGrossExposureConstraint,
    WeightConstraint,
)
from core.limits import RebalancingLimits


def implied_constraints(limits: RebalancingLimits) -> tuple[WeightConstraint, ...]:
    """The constraints that limits imply, in the order of the chain: counts, gross exposure, position, buckets.

    Counts come first: what they cut goes to other names, which whatever caps these must still see; and no later closed
    form gives a weight to a name without one. What caps names and buckets comes last, as each filling meets the limits
    of those before it too. Counts are `no_worse` where held names may not be closed for them.
    """
    buckets = limits.enable_bucket_diversification
    allocation, positions = buckets and limits.enforce_allocation_limits, buckets and limits.enforce_position_limits
    closures = limits.allow_forced_closures
    return (
        MaxPositionsConstraint(limits.max_total_positions, mode=_mode(closures)),
        *([_bucket_positions(limits)] if positions else []),
        *([_min_buckets(limits)] if limits.required_buckets else []),
        MaxGrossExposureConstraint(limits.max_gross_exposure),
        *([MinGrossExposureConstraint(limits.target_total_allocation)] if limits.total_is_hard else []),
        MaxPositionConstraint(limits.max_single_position_pct),
        *([MaxBucketWeightConstraint(limits.max_allocation_per_bucket)] if allocation else []),
    )


def _bucket_positions(limits: RebalancingLimits) -> WeightConstraint:
    may_close = limits.allow_forced_closures and not limits.allow_bucket_overflow
    return MaxPositionsConstraint(limits.max_positions_per_bucket, per_bucket=True, mode=_mode(may_close))


def _min_buckets(limits: RebalancingLimits) -> WeightConstraint:
    return MinBucketsConstraint(limits.required_buckets, limits.min_position_weight)


def _mode(may_close: bool) -> Literal["hard", "no_worse"]:
    return "hard" if may_close else "no_worse"


TIGHTER: dict[str, dict[str, Callable[..., Any]]] = {
    "max_positions": {"max_positions": min},
    "min_buckets_represented": {"min_buckets": max, "min_weight": max},
    "max_gross_exposure": {"max_exposure": min},
    "min_gross_exposure": {"min_exposure": max},
    "max_position": {"max_weight": min},
    "max_bucket_weight": {"max_weight": min},
}
"""Of each kind that limits can imply: its numbers, and which of two is the tighter."""


def joined(constraints: Sequence[WeightConstraint], limits: RebalancingLimits) -> tuple[WeightConstraint, ...]:
    """The listed constraints with the implied ones: what caps names and buckets last, the others first.

    Where the list has an implied kind itself, in the same mode, its first constraint of that kind stays in its place,
    at the tighter of the two limits. In another mode both hold: what may give way never softens a limit that may not.
    A map of buckets limits only those it names, and is another thing too.
    """
    chain, added = list(constraints), list[WeightConstraint]()
    for implied in implied_constraints(limits):
        at = next((at for at, listed in enumerate(chain) if _limit_the_same(listed, implied)), None)
        if at is None:
            added.append(implied)
        else:
            chain[at] = _tightened(chain[at], implied)
    first = [constraint for constraint in added if constraint.ceilings is None]
    return (*first, *chain, *(constraint for constraint in added if constraint.ceilings is not None))


def _limit_the_same(listed: WeightConstraint, implied: WeightConstraint) -> bool:
    """Whether two constraints limit one thing in one way: of the same kind and mode, of all that it can limit."""
    of_all = not isinstance(getattr(listed, "max_weight", None), Mapping)
    alike = getattr(listed, "per_bucket", None) == getattr(implied, "per_bucket", None)
    return listed.kind == implied.kind and listed.mode == implied.mode and of_all and alike


def _tightened(listed: WeightConstraint, implied: WeightConstraint) -> WeightConstraint:
    tighter = TIGHTER[listed.kind].items()
    return replace(listed, **{number: of(getattr(listed, number), getattr(implied, number)) for number, of in tighter})
