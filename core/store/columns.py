"""Columns that come from outside, given the types of their schema.

`typed_frame` makes a frame of the rows that a database driver returns, `fitted_frame` of its columns; a column takes
its type where every cell fits (`fitted`), else it stays as it came, for the data gate to judge. `converted` never
guesses: a text is a number, an ISO date, a truth or a member only if it is written as one, and a number is never a
date, a truth or a name. A cell that does not fit becomes null there, so `misfits` can point at it.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import dataframely as dy
import polars as pl

from core.schemas import INPUTS, empty

OPTIONAL = {"assets": ("currency",), "prices": ("adjusted_close",), "corporate_actions": ("new_symbol",)}
"""Columns that a query or a file may leave out, by input table; they are null then."""

_TRUTHS = {"true": True, "false": False, "1": True, "0": False}
_DAY = r"^\d{4}-\d{2}-\d{2}$"  # Polars reads 26-7-1 too, as a day of the year 26
_MIDNIGHT = r"[T ]00:00(:00(\.0+)?)?$"  # what some tools append to a date


def types_of(schema: type[dy.Schema]) -> pl.Schema:
    """The Polars types of a schema's columns."""
    return empty(schema).schema


def required_columns(table: str) -> list[str]:
    """The columns that an input table's query or file must have."""
    return [name for name in INPUTS[table].columns() if name not in OPTIONAL.get(table, ())]


def typed_frame(names: Sequence[str], rows: Sequence[Sequence[Any]], types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The rows of a driver as a frame of the columns in `types`; those that the rows lack are null, others dropped."""
    cells = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
    return fitted_frame([as_series(name, cells[name]) for name in types if name in cells], len(rows), types)


def fitted_frame(columns: Sequence[pl.Series], height: int, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """A frame of the columns in `types`, each in its type where every cell fits; those that are not there are null."""
    found = {column.name: column for column in columns}
    absent = pl.repeat(None, height, dtype=pl.Null, eager=True)
    return pl.DataFrame([fitted(found.get(name, absent.alias(name)), dtype) for name, dtype in types.items()])


def as_series(name: str, cells: Sequence[Any]) -> pl.Series:
    """A column of a driver's objects. Of mixed kinds, which SQLite permits, all become text."""
    try:
        if Decimal in set(map(type, cells)):
            return pl.Series(name, [float(cell) if isinstance(cell, Decimal) else cell for cell in cells])
        series = pl.Series(name, cells)
        return series if series.dtype != pl.Binary else pl.Series(name, [_as_text(cell) for cell in cells])
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return pl.Series(name, [_as_text(cell) for cell in cells], dtype=pl.String)


def _as_text(cell: object) -> str | None:
    return None if cell is None else str(cell)


def fitted(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    """The column in its type if every cell fits, else as it is."""
    typed = converted(column, dtype)
    return typed if typed.null_count() == column.null_count() else column


def misfits(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    """True for each cell that is there but does not fit the type."""
    return column.is_not_null() & converted(column, dtype).is_null()


def converted(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    """The column in the given type; a cell that does not fit is null."""
    if column.dtype in (dtype, pl.Null):
        return column.cast(dtype)
    return _CONVERSIONS[type(dtype)](column).cast(dtype, strict=False)


def _nothing(column: pl.Series) -> pl.Series:
    return pl.Series(column.name, [None] * len(column), dtype=pl.Null)


def _numbers(column: pl.Series) -> pl.Series:
    return column if column.dtype.is_numeric() or column.dtype == pl.String else _nothing(column)


def _counts(column: pl.Series) -> pl.Series:
    return column if column.dtype.is_integer() else _nothing(column)


def _dates(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        days = column.str.replace(_MIDNIGHT, "")
        return days.set(~days.str.contains(_DAY), None).str.to_date("%Y-%m-%d", strict=False)
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is None:
        return column.dt.date().set(column.dt.time() != dt.time(0), None)
    return _nothing(column)


def _truths(column: pl.Series) -> pl.Series:
    if column.dtype != pl.String and not column.dtype.is_integer():
        return _nothing(column)
    written = column.cast(pl.String).str.to_lowercase()
    return written.replace_strict(_TRUTHS, default=None, return_dtype=pl.Boolean)


def _texts(column: pl.Series) -> pl.Series:
    return column.cast(pl.String) if column.dtype in (pl.String, pl.Categorical, pl.Enum) else _nothing(column)


_CONVERSIONS: dict[type[pl.DataType], Callable[[pl.Series], pl.Series]] = {
    pl.Float64: _numbers,
    pl.Int32: _counts,
    pl.Int8: _counts,
    pl.Date: _dates,
    pl.Boolean: _truths,
    pl.String: _texts,
    pl.Enum: _texts,
}
