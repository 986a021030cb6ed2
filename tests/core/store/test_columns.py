"""What fits a column's type, and what is left as it came."""

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.store.columns import converted, misfits, required_columns, typed_frame

NUMBER, DATE, TRUTH, TEXT, KIND = pl.Float64(), pl.Date(), pl.Boolean(), pl.String(), pl.Enum(["a", "b"])
NEW_YEAR = dt.date(2026, 1, 1)


def column(cells: list[Any], dtype: pl.DataType) -> pl.Series:
    return typed_frame(["x"], [(cell,) for cell in cells], {"x": dtype})["x"]


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        ([1, 2.5, None], NUMBER, [1.0, 2.5, None]),
        (["1.5", "-2e3"], NUMBER, [1.5, -2000.0]),
        ([Decimal("1.10"), None], NUMBER, [1.1, None]),
        ([Decimal("1.5"), 2], NUMBER, [1.5, 2.0]),
        ([NEW_YEAR, None], DATE, [NEW_YEAR, None]),
        (["2026-01-01"], DATE, [NEW_YEAR]),
        (["2026-01-01 00:00:00.000000", "2026-01-01T00:00"], DATE, [NEW_YEAR, NEW_YEAR]),
        ([dt.datetime(2026, 1, 1)], DATE, [NEW_YEAR]),  # noqa: DTZ001
        ([1, 0, None], TRUTH, [True, False, None]),
        (["True", "false"], TRUTH, [True, False]),
        (["a", None], KIND, ["a", None]),
        (["", "NA", "null", "nan"], TEXT, ["", "NA", "null", "nan"]),
        ([None, None], NUMBER, [None, None]),
        ([], DATE, []),
    ],
)
def test_cells_that_fit_take_the_type(cells: list[Any], dtype: pl.DataType, expected: list[Any]) -> None:
    typed = column(cells, dtype)
    assert typed.dtype == dtype
    assert typed.to_list() == expected


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        ([1.5, "n/a"], NUMBER),
        (["1,000.5"], NUMBER),
        ([True], NUMBER),
        ([20260101], DATE),
        (["2026-02-30"], DATE),
        (["01.02.2026"], DATE),
        ([dt.datetime(2026, 1, 1, 16)], DATE),  # noqa: DTZ001
        ([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)], DATE),
        ([2], TRUTH),
        (["yes"], TRUTH),
        ([1.0], TRUTH),
        ([700], TEXT),
        (["c"], KIND),
        ([b"\x00"], NUMBER),
        ([1.0], pl.Int32()),
    ],
)
def test_a_cell_that_does_not_fit_leaves_the_column_as_it_came(cells: list[Any], dtype: pl.DataType) -> None:
    left = column(cells, dtype)
    assert left.dtype != dtype
    assert [str(cell) for cell in left] == [str(cell) for cell in cells]
    assert misfits(left, dtype).to_list()[-1]


def test_mixed_cells_lose_nothing() -> None:
    assert column([1.5, "n/a", None, 3], NUMBER).to_list() == ["1.5", "n/a", None, "3"]


def test_a_column_that_is_absent_is_null_and_one_too_many_is_dropped() -> None:
    frame = typed_frame(["x", "y"], [(1.0, 2.0)], {"x": NUMBER, "z": DATE})
    assert frame.to_dict(as_series=False) == {"x": [1.0], "z": [None]}
    assert frame.schema == {"x": NUMBER, "z": DATE}


def test_optional_columns_need_not_be_there() -> None:
    assert required_columns("prices") == ["as_of", "symbol", "close"]
    assert "bucket" in required_columns("assets")


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes(),
    st.decimals(),
    st.sampled_from(["1.5", "2026-01-01", "true", "a"]),
)


@given(st.lists(ANYTHING, max_size=4), st.sampled_from([NUMBER, DATE, TRUTH, TEXT, KIND, pl.Int32()]))
def test_no_cell_disappears(cells: list[Any], dtype: pl.DataType) -> None:
    assert [cell is None for cell in column(cells, dtype)] == [cell is None for cell in cells]


@given(st.lists(st.floats() | st.none(), max_size=5))
def test_a_number_written_as_text_is_the_same_number(numbers: list[float | None]) -> None:
    written = pl.Series("x", [None if number is None else repr(number) for number in numbers], dtype=TEXT)
    assert converted(written, NUMBER).equals(pl.Series("x", numbers, dtype=NUMBER))
