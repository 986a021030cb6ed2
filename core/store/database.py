"""The database: how it is addressed, and the two ways of talking to it.

`engine_from_url` makes an engine, `reading` opens one consistent snapshot that cannot write, `writing` one transaction
that either happens completely or not at all. Whatever the database refuses becomes a `StoreError` without passwords.

SQLite needs to be told what others do by themselves (SQLAlchemy, "Serializable isolation, savepoints, transactional
DDL"): the driver's own transaction handling is switched off, and `_begin` opens each transaction explicitly.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from core.errors import StoreError

EXAMPLES = "for example sqlite:///var/evenkeel.db or postgresql+psycopg://user@host/database"
SQLITE_AWAY = ("locked", "busy", "unable to open", "disk I/O")  # as its messages say
BUSY_SECONDS = 30  # how long SQLite waits for another writer
READS = "evenkeel_reads"  # an execution option: this connection's transactions only read


def engine_from_url(url: str) -> Engine:
    """An engine for a database address; the folder of an SQLite file is created. Connects to nothing yet.

    Raises `StoreError` for an address that cannot be read, or whose driver is not installed.
    """
    address = _parsed(url)
    is_sqlite = address.get_backend_name() == "sqlite"
    if is_sqlite:
        _create_folder(address)
    try:
        engine = sa.create_engine(address, connect_args={"timeout": BUSY_SECONDS} if is_sqlite else {})
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(
            f"no driver for {address.drivername!r} is installed: install it, or use {EXAMPLES}."
        ) from error
    if is_sqlite:
        sa.event.listen(engine, "connect", _connected)
        sa.event.listen(engine, "begin", _begin)
    return engine


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:  # the address is not repeated: it may hold a password
        raise StoreError(f"the database address cannot be read: write it as {EXAMPLES}.") from error


def _create_folder(address: URL) -> None:
    if not address.database or address.database == ":memory:" or address.database.startswith("file:"):
        return
    folder = Path(address.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder {folder} of the database cannot be created: {error.strerror}.") from error


def _connected(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get(READS, False)
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if reads else 'OFF'}")
    # A writer locks at once: two that had both read first could otherwise neither go on.
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One transaction on a consistent snapshot that cannot write."""
    options: dict[str, Any] = {READS: True}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with _explained(engine), engine.connect() as connection, connection.execution_options(**options).begin():
        yield connection


@contextmanager
def writing(engine: Engine, lock: str) -> Iterator[Connection]:
    """One transaction that writes. `lock` names what it changes: no two with the same name run at the same time."""
    with _explained(engine), engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            key = sa.func.hashtextextended(f"evenkeel {lock}", 0)
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
        yield connection


@contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        address = engine.url.set(query={}).render_as_string(hide_password=True)
        reason = " ".join(str(error.orig).split()).rstrip(".")
        raise StoreError(
            f"the database {address} refuses: {reason}. Check that EVENKEEL_DATABASE_URL is right, that the database "
            "is up and not locked by another process, and that `evenkeel init` has created its tables."
        ) from error


def is_outage(error: BaseException) -> bool:
    """Whether an error of the store is the database's being away or busy, so that trying again may help.

    SQLite calls a wrong query an operational error too; there, only a lock or a file that cannot be opened is one.
    """
    cause = error.__cause__
    if not isinstance(error, StoreError) or not isinstance(cause, OperationalError | InterfaceError):
        return False
    return not isinstance(cause.orig, sqlite3.Error) or any(word in str(cause.orig) for word in SQLITE_AWAY)
