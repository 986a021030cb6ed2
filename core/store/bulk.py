"""Whole frames into tables, within the transaction of a SQLAlchemy connection.

`insert_rows` appends a frame's rows, `replace_rows` also replaces those with the same key. `BulkRows` is for rows that
are appended part by part: they are judged and converted once. All go past SQLAlchemy to the driver of its connection,
in its transaction: on PostgreSQL by COPY in its binary format (`_copy`), into a temporary table first where rows are
replaced; on SQLite by the driver's own executemany (`_execute_many`). What a database would not give back as it was is
refused before (`_require_storable`); but for the sign of a zero, which SQLite does not keep.
"""

import sqlite3
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import sqlalchemy as sa
from pgpq import ArrowToPostgresBinaryEncoder
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect

from core.errors import StoreError
from core.store.refusals import driver_errors

SLICE = 50_000  # rows that are sent at once

_TYPES: dict[type[sa.types.TypeEngine[Any]], type[pl.DataType]] = {
    sa.Text: pl.String,
    sa.Date: pl.Date,
    sa.Double: pl.Float64,
    sa.Boolean: pl.Boolean,
    sa.Integer: pl.Int32,
    sa.SmallInteger: pl.Int16,
}
"""What a column of PostgreSQL takes in its binary format."""


class BulkRows:
    """Rows for a table, judged and converted once, of which any part can be appended.

    Their columns are columns of the table. Raises `StoreError` for a row that the database cannot keep as it is.
    """

    def __init__(self, dialect: Dialect, table: sa.Table, rows: pl.DataFrame) -> None:
        _require_storable(dialect, table, rows)
        self._table = table
        self._rows = _plain(rows) if dialect.name == "sqlite" else _encodable(table, rows)

    def insert(self, connection: Connection, start: int, stop: int, **same: int) -> None:
        """Append the rows from `start` to before `stop`; columns `same` have one number in all of them."""
        if start == stop:
            return
        if isinstance(self._rows, pl.DataFrame):
            part = self._rows.slice(start, stop - start).with_columns(pl.lit(each).alias(n) for n, each in same.items())
            _execute_many(connection, sqlite.insert(self._table), part)
            return
        sent = self._rows.slice(start, stop - start)
        for name, each in same.items():
            sent = sent.append_column(name, pa.array(np.full(sent.num_rows, each, np.int32)))
        _copy(connection, self._table, sent)


def insert_rows(connection: Connection, table: sa.Table, rows: pl.DataFrame) -> None:
    """Append rows to a table; their columns are columns of the table.

    Raises `StoreError` for a row that the database cannot keep as it is.
    """
    BulkRows(connection.dialect, table, rows).insert(connection, 0, rows.height)


def replace_rows(connection: Connection, table: sa.Table, rows: pl.DataFrame) -> None:
    """Append rows to a table, each in place of the one with its primary key; otherwise as `insert_rows`."""
    if rows.is_empty():
        return
    _require_storable(connection.dialect, table, rows)
    if connection.dialect.name == "sqlite":
        _execute_many(connection, _replacing(sqlite.insert(table), table), _plain(rows))
        return
    staged = sa.Table(f"staged_{table.name}", sa.MetaData(), *(sa.Column(name) for name in rows.columns))
    name, model = (connection.dialect.identifier_preparer.format_table(each) for each in (staged, table))
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {name} (LIKE {model}) ON COMMIT DROP")
    _copy(connection, staged, _encodable(table, rows))
    insert = postgresql.insert(table).from_select(rows.columns, sa.select(staged))
    connection.execute(_replacing(insert, table))


def _replacing(insert: Any, table: sa.Table) -> Any:
    """The insert, which replaces the other columns of a row with the same key."""
    key = [column.name for column in table.primary_key]
    others = {column.name: insert.excluded[column.name] for column in table.c if column.name not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=others)


def _require_storable(dialect: Dialect, table: sa.Table, rows: pl.DataFrame) -> None:
    # SQLite would make a null of it.
    _require_none(
        table, rows.select(pl.col(pl.Float64)), pl.all().is_nan(), "is not a number (NaN): give a number, or null"
    )
    if dialect.name == "postgresql":
        zero = pl.all().str.contains("\x00", literal=True)
        told = "has the character NUL, which PostgreSQL cannot store: remove it"
        _require_none(table, rows.select(pl.col(pl.String)), zero, told)


def _require_none(table: sa.Table, rows: pl.DataFrame, wrong: pl.Expr, told: str) -> None:
    for found in rows.select(wrong.any()):
        if found.item():
            column = rows[found.name]
            row = int(rows.select(wrong)[found.name].arg_true()[0])
            cell = f"{column.name!r} is {column[row]!r}"
            raise StoreError(f"row {row + 1} for table {table.name!r} cannot be stored: {cell}, which {told}.")


def _encodable(table: sa.Table, rows: pl.DataFrame) -> pa.Table:
    """The rows in the types of the table."""
    types = [pl.col(name).cast(_TYPES[type(table.c[name].type)]) for name in rows.columns]
    return rows.select(types).rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())


def _copy(connection: Connection, table: sa.Table, rows: pa.Table) -> None:
    """COPY in binary, which neither side has to read or write as text."""
    preparer = connection.dialect.identifier_preparer
    columns = ", ".join(map(preparer.quote, rows.schema.names))
    command = f"COPY {preparer.format_table(table)} ({columns}) FROM STDIN WITH (FORMAT binary)"
    encoder = ArrowToPostgresBinaryEncoder(rows.schema)
    driver: Any = connection.connection.driver_connection
    with driver_errors(connection.dialect.loaded_dbapi.Error), driver.cursor() as cursor, cursor.copy(command) as copy:
        sent = encoder.write_header()
        for part in rows.to_batches(max_chunksize=SLICE):
            copy.write(sent + encoder.write_batch(part))
            sent = b""
        copy.write(sent + encoder.finish())


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    """SQLite has no dates: they are texts, as SQLAlchemy writes them."""
    return rows.with_columns(pl.col(pl.Date).dt.to_string("%Y-%m-%d"))


def _execute_many(connection: Connection, insert: Any, rows: pl.DataFrame) -> None:
    """The driver's executemany."""
    compiled = insert.compile(dialect=connection.dialect, column_keys=rows.columns)
    driver: Any = connection.connection.driver_connection
    with driver_errors(sqlite3.Error):
        driver.executemany(str(compiled), rows.select(compiled.positiontup).iter_rows())
