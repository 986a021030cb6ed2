"""The database: how it is addressed, and the two ways of talking to it.

`engine_from_url` makes an engine, `reading` opens one consistent snapshot that cannot write, `writing` one transaction
that either happens completely or not at all. Whatever the database refuses becomes a `StoreError`
(`core.store.refusals`).

SQLite needs to be told what others do by themselves (SQLAlchemy, "Serializable isolation, savepoints, transactional
DDL"): the driver's own transaction handling is switched off, and `_begin` opens each transaction explicitly.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from core.errors import StoreError
from core.store.refusals import explained

EXAMPLES = "for example sqlite:///var/evenkeel.db or postgresql+psycopg://user@host/database"
DRIVERS = ("sqlite+pysqlite", "postgresql+psycopg")
BUSY_SECONDS = 30  # how long SQLite waits for another writer
KEEPALIVES = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}  # libpq's, in seconds
_LOCK = sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(sa.bindparam("lock", type_=sa.Text), 0)))
READS = "evenkeel_reads"  # an execution option: this connection's transactions only read


def engine_from_url(url: str) -> Engine:
    """An engine for a database address; the folder of an SQLite file is created. Connects to nothing yet.

    A PostgreSQL server that has become unreachable is noticed within a minute, unless the address says otherwise.

    Raises `StoreError` for an address that cannot be read, or that is not of SQLite or of PostgreSQL by psycopg.
    """
    address = _parsed(url)
    is_sqlite = address.get_backend_name() == "sqlite"
    if is_sqlite:
        _create_folder(address)
        engine = sa.create_engine(address, connect_args={"timeout": BUSY_SECONDS})
        sa.event.listen(engine, "connect", _connected)
        sa.event.listen(engine, "begin", _begin)
        return engine
    address = address.update_query_dict(KEEPALIVES | dict(address.query))
    return sa.create_engine(address, pool_pre_ping=True)  # a connection may have died while nobody used it


def _parsed(url: str) -> URL:
    # Neither the address is repeated, which may hold a password, nor the error that repeats it.
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError(f"the database address cannot be read: write it as {EXAMPLES}.") from None
    try:
        driver = f"{address.get_backend_name()}+{address.get_driver_name()}"
    except (NoSuchModuleError, ModuleNotFoundError):
        driver = address.drivername
    if driver not in DRIVERS:
        raise StoreError(f"{driver!r} is not a database that Evenkeel works with: use {EXAMPLES}.")
    return address


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
    with explained(engine), engine.connect() as connection, connection.execution_options(**options).begin():
        yield connection


@contextmanager
def writing(engine: Engine, lock: str) -> Iterator[Connection]:
    """One transaction that writes. `lock` names what it changes: no two with the same name run at the same time."""
    with explained(engine), engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(_LOCK, {"lock": f"evenkeel {lock}"})
        yield connection
