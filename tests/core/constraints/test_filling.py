from fractions import Fraction
from math import inf

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.constraints.filling import scales
from tests.core.constraints.oracle import scale

sizes = st.floats(min_value=1e-8, max_value=1e3)
ceilings = st.one_of(st.just(inf), st.floats(min_value=1e-8, max_value=1e3))
books = st.lists(st.tuples(sizes, ceilings), min_size=1, max_size=12)


def scale_of(names: list[tuple[float, float]], total: float) -> float:
    book = pl.DataFrame(names, schema=["size", "ceiling"], orient="row").with_columns(book=0)
    return float(scales(book, ["book"], pl.lit(total))["scale"].item())


def test_nobody_at_a_ceiling_places_the_total_in_proportion() -> None:
    assert scale_of([(0.3, inf), (0.1, inf)], 0.8) == pytest.approx(2.0)


def test_a_full_name_leaves_its_part_to_the_others() -> None:
    assert scale_of([(0.6, 0.5), (0.3, 0.5), (0.1, 0.5)], 1.0) == pytest.approx(1.25)


def test_ceilings_differ_by_name() -> None:
    assert scale_of([(0.5, 0.25), (0.25, 1.0), (0.25, 0.35)], 1.0) == pytest.approx(1.6)


def test_where_there_is_no_room_everybody_is_full() -> None:
    assert scale_of([(0.6, 0.3), (0.3, 0.3), (0.1, 0.3)], 1.0) >= 3.0


def test_a_total_of_zero_is_a_scale_of_zero() -> None:
    assert scale_of([(0.6, 0.3), (0.3, inf)], 0.0) == 0.0


def test_an_empty_book_has_no_scale() -> None:
    book = pl.DataFrame(schema={"book": pl.Int64, "size": pl.Float64, "ceiling": pl.Float64})
    assert scales(book, ["book"]).is_empty()


def test_sizes_that_halve_from_name_to_name_fill_one_after_another() -> None:
    names = [(2.0**-at, 0.2) for at in range(1, 30)]
    exact = scale([Fraction(size) for size, _ in names], [Fraction(0.2)] * len(names), Fraction(1))
    assert scale_of(names, 1.0) == pytest.approx(float(exact), rel=1e-12)


@given(books, st.floats(min_value=0, max_value=5e3))
def test_the_scale_places_the_total_or_fills_everybody(names: list[tuple[float, float]], total: float) -> None:
    s = scale_of(names, total)
    exact = scale(
        [Fraction(size) for size, _ in names],
        [None if ceiling == inf else Fraction(ceiling) for _, ceiling in names],
        Fraction(total),
    )
    placed = sum(min(ceiling, s * size) for size, ceiling in names)
    expected = sum(ceiling for _, ceiling in names) if exact is None else total
    assert placed == pytest.approx(expected, rel=1e-12, abs=1e-14)
