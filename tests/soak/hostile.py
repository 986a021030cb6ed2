"""Corrupted inputs by the thousand, through engine and store: `python -m tests.soak.hostile [--cases N | --case N]`.

Each case is made from its number alone: a valid market (`hostile_market`), one corruption of it, and a way in
(`WAYS`): rows put into the tables past `load`, queries of a policy, frames, CSV and Parquet files, damaged files,
policies, and the faces that take objects. It must end in a verified publication or in a clear refusal without targets;
`ending_of` says in which, and what is wrong (`hostile_checks`). Every tenth case can run on PostgreSQL too.
"""

import argparse
import datetime as dt
import logging
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Protocol

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core import batch, store
from core.batch import Occasion
from core.errors import EvenkeelError
from core.policy import Policy, SourceConfig
from tests.postgres import PostgresServer
from tests.soak import hostile_objects, hostile_policies
from tests.soak.corruptions import CORRUPTIONS, Damage, corrupted
from tests.soak.hostile_checks import Stored, faults_of, file_faults, frame_of, message_faults
from tests.soak.hostile_files import damaged, recast, written
from tests.soak.hostile_market import AS_OF, Row, Tables, documents, market, policy_of

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
KEPT_OUT = "kept out by the database"


@dataclass(frozen=True)
class Ending:
    """How a case ended, and what is wrong with that."""

    number: int
    way: str
    kind: str
    told: str
    ending: str
    faults: list[str] = field(default_factory=list)


class Databases(Protocol):
    """New databases: with Evenkeel's tables, or with the valid market in them too."""

    def opened(self, *, filled: bool) -> AbstractContextManager[Engine]: ...


class SqliteDatabases:
    """Each is a copy of a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        for name in ("empty", "filled"):
            engine = store.engine_from_url(f"sqlite:///{folder / name}.db")
            _prepare(engine, filled=name == "filled")
            engine.dispose()

    @contextmanager
    def opened(self, *, filled: bool) -> Iterator[Engine]:
        """A new database, removed at the end."""
        path = self._folder / f"case_{next(self._numbers)}.db"
        shutil.copy(self._folder / ("filled.db" if filled else "empty.db"), path)
        engine = store.engine_from_url(f"sqlite:///{path}")
        yield engine
        engine.dispose()
        path.unlink()


class PostgresDatabases:
    """Each is a copy of a template of one server."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        server.make_template("hostile", lambda engine: _prepare(engine, filled=True))

    @contextmanager
    def opened(self, *, filled: bool) -> Iterator[Engine]:
        """A new database, removed at the end."""
        with self._server.database("hostile" if filled else "with_tables") as url:
            engine = store.engine_from_url(url)
            yield engine
            engine.dispose()


def _prepare(engine: Engine, *, filled: bool) -> None:
    store.init(engine)
    if filled:
        store.load_frames(engine, {name: frame_of(rows) for name, rows in market().items()})


class _KeptOutError(Exception):
    """The database did not take the rows: it has types of its own."""


@dataclass(frozen=True)
class Given:
    """What a case hands to a batch: the policy, and the rows that it reads."""

    policy: Policy
    read: Mapping[str, list[Row]]


# the ways in


def _past_load(engine: Engine, folder: Path, draw: Random, notes: list[Damage]) -> Given:
    """Rows put into a table of Evenkeel's, or into one of the same name without types or keys."""
    del folder
    tables, damage = _damaged_market(draw, notes)
    bare = list(tables[damage.table][0]) if tables[damage.table] and draw.random() < 0.5 else None
    policy = policy_of(draw.choice(sorted(documents)))
    _insert_others(engine, tables, damage.table)
    _insert(engine, damage.table, tables[damage.table], bare)
    return Given(policy, tables)


def _queries(engine: Engine, folder: Path, draw: Random, notes: list[Damage]) -> Given:
    """Rows in a table of the desk's own, and a query that reads it."""
    del folder
    tables, damage = _damaged_market(draw, notes)
    policy = policy_of(draw.choice(sorted(documents)))
    desk = f"desk_{damage.table}"
    _insert_others(engine, tables, damage.table)
    _insert(engine, desk, tables[damage.table], list((tables[damage.table] or market()[damage.table])[0]))
    queries = {damage.table: f"SELECT * FROM {desk}"}  # noqa: S608 - a name of ours
    source = SourceConfig(queries, policy.source.candidates_from)
    return Given(policy.model_copy(update={"source": source}), tables)


def _frames(engine: Engine, folder: Path, draw: Random, notes: list[Damage]) -> Given:
    """Frames, with columns of odd types too."""
    del folder
    tables, damage = _damaged_market(draw, notes)
    frames = {name: frame_of(rows) for name, rows in tables.items() if rows or draw.random() < 0.5}
    if draw.random() < 0.3 and damage.table in frames:
        frames[damage.table], told = recast(frames[damage.table], draw)
        notes.append(replace(damage, kind="column type", told=f"{told}, after {damage.told}"))
    store.load_frames(engine, frames)
    return _loaded(engine, notes[-1], tables, draw)


def _files(engine: Engine, folder: Path, draw: Random, notes: list[Damage]) -> Given:
    """CSV and Parquet files."""
    tables, _ = _damaged_market(draw, notes)
    written(tables, folder, draw)
    store.load_folder(engine, folder)
    return _loaded(engine, notes[-1], tables, draw)


def _damaged_files(engine: Engine, folder: Path, draw: Random, notes: list[Damage]) -> Given:
    """Valid tables in files that are then damaged as files."""
    tables = market()
    written(tables, folder, draw)
    notes.append(damaged(folder, draw))
    store.load_folder(engine, folder)
    return _loaded(engine, notes[-1], tables, draw)


def _policies(engine: Engine, folder: Path, draw: Random, notes: list[Damage]) -> Given:
    """The valid market under a corrupted policy."""
    del engine
    return Given(hostile_policies.corrupted(folder, draw, notes), market())


def _damaged_market(draw: Random, notes: list[Damage]) -> tuple[Tables, Damage]:
    tables = market()
    notes.append(corrupted(draw.choice(sorted(CORRUPTIONS)), tables, draw))
    return tables, notes[-1]


def _loaded(engine: Engine, damage: Damage, tables: Tables, draw: Random) -> Given:
    """What `load` took, which must be all rows."""
    stored = Stored.of(engine)
    for name, rows in tables.items():
        if len(stored.tables[name]) != len(rows) and damage.kind not in ("bits", "truncated", "layout"):
            raise AssertionError(f"{len(rows)} rows of {name} were loaded as {len(stored.tables[name])}")
    return Given(policy_of(draw.choice(sorted(documents))), {name: stored.tables[name] for name in tables})


def _insert_others(engine: Engine, tables: Tables, name: str) -> None:
    """The other tables, where a name was changed in all of them."""
    valid = market()
    for other, rows in tables.items():
        if other != name and rows != valid[other]:
            _insert(engine, other, rows, None)


def _insert(engine: Engine, name: str, rows: list[Row], bare: list[str] | None) -> None:
    """Put rows into a table in place of its own; `bare` are the columns of a table without types, made anew."""
    quote = engine.dialect.identifier_preparer.quote
    is_sqlite = engine.dialect.name == "sqlite"
    try:
        with engine.begin() as connection:
            if bare is not None:
                columns = ", ".join(f"{quote(column)} {'' if is_sqlite else 'text'}" for column in bare)
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {quote(name)}")
                connection.exec_driver_sql(f"CREATE TABLE {quote(name)} ({columns})")
            connection.exec_driver_sql(f"DELETE FROM {quote(name)}")  # noqa: S608 - a name of ours
            for row in rows:
                marks = ", ".join(["?" if is_sqlite else "%s"] * len(row))
                columns = ", ".join(map(quote, row)).replace("%", "%%")
                cells = tuple(_cell(cell, is_sqlite, as_text=bare is not None) for cell in row.values())
                insert = f"INSERT INTO {quote(name)} ({columns}) VALUES ({marks})"  # noqa: S608 - names of ours
                connection.exec_driver_sql(insert, cells)
    except sa.exc.SQLAlchemyError as error:
        raise _KeptOutError from error


def _cell(cell: object, is_sqlite: bool, *, as_text: bool) -> object:
    if not is_sqlite:
        return str(cell) if as_text and cell is not None and not isinstance(cell, bytes) else cell
    too_large = isinstance(cell, int) and not -(2**63) <= cell < 2**63
    return str(cell) if too_large or hasattr(cell, "isoformat") else cell


Way = Callable[[Engine, Path, Random, list[Damage]], Given]
WAYS: dict[str, tuple[Way, bool]] = {
    "past load": (_past_load, True),
    "query": (_queries, True),
    "frame": (_frames, False),
    "file": (_files, False),
    "damaged file": (_damaged_files, False),
    "policy": (_policies, True),
}
"""How corrupted input gets in, and whether the valid market is there before."""

TURNS = ("past load", "query", "frame", "past load", "file", "query", "damaged file", "policy", "objects", "objects")


# a case


def run_case(number: int, databases: Databases) -> Ending:
    """One case, from its number alone."""
    draw = Random(f"hostile {number}")
    way = TURNS[number % len(TURNS)]
    if way == "objects":
        return Ending(number, way, *hostile_objects.ending(draw))
    brought, filled = WAYS[way]
    with databases.opened(filled=filled) as engine, TemporaryDirectory() as folder:
        return _ending(number, way, brought, engine, Path(folder), draw)


def _ending(number: int, way: str, brought: Way, engine: Engine, folder: Path, draw: Random) -> Ending:
    notes: list[Damage] = []
    before = Stored.of(engine)
    is_load = "file" in way or way == "frame"
    said = ""
    try:
        given = brought(engine, folder, draw, notes)
        is_load = False
        ending, faults = _published(engine, folder / "targets", given, draw)
    except _KeptOutError:
        ending, faults = KEPT_OUT, []
    except EvenkeelError as error:
        said = f" -> {type(error).__name__}: {error}"
        ending, faults = "error", [*message_faults(str(error)), *_left_behind(before, Stored.of(engine), is_load)]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # Polars' panics are no `Exception`
        ending, faults = "FAULT", ["".join(traceback.format_exception(error)[-4:])]
    damage = notes[-1]
    return Ending(number, way, damage.kind, damage.told + said, ending, faults)


def _left_behind(before: Stored, after: Stored, is_load: bool) -> list[str]:
    """What an error must not leave behind."""
    changed = is_load and repr(before) != repr(after)
    faults = {"refused to load, and changed tables": changed, "an error that left runs": bool(after.tables["runs"])}
    return [fault for fault, found in faults.items() if found]


def _published(engine: Engine, root: Path, given: Given, draw: Random) -> tuple[str, list[str]]:
    before = Stored.of(engine)
    occasion = Occasion(given.policy, AS_OF, "hostile", NOON)
    portfolios = draw.choice((None, None, None, ["alpha"]))
    report = batch.rebalance(engine, root, occasion, portfolios, clock=lambda: NOON)
    after = Stored.of(engine)
    faults = [*faults_of(before, after, report, given.policy, given.read, root), *file_faults(engine, root, AS_OF)]
    outcomes = {told.outcome for told in report.outcomes}
    if outcomes == {"refused"}:
        return "refused", faults
    if "refused" in outcomes:
        return "published in part", faults
    if _is_as_valid(given.policy.name, report.targets):
        return "published, unchanged", faults
    return ("published, with findings" if report.findings.height else "published, other inputs"), faults


def _is_as_valid(name: str, targets: pl.DataFrame) -> bool:
    """Whether these are the targets of the valid market."""
    if name not in documents:
        return False
    valid = _valid(name)
    return targets.equals(valid.filter(pl.col("portfolio_id").is_in(targets["portfolio_id"].implode())))


@cache
def _valid(name: str) -> pl.DataFrame:
    with TemporaryDirectory() as folder, SqliteDatabases(Path(folder)).opened(filled=True) as engine:
        occasion = Occasion(policy_of(name), AS_OF, "valid", NOON)
        return batch.rebalance(engine, Path(folder), occasion, clock=lambda: NOON).targets


# all of them


def run_cases(numbers: Iterable[int], databases: Databases) -> Iterator[Ending]:
    """The endings of cases, one after another, without what the domain logs meanwhile."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield from (run_case(number, databases) for number in numbers)
    finally:
        logging.disable(before)


def table_of(endings: list[Ending], by: Callable[[Ending], str]) -> str:
    """How many ended how."""
    columns = sorted({ending.ending for ending in endings})
    counts = Counter((by(ending), ending.ending) for ending in endings)
    lines = [f"{'':<24}" + "".join(f"{column:>26}" for column in columns)]
    rows = sorted({by(ending) for ending in endings})
    told = (f"{row:<24.24}" + "".join(f"{counts[row, column] or '':>26}" for column in columns) for row in rows)
    return "\n".join([*lines, *told])


def main() -> None:
    """Run cases, print how they ended; exit status 1 where one ended as it must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2_400)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--case", type=int, help="one case alone, told in full")
    parser.add_argument("--postgres", type=int, default=10, help="every so many cases on PostgreSQL too; 0: none")
    asked = parser.parse_args()
    numbers = range(asked.first, asked.first + asked.cases) if asked.case is None else [asked.case]
    begun = time.monotonic()
    with TemporaryDirectory() as folder:
        endings = list(run_cases(numbers, SqliteDatabases(Path(folder))))
    if asked.case is None and asked.postgres:
        server = PostgresServer()
        try:
            stored = [n for n in numbers if TURNS[n % len(TURNS)] != "objects" and n // 10 % asked.postgres == 0]
            endings += [
                replace(ending, way=f"{ending.way} (PostgreSQL)")
                for ending in run_cases(stored, PostgresDatabases(server))
            ]
        finally:
            server.remove()
    if asked.case is not None:
        print(endings[0].told, "\n->", endings[0].ending)
    else:
        print(table_of(endings, lambda ending: ending.kind), table_of(endings, lambda ending: ending.way), sep="\n\n")
    wrong = [ending for ending in endings if ending.faults]
    for ending in wrong:
        print(f"\ncase {ending.number} ({ending.way}; {ending.told[:400]}):", *ending.faults, sep="\n  ")
    print(f"\n{len(endings)} cases, {len(wrong)} wrong, {time.monotonic() - begun:.0f} s")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
