"""Whole frames into tables, within the transaction of a SQLAlchemy connection.

`insert_rows` appends a frame's rows, `replace_rows` also replaces those with the same key. Both go past SQLAlchemy to
the driver of its connection, in its transaction: on PostgreSQL by COPY (`_copy`), into a temporary table first where
rows are replaced; on SQLite by the driver's own executemany (`_execute_many`). What a database would not give back as
it was is refused before (`_require_storable`); but for the sign of a zero, which SQLite does not keep.
"""

import sqlite3
from io import BytesIO
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from core.errors import StoreError
from core.store.refusals import driver_errors

SLICE = 50_000  # rows that are sent at once


def insert_rows(connection: Connection, table: sa.Table, rows: pl.DataFrame) -> None:
    """Append rows to a table; their columns are columns of the table.

    Raises `StoreError` for a row that the database cannot keep as it is.
    """
    if rows.is_empty():
        return
    _require_storable(connection, table, rows)
    if connection.dialect.name == "sqlite":
        _execute_many(connection, sqlite.insert(table), rows)
    else:
        _copy(connection, table, rows)


def replace_rows(connection: Connection, table: sa.Table, rows: pl.DataFrame) -> None:
    """Append rows to a table, each in place of the one with its primary key; otherwise as `insert_rows`."""
    if rows.is_empty():
        return
    _require_storable(connection, table, rows)
    if connection.dialect.name == "sqlite":
        _execute_many(connection, _replacing(sqlite.insert(table), table), rows)
        return
    staged = sa.Table(f"staged_{table.name}", sa.MetaData(), *(sa.Column(name) for name in rows.columns))
    name, model = (connection.dialect.identifier_preparer.format_table(each) for each in (staged, table))
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {name} (LIKE {model}) ON COMMIT DROP")
    _copy(connection, staged, rows)
    insert = postgresql.insert(table).from_select(rows.columns, sa.select(staged))
    connection.execute(_replacing(insert, table))


def _replacing(insert: Any, table: sa.Table) -> Any:
    """The insert, which replaces the other columns of a row with the same key."""
    key = [column.name for column in table.primary_key]
    others = {column.name: insert.excluded[column.name] for column in table.c if column.name not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=others)


def _require_storable(connection: Connection, table: sa.Table, rows: pl.DataFrame) -> None:
    for column in rows.select(pl.col(pl.Float64)):  # SQLite would make a null of it
        _require_none(table, column, column.is_nan(), "is not a number (NaN): give a number, or null")
    if connection.dialect.name == "postgresql":
        for column in rows.select(pl.col(pl.String)):
            zero = column.str.contains("\x00", literal=True)
            _require_none(table, column, zero, "has the character NUL, which PostgreSQL cannot store: remove it")


def _require_none(table: sa.Table, column: pl.Series, wrong: pl.Series, told: str) -> None:
    if wrong.any():
        row = int(wrong.arg_true()[0])
        cell = f"{column.name!r} is {column[row]!r}"
        raise StoreError(f"row {row + 1} for table {table.name!r} cannot be stored: {cell}, which {told}.")


def _copy(connection: Connection, table: sa.Table, rows: pl.DataFrame) -> None:
    """COPY as CSV: a text is quoted, so that an empty one is not null; a float has the digits that give it back."""
    preparer = connection.dialect.identifier_preparer
    columns = ", ".join(map(preparer.quote, rows.columns))
    command = f"COPY {preparer.format_table(table)} ({columns}) FROM STDIN WITH (FORMAT csv, ENCODING 'UTF8')"
    driver: Any = connection.connection.driver_connection
    with driver_errors(connection.dialect.loaded_dbapi.Error), driver.cursor() as cursor, cursor.copy(command) as copy:
        for part in rows.iter_slices(SLICE):
            lines = BytesIO()
            part.write_csv(lines, include_header=False, quote_style="non_numeric")
            copy.write(lines.getbuffer())


def _execute_many(connection: Connection, insert: Any, rows: pl.DataFrame) -> None:
    """The driver's executemany. SQLite has no dates: they are texts, as SQLAlchemy writes them."""
    compiled = insert.compile(dialect=connection.dialect, column_keys=rows.columns)
    plain = rows.select(compiled.positiontup).with_columns(pl.col(pl.Date).dt.to_string("%Y-%m-%d"))
    driver: Any = connection.connection.driver_connection
    with driver_errors(sqlite3.Error):
        driver.executemany(str(compiled), plain.iter_rows())
