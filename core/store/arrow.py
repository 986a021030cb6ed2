"""Columns of PostgreSQL that came as Arrow, made columns of Polars without a guess.

`arrow_series` takes what has one meaning. Arrow has no type for some of PostgreSQL's: NUMERIC comes as text and becomes
a number (`_numbers`), money comes as cents and others as bytes, and are refused. A date that no calendar has, such as
`infinity`, makes its column text, which the data gate names (`_calendar`).
"""

from typing import TYPE_CHECKING

import polars as pl

from core.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

KNOWN = ("bool", "int2", "int4", "int8", "float4", "float8", "date", "timestamp", "timestamptz")
FIRST_DAY, LAST_DAY = -719_162, 2_932_896  # of the years 1 to 9999, from 1970-01-01
DAY = 86_400_000_000  # microseconds
OUTSIDE = "a date outside the years 1 to 9999"


def arrow_series(field: "pa.Field", cells: "pa.ChunkedArray") -> pl.Series:
    """The column as Polars has it. Raises `InputError`, with the remedy, for a type that cannot be read."""
    kind = (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
    if kind == "numeric":
        return _numbers(pl.Series(field.name, cells.cast("string")))
    if kind not in KNOWN and str(field.type) != "string":  # texts of any name: varchar, an enumeration
        raise InputError(
            f"column {field.name!r} is of PostgreSQL's type {kind or field.type}, which cannot be read: cast it in the "
            "query, for example to text, numeric or date."
        )
    return _calendar(pl.Series(field.name, cells))


def _numbers(written: pl.Series) -> pl.Series:
    return written.cast(pl.Float64)


def _calendar(column: pl.Series) -> pl.Series:
    """The column; as text if it has a date that is none."""
    if not column.dtype.is_temporal():
        return column
    day = 1 if column.dtype == pl.Date else DAY
    inside = column.to_physical().is_between(FIRST_DAY * day, (LAST_DAY + 1) * day - 1)
    if inside.all():  # nulls count as inside
        return column
    return column.set(~inside, None).cast(pl.String).zip_with(inside.fill_null(True), pl.Series([OUTSIDE]))
