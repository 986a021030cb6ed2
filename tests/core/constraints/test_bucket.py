import polars as pl
import pytest
from hypothesis import given

from core.constraints import MaxBucketWeightConstraint, MinBucketWeightConstraint
from core.errors import ConfigurationError, InvalidWeightsError
from tests.core.constraints.family import names_of
from tests.core.constraints.frames import bucket_limits, listed, panels, weights_of
from tests.core.constraints.oracle import two_level


def test_a_heavy_bucket_is_scaled_and_the_others_take_what_was_cut() -> None:
    filled = MaxBucketWeightConstraint(0.5).apply(weights_of([0.6, 0.2, 0.1, 0.1], bucket=list("xxyz")))
    assert listed(filled) == pytest.approx([0.375, 0.125, 0.25, 0.25])


def test_a_bucket_takes_no_more_than_its_limit() -> None:
    filled = MaxBucketWeightConstraint(0.4).apply(weights_of([0.6, 0.3, 0.1], bucket=list("xyz")))
    assert listed(filled) == pytest.approx([0.4, 0.4, 0.2])


def test_what_no_bucket_can_take_stays_unplaced() -> None:
    filled = MaxBucketWeightConstraint(0.4).apply(weights_of([0.8, 0.2], bucket=list("xy")))
    assert listed(filled) == pytest.approx([0.4, 0.4])


def test_both_books_count_in_a_bucket_and_each_keeps_its_gross() -> None:
    filled = MaxBucketWeightConstraint(0.4).apply(weights_of([0.3, -0.3, 0.1, -0.1], bucket=list("xxyy")))
    assert listed(filled) == pytest.approx([0.2, -0.2, 0.2, -0.2])


def test_a_bucket_that_the_map_does_not_name_is_unlimited() -> None:
    filled = MaxBucketWeightConstraint({"x": 0.5}).apply(weights_of([0.8, 0.2], bucket=list("xy")))
    assert listed(filled) == pytest.approx([0.5, 0.5])


def test_an_empty_map_limits_nothing() -> None:
    weights = weights_of([0.8, 0.2], bucket=list("xy"))
    assert MaxBucketWeightConstraint({}).apply(weights).equals(weights)
    assert MaxBucketWeightConstraint({}).breaches(weights).is_empty()


def test_weights_that_meet_the_limits_come_back_bit_by_bit() -> None:
    weights = weights_of([0.1, 0.2, -0.3, 1 / 3], bucket=list("xyxz"))
    assert MaxBucketWeightConstraint(0.4).apply(weights).equals(weights)


def test_a_bucket_over_its_limit_by_rounding_alone_is_left_as_it_is() -> None:
    weights = weights_of([0.1, 0.2, 0.1], bucket=list("xxy"))
    assert 0.1 + 0.2 > 0.3
    assert MaxBucketWeightConstraint(0.3).apply(weights).equals(weights)


def test_frozen_names_take_their_room_and_the_others_share_the_rest() -> None:
    weights = weights_of([0.3, 0.2, 0.2, 0.3], bucket=list("xxxy"), frozen=[True, False, False, False])
    assert listed(MaxBucketWeightConstraint(0.5).apply(weights)) == pytest.approx([0.3, 0.1, 0.1, 0.5])


def test_where_frozen_names_alone_exceed_a_bucket_the_others_go_to_zero() -> None:
    weights = weights_of([0.75, 0.1, 0.1], bucket=list("xxy"), frozen=[True, False, False])
    filled = MaxBucketWeightConstraint(0.5).apply(weights)
    assert listed(filled) == pytest.approx([0.75, 0.0, 0.2])
    assert MaxBucketWeightConstraint(0.5).breaches(filled)["excess"].to_list() == [0.25]


def test_bucket_breach_has_one_row_per_bucket() -> None:
    weights = weights_of([0.5, -0.25, 0.5, 1.0], bucket=list("xxyz"))
    breaches = MaxBucketWeightConstraint({"x": 0.5, "y": 0.5}).breaches(weights)
    assert breaches.drop("end_time").rows() == [("max_bucket_weight", "x", 0.5, 0.75, 0.25)]


def test_bucket_may_be_categorical() -> None:
    weights = weights_of([0.6, 0.4], bucket=pl.Series(["x", "y"], dtype=pl.Enum(["y", "x"])))
    filled = MaxBucketWeightConstraint(0.5).apply(weights)
    assert listed(filled) == pytest.approx([0.5, 0.5])
    assert filled.schema == weights.schema


@given(panels(), bucket_limits)
def test_filling_agrees_with_capping_by_hand(weights: pl.DataFrame, limit: float | dict[str, float]) -> None:
    filled = MaxBucketWeightConstraint(limit).apply(weights).with_columns(wanted=weights["weight"])
    for group in filled.partition_by("end_time"):
        frozen = group["frozen"].to_list() if "frozen" in group.columns else [False] * group.height
        exact = two_level(group["wanted"].to_list(), group["bucket"].to_list(), frozen, None, limit)
        assert listed(group) == pytest.approx(exact, abs=1e-11)


@given(panels(frozen=False), bucket_limits)
def test_no_limit_is_breached_afterwards(weights: pl.DataFrame, limit: float | dict[str, float]) -> None:
    constraint = MaxBucketWeightConstraint(limit)
    assert constraint.breaches(constraint.apply(weights)).is_empty()


def test_the_column_bucket_must_be_there() -> None:
    with pytest.raises(InvalidWeightsError, match="no column 'bucket'"):
        MaxBucketWeightConstraint(0.5).apply(weights_of([0.5]))


def test_a_null_bucket_is_an_error_that_names_the_row() -> None:
    with pytest.raises(InvalidWeightsError, match=r"bucket is null in 1 row: row 1 \(end_time=2026-01-02, symbol=B"):
        MaxBucketWeightConstraint(0.5).apply(weights_of([0.5, 0.5], bucket=["x", None]))


def test_a_bucket_that_is_no_text_is_an_error() -> None:
    with pytest.raises(InvalidWeightsError, match="'bucket' of weights is Int64: it must hold text"):
        MaxBucketWeightConstraint(0.5).apply(weights_of([0.5], bucket=[1]))


@pytest.mark.parametrize(("limit", "name"), [(0, "max_weight"), ({"x": -1.0}, "max_weight of bucket 'x'")])
def test_a_limit_that_cannot_be_meant_is_refused_by_name(limit: float | dict[str, float], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        MaxBucketWeightConstraint(limit)


def test_a_map_that_changes_later_does_not_change_the_limits() -> None:
    limits = {"x": 0.5}
    constraint = MaxBucketWeightConstraint(limits)
    limits["x"] = 0.9
    assert constraint.max_weight == {"x": 0.5}


def test_statements_speak_plainly() -> None:
    assert MaxBucketWeightConstraint(0.4).statement == "no bucket above 40 % of net asset value"
    named = MaxBucketWeightConstraint({"Energy": 0.4, "Tech": 0.25}).statement
    assert named == "no bucket above its share of net asset value: Energy 40 %, Tech 25 %"
    assert MaxBucketWeightConstraint({}).statement.endswith("none is limited")


def test_a_light_bucket_is_scaled_up_and_its_ratios_stay() -> None:
    lifted = MinBucketWeightConstraint(0.3).apply(weights_of([0.1, -0.05, 0.5], bucket=list("xxy")))
    assert listed(lifted) == pytest.approx([0.2, -0.1, 0.5])


def test_a_bucket_at_its_minimum_stays_bit_by_bit() -> None:
    weights = weights_of([0.1, 0.2, 1 / 3], bucket=list("xxy"))
    assert MinBucketWeightConstraint(0.3).apply(weights).equals(weights)


def test_frozen_names_count_in_the_minimum_and_the_others_bring_the_rest() -> None:
    weights = weights_of([0.1, 0.05], bucket=list("xx"), frozen=[True, False])
    assert listed(MinBucketWeightConstraint(0.3).apply(weights)) == pytest.approx([0.1, 0.2])


def test_a_bucket_at_zero_cannot_be_scaled_and_breaches() -> None:
    weights = weights_of([0.5, 0.0], bucket=list("xy"))
    constraint = MinBucketWeightConstraint(0.2)
    assert constraint.apply(weights).equals(weights)
    assert constraint.breaches(weights).drop("end_time").rows() == [("min_bucket_weight", "y", 0.2, 0.0, 0.2)]


def test_a_bucket_of_a_map_without_a_name_breaches_and_one_number_does_not_ask_for_it() -> None:
    weights = weights_of([0.5], bucket=["x"])
    breaches = MinBucketWeightConstraint({"q": 0.1}).breaches(weights)
    assert breaches.drop("end_time").rows() == [("min_bucket_weight", "q", 0.1, 0.0, 0.1)]
    assert MinBucketWeightConstraint(0.1).breaches(weights).is_empty()


def test_unknown_is_no_bucket_to_be_filled_unless_a_map_names_it() -> None:
    weights = weights_of([0.05], bucket=["Unknown"])
    assert MinBucketWeightConstraint(0.1).breaches(weights).is_empty()
    assert MinBucketWeightConstraint(0.1).limits(names_of(weights)) == []
    assert listed(MinBucketWeightConstraint({"Unknown": 0.1}).apply(weights)) == [0.1]


def test_a_bucket_may_stay_as_light_as_today_where_the_minimum_is_no_worse() -> None:
    constraint = MinBucketWeightConstraint({"x": 0.3, "q": 0.1}, mode="no_worse")
    weights = weights_of([0.05], bucket=["x"], current_weight=[0.2])
    assert listed(constraint.apply(weights)) == pytest.approx([0.2])
    assert constraint.breaches(weights).drop("end_time").rows() == [
        ("min_bucket_weight", "x", 0.2, 0.05, pytest.approx(0.15))
    ]


def test_the_solver_is_asked_for_size() -> None:
    names = names_of(weights_of([0.1, -0.05, 0.5], bucket=list("xxy")))
    limits_of_map = MinBucketWeightConstraint({"x": 0.3, "q": 0.1}).limits(names)
    assert [(limit.scope, limit.excess(names.wanted), limit.discrete) for limit in limits_of_map] == [
        ("q", 0.1, False),
        ("x", pytest.approx(0.15), True),
    ]
    assert [limit.scope for limit in MinBucketWeightConstraint(0.1).limits(names)] == ["x", "y"]
    assert (limits_of_map[1].noun, limits_of_map[1].bound, limits_of_map[1].direction) == (
        "weight of x", "at least ", -1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "name"), [(0, "min_weight"), ({"x": -1.0}, "min_weight of bucket 'x'"), ({}, "names no bucket")]
)
def test_a_minimum_that_cannot_be_meant_is_refused_by_name(limit: float | dict[str, float], name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        MinBucketWeightConstraint(limit)


def test_statements_of_minima_speak_plainly() -> None:
    assert MinBucketWeightConstraint(0.1).statement == "no bucket below 10 % of net asset value"
    assert MinBucketWeightConstraint({"Energy": 0.1}).statement == (
        "no bucket below its share of net asset value: Energy 10 %"
    )
