"""One at a time: whoever works on a portfolio and date keeps everybody else off it until the work is done.

`guarded` takes all portfolios of a batch that are free, and says by whom and since when the others are being done. What
it holds is freed when it ends, and by the death of the process, however it dies.

On PostgreSQL a transaction stays open for as long as the work takes, and keeps rows of `guards` locked (`_RowLocks`):
one statement locks thousands of them, where as many advisory locks would exhaust the server's memory, and none ever
waits for another, so that there is no deadlock. Its words stand in `holders`, committed at once so that others can read
them, and are taken back with the locks; those of a killed holder stay until the next one comes. Beside an SQLite file
stand lock files (`core.store.lock_files`). A database in memory belongs to one process, and needs none (`_NoLocks`).
"""

import datetime as dt
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.errors import StoreError
from core.store.database import reading, writing
from core.store.forks import give_up, keep_from_children
from core.store.lock_files import FileLocks, Words
from core.store.refusals import explained
from core.store.tables import guards, holders

PATIENCE = 2.0  # seconds; a killed holder's session ends within that
PAUSE = 0.05  # seconds between two attempts
MOMENT = 1.0  # seconds within which somebody who has just come says who it is
NOBODY = ""  # in `holders`, once the work is done
UNKNOWN = "another run"  # one that does not say who it is, as it is just coming or going

SETTINGS = {
    "idle_in_transaction_session_timeout": "0",  # the transaction is idle while the work is done
    "transaction_timeout": "0",
    "tcp_keepalives_idle": "30",  # seconds; the server notices within a minute that our machine is gone
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


@dataclass(frozen=True)
class Busy:
    """A portfolio and date that somebody else is doing. `since` is in UTC; None where it is not known."""

    portfolio_id: str
    as_of: dt.date
    holder: str
    since: dt.datetime | None

    @property
    def sentence(self) -> str:
        """By whom it is being done, and since when."""
        since = "" if self.since is None else f" since {self.since:%Y-%m-%d %H:%M:%S} UTC"
        return f"portfolio {self.portfolio_id!r} on {self.as_of} is being done by {self.holder}{since}."


class Locks(Protocol):
    """Locks of portfolios on one date; what is taken is held until `close`."""

    def take(self, portfolio_ids: Sequence[str]) -> set[str]:
        """Lock the portfolios that are free, and tell everybody; returns them."""

    def words(self, portfolio_ids: Sequence[str]) -> dict[str, Words]:
        """What the holders of these portfolios say, as far as they do."""

    def require_held(self) -> None:
        """Raise `StoreError` unless everything that was taken is still held."""

    def close(self) -> None:
        """Release everything."""


@dataclass(frozen=True)
class Guard:
    """Which portfolios of a batch are ours to do on a date, and which somebody else is doing, both in order."""

    as_of: dt.date
    held: list[str]
    busy: list[Busy]
    locks: Locks = field(repr=False, compare=False)

    def require_held(self) -> None:
        """Raise `StoreError` if what was held no longer is, for example since the server was started again.

        Where the database was away it is an outage (`core.store.is_outage`): all may be tried again, with a new guard.
        """
        self.locks.require_held()


@contextmanager
def guarded(
    engine: Engine,
    as_of: dt.date,
    portfolio_ids: Collection[str],
    holder: str,
    since: dt.datetime,
    patience: float = PATIENCE,
) -> Iterator[Guard]:
    """Hold as many portfolios of a date as are free, for as long as the block takes.

    `holder` and `since`, a time with its zone, are what others are told. What is not free is tried again for `patience`
    seconds. A portfolio that this process holds already is as busy as any other. Raises `StoreError` where the database
    or its lock files cannot be used.
    """
    if since.tzinfo is None:
        raise ValueError(f"the time {since} has no zone: give it in UTC.")
    wanted = list(dict.fromkeys(portfolio_ids))
    with closing(_locks(engine, as_of, wanted, Words(holder, since.astimezone(dt.UTC)))) as locks:
        taken = _taken(locks, wanted, patience)
        left = [portfolio_id for portfolio_id in wanted if portfolio_id not in taken]
        words = _words(locks, left)
        busy = [_busy(portfolio_id, as_of, words.get(portfolio_id)) for portfolio_id in left]
        yield Guard(as_of, [portfolio_id for portfolio_id in wanted if portfolio_id in taken], busy, locks)


def _taken(locks: Locks, wanted: Sequence[str], patience: float) -> set[str]:
    """The portfolios that could be locked in time."""
    until = time.monotonic() + patience
    taken = locks.take(wanted)
    while len(taken) < len(wanted) and time.monotonic() < until:
        time.sleep(PAUSE)
        taken |= locks.take([portfolio_id for portfolio_id in wanted if portfolio_id not in taken])
    return taken


def _words(locks: Locks, left: Sequence[str]) -> dict[str, Words]:
    """What the holders of the others say."""
    until = time.monotonic() + MOMENT
    words = locks.words(left) if left else {}
    while len(words) < len(left) and time.monotonic() < until:
        time.sleep(PAUSE)
        words = locks.words(left)
    return words


def _busy(portfolio_id: str, as_of: dt.date, words: Words | None) -> Busy:
    if words is None:
        return Busy(portfolio_id, as_of, UNKNOWN, None)
    return Busy(portfolio_id, as_of, words.holder, words.since)


def _locks(engine: Engine, as_of: dt.date, wanted: Sequence[str], words: Words) -> Locks:
    if engine.dialect.name == "postgresql":
        _make_rows(engine, as_of, wanted)
        return _RowLocks(engine, as_of, words)
    file = _database_file(engine)
    return _NoLocks() if file is None else FileLocks(Path(f"{file}.locks") / str(as_of), words)


def _database_file(engine: Engine) -> Path | None:
    """The file of an SQLite database, as SQLite itself names it; none where it is in memory."""
    with reading(engine) as connection:
        files = {row.name: row.file for row in connection.exec_driver_sql("PRAGMA database_list")}
    return Path(files["main"]) if files["main"] else None


class _NoLocks:
    """Everything is free: no other process can see this database."""

    def take(self, portfolio_ids: Sequence[str]) -> set[str]:
        return set(portfolio_ids)

    def words(self, portfolio_ids: Sequence[str]) -> dict[str, Words]:  # noqa: ARG002
        return {}

    def require_held(self) -> None:
        """Nothing can be lost."""

    def close(self) -> None:
        """Nothing is held."""


class _RowLocks:
    """Rows of `guards` that one transaction keeps locked, in a session of its own, which leaves the pool to others."""

    def __init__(self, engine: Engine, as_of: dt.date, words: Words):
        self._engine = engine
        self._as_of = as_of
        self._words = words
        self._taken: set[str] = set()
        self._lost: DBAPIError | None = None
        self._turn = Lock()  # the session is asked by one thread at a time
        with explained(engine):
            self._connection = engine.connect().execution_options(isolation_level="READ COMMITTED")
            self._connection.detach()
            self._descriptor: int = self._connection.connection.dbapi_connection.fileno()  # type: ignore[union-attr]
        keep_from_children(self._descriptor)

    def take(self, portfolio_ids: Sequence[str]) -> set[str]:
        """Lock the rows that are free."""
        free = (
            sa.select(guards.c.portfolio_id)
            .where(_of(guards, self._as_of, portfolio_ids))
            .order_by(guards.c.portfolio_id)
            .with_for_update(skip_locked=True)
        )
        with explained(self._engine):
            if not self._connection.in_transaction():
                _let_live(self._connection)
            taken = list(self._connection.scalars(free))
        self._taken |= {*taken}
        if taken:
            self._tell(taken)
        return set(taken)

    def words(self, portfolio_ids: Sequence[str]) -> dict[str, Words]:
        """What the holders say, or the last ones said if they were killed."""
        said = sa.select(holders.c.portfolio_id, holders.c.holder, holders.c.since)
        with reading(self._engine) as connection:
            rows = connection.execute(said.where(_of(holders, self._as_of, portfolio_ids), holders.c.holder != NOBODY))
            return {row.portfolio_id: Words(row.holder, row.since) for row in rows}

    def require_held(self) -> None:
        """Raise `StoreError` unless the session is still the one that locked the rows."""
        with self._turn:
            if self._lost is None:
                try:
                    self._connection.scalar(sa.select(1))
                except DBAPIError as error:
                    self._lost = error
        if self._lost is not None:
            raise StoreError(
                "the database has ended the session that kept other runs off the same portfolios, so that another may "
                "have started: nothing more is published. Run again."
            ) from self._lost

    def close(self) -> None:
        """Take back our words, and end the session, and with it the locks."""
        give_up(self._descriptor)
        with self._turn:
            with suppress(DBAPIError):  # the server is gone, and the locks with it
                if self._taken and not self._connection.invalidated:
                    ours = _of(holders, self._as_of, self._taken)
                    self._connection.execute(sa.update(holders).where(ours).values(holder=NOBODY))
                    self._connection.commit()
            with suppress(DBAPIError):
                self._connection.rollback()
            self._connection.close()
            self._taken.clear()

    def _tell(self, portfolio_ids: Sequence[str]) -> None:
        since = sa.literal(self._words.since, holders.c.since.type)
        said = (sa.literal(self._as_of), sa.literal(self._words.holder), since)
        rows = sa.select(sa.func.unnest(_texts(portfolio_ids)), *said)
        insert = postgresql.insert(holders).from_select(["portfolio_id", "as_of", "holder", "since"], rows)
        told = {"holder": insert.excluded.holder, "since": insert.excluded.since}
        with writing(self._engine, lock=f"holders {self._as_of}") as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=list(holders.primary_key), set_=told))


def _make_rows(engine: Engine, as_of: dt.date, portfolio_ids: Sequence[str]) -> None:
    """Make the rows that are to be locked, where they are missing."""
    rows = sa.select(sa.func.unnest(_texts(portfolio_ids)), sa.literal(as_of))
    insert = postgresql.insert(guards).from_select(["portfolio_id", "as_of"], rows).on_conflict_do_nothing()
    with writing(engine, lock=f"guards {as_of}") as connection:
        connection.execute(insert)


def _let_live(connection: Connection) -> None:
    """Tell the server to let this transaction live as long as our machine does; older servers lack some settings."""
    known = sa.table("pg_settings", sa.column("name"))
    for name, setting in SETTINGS.items():
        chosen = sa.select(sa.func.set_config(name, setting, sa.true())).select_from(known)
        connection.execute(chosen.where(known.c.name == name))


def _of(table: sa.Table, as_of: dt.date, portfolio_ids: Collection[str]) -> sa.ColumnElement[bool]:
    """The rows of portfolios on a date."""
    return sa.and_(table.c.as_of == as_of, table.c.portfolio_id == sa.any_(_texts(portfolio_ids)))


def _texts(portfolio_ids: Collection[str]) -> sa.BindParameter[Any]:
    return sa.literal(list(portfolio_ids), postgresql.ARRAY(sa.Text))
