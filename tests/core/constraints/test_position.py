import polars as pl
import pytest
from hypothesis import given

from core.constraints import MaxPositionConstraint
from tests.core.constraints.frames import limits, listed, panels, weights_of
from tests.core.constraints.oracle import two_level


def test_max_position_redistributes() -> None:
    weights = weights_of([0.6, 0.3, 0.1])
    assert listed(MaxPositionConstraint(0.5).apply(weights)) == pytest.approx([0.5, 0.375, 0.125])
    assert listed(MaxPositionConstraint(0.35).apply(weights)) == pytest.approx([0.35, 0.35, 0.30])


def test_max_position_no_redistribute_matches_original() -> None:
    clipped = MaxPositionConstraint(0.5, redistribute=False).apply(weights_of([0.6, 0.3, -0.8, None]))
    assert listed(clipped) == [0.5, 0.3, -0.5, None]


def test_clipping_gives_the_same_bits_with_a_missing_name_as_without() -> None:
    clip = MaxPositionConstraint(1 / 3, redistribute=False)
    without, beside = weights_of([0.6, -0.5, 0.1]), weights_of([0.6, -0.5, 0.1, None])
    assert listed(clip.apply(beside)) == [*listed(clip.apply(without)), None]


def test_clipping_no_worse_leaves_a_position_at_its_size_of_today() -> None:
    clip = MaxPositionConstraint(0.25, redistribute=False, mode="no_worse")
    weights = weights_of([0.6, -0.6, None, 0.3], current_weight=[0.5, -0.5, 0.5, 0.0])
    assert listed(clip.apply(weights)) == [0.5, -0.5, None, 0.25]


def test_books_are_filled_separately_so_that_signs_stay() -> None:
    filled = MaxPositionConstraint(0.5).apply(weights_of([0.6, 0.2, -0.8, -0.1]))
    assert listed(filled) == pytest.approx([0.5, 0.3, -0.5, -0.4])


def test_what_finds_no_room_stays_unplaced() -> None:
    assert listed(MaxPositionConstraint(0.3).apply(weights_of([0.6, 0.3, 0.1]))) == [0.3, 0.3, 0.3]


def test_a_name_at_zero_stays_at_zero() -> None:
    assert listed(MaxPositionConstraint(0.5).apply(weights_of([0.6, 0.0, None]))) == [0.5, 0.0, None]


def test_a_name_within_the_tolerance_of_zero_takes_nothing() -> None:
    assert listed(MaxPositionConstraint(0.5).apply(weights_of([0.6, 1e-10, -1e-320]))) == [0.5, 1e-10, -1e-320]


def test_a_name_exactly_at_the_cap_is_full() -> None:
    assert listed(MaxPositionConstraint(0.5).apply(weights_of([0.7, 0.5, 0.2]))) == pytest.approx([0.5, 0.5, 0.4])


def test_a_large_scale_is_found_in_several_ranges() -> None:
    filled = MaxPositionConstraint(0.4).apply(weights_of([0.96, 0.02, 0.01, 0.01]))
    assert listed(filled) == pytest.approx([0.4, 0.3, 0.15, 0.15])


def test_a_name_that_is_full_only_at_a_scale_far_above_one_is_full() -> None:
    weights = weights_of([0.9, 0.08, 0.01, 0.01, -0.9, -0.08, -0.01, -0.01])
    filled = listed(MaxPositionConstraint(0.4).apply(weights))
    assert filled == pytest.approx([0.4, 0.4, 0.1, 0.1, -0.4, -0.4, -0.1, -0.1])


def test_weights_under_the_cap_come_back_bit_by_bit() -> None:
    weights = weights_of([0.1, 0.2, -0.3, 1 / 3])
    assert MaxPositionConstraint(0.4).apply(weights).equals(weights)


def test_a_frozen_name_is_neither_cut_nor_raised() -> None:
    weights = weights_of([0.6, 0.3, 0.1, 0.7], frozen=[False, False, True, True])
    filled = MaxPositionConstraint(0.5).apply(weights)
    assert listed(filled) == pytest.approx([0.5, 0.4, 0.1, 0.7])
    assert MaxPositionConstraint(0.5).breaches(filled)["scope"].to_list() == ["D"]


def test_position_breach_has_one_row_per_symbol() -> None:
    breaches = MaxPositionConstraint(0.5).breaches(weights_of([0.75, 0.5, -1.0, None]))
    assert breaches.drop("end_time").rows() == [
        ("max_position", "A", 0.5, 0.75, 0.25),
        ("max_position", "C", 0.5, 1.0, 0.5),
    ]


def test_an_excess_within_the_tolerance_is_no_breach() -> None:
    assert MaxPositionConstraint(0.5).breaches(weights_of([0.5 + 5e-10])).is_empty()


@given(panels(), limits)
def test_filling_agrees_with_capping_by_hand(weights: pl.DataFrame, cap: float) -> None:
    filled = MaxPositionConstraint(cap).apply(weights).with_columns(wanted=weights["weight"])
    for group in filled.partition_by("end_time"):
        frozen = group["frozen"].to_list() if "frozen" in group.columns else [False] * group.height
        exact = two_level(group["wanted"].to_list(), group["bucket"].to_list(), frozen, cap, {})
        assert listed(group) == pytest.approx(exact, abs=1e-12)


@given(panels(frozen=False), limits)
def test_each_book_keeps_its_gross_unless_every_name_is_full(weights: pl.DataFrame, cap: float) -> None:
    filled = MaxPositionConstraint(cap).apply(weights).with_columns(wanted=weights["weight"])
    for side in (1, -1):
        wanted, placed = side * pl.col("wanted"), side * pl.col("weight")
        book = filled.filter(wanted > 1e-9).group_by("end_time")
        sums = book.agg(wanted=wanted.sum(), placed=placed.sum(), room=cap * pl.len(), largest=placed.max())
        expected = pl.min_horizontal("wanted", "room")
        assert sums.filter((pl.col("placed") - expected).abs() > 1e-14 * pl.len() * expected).is_empty()
        assert sums.filter(pl.col("largest") > cap).is_empty()


@given(panels(), limits)
def test_signs_and_zeros_stay(weights: pl.DataFrame, cap: float) -> None:
    filled = MaxPositionConstraint(cap).apply(weights)
    assert filled["weight"].sign().equals(weights["weight"].sign())


@pytest.mark.parametrize("limit", [0, -0.1, float("nan"), float("inf")])
def test_a_cap_that_cannot_be_meant_is_refused_by_name(limit: float) -> None:
    with pytest.raises(ValueError, match="max_weight"):
        MaxPositionConstraint(limit)


def test_statement_speaks_plainly() -> None:
    assert MaxPositionConstraint(0.05).statement == "no position above 5 % of net asset value"
