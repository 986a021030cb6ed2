"""Each check on its own: the levels of final weights, in every mode, against hand and against the constraints."""

import datetime as dt
from typing import get_args

import polars as pl
import pytest
from hypothesis import given

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
    MinPositionWeightConstraint,
    NameLimit,
    NameLimitsConstraint,
    NetExposureConstraint,
    TurnoverConstraint,
    WeightConstraint,
)
from core.policy import Constraint
from core.results.checks import CHECKS, unmet
from core.schemas import Relaxations, empty
from tests.core.constraints.family import cases

DAY = dt.date(2026, 1, 5)
RUNS = pl.DataFrame({"portfolio_id": ["p"], "as_of": [DAY]})


def run_of(weights, current=None, buckets=None, rejected=()):
    """One run: names A, B, C, ..., each in bucket x unless said otherwise."""
    symbols = list("ABCDE"[: len(weights)])
    columns = {
        "symbol": symbols,
        "bucket": list(buckets or "x" * len(weights)),
        "target_weight": weights,
        "current_weight": current or [0.0] * len(weights),
        "rejected_by": ["rule" if symbol in rejected else None for symbol in symbols],
    }
    types = {"target_weight": pl.Float64, "current_weight": pl.Float64, "rejected_by": pl.String}
    return pl.DataFrame(columns, schema_overrides=types).with_columns(portfolio_id=pl.lit("p"), as_of=pl.lit(DAY))


def found(constraint, weights, *relaxations, **options):
    granted = empty(Relaxations)
    if relaxations:
        rows = [("p", DAY, constraint.kind, *relaxation, "why") for relaxation in relaxations]
        granted = pl.DataFrame(rows, granted.schema, orient="row")
    table = unmet(run_of(weights, **options), RUNS, constraint, granted)
    return sorted(table.select("scope", "limit", "level").rows())


@pytest.mark.parametrize(
    ("constraint", "weights", "breached"),
    [
        (NetExposureConstraint(0.5, 0.75), [0.5, 0.5], ("maximum", 0.75, 1.0)),
        (NetExposureConstraint(0.5, 0.75), [0.5, -0.25], ("minimum", 0.5, 0.25)),
        (MinBucketWeightConstraint(0.5), [0.5, -0.25], ("y", 0.5, 0.25)),
        (MinBucketWeightConstraint({"y": 0.5}), [0.5, -0.25], ("y", 0.5, 0.25)),
        (MinBucketWeightConstraint({"q": 0.5}), [0.5, 0.5], ("q", 0.5, 0.0)),
        (TurnoverConstraint(0.25), [0.5, -0.5], ("", 0.25, 0.5)),
        (MaxPositionsConstraint(1), [0.5, -0.5], ("", 1.0, 2.0)),
        (MinPositionWeightConstraint(0.25), [0.5, -0.125], ("B", 0.25, 0.125)),
        (MinBucketsConstraint(2, 0.25), [0.5, 0.125], ("", 2.0, 1.0)),
        (NameLimitsConstraint({"A": NameLimit(0.1, 0.25)}), [0.5, 0.0], ("A maximum", 0.25, 0.5)),
        (NameLimitsConstraint({"Q": NameLimit(0.1, 0.25)}), [0.5, 0.0], ("Q minimum", 0.1, 0.0)),
        (FrozenNamesConstraint(("A",)), [0.5, 0.0], ("A", 0.0, 0.5)),
        (FrozenNamesConstraint(("A",)), [-0.5, 0.0], ("A", 0.0, -0.5)),
    ],
)
def test_each_kind_is_checked(constraint, weights, breached):
    assert found(constraint, weights, buckets="xy") == [breached]


def test_positions_are_counted_in_each_bucket():
    constraint = MaxPositionsConstraint(1, per_bucket=True)
    assert found(constraint, [0.1, 0.1], buckets="xy") == []
    assert found(constraint, [0.1, 0.1]) == [("x", 1.0, 2.0)]


def test_a_position_of_zero_is_not_too_small():
    assert found(MinPositionWeightConstraint(0.25), [0.0, 0.25]) == []


def test_unknown_neither_represents_nor_must_be_filled():
    assert found(MinBucketsConstraint(1), [0.5], buckets=["Unknown"]) == [("", 1.0, 0.0)]
    assert found(MinBucketWeightConstraint(0.1), [0.05], buckets=["Unknown"]) == []


def test_a_bucket_of_rejected_names_alone_must_not_be_filled_unless_a_map_names_it():
    assert found(MinBucketWeightConstraint(0.1), [0.0], rejected="A") == []
    assert found(MinBucketWeightConstraint({"x": 0.1}), [0.0], rejected="A") == [("x", 0.1, 0.0)]


@pytest.mark.parametrize(
    "constraint",
    [
        NetExposureConstraint(minimum=0.1),
        MinBucketWeightConstraint({"x": 0.1}),
        MinBucketsConstraint(1),
        NameLimitsConstraint({"A": NameLimit(0.1)}),
    ],
)
def test_what_must_be_there_is_missing_in_a_run_without_rows(constraint):
    assert unmet(run_of([0.5]).clear(), RUNS, constraint, empty(Relaxations))["level"].to_list() == [0.0]


@pytest.mark.parametrize(
    ("constraint", "current", "as_today", "worse"),
    [
        (MaxGrossExposureConstraint(0.5, mode="no_worse"), [0.5, 0.25], [0.25, 0.5], [0.5, 0.5]),
        (MarketNeutralConstraint(mode="no_worse"), [0.5, -0.25], [0.25, 0.0], [0.5, 0.0]),
        (MarketNeutralConstraint(mode="no_worse"), [0.5, -0.25], [0.0, 0.0], [0.0, -0.25]),
        (NetExposureConstraint(maximum=0.5, mode="no_worse"), [0.5, 0.25], [0.75, 0.0], [0.5, 0.5]),
        (NetExposureConstraint(minimum=0.5, mode="no_worse"), [0.125, 0.125], [0.25, 0.0], [0.125, 0.0]),
        (LongOnlyConstraint(mode="no_worse"), [-0.25, 0.0], [-0.25, 0.5], [-0.25, -0.125]),
        (MaxPositionConstraint(0.25, mode="no_worse"), [0.5, -0.5], [0.5, -0.5], [-0.5, -0.5]),
        (MaxBucketWeightConstraint(0.5, mode="no_worse"), [0.5, 0.25], [0.25, 0.5], [0.5, 0.5]),
        (MinBucketWeightConstraint(0.5, mode="no_worse"), [0.125, 0.125], [0.25, 0.0], [0.125, 0.0]),
        (MaxPositionsConstraint(1, mode="no_worse"), [0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.1, 0.1, 0.1]),
        (MinPositionWeightConstraint(0.5, mode="no_worse"), [0.25, 0.0], [0.25, 0.5], [0.25, 0.25]),
        (NameLimitsConstraint({"A": NameLimit(0.1, 0.2)}, mode="no_worse"), [0.5, 0.0], [0.5, 0.0], [0.75, 0.0]),
        (NameLimitsConstraint({"A": NameLimit(0.1, 0.2)}, mode="no_worse"), [0.05, 0.0], [0.05, 0.0], [0.0, 0.0]),
    ],
)
def test_where_a_limit_is_no_worse_todays_level_may_stay_and_never_grow(constraint, current, as_today, worse):
    assert found(constraint, as_today, current=current) == []
    assert len(found(constraint, worse, current=current)) == 1


def test_todays_level_counts_rejected_names_too():
    gross = MaxGrossExposureConstraint(0.25, mode="no_worse")
    assert found(gross, [0.0, 0.75], current=[0.5, 0.25], rejected="A") == []


SOFT = MaxPositionConstraint(0.1, mode="soft", priority=1, max_relaxation=0.05)


def test_a_soft_limit_holds_without_a_relaxation_row():
    assert found(SOFT, [0.125]) == [("A", 0.1, 0.125)]


def test_a_soft_limit_gives_way_as_far_as_its_row_says():
    assert found(SOFT, [0.125], ("", 0.1, 0.125)) == []
    assert found(SOFT, [0.14], ("", 0.1, 0.125)) == [("A", 0.125, 0.14)]


def test_a_row_beyond_what_the_policy_allows_counts_for_nothing():
    assert found(SOFT, [0.12], ("", 0.1, 0.2)) == [("A", 0.1, 0.12)]
    assert found(SOFT, [0.12], ("", 0.1, float("nan"))) == [("A", 0.1, 0.12)]


@pytest.mark.parametrize("row", [("", 0.11, 0.125), ("A", 0.1, 0.125)])
def test_a_row_for_another_limit_or_scope_counts_for_nothing(row):
    assert found(SOFT, [0.12], row) == [("A", 0.1, 0.12)]


def test_a_row_of_another_run_or_kind_counts_for_nothing():
    granted = pl.DataFrame([("q", DAY, SOFT.kind, "", 0.1, 0.15, "why")], empty(Relaxations).schema, orient="row")
    for row in (granted, granted.with_columns(portfolio_id=pl.lit("p"), constraint=pl.lit("max_gross_exposure"))):
        assert unmet(run_of([0.12]), RUNS, SOFT, row).height == 1


@pytest.mark.parametrize(
    ("constraint", "weights", "row"),
    [
        (NetExposureConstraint(0.5, mode="soft", priority=1, max_relaxation=0.25), [0.25], ("minimum", 0.5, 0.25)),
        (MarketNeutralConstraint(mode="soft", priority=1, max_relaxation=0.25), [-0.25], ("", 0.0, 0.25)),
        (LongOnlyConstraint(mode="soft", priority=1, max_relaxation=0.25), [-0.25], ("", 0.0, -0.25)),
        (MaxPositionsConstraint(1, mode="soft", priority=1, max_relaxation=1), [0.1, 0.1], ("", 1.0, 2.0)),
        (MaxBucketWeightConstraint(0.5, mode="soft", priority=1, max_relaxation=0.25), [0.75], ("x", 0.5, 0.75)),
        (MinBucketWeightConstraint(0.5, mode="soft", priority=1, max_relaxation=0.25), [0.25], ("x", 0.5, 0.25)),
        (TurnoverConstraint(0.25, mode="soft", priority=1, max_relaxation=0.25), [1.0], ("", 0.25, 0.5)),
        (
            NameLimitsConstraint({"A": NameLimit(0.5)}, mode="soft", priority=1, max_relaxation=0.25),
            [0.25],
            ("A minimum", 0.5, 0.25),
        ),
    ],
)
def test_a_relaxation_row_moves_a_limit_the_way_that_it_gives(constraint, weights, row):
    assert len(found(constraint, weights)) == 1
    assert found(constraint, weights, row) == []


def scopes(table, least):
    return set(table.filter((pl.col("level") - pl.col("limit")).abs() > least).select("as_of", "scope").iter_rows())


@given(cases(nulls=False, frozen=False))
def test_two_ways_to_judge_the_same_weights_agree(case: tuple[pl.DataFrame, WeightConstraint]):
    weights, constraint = case
    names = weights.rename({"end_time": "as_of"}).with_columns(portfolio_id=pl.lit("p"), rejected_by=pl.lit(None))
    rows = names.rename({"weight": "target_weight"})
    if "current_weight" not in rows.columns:
        rows = rows.with_columns(current_weight=0.0)
    checked = unmet(rows, rows.select("portfolio_id", "as_of").unique(), constraint, empty(Relaxations))
    judged = constraint.breaches(names, by=["portfolio_id", "as_of"])
    assert scopes(checked, 2e-9) <= scopes(judged, 0.0)
    assert scopes(judged, 2e-9) <= scopes(checked, 0.0)


def test_every_constraint_of_a_policy_has_a_check():
    assert {kind.kind for kind in get_args(Constraint)} == set(CHECKS)
