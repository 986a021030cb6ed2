"""Filling the input tables from files or frames.

`load_folder` reads the files of a folder (`_read_file`) and `load_frames` writes frames of any number of tables, all in
one transaction. Before anything is written every frame is checked (`_checked`): its columns, the type of each cell, its
keys. Whether the content makes sense is for the data gate to say, on the day it is used.

A row replaces the one with the same primary key. A list that is complete by itself replaces the whole former list: the
positions of a portfolio and date, the candidates of a date; a name that is no longer in it is gone. Where positions and
cash are loaded together, they are the snapshots of their dates: a portfolio with cash and no positions holds nothing.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from core.errors import InputError, nearest_hint
from core.schemas import INPUTS
from core.store import tables
from core.store.bulk import replace_rows
from core.store.columns import converted, misfits, required_columns, types_of
from core.store.database import writing
from core.store.files import read_parquet
from core.wording import counted

LISTS = {"positions": ("portfolio_id", "as_of"), "candidates": ("as_of",)}
"""What names a list that is loaded as a whole."""

EXPECTED = {pl.Float64: "a number", pl.Date: "a date as YYYY-MM-DD", pl.Boolean: "true or false", pl.String: "a text"}


def load_folder(engine: Engine, folder: Path) -> dict[str, int]:
    """Load the CSV and Parquet files of a folder, each named after an input table; returns the rows per table.

    A CSV file is UTF-8 with a header line; an empty cell is null. Raises `InputError` naming file, row and column.
    """
    files = _files(folder)
    return _load(
        engine, {name: _read_file(file) for name, file in files.items()}, {n: f.name for n, f in files.items()}
    )


def load_frames(engine: Engine, frames: Mapping[str, pl.DataFrame]) -> dict[str, int]:
    """Load frames by the name of their input table, with the same checks as files; returns the rows per table."""
    for name in frames:
        if name not in INPUTS:
            raise InputError(f"{name!r} is not an input table; {nearest_hint(name, INPUTS)}")
    return _load(engine, frames, {name: f"frame {name!r}" for name in frames})


def _load(engine: Engine, frames: Mapping[str, pl.DataFrame], origins: Mapping[str, str]) -> dict[str, int]:
    checked = {name: _checked(name, frame, origins[name]) for name, frame in frames.items()}
    with writing(engine, lock="load") as connection:
        if {"positions", "cash"} <= checked.keys():
            _delete_lists(
                connection, tables.inputs["positions"], _without_positions(checked["positions"], checked["cash"])
            )
        for name, frame in checked.items():
            _replace(connection, name, frame)
    return {name: len(frame) for name, frame in checked.items()}


# files


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: name one with files such as positions.csv or prices.parquet.")
    files: dict[str, Path] = {}
    for file in sorted(
        path for path in folder.iterdir() if path.suffix.lower() in (".csv", ".parquet") and path.is_file()
    ):
        if file.stem not in INPUTS:
            raise InputError(f"{file.name} is not named after an input table; {nearest_hint(file.stem, INPUTS)}")
        if file.stem in files:
            raise InputError(f"{folder} has both {files[file.stem].name} and {file.name}: keep one of them.")
        files[file.stem] = file
    if not files:
        raise InputError(f"{folder} has no CSV or Parquet file named after an input table: {', '.join(INPUTS)}.")
    return files


def _read_file(file: Path) -> pl.DataFrame:
    try:
        if file.suffix.lower() == ".parquet":
            return read_parquet(file)
        _require_full_rows(file)
        return pl.read_csv(file, infer_schema=False)
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "it is empty"
        raise InputError(f"{file.name} cannot be read: {reason}. Write it as UTF-8 CSV or as Parquet.") from error


def _require_full_rows(file: Path) -> None:
    """Refuse a row with other than the header's number of cells, which a reader would fill up with nulls."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines)
        header = next(rows, [])
        twice = {name for name in header if header.count(name) > 1}
        if twice:
            raise InputError(f"{file.name} has the column {', '.join(sorted(twice))} twice: keep one of them.")
        for row in rows:
            if row and len(row) != len(header):
                raise InputError(
                    f"{file.name} has {len(row)} cells in line {rows.line_num}, but {len(header)} columns: "
                    f"{', '.join(row)[:100]}. Separate cells by commas, and write an empty one for a missing value."
                )


# checks


def _checked(name: str, frame: pl.DataFrame, origin: str) -> pl.DataFrame:
    """The frame with the columns and types of its schema, or an error that says what is wrong with it."""
    types = types_of(INPUTS[name])
    _require_columns(name, frame, origin)
    for column in frame.columns:
        _require_type(frame[column], types[column], origin)
    absent = [pl.lit(None, dtype=dtype).alias(column) for column, dtype in types.items() if column not in frame]
    typed = frame.select(converted(frame[column], types[column]) for column in frame.columns)
    complete = typed.with_columns(absent).select(list(types))
    _require_keys(complete, INPUTS[name].primary_key(), origin)
    return complete


def _require_columns(name: str, frame: pl.DataFrame, origin: str) -> None:
    known = INPUTS[name].columns()
    for column in frame.columns:
        if column not in known:
            raise InputError(f"{origin} has an unknown column {column!r}; {nearest_hint(column, known)}")
    missing = [column for column in required_columns(name) if column not in frame.columns]
    if missing:
        raise InputError(f"{origin} lacks the columns {', '.join(missing)}; it has: {', '.join(frame.columns)}.")


def _require_type(column: pl.Series, dtype: pl.DataType, origin: str) -> None:
    wrong = misfits(column, dtype)
    if wrong.any():
        members = ", ".join(dtype.categories) if isinstance(dtype, pl.Enum) else ""
        expected = f"one of {members}" if members else EXPECTED[type(dtype)]
        raise _cell_error(column, wrong, origin, f"is not {expected}")
    if dtype == pl.Float64:
        endless = ~converted(column, dtype).is_finite().fill_null(True)
        if endless.any():
            raise _cell_error(column, endless, origin, "is not a finite number; leave the cell empty if there is none")


def _require_keys(frame: pl.DataFrame, key: list[str], origin: str) -> None:
    for column in key:
        empty = frame[column].is_null()
        if empty.any():
            raise _cell_error(frame[column], empty, origin, "is empty, but part of the row's key")
    twice = frame.select(pl.struct(key).is_duplicated()).to_series()
    if twice.any():
        rows = twice.arg_true()
        same = frame.row(rows[0], named=True)
        named = ", ".join(f"{column} {same[column]}" for column in key)
        raise InputError(f"{origin}, row {rows[0] + 1}: the key {named} is there more than once; keep one row of it.")


def _cell_error(column: pl.Series, wrong: pl.Series, origin: str, what: str) -> InputError:
    first, *others = wrong.arg_true().to_list()
    more = f" ({counted(len(others), 'more row')} like it)" if others else ""
    return InputError(f"{origin}, row {first + 1}, column {column.name!r}: {column[first]!r} {what}{more}.")


# rows


def _replace(connection: Connection, name: str, frame: pl.DataFrame) -> None:
    if frame.is_empty():
        return
    table = tables.inputs[name]
    if name in LISTS:
        _delete_lists(connection, table, frame.select(LISTS[name]).unique())
    replace_rows(connection, table, frame)


def _without_positions(positions: pl.DataFrame, cash: pl.DataFrame) -> pl.DataFrame:
    """The portfolios with cash and no positions, on the dates of which positions are given, or on all if none are."""
    snapshots = cash.select(LISTS["positions"]).join(positions, on=LISTS["positions"], how="anti")
    return snapshots if positions.is_empty() else snapshots.join(positions, on="as_of", how="semi")


def _delete_lists(connection: Connection, table: sa.Table, lists: pl.DataFrame) -> None:
    if lists.is_empty():
        return
    # Parameters of other names than the columns: SQLAlchemy would take those for what is to be set.
    named = lists.rename({column: f"of_{column}" for column in lists.columns})
    same = [table.c[column] == sa.bindparam(f"of_{column}") for column in lists.columns]
    connection.execute(sa.delete(table).where(*same), named.to_dicts())
