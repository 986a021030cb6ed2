"""The last word: each limit is broken by hand, and the check must say so."""

from dataclasses import dataclass

import polars as pl
import pytest

from core.constraints import (
    LongOnlyConstraint,
    MarketNeutralConstraint,
    MaxBucketWeightConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
)
from core.errors import ConfigurationError
from core.limits import RebalancingLimits
from core.results.verify import breaches
from core.schemas import Relaxations, empty
from tests.core.decisions.build import AS_OF, rows

FREE = RebalancingLimits(max_new_positions=99, max_total_positions=99)


def runs(frame):
    return frame.select("portfolio_id", "as_of").unique()


def found(names, weights, constraints=(), limits=FREE, **options):
    frame = rows(*names).with_columns(target_weight=pl.Series(weights, dtype=pl.Float64))
    table = breaches(frame, runs(frame), constraints, limits, **options)
    return [tuple(row) for row in table.select("constraint", "scope", "limit", "level").iter_rows()]


TWO = ["A1 .9", "A2 .9"]


@pytest.mark.parametrize(
    ("constraint", "met", "breached", "expected"),
    [
        (MaxGrossExposureConstraint(1.0), [0.5, -0.5], [0.75, -0.5], ("max_gross_exposure", "", 1.0, 1.25)),
        (MarketNeutralConstraint(), [0.5, -0.5], [0.5, -0.25], ("market_neutral", "", 0.0, 0.25)),
        (LongOnlyConstraint(), [0.5, 0.0], [0.5, -0.25], ("long_only", "A2", 0.0, -0.25)),
        (MaxPositionConstraint(0.5), [0.5, -0.5], [0.5, -0.75], ("max_position", "A2", 0.5, 0.75)),
        (MaxBucketWeightConstraint(0.5), [0.25, -0.25], [0.5, -0.25], ("max_bucket_weight", "A", 0.5, 0.75)),
        (MaxBucketWeightConstraint({"A": 0.5}), [0.25, 0.25], [0.5, 0.25], ("max_bucket_weight", "A", 0.5, 0.75)),
    ],
)
def test_each_constraint_is_checked(constraint, met, breached, expected):
    assert found(TWO, met, [constraint]) == []
    assert found(TWO, breached, [constraint]) == [expected]


def test_a_bucket_that_a_map_does_not_name_is_unlimited():
    assert found(TWO, [0.9, 0.9], [MaxBucketWeightConstraint({"B": 0.1})]) == []


def test_the_tolerance_is_a_billionth():
    cap = [MaxPositionConstraint(0.5)]
    assert found(["A1 .9"], [0.5 + 0.9e-9], cap) == []
    assert len(found(["A1 .9"], [0.5 + 1.1e-9], cap)) == 1


@pytest.mark.parametrize("weight", [None, float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_a_breach(weight):
    assert found(["A1 .9", "A2 .9"], [weight, 0.1]) == [("finite_weight", "", 0.0, 1.0)]


def test_a_fixed_name_that_moved_is_a_breach():
    assert found(["A1 - fixed"], [0.05]) == []
    assert found(["A1 - fixed"], [0.06]) == [("fixed_weight", "A1", 0.05, 0.06)]


def test_a_rejected_name_with_a_weight_is_a_breach():
    frame = rows("A1 .9").with_columns(target_weight=0.1, rejected_by=pl.lit("no_score"))
    assert breaches(frame, runs(frame), [], FREE)["constraint"].to_list() == ["rejected_name"]


@pytest.mark.parametrize("current", [0.2, -0.2])
def test_a_rejected_name_that_is_held_may_be_on_its_way_to_zero_and_nowhere_else(current):
    frame = rows("A1 .9 held").with_columns(current_weight=current, rejected_by=pl.lit("below_threshold"))
    for share in (0.0, 0.5, 1.0):
        assert breaches(frame.with_columns(target_weight=current * share), runs(frame), [], FREE).is_empty()
    for share, bound in ((1.5, current), (-0.5, 0.0)):
        table = breaches(frame.with_columns(target_weight=current * share), runs(frame), [], FREE)
        named = table.filter(pl.col("constraint") == "rejected_name")
        assert named.select("scope", "limit", "level").rows() == [("A1", bound, current * share)]


def test_a_soft_limit_gives_way_where_a_relaxation_row_says_so():
    soft = MaxPositionConstraint(0.1, mode="soft", priority=1, max_relaxation=0.1)
    row = [("portfolio", AS_OF, "max_position", "", 0.1, 0.2, "no room")]
    granted = pl.DataFrame(row, empty(Relaxations).schema, orient="row")
    assert found(["A1 .9"], [0.2], [soft]) == [("max_position", "A1", 0.1, 0.2)]
    assert found(["A1 .9"], [0.2], [soft], relaxations=granted) == []


def test_counts_are_checked():
    assert found(TWO, [0.1, 0.1], limits=RebalancingLimits(max_total_positions=1)) == [
        ("max_total_positions", "", 1, 2)
    ]
    few = RebalancingLimits(max_new_positions=1)
    assert found([*TWO, "A3 .9 held"], [0.1, 0.1, 0.1], limits=few) == [("max_new_positions", "", 1.0, 2.0)]
    initial = RebalancingLimits(max_new_positions=1, initial_new_positions=2)
    assert found(TWO, [0.1, 0.1], limits=initial) == []


def test_a_held_name_that_changes_its_side_counts_as_new():
    assert found(["A1 .9 held"], [-0.1], limits=RebalancingLimits(max_new_positions=0)) == [
        ("max_new_positions", "", 0, 1)
    ]


def test_bucket_counts_are_checked():
    limits = RebalancingLimits(max_new_positions=9, enable_bucket_diversification=True, max_positions_per_bucket=1)
    assert found(["A1 .9", "A2 .9", "B1 .9"], [0.1, 0.1, 0.1], limits=limits) == [
        ("max_positions_per_bucket", "A", 1, 2)
    ]


def test_with_overflow_held_names_raise_the_limit_of_their_bucket_for_themselves_alone():
    limits = RebalancingLimits(
        enable_bucket_diversification=True,
        max_positions_per_bucket=1,
        min_buckets_represented=1,
        allow_bucket_overflow=True,
    )
    held = ["A1 .9 held", "A2 .9 held"]
    assert found(held, [0.1, 0.1], limits=limits) == []
    assert found([*held, "A3 .9"], [0.1, 0.1, 0.1], limits=limits) == [("max_positions_per_bucket", "A", 2, 3)]


def test_representation_counts_names_of_the_least_weight_and_never_unknown():
    limits = RebalancingLimits(max_new_positions=9, enable_bucket_diversification=True, min_buckets_represented=2)
    assert found(["A1 .9", "B1 .9"], [0.1, 0.001], limits=limits) == []
    assert found(["A1 .9", "B1 .9", "x .9"], [0.1, 0.0009, 0.1], limits=limits) == [
        ("min_buckets_represented", "", 2, 1)
    ]


def test_a_hard_total_is_checked():
    hard = RebalancingLimits(target_total_allocation=0.5, total_is_hard=True)
    assert found(["A1 .9"], [0.4], limits=hard) == [("target_total_allocation", "", 0.5, 0.4)]


def test_a_long_short_book_must_have_its_names_on_both_sides():
    assert found(TWO, [0.1, -0.1], per_side=1) == []
    assert found(TWO, [0.1, 0.1], per_side=1) == [("long_short", "short", 1, 0)]


def test_a_constraint_without_a_check_is_refused():
    @dataclass
    class Unchecked:
        kind: str = "unchecked"

    with pytest.raises(ConfigurationError, match="'unchecked' has no independent check"):
        found(TWO, [0.1, 0.1], [Unchecked()])


def test_a_run_without_any_row_must_meet_what_a_run_must_have():
    frame = rows("A1 .9").with_columns(target_weight=0.0)
    demanding = RebalancingLimits(enable_bucket_diversification=True, min_buckets_represented=2, total_is_hard=True)
    table = breaches(frame.clear(), runs(frame), [], demanding, per_side=1)
    assert sorted(table["constraint"].unique()) == ["long_short", "min_buckets_represented", "target_total_allocation"]


def test_a_closure_is_a_breach_where_held_names_must_not_be_forced_out():
    protected = RebalancingLimits(allow_forced_closures=False)
    assert found(["A1 .9 held"], [0.0], limits=protected) == [("forced_closure", "A1", 0.05, 0.0)]
    assert found(["A1 .9 held"], [0.0]) == []


def test_runs_are_checked_apart():
    batch = pl.concat(
        [rows("A1 .9", portfolio_id=p).with_columns(target_weight=w) for p, w in [("p", 0.5), ("q", 0.7)]]
    )
    table = breaches(batch, runs(batch), [MaxPositionConstraint(0.6)], FREE)
    assert table.select("portfolio_id", "level").rows() == [("q", 0.7)]
