"""What every constraint promises, whichever it is."""

import datetime as dt
from typing import Annotated, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

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
from core.errors import InvalidWeightsError
from core.policy import Constraint
from tests.core.constraints.family import always_met, cases
from tests.core.constraints.frames import DAY, listed, weights_of

Case = tuple[pl.DataFrame, WeightConstraint]

OWN_NAMES = ["group", "row", "fixed", "size", "ceiling", "total", "lowest", "scale", "bucket_scale", "step_0", "before"]
ODD_NAMES = ["^weight$", "*", "", "constraint", "limit", "literal", "column_0", "weight_right"]


@given(cases())
def test_rows_order_and_every_other_column_come_back_untouched(case: Case) -> None:
    weights, constraint = case
    extra = {name: pl.Series(range(weights.height), dtype=pl.Int64) for name in OWN_NAMES + ODD_NAMES}
    named = weights.with_columns(column.alias(name) for name, column in extra.items())
    applied = constraint.apply(named)
    assert applied.columns == named.columns
    assert applied.drop("weight").equals(named.drop("weight"))
    assert applied["weight"].equals(constraint.apply(weights)["weight"])


@given(cases())
def test_nulls_stay_null_and_nothing_else_becomes_null_or_nan(case: Case) -> None:
    weights, constraint = case
    applied = constraint.apply(weights)["weight"]
    assert applied.is_null().equals(weights["weight"].is_null())
    assert applied.is_finite().all()


@given(cases())
def test_a_missing_weight_takes_no_part(case: Case) -> None:
    weights, constraint = case
    present = weights.filter(pl.col("weight").is_not_null())
    alone = constraint.apply(present)["weight"].to_list()
    assert constraint.apply(weights)["weight"].drop_nulls().to_list() == pytest.approx(alone, abs=1e-14)


@given(cases())
def test_a_frozen_name_never_moves(case: Case) -> None:
    weights, constraint = case
    frozen = weights.with_columns(frozen=pl.col("weight") > 0.2)
    applied = constraint.apply(frozen)
    assert applied.filter("frozen").equals(frozen.filter("frozen"))


@given(cases(frozen=False))
def test_nobody_frozen_is_the_same_as_no_column_of_frozen_names(case: Case) -> None:
    weights, constraint = case
    expected = constraint.apply(weights)
    for frozen in (pl.lit(False), pl.lit(None)):
        assert constraint.apply(weights.with_columns(frozen=frozen)).drop("frozen").equals(expected)


@given(cases())
def test_a_panel_gives_each_group_the_bits_that_it_gets_alone(case: Case) -> None:
    weights, constraint = case
    together = constraint.apply(weights).partition_by("end_time", maintain_order=True)
    alone = [constraint.apply(group) for group in weights.partition_by("end_time", maintain_order=True)]
    assert all(one.equals(other) for one, other in zip(together, alone, strict=True))


@given(cases(), st.randoms())
def test_the_order_of_rows_does_not_matter(case: Case, random: Any) -> None:
    weights, constraint = case
    places = list(range(weights.height))
    random.shuffle(places)
    expected = listed(constraint.apply(weights)[places])
    assert listed(constraint.apply(weights[places])) == pytest.approx(expected, abs=1e-12)


@given(cases())
def test_applying_twice_is_applying_once(case: Case) -> None:
    weights, constraint = case
    once = constraint.apply(weights)
    assert listed(constraint.apply(once)) == pytest.approx(listed(once), abs=1e-12)


@given(cases(always_met, frozen=False))
def test_a_constraint_holds_after_it_was_applied(case: Case) -> None:
    weights, constraint = case
    assert constraint.breaches(constraint.apply(weights)).is_empty()


@given(cases())
def test_weights_without_a_breach_stay_up_to_the_tolerance(case: Case) -> None:
    weights, constraint = case
    applied = constraint.apply(weights).with_columns(wanted=weights["weight"])
    breached = constraint.breaches(weights)["end_time"].implode()
    unharmed = applied.filter(~pl.col("end_time").is_in(breached))
    assert unharmed.filter((pl.col("weight") - pl.col("wanted")).abs() > 1e-8).is_empty()


ALL = [
    MaxGrossExposureConstraint(1.0),
    MarketNeutralConstraint(),
    LongOnlyConstraint(),
    MaxPositionConstraint(0.5),
    MaxPositionConstraint(0.5, redistribute=False),
    MaxBucketWeightConstraint(0.5),
    MinBucketWeightConstraint(0.1),
    NetExposureConstraint(maximum=0.5),
    TurnoverConstraint(0.5),
    MaxPositionsConstraint(1),
    MaxPositionsConstraint(1, per_bucket=True),
    MinPositionWeightConstraint(0.1),
    MinBucketsConstraint(1),
    NameLimitsConstraint({"A": NameLimit(maximum=0.5)}),
    FrozenNamesConstraint(("A",)),
]


@pytest.mark.parametrize("constraint", ALL)
def test_an_empty_frame_comes_back_empty(constraint: WeightConstraint) -> None:
    weights = weights_of([], bucket=pl.Series([], dtype=pl.String), current_weight=pl.Series([], dtype=pl.Float64))
    assert constraint.apply(weights).equals(weights)
    assert constraint.breaches(weights).columns == ["end_time", "constraint", "scope", "limit", "level", "excess"]


@pytest.mark.parametrize("constraint", ALL)
def test_a_group_may_be_all_missing(constraint: WeightConstraint) -> None:
    weights = weights_of([None, None], bucket=["x", "y"], current_weight=[0.5, 0.0])
    assert constraint.apply(weights).equals(weights)
    assert constraint.breaches(weights).is_empty()


@pytest.mark.parametrize("constraint", ALL)
@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -float("inf"), 1e101])
def test_a_weight_that_is_no_number_is_an_error_that_names_the_row(constraint: WeightConstraint, weight: float) -> None:
    weights = weights_of([0.5, weight], bucket=["x", "y"], current_weight=[0.5, 0.0])
    for face in (constraint.apply, constraint.breaches):
        with pytest.raises(InvalidWeightsError, match=r"1 row: row 1 \(end_time=2026-01-02, symbol=B, weight="):
            face(weights)


@pytest.mark.parametrize("constraint", ALL)
def test_huge_weights_are_constrained_like_others(constraint: WeightConstraint) -> None:
    weights = weights_of([1e100, 1e100, -1e100], bucket=["x", "y", "x"], current_weight=[1e100, 0.0, -1e100])
    applied = constraint.apply(weights)
    assert applied["weight"].is_finite().all()


@pytest.mark.parametrize("by", [["portfolio", "end_time"], ("end_time", "portfolio")])
def test_groups_may_have_several_keys(by: list[str]) -> None:
    weights = weights_of([0.5, 0.5, 1.0], portfolio=["one", "one", "two"])
    assert listed(MaxGrossExposureConstraint(0.5).apply(weights, by=by)) == [0.25, 0.25, 0.5]


def test_breaches_of_unsorted_groups_bear_their_own_keys() -> None:
    weights = weights_of([1.0, 0.1, 1.0, 0.1], portfolio=["two", "one", "one", "two"], lot=[1, 2, 3, 4])
    breaches = MaxPositionConstraint(0.5).breaches(weights, by="portfolio")
    assert breaches.sort("portfolio").select("portfolio", "scope").rows() == [("one", "C"), ("two", "A")]
    gross = MaxGrossExposureConstraint(0.5).breaches(weights, by=["portfolio"])
    assert gross.sort("portfolio")["portfolio"].to_list() == ["one", "two"]


def test_whole_numbers_are_weights_too() -> None:
    weights = pl.DataFrame({"end_time": [DAY, DAY], "symbol": ["A", "B"], "weight": [3, 1]})
    applied = MaxGrossExposureConstraint(2.0).apply(weights)
    assert applied.schema["weight"] == pl.Float64
    assert listed(applied) == [1.5, 0.5]


def test_keys_that_bear_the_name_of_a_breach_column_are_refused() -> None:
    weights = weights_of([0.5], limit=["a"])
    with pytest.raises(InvalidWeightsError, match=r"by has \['limit'\]"):
        LongOnlyConstraint().breaches(weights, by="limit")


AnyConstraint = Annotated[Constraint, Field(discriminator="kind")]
READER: TypeAdapter[WeightConstraint] = TypeAdapter(AnyConstraint)


@pytest.mark.parametrize(
    ("document", "constraint"),
    [
        ({"kind": "max_position", "max_weight": 0.05}, MaxPositionConstraint(0.05)),
        ({"kind": "max_position", "max_weight": 0.1, "redistribute": False}, MaxPositionConstraint(0.1, False)),
        ({"kind": "long_only"}, LongOnlyConstraint()),
        ({"kind": "market_neutral"}, MarketNeutralConstraint()),
        ({"kind": "max_gross_exposure", "max_exposure": 1}, MaxGrossExposureConstraint(1.0)),
        ({"kind": "max_bucket_weight", "max_weight": 0.4}, MaxBucketWeightConstraint(0.4)),
        ({"kind": "max_bucket_weight", "max_weight": {"x": 0.4}}, MaxBucketWeightConstraint({"x": 0.4})),
        ({"kind": "min_bucket_weight", "min_weight": {"x": 0.1}}, MinBucketWeightConstraint({"x": 0.1})),
        ({"kind": "net_exposure", "minimum": -0.1, "maximum": 1}, NetExposureConstraint(-0.1, 1.0)),
        ({"kind": "turnover", "max_turnover": 0.2}, TurnoverConstraint(0.2)),
        ({"kind": "max_positions", "max_positions": 4, "per_bucket": True}, MaxPositionsConstraint(4, per_bucket=True)),
        ({"kind": "min_position_weight", "min_weight": 0.01}, MinPositionWeightConstraint(0.01)),
        ({"kind": "min_buckets_represented", "min_buckets": 3}, MinBucketsConstraint(3)),
        (
            {"kind": "name_limits", "names": {"A": {"maximum": 0.05}}},
            NameLimitsConstraint({"A": NameLimit(maximum=0.05)}),
        ),
        ({"kind": "frozen_names", "symbols": ["B", "A"]}, FrozenNamesConstraint(("A", "B"))),
        ({"kind": "long_only", "mode": "no_worse"}, LongOnlyConstraint(mode="no_worse")),
        (
            {"kind": "max_position", "max_weight": 0.05, "mode": "soft", "priority": 1, "max_relaxation": 0.01},
            MaxPositionConstraint(0.05, mode="soft", priority=1, max_relaxation=0.01),
        ),
    ],
)
def test_configuration_reads_every_kind(document: dict[str, Any], constraint: WeightConstraint) -> None:
    assert READER.validate_python(document) == constraint


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "max_positions", "max_weight": 0.05},
        {"kind": "max_position", "max_weight": 0.05, "redistibute": False},
        {"kind": "long_only", "limit": 1.0},
        {"kind": "market_neutral", "net": 0.0},
        {"kind": "max_gross_exposure", "max_exposure": 1.0, "max_weight": 1.0},
        {"kind": "max_bucket_weight", "max_weight": {"x": -0.4}},
        {"kind": "max_position", "max_weight": "much"},
        {"kind": "name_limits", "names": {"A": {"max": 0.05}}},
        {"kind": "name_limits", "names": {"A": {}}},
        {"kind": "frozen_names", "symbols": "AAPL"},
        {"kind": "max_positions", "max_positions": 2.5},
        {"kind": "max_position", "max_weight": 0.05, "mode": "soft"},
        {"kind": "turnover", "max_turnover": 0.1, "mode": "no_worse"},
    ],
)
def test_configuration_refuses_what_it_does_not_know(document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        READER.validate_python(document)


def test_days_before_1970_and_of_any_type_are_keys() -> None:
    for day in (dt.date(1960, 1, 1), dt.datetime(2026, 1, 2, 9, tzinfo=dt.UTC), 20260102, "2026-01-02", 1.5, True):
        weights = pl.DataFrame({"end_time": [day, day], "symbol": ["A", "B"], "weight": [0.75, 0.25]})
        assert listed(MaxPositionConstraint(0.5).apply(weights)) == pytest.approx([0.5, 0.5])
