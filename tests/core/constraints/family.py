"""Random constraints of every kind and mode, with frames of weights that have what they need."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from hypothesis import strategies as st

from core.constraints import (
    FrozenNamesConstraint,
    LongOnlyConstraint,
    MarketNeutralConstraint,
    MaxBucketWeightConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    MaxPositionsConstraint,
    MinBucketsConstraint,
    MinBucketWeightConstraint,
    MinGrossExposureConstraint,
    MinPositionWeightConstraint,
    NameLimit,
    NameLimitsConstraint,
    NetExposureConstraint,
    TurnoverConstraint,
    WeightConstraint,
)
from core.constraints.forms import Names
from tests.core.constraints.frames import bucket_limits, limits, panels

bounds = st.floats(-2.0, 2.0).map(lambda bound: round(bound, 3))
symbols = st.sampled_from("ABCQ")


@st.composite
def ranges(draw: st.DrawFn) -> tuple[float | None, float | None]:
    low, high = sorted([draw(bounds), draw(bounds)])
    return draw(st.sampled_from([(low, high), (low, None), (None, high)]))


net_exposures = ranges().map(lambda bound: NetExposureConstraint(*bound))
name_limits = st.dictionaries(symbols, ranges().map(lambda bound: NameLimit(*bound)), min_size=1)
min_buckets = st.one_of(limits, st.dictionaries(st.sampled_from(["x", "y", "q"]), limits, min_size=1))

always_met = st.one_of(
    st.builds(MaxGrossExposureConstraint, limits),
    st.builds(MarketNeutralConstraint),
    st.builds(LongOnlyConstraint),
    st.builds(MaxPositionConstraint, limits, st.booleans()),
    st.builds(MaxBucketWeightConstraint, bucket_limits),
    st.builds(MaxPositionsConstraint, st.integers(1, 5), st.booleans()),
    st.builds(MinPositionWeightConstraint, limits),
    net_exposures,
    st.builds(TurnoverConstraint, limits),
)
"""What a closed form can always meet, where no name is frozen."""

hard = st.one_of(
    always_met,
    st.builds(MinGrossExposureConstraint, limits),
    st.builds(MinBucketWeightConstraint, min_buckets),
    st.builds(NameLimitsConstraint, name_limits),
    st.builds(FrozenNamesConstraint, st.sets(symbols, min_size=1).map(lambda listed: tuple(sorted(listed)))),
    st.builds(MinBucketsConstraint, st.integers(1, 3)),
)


def no_worse(constraint: WeightConstraint) -> WeightConstraint:
    return replace(constraint, mode="no_worse") if "no_worse" in constraint.modes else constraint


every = st.one_of(hard, hard.map(no_worse))


@st.composite
def cases(
    draw: st.DrawFn, constraints: st.SearchStrategy[WeightConstraint] = every, **options: bool
) -> tuple[pl.DataFrame, WeightConstraint]:
    """A constraint and weights that it can judge."""
    constraint = draw(constraints)
    return draw(panels(current="current_weight" in constraint.needed, **options)), constraint


def names_of(group: pl.DataFrame, wanted: Sequence[float] | None = None) -> Names:
    """The names of one group as the exact solver sees them."""
    weights = group["weight"].to_numpy()
    current = group["current_weight"].to_numpy() if "current_weight" in group.columns else np.zeros(group.height)
    buckets = np.array(group["bucket"].to_list(), dtype=np.str_)
    return Names(group["symbol"].to_list(), buckets, weights if wanted is None else np.array(wanted), current)
