"""How many names, how small, how many buckets."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.constraints import ConstraintSet, MaxPositionsConstraint, MinBucketsConstraint, MinPositionWeightConstraint
from core.errors import ConfigurationError
from tests.core.constraints.family import names_of
from tests.core.constraints.frames import limits, listed, panels, weights_of


def test_the_largest_names_stay_and_take_what_the_others_had() -> None:
    kept = MaxPositionsConstraint(2).apply(weights_of([0.25, 0.5, 0.125, 0.125]))
    assert listed(kept) == pytest.approx([1 / 3, 2 / 3, 0.0, 0.0])


def test_ties_go_by_symbol() -> None:
    assert listed(MaxPositionsConstraint(1).apply(weights_of([0.25, 0.25]))) == [0.5, 0.0]


def test_what_is_cut_stays_in_its_book() -> None:
    kept = MaxPositionsConstraint(3).apply(weights_of([0.5, 0.25, -0.5, -0.125]))
    assert listed(kept) == pytest.approx([0.5, 0.25, -0.625, 0.0])


def test_a_book_without_a_kept_name_becomes_cash() -> None:
    assert listed(MaxPositionsConstraint(1).apply(weights_of([0.5, -0.25]))) == [0.5, 0.0]


def test_frozen_names_come_first() -> None:
    kept = MaxPositionsConstraint(2).apply(weights_of([0.1, 0.5, 0.25], frozen=[True, False, False]))
    assert listed(kept) == pytest.approx([0.1, 0.75, 0.0])


def test_frozen_names_alone_may_be_too_many() -> None:
    kept = MaxPositionsConstraint(1).apply(weights_of([0.1, 0.1, 0.5], frozen=[True, True, False]))
    assert listed(kept) == [0.1, 0.1, 0.0]
    assert MaxPositionsConstraint(1).breaches(kept).drop("end_time").rows() == [("max_positions", "", 1.0, 2.0, 1.0)]


def test_zeros_and_missing_weights_are_no_names() -> None:
    weights = weights_of([0.5, 0.0, None, 1e-10, 0.25])
    assert MaxPositionsConstraint(2).apply(weights).equals(weights)
    assert MaxPositionsConstraint(2).breaches(weights).is_empty()


def test_names_may_be_counted_in_each_bucket() -> None:
    constraint = MaxPositionsConstraint(1, per_bucket=True)
    weights = weights_of([0.5, 0.25, 0.25], bucket=list("xxy"))
    assert constraint.breaches(weights).drop("end_time").rows() == [("max_positions", "x", 1.0, 2.0, 1.0)]
    assert listed(constraint.apply(weights)) == pytest.approx([2 / 3, 0.0, 1 / 3])


def test_todays_number_of_names_may_stay_where_the_limit_is_no_worse() -> None:
    constraint = MaxPositionsConstraint(1, mode="no_worse")
    weights = weights_of([0.3, 0.2, 0.1], current_weight=[0.0, 0.4, 0.2])
    assert listed(constraint.apply(weights)) == pytest.approx([0.36, 0.24, 0.0])
    assert constraint.breaches(weights)["limit"].to_list() == [2.0]


def test_the_solver_counts_names_or_those_of_each_bucket() -> None:
    names = names_of(weights_of([0.5, 0.25, 0.25], bucket=list("xxy")))
    (total,) = MaxPositionsConstraint(2).limits(names)
    assert (total.noun, total.bound, total.counted, total.excess(names.wanted)) == ("positions", "at most ", True, 1.0)
    per_bucket = MaxPositionsConstraint(1, per_bucket=True).limits(names)
    assert [(limit.scope, limit.excess(names.wanted)) for limit in per_bucket] == [("x", 1.0), ("y", 0.0)]


def test_so_many_names_cannot_be_meant() -> None:
    for number in (0, -1, 1.5, True):
        with pytest.raises(ConfigurationError, match="max_positions"):
            MaxPositionsConstraint(number)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"is 1.5: it must be a whole number of names"):
        MaxPositionsConstraint(4, mode="soft", priority=1, max_relaxation=1.5)


@given(panels(frozen=False), st.integers(1, 6))
def test_each_book_keeps_its_gross_while_a_name_of_it_stays(weights: pl.DataFrame, most: int) -> None:
    kept = MaxPositionsConstraint(most).apply(weights).with_columns(wanted=weights["weight"])
    books = kept.filter(pl.col("weight").abs() > 1e-9).group_by("end_time", pl.col("weight") > 0).agg(
        now=pl.col("weight").sum()
    )  # fmt: skip
    before = weights.filter(pl.col("weight").abs() > 1e-9).group_by("end_time", pl.col("weight") > 0).agg(
        before=pl.col("weight").sum()
    )  # fmt: skip
    joined = books.join(before, on=["end_time", "weight"])
    assert joined.filter((pl.col("now") - pl.col("before")).abs() > 1e-9).is_empty()


def test_small_names_give_way_to_the_larger_ones_of_their_book() -> None:
    floored = MinPositionWeightConstraint(0.25).apply(weights_of([0.5, 0.25, 0.125, 0.125]))
    assert listed(floored) == pytest.approx([2 / 3, 1 / 3, 0.0, 0.0])


def test_a_name_stays_where_what_others_give_up_lifts_it_to_the_floor() -> None:
    floored = MinPositionWeightConstraint(0.25).apply(weights_of([0.3, 0.2, 0.1]))
    assert listed(floored) == pytest.approx([0.6, 0.0, 0.0])
    floored = MinPositionWeightConstraint(0.24).apply(weights_of([0.3, 0.2, 0.1]))
    assert listed(floored) == pytest.approx([0.36, 0.24, 0.0])


def test_a_book_too_small_for_one_name_becomes_cash() -> None:
    assert listed(MinPositionWeightConstraint(0.5).apply(weights_of([0.2, 0.2, -0.5]))) == [0.0, 0.0, -0.5]


def test_names_at_the_floor_stay_bit_by_bit() -> None:
    weights = weights_of([0.1] * 10)
    assert MinPositionWeightConstraint(0.1).apply(weights).equals(weights)


def test_a_frozen_name_below_the_floor_stays_and_breaches() -> None:
    constraint = MinPositionWeightConstraint(0.25)
    weights = weights_of([0.125, 0.5, 0.125], frozen=[True, False, False])
    floored = constraint.apply(weights)
    assert listed(floored) == [0.125, 0.625, 0.0]
    assert constraint.breaches(floored).drop("end_time").rows() == [("min_position_weight", "A", 0.25, 0.125, 0.125)]


def test_a_small_holding_may_stay_where_the_floor_is_no_worse() -> None:
    constraint = MinPositionWeightConstraint(0.25, mode="no_worse")
    weights = weights_of([0.5, 0.125, 0.125], current_weight=[0.5, 0.125, 0.0])
    assert listed(constraint.apply(weights)) == pytest.approx([0.6, 0.15, 0.0])
    assert constraint.breaches(weights)["scope"].to_list() == ["C"]


@given(st.lists(st.sampled_from([0.05, 0.1, 0.15, 0.2, 0.3]), min_size=1, max_size=6), limits)
def test_as_many_of_the_largest_names_stay_as_can_reach_the_floor(sizes: list[float], floor: float) -> None:
    largest = sorted(sizes, reverse=True)
    possible = [
        number
        for number in range(1, len(sizes) + 1)
        if largest[number - 1] * sum(sizes) / sum(largest[:number]) >= floor - 1e-12
    ]
    kept = [weight for weight in listed(MinPositionWeightConstraint(floor).apply(weights_of(sizes))) if weight]
    assert len(kept) == max(possible, default=0)
    assert sum(kept) == pytest.approx(sum(sizes) if kept else 0.0)


def test_the_solver_knows_the_floor_of_every_name() -> None:
    names = names_of(weights_of([0.5, 0.1, 0.0], bucket=list("xxy")))
    (limit,) = MinPositionWeightConstraint(0.25).limits(names)
    assert (limit.direction, limit.excess(names.wanted)) == (-1, 0.15)


def test_representation_counts_buckets_with_a_name_large_enough_and_never_unknown() -> None:
    constraint = MinBucketsConstraint(2, 0.01)
    weights = weights_of([0.5, 0.3, 0.009, 0.1], bucket=["x", "x", "y", "Unknown"])
    assert constraint.breaches(weights).drop("end_time").rows() == [("min_buckets_represented", "", 2.0, 1.0, 1.0)]
    assert constraint.breaches(weights.with_columns(weight=0.01)).is_empty()


def test_representation_has_no_closed_form() -> None:
    weights = weights_of([0.5, 0.0], bucket=list("xy"))
    assert MinBucketsConstraint(2).apply(weights).equals(weights)


def test_for_the_solver_a_name_that_is_not_wanted_represents_nothing() -> None:
    group = weights_of([0.5, 0.0, 0.3, 0.2], bucket=["x", "y", "z", "Unknown"])
    (limit,) = MinBucketsConstraint(2).limits(names_of(group))
    without_z = weights_of([0.5, 0.3, 0.0, 0.2], bucket=["x", "y", "z", "Unknown"])
    assert limit.excess(names_of(without_z).wanted) == 1.0
    assert (limit.counted, limit.direction, limit.noun, limit.bound) == (True, -1, "buckets represented", "at least ")


def test_buckets_that_the_wanted_weights_lack_are_a_breach_and_take_no_weight_away() -> None:
    weights = weights_of([0.5, 0.3], bucket=["x", "x"])
    constrained = ConstraintSet([MinBucketsConstraint(2)]).apply(weights)
    assert constrained.weights.equals(weights)
    assert constrained.breaches["constraint"].to_list() == ["min_buckets_represented"]
    assert constrained.infeasible.is_empty()


@pytest.mark.parametrize(("least", "size"), [(0, 0.1), (1.5, 0.1), (1, 0.0), (1, float("nan"))])
def test_a_representation_that_cannot_be_meant_is_refused(least: int, size: float) -> None:
    with pytest.raises(ConfigurationError, match="min_"):
        MinBucketsConstraint(least, size)


@pytest.mark.parametrize("mode", ["soft", "no_worse"])
def test_a_representation_is_hard(mode: str) -> None:
    with pytest.raises(ConfigurationError, match="min_buckets_represented cannot be"):
        MinBucketsConstraint(1, mode=mode, priority=1, max_relaxation=1)  # type: ignore[arg-type]


def test_a_floor_that_cannot_be_meant_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="min_weight"):
        MinPositionWeightConstraint(0.0)


def test_statements_speak_plainly() -> None:
    assert MaxPositionsConstraint(4).statement == "at most 4 names"
    assert MaxPositionsConstraint(4, per_bucket=True).statement == "at most 4 names in each bucket"
    assert MinPositionWeightConstraint(0.01).statement == "no position below 1 % of net asset value, unless zero"
    assert MinBucketsConstraint(3).statement == "at least 3 buckets with a position of 0.1 % or more"
