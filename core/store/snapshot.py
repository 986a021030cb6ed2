"""Whole tables out of the database: the columns that queries give, all from one moment.

`snapshot` opens a `Snapshot`. Its `result` of a query has the columns as they came; `Result.frame` gives them types.

- PostgreSQL is read through ADBC (`_ArrowSnapshot`), which hands out columns with their types (`core.store.arrow`). All
  queries of a snapshot run in one read-only transaction of a connection of their own.
- SQLite is read through the cursor of its own driver (`_CursorSnapshot`). There each cell may have a type of its own;
  ADBC would infer a column's type from its first rows and coerce what comes later. Taken cell by cell, one that does
  not fit stays what it is, and the data gate names it.
"""

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Connection, Engine

from core.errors import StoreError
from core.store.arrow import arrow_series
from core.store.columns import as_series, fitted_frame
from core.store.database import reading
from core.store.refusals import driver_errors, explained

ONE_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_DOLLARS = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # as ADBC has them: $1, $2


@dataclass(frozen=True)
class Result:
    """What a query gives: the names of its columns in order, and their cells. What gives no rows has no names."""

    names: Sequence[str]
    height: int
    _column: Callable[[int], pl.Series]  # by position

    def frame(self, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
        """The columns in `types`; further ones are dropped, those that are not there are null.

        Raises `InputError` for a column of a type that cannot be read.
        """
        wanted = [self._column(place) for place, name in enumerate(self.names) if name in types]
        return fitted_frame(wanted, self.height, types)


class Snapshot(ABC):
    """The database at one moment. `any_cell`: whether a column may hold cells that do not fit its type."""

    any_cell: ClassVar[bool]

    @abstractmethod
    def result(self, query: sa.Executable) -> Result:
        """What a query gives at that moment. Its parameters are bound, never pasted."""

    @abstractmethod
    def listed(self, texts: Sequence[str]) -> sa.Select[Any]:
        """A query of these texts, by one parameter however many they are: thousands of parameters take a second."""


@contextmanager
def snapshot(engine: Engine) -> Iterator[Snapshot]:
    """One consistent view of the database, which cannot write. Raises `StoreError` where it cannot be read."""
    if engine.dialect.name == "sqlite":
        with reading(engine) as connection:
            yield _CursorSnapshot(connection)
    else:
        with explained(engine), _arrow_snapshot(engine) as opened:
            yield opened


@dataclass(frozen=True)
class _CursorSnapshot(Snapshot):
    any_cell = True
    connection: Connection

    def result(self, query: sa.Executable) -> Result:
        found = self.connection.execute(query)
        if not found.returns_rows:
            return Result([], 0, _no_column)
        names = list(found.keys())
        with driver_errors(sqlite3.Error):
            rows = found.cursor.fetchall()  # half the time of SQLAlchemy's own rows
        cells = list(zip(*rows, strict=True)) or [()] * len(names)
        return Result(names, len(rows), lambda place: as_series(names[place], cells[place]))

    def listed(self, texts: Sequence[str]) -> sa.Select[Any]:
        return sa.select(sa.func.json_each(_json(texts)).table_valued("value").c["value"])


@dataclass(frozen=True)
class _ArrowSnapshot(Snapshot):
    any_cell = False
    cursor: Any
    driver_error: type[Exception]

    def result(self, query: sa.Executable) -> Result:
        compiled: Any = query.compile(dialect=_DOLLARS)  # type: ignore[attr-defined]
        expanded = compiled.construct_expanded_state()
        with driver_errors(self.driver_error):
            self.cursor.execute(expanded.statement, expanded.positional_parameters or None)
            found = self.cursor.fetch_arrow_table()
        return Result(
            found.column_names, len(found), lambda place: arrow_series(found.field(place), found.column(place))
        )

    def listed(self, texts: Sequence[str]) -> sa.Select[Any]:
        return sa.select(sa.func.json_array_elements_text(sa.cast(_json(texts), postgresql.JSON)))


def _json(texts: Sequence[str]) -> sa.BindParameter[str]:
    return sa.literal(json.dumps(texts), sa.Text)


def _no_column(place: int) -> pl.Series:
    raise IndexError(place)


@contextmanager
def _arrow_snapshot(engine: Engine) -> Iterator[Snapshot]:
    try:  # here, as these take half a second, which SQLite need not pay
        from adbc_driver_postgresql import StatementOptions, dbapi
    except ModuleNotFoundError as error:
        raise StoreError(
            "reading from PostgreSQL needs the package adbc-driver-postgresql, which is not installed: install the "
            "project's requirements.lock."
        ) from error
    with driver_errors(dbapi.Error), dbapi.connect(_address(engine)) as connection, connection.cursor() as cursor:
        cursor.execute(ONE_SNAPSHOT)
        # Without COPY, which takes no parameters, no semicolon at the end and no comment.
        cursor.adbc_statement.set_options(**{StatementOptions.USE_COPY.value: "false"})
        yield _ArrowSnapshot(cursor, dbapi.Error)


def _address(engine: Engine) -> str:
    """Where SQLAlchemy connects to, as the driver's library writes it; with the password."""
    import psycopg

    _, given = engine.dialect.create_connect_args(engine.url)
    settings = {name: setting for name, setting in given.items() if isinstance(setting, str | int)}
    with driver_errors(psycopg.Error):
        return psycopg.conninfo.make_conninfo("", **settings | {"client_encoding": "utf8"})
