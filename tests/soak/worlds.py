"""What a run finds and leaves behind: a database and a folder of targets, to be copied for every kill.

`SqliteWorlds` and `PostgresWorlds` make a `World` with a small market in it, and copies of one. `state_of` reads
everything that a world's database says of runs, by plain SQL and not through the store.
"""

import datetime as dt
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import Any, Protocol

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core import store
from core.store.tables import outputs
from tests.demo import demo_market
from tests.postgres import PostgresServer

AS_OF = dt.date(2026, 11, 20)
NAMES = 30
DAYS = 30
OF_RUN = ("portfolio_id", "status", "policy_hash", "inputs_hash", "parquet_path", "parquet_sha256", "reason")
SESSION_SECONDS = 10  # by then a server has noticed that a client is dead


@dataclass(frozen=True)
class World:
    """A database, and a folder for all files."""

    database_url: str
    folder: Path

    @property
    def targets(self) -> Path:
        """The folder of all targets."""
        return self.folder / "targets"

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """The database, opened."""
        engine = store.engine_from_url(self.database_url)
        try:
            yield engine
        finally:
            engine.dispose()


class Worlds(Protocol):
    """Worlds of one kind of database."""

    kind: str

    def filled(self) -> World:
        """A new world with the small market."""

    def copy(self, world: World) -> World:
        """The same once more."""

    def drop(self, world: World) -> None:
        """Remove a world."""

    def locks(self, world: World) -> list[str]:
        """What is locked, or has been left open."""


def small_market() -> dict[str, pl.DataFrame]:
    """A few names and weeks of the demo market: all that is held, and others."""
    tables = demo_market(AS_OF)
    held = tables["positions"]["symbol"].unique()
    chosen = pl.concat([held, tables["assets"]["symbol"]]).unique(maintain_order=True).head(NAMES)
    of_names = {name: tables[name].filter(pl.col("symbol").is_in(chosen.implode())) for name in ("assets", "signals")}
    prices = tables["prices"].filter(pl.col("symbol").is_in(chosen.implode()))
    return {**tables, **of_names, "prices": prices.filter(pl.col("as_of") >= AS_OF - dt.timedelta(days=DAYS))}


def _fill(world: World) -> World:
    with world.engine() as engine:
        store.init(engine)
        store.load_frames(engine, small_market())
    return world


class SqliteWorlds:
    """Each world is a folder with an SQLite file."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()

    def filled(self) -> World:
        """A new world with the small market."""
        return _fill(self._new())

    def copy(self, world: World) -> World:
        """The same once more."""
        new = self._new()
        shutil.copytree(world.folder, new.folder)
        return new

    def drop(self, world: World) -> None:
        """Remove a world."""
        shutil.rmtree(world.folder)

    def locks(self, world: World) -> list[str]:
        """What is locked, or has been left open."""
        with world.engine() as engine, closing(engine.raw_connection()) as connection:
            connection.execute("PRAGMA busy_timeout = 0")  # type: ignore[attr-defined]
            connection.execute("BEGIN IMMEDIATE")  # type: ignore[attr-defined]
        return [f"lock file {file.relative_to(world.folder)}" for file in world.folder.rglob("*.lock")]

    def _new(self) -> World:
        folder = self._folder / f"sqlite_{next(self._numbers)}"
        return World(f"sqlite:///{folder / 'evenkeel.db'}", folder)


class PostgresWorlds:
    """Each world is a database of one server, and a folder."""

    kind = "postgresql"

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self._folder = folder
        self._server = server
        self._turn = Lock()  # no two copies of one database at a time

    def filled(self) -> World:
        """A new world with the small market."""
        return _fill(self._new("template0"))

    def copy(self, world: World) -> World:
        """The same once more, as soon as nobody is connected to it."""
        with self._turn:
            open_sessions = self._sessions(world, "true")
            assert not open_sessions, open_sessions
            new = self._new(_database(world))
        shutil.copytree(world.folder, new.folder, dirs_exist_ok=True)
        return new

    def drop(self, world: World) -> None:
        """Remove a world."""
        self._server.execute(f"DROP DATABASE {_database(world)} WITH (FORCE)")
        shutil.rmtree(world.folder)

    def locks(self, world: World) -> list[str]:
        """What is locked, or has been left open."""
        return self._sessions(world, "state <> 'idle'")

    def _sessions(self, world: World, which: str) -> list[str]:
        """Sessions that somebody left open, after the time that a server needs to notice a death."""
        until = time.monotonic() + SESSION_SECONDS
        query = sa.text(f"SELECT state || ': ' || query FROM pg_stat_activity WHERE datname = :name AND {which}")  # noqa: S608
        with World(self._server.url(), self._folder).engine() as engine:
            while True:
                with engine.connect() as connection:
                    found = [f"session {row}" for row in connection.scalars(query, {"name": _database(world)})]
                if not found or time.monotonic() > until:
                    return found
                time.sleep(0.02)

    def _new(self, template: str) -> World:
        name = f"world_{token_hex(4)}"  # others may use the same server
        self._server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        folder = self._folder / name
        folder.mkdir()
        return World(self._server.url(name), folder)


def _database(world: World) -> str:
    return str(sa.make_url(world.database_url).database)


@dataclass(frozen=True)
class Known:
    """Everything that a database says of runs, but for times, batches and keys.

    `runs`: columns by run_id. `rows`: the rows of a run in a table, by (table, run_id). `current`: run_id by portfolio.
    `promotions`: of each portfolio, in order, which run took the place of which. `targets`: what readers see.
    """

    runs: dict[str, dict[str, Any]]
    rows: dict[tuple[str, str], list[str]]
    current: dict[str, str]
    promotions: dict[str, list[tuple[str, str | None]]]
    files: set[str]
    targets: dict[str, pl.DataFrame] = field(repr=False)


def state_of(world: World) -> Known:
    """What a database says of runs. The targets must be the same from SQL and from Parquet: `AssertionError` if not."""
    with world.engine() as engine:
        with engine.connect() as connection:
            runs = {row["run_key"]: dict(row) for row in _rows(connection, "runs")}
            rows = {table: _rows(connection, table) for table in outputs}
            promoted = sorted(_rows(connection, "promotions"), key=lambda row: row["promotion_key"])
            inputs = {row["content_hash"] for row in _rows(connection, "input_frames")}
        from_sql, from_files = store.read_current(engine), store.read_targets(engine, world.targets)
    assert from_sql.equals(from_files), "the targets in SQL and in Parquet differ"
    ids = {key: str(row["run_id"]) for key, row in runs.items()} | {None: None}
    paths = {str(row["parquet_path"]) for row in runs.values() if row["parquet_path"]}
    return Known(
        runs={str(row["run_id"]): {name: row[name] for name in OF_RUN} for row in runs.values()},
        rows=_by_run(rows, ids),
        current=_current(runs),
        promotions=_by_portfolio(promoted, ids),
        files=paths | {f"_inputs/{known}.parquet" for known in inputs},
        targets={str(name): part for (name,), part in from_sql.partition_by("portfolio_id", as_dict=True).items()},
    )


def _rows(connection: sa.Connection, table: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings()]  # noqa: S608


def _by_run(rows: dict[str, list[dict[str, Any]]], ids: dict[Any, Any]) -> dict[tuple[str, str], list[str]]:
    """Rows as texts in order, by table and run; a row of no run is of run `nobody's`."""
    found = defaultdict(list)
    for table, lines in rows.items():
        for line in lines:
            run_id = ids.get(line.pop("run_key"), "nobody's")
            found[table, run_id].append(repr(line))
    return {key: sorted(lines) for key, lines in found.items()}


def _current(runs: dict[int, dict[str, Any]]) -> dict[str, str]:
    published = [row for row in runs.values() if row["status"] == "published"]
    current = {str(row["portfolio_id"]): str(row["run_id"]) for row in published}
    assert len(current) == len(published), "a portfolio has two current runs"
    return current


def _by_portfolio(promoted: list[dict[str, Any]], ids: dict[Any, Any]) -> dict[str, list[tuple[str, str | None]]]:
    found = defaultdict(list)
    for row in promoted:
        found[str(row["portfolio_id"])].append((ids[row["run_key"]], ids[row["replaced"]]))
    return dict(found)
