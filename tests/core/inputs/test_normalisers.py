from math import isclose
from statistics import NormalDist, fmean, pstdev

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.inputs import Normaliser, normalised
from tests.effort import examples

METHODS: list[Normaliser] = ["rank", "minmax", "zscore"]
numbers = st.floats(allow_nan=False, allow_infinity=False)
cross_sections = st.lists(st.none() | numbers, min_size=1, max_size=12)


def scaled(values: list[float | None], method: Normaliser, *, higher_is_better: bool = True) -> list[float | None]:
    frame = pl.DataFrame({"day": 1, "value": values}, schema={"day": pl.Int64, "value": pl.Float64})
    expression = normalised(pl.col("value"), method, "day", higher_is_better=higher_is_better)
    return frame.select(expression.alias("scaled"))["scaled"].to_list()


def test_rank_is_the_average_rank_over_the_count() -> None:
    assert scaled([10.0, 30.0, 20.0, None], "rank") == [1 / 3, 1.0, 2 / 3, None]
    assert scaled([10.0, 10.0, 20.0, 40.0], "rank") == [1.5 / 4, 1.5 / 4, 3 / 4, 1.0]


def test_minmax_is_the_place_between_lowest_and_highest() -> None:
    assert scaled([10.0, None, 20.0, 50.0], "minmax") == [0.0, None, 0.25, 1.0]


def test_zscore_goes_through_the_normal_distribution() -> None:
    assert scaled([-1.0, 0.0, 1.0], "zscore")[1] == 0.5


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=10).filter(lambda values: pstdev(values) > 1e-3))
def test_zscore_agrees_with_the_standard_library(values: list[float]) -> None:
    mean, deviation = fmean(values), pstdev(values)
    for ours, value in zip(scaled(values, "zscore"), values, strict=True):
        assert ours is not None
        assert isclose(ours, NormalDist().cdf((value - mean) / deviation), rel_tol=1e-6, abs_tol=1e-12)


def test_none_keeps_what_is_between_0_and_1() -> None:
    assert scaled([0.0, 0.25, 1.0, 1.5, -0.1, None], "none") == [0.0, 0.25, 1.0, None, None, None]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("values", [[0.1, 0.1, 0.1], [5.0], [5.0, None], [None, None]])
def test_a_cross_section_that_says_nothing_is_missing(method: Normaliser, values: list[float | None]) -> None:
    assert scaled(values, method) == [None] * len(values)


def test_lower_can_be_better() -> None:
    assert scaled([1.0, 2.0, 4.0], "rank", higher_is_better=False) == [1.0, 2 / 3, 1 / 3]
    assert scaled([0.0, 1.0, 4.0], "minmax", higher_is_better=False) == [1.0, 0.75, 0.0]
    assert scaled([0.25], "none", higher_is_better=False) == [0.75]


def test_each_group_is_a_cross_section_of_its_own() -> None:
    frame = pl.DataFrame({"day": [1, 2, 1, 2], "value": [1.0, 10.0, 2.0, 30.0]})
    assert frame.select(normalised(pl.col("value"), "minmax", ["day"]))["value"].to_list() == [0.0, 0.0, 1.0, 1.0]


@settings(max_examples=examples(50), deadline=None)
@given(cross_sections, st.sampled_from([*METHODS, "none"]), st.booleans())
def test_values_are_from_0_to_1_or_missing(values: list[float | None], method: Normaliser, higher: bool) -> None:
    result = scaled(values, method, higher_is_better=higher)
    assert all(ours is None or 0.0 <= ours <= 1.0 for ours in result)
    assert all(ours is None for ours, value in zip(result, values, strict=True) if value is None)


@settings(max_examples=examples(50), deadline=None)
@given(cross_sections, st.sampled_from([*METHODS, "none"]))
def test_a_larger_value_is_never_worse(values: list[float | None], method: Normaliser) -> None:
    pairs = [
        (value, ours) for value, ours in zip(values, scaled(values, method), strict=True) if None not in (value, ours)
    ]
    ordered = [ours for _, ours in sorted(pairs)]
    assert ordered == sorted(ordered)


@settings(max_examples=examples(50), deadline=None)
@given(st.permutations([0.1, 0.1, 3.0, None, -7.0, 22.5]), st.sampled_from(METHODS))
def test_the_order_of_rows_does_not_matter(values: list[float | None], method: Normaliser) -> None:
    straight = dict(
        zip([0.1, 0.1, 3.0, None, -7.0, 22.5], scaled([0.1, 0.1, 3.0, None, -7.0, 22.5], method), strict=True)
    )
    for value, ours in zip(values, scaled(values, method), strict=True):
        assert ours == pytest.approx(straight[value], abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_huge_and_tiny_values_stay_apart(method: Normaliser) -> None:
    for values in ([-1.7e308, 0.0, 1.7e308], [-1e-300, 0.0, 1e-300], [1e-200, 2e-200, 3e-200]):
        low, middle, high = scaled(list(values), method)
        assert low is not None
        assert middle is not None
        assert high is not None
        assert low < middle < high
