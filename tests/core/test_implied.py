"""What limits imply, and how it joins what a policy lists."""

from dataclasses import replace

from core import (
    LongOnlyConstraint,
    MarketNeutralConstraint,
    MaxBucketWeightConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    MaxPositionsConstraint,
    MinBucketsConstraint,
    Policy,
)
from core.implied import joined
from core.limits import RebalancingLimits


def test_limits_imply_constraints():
    chain = Policy(name="x").constraint_set().constraints
    assert chain == (MaxPositionsConstraint(10), MaxGrossExposureConstraint(1.0), MaxPositionConstraint(0.2))
    diverse = RebalancingLimits(enable_bucket_diversification=True)
    assert joined([LongOnlyConstraint()], diverse) == (
        MaxPositionsConstraint(10),
        MaxPositionsConstraint(4, per_bucket=True),
        MinBucketsConstraint(2, 0.001),
        MaxGrossExposureConstraint(1.0),
        LongOnlyConstraint(),
        MaxPositionConstraint(0.2),
        MaxBucketWeightConstraint(0.4),
    )
    off = replace(diverse, enforce_allocation_limits=False, enforce_position_limits=False, enforce_min_buckets=False)
    assert joined([], off) == joined([], RebalancingLimits())


def test_counts_are_no_worse_where_held_names_may_not_be_closed_for_them():
    diverse = RebalancingLimits(enable_bucket_diversification=True)
    total, per_bucket = MaxPositionsConstraint(10), MaxPositionsConstraint(4, per_bucket=True)
    overflow = joined([], replace(diverse, allow_bucket_overflow=True))
    assert overflow[:2] == (total, replace(per_bucket, mode="no_worse"))
    protected = joined([], replace(diverse, allow_forced_closures=False))
    assert protected[:2] == (replace(total, mode="no_worse"), replace(per_bucket, mode="no_worse"))


def test_where_two_limits_cover_one_thing_the_tighter_holds():
    listed = [
        MaxPositionConstraint(0.1, redistribute=False),
        MaxGrossExposureConstraint(2.0),
        MarketNeutralConstraint(),
    ]
    assert joined(listed, RebalancingLimits()) == (
        MaxPositionsConstraint(10),
        MaxPositionConstraint(0.1, redistribute=False),
        MaxGrossExposureConstraint(1.0),
        MarketNeutralConstraint(),
    )
    diverse = RebalancingLimits(enable_bucket_diversification=True)
    for listed, merged in [
        (MaxBucketWeightConstraint(0.3), MaxBucketWeightConstraint(0.3)),
        (MaxBucketWeightConstraint(0.5), MaxBucketWeightConstraint(0.4)),
        (MaxPositionsConstraint(5), MaxPositionsConstraint(5)),
        (MaxPositionsConstraint(50), MaxPositionsConstraint(10)),
        (MaxPositionsConstraint(2, per_bucket=True), MaxPositionsConstraint(2, per_bucket=True)),
        (MinBucketsConstraint(3), MinBucketsConstraint(3)),
        (MinBucketsConstraint(1, 0.01), MinBucketsConstraint(2, 0.01)),
    ]:
        chain = joined([listed], diverse)
        assert merged in chain
        assert len(chain) == len(joined([], diverse))


def test_a_limit_that_may_give_way_stands_beside_the_hard_one_and_never_softens_it():
    soft = MaxPositionConstraint(0.05, mode="soft", priority=1, max_relaxation=0.01)
    drifting = MaxPositionConstraint(0.5, mode="no_worse")
    assert joined([drifting, soft], RebalancingLimits()) == (
        MaxPositionsConstraint(10),
        MaxGrossExposureConstraint(1.0),
        drifting,
        soft,
        MaxPositionConstraint(0.2),
    )


def test_a_map_of_buckets_stands_beside_the_limit_of_all():
    diverse = RebalancingLimits(enable_bucket_diversification=True)
    chain = joined([MaxBucketWeightConstraint({"Energy": 0.1})], diverse)
    assert MaxBucketWeightConstraint({"Energy": 0.1}) in chain
    assert MaxBucketWeightConstraint(0.4) in chain
