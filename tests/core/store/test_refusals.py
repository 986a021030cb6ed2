"""What a database refuses: which errors may be tried again, the remedy, and no password."""

import re
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from core.errors import StoreError
from core.source import Source
from core.store import engine_from_url, is_outage, load_frames, read_inputs
from core.store.bulk import insert_rows
from core.store.database import reading, writing
from core.store.refusals import is_away
from core.store.snapshot import snapshot
from core.store.tables import inputs as tables
from tests.core.store.samples import SINCE, TODAY, inputs
from tests.postgres import CAREFUL, PASSWORD, PostgresServer

ONE = sa.text("SELECT 1")


def by_psycopg(engine: Engine, query: sa.TextClause) -> None:
    with reading(engine) as connection:
        connection.execute(query)


def by_adbc(engine: Engine, query: sa.TextClause) -> None:
    with snapshot(engine) as moment:
        moment.result(query)


WAYS = pytest.mark.parametrize("way", [by_psycopg, by_adbc])
Way = Callable[[Engine, sa.TextClause], None]


def refusal(call: Callable[..., Any], *arguments: Any) -> StoreError:
    with pytest.raises(StoreError) as refused:
        call(*arguments)
    return refused.value


@pytest.fixture
def postgresql(postgres: str) -> Iterator[Engine]:
    engine = engine_from_url(postgres)
    yield engine
    engine.dispose()


# outages


def test_a_server_that_is_stopped_is_an_outage_until_it_is_started(
    postgres_server: PostgresServer, postgresql: Engine
) -> None:
    by_psycopg(postgresql, ONE)  # its connection is kept for the next
    postgres_server.stop()
    try:
        assert is_outage(refusal(by_psycopg, postgresql, ONE))
        assert is_outage(refusal(by_adbc, postgresql, ONE))
    finally:
        postgres_server.start()
    by_psycopg(postgresql, ONE)
    by_adbc(postgresql, ONE)


@WAYS
def test_a_session_that_is_ended_is_an_outage(postgresql: Engine, way: Way) -> None:
    assert is_outage(refusal(way, postgresql, sa.text("SELECT pg_terminate_backend(pg_backend_pid())")))
    way(postgresql, ONE)


def test_a_session_that_is_ended_while_rows_are_copied_is_an_outage(postgresql: Engine) -> None:
    assert is_outage(refusal(_copy_and_end, postgresql))
    load_frames(postgresql, inputs())


def _copy_and_end(engine: Engine) -> None:
    with writing(engine, "test") as connection:
        own = connection.scalar(sa.text("SELECT pg_backend_pid()"))
        with psycopg.connect(engine.url.set(drivername="postgresql").render_as_string(), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [own])
        insert_rows(connection, tables["cash"], inputs()["cash"])


def test_a_deadlock_is_an_outage(postgresql: Engine) -> None:
    load_frames(postgresql, inputs() | {"portfolios": inputs("a")["portfolios"]})
    load_frames(postgresql, {"portfolios": inputs("b")["portfolios"]})
    met = Barrier(2)

    def update(first: str, second: str) -> StoreError | None:
        change = sa.text("UPDATE portfolios SET name = 'x' WHERE portfolio_id = :it")
        try:
            with writing(postgresql, first) as connection:
                connection.execute(sa.text("SET LOCAL deadlock_timeout = '20ms'"))
                connection.execute(change, {"it": first})
                met.wait()
                connection.execute(change, {"it": second})
        except StoreError as error:
            return error
        return None

    with ThreadPoolExecutor(2) as pool:
        (lost,) = [error for error in pool.map(update, "ab", "ba") if error]
    assert is_outage(lost)


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (psycopg.errors.SerializationFailure, True),
        (psycopg.errors.DeadlockDetected, True),
        (psycopg.errors.AdminShutdown, True),
        (psycopg.errors.CrashShutdown, True),
        (psycopg.errors.CannotConnectNow, True),
        (psycopg.errors.TooManyConnections, True),
        (psycopg.errors.ConnectionFailure, True),
        (psycopg.errors.LockNotAvailable, True),
        (psycopg.errors.DiskFull, False),
        (psycopg.errors.InvalidPassword, False),
        (psycopg.errors.InvalidCatalogName, False),
        (psycopg.errors.InsufficientPrivilege, False),
        (psycopg.errors.UndefinedTable, False),
        (psycopg.errors.QueryCanceled, False),
        (psycopg.errors.UniqueViolation, False),
    ],
)
def test_codes_tell_an_outage(error: type[psycopg.Error], away: bool) -> None:
    assert is_away(DBAPIError.instance(None, None, error("words: timeout expired"), psycopg.Error)) is away


@pytest.mark.parametrize(
    ("words", "away"),
    [
        ('connection to server at "h" (1.2.3.4), port 5432 failed: Connection refused', True),
        ("connection failed: FATAL:  the database system is starting up", True),
        ("connection failed: FATAL:  the database system is shutting down", True),
        ("connection failed: FATAL:  sorry, too many clients already", True),
        ("server closed the connection unexpectedly", True),
        ("failed to resolve host 'h': [Errno -3] Temporary failure in name resolution", True),
        ("connection timeout expired", True),
        ('connection failed: FATAL:  password authentication failed for user "u"', False),
        ('connection failed: FATAL:  database "d" does not exist', False),
        ('connection failed: FATAL:  role "u" does not exist', False),
        ('connection failed: FATAL:  no pg_hba.conf entry for host "1.2.3.4"', False),
        ("connection failed: fe_sendauth: no password supplied", False),
        ("server does not support SSL, but SSL was required", False),
    ],
)
def test_words_tell_an_outage_where_there_is_no_code(words: str, away: bool) -> None:
    assert is_away(DBAPIError.instance(None, None, psycopg.OperationalError(words), psycopg.Error)) is away


# no outages


@WAYS
@pytest.mark.parametrize(
    "wrong",
    ["SELECT", "SELECT timeout FROM portfolios", "SELECT * FROM nowhere", "DELETE FROM portfolios", "SELECT 1/0"],
)
def test_a_wrong_query_is_no_outage(postgresql: Engine, way: Way, wrong: str) -> None:
    assert not is_outage(refusal(way, postgresql, sa.text(wrong) if wrong != "SELECT" else sa.text("SELEKT")))


@WAYS
def test_what_a_role_may_not_is_no_outage(postgres_server: PostgresServer, postgresql: Engine, way: Way) -> None:
    engine = engine_from_url(postgres_server.url(str(postgresql.url.database), CAREFUL, PASSWORD))
    refused = refusal(way, engine, sa.text("SELECT * FROM portfolios"))
    assert not is_outage(refused)
    assert "permission denied for table portfolios" in str(refused)
    assert "Let the owner grant" in str(refused)
    engine.dispose()


@WAYS
@pytest.mark.parametrize(
    ("role", "database", "told"),
    [
        (CAREFUL, None, "Correct user and password"),
        ("nobody", None, "right database and role"),
        ("postgres", "none", "right database"),
    ],
)
def test_an_address_that_is_wrong_is_no_outage(
    postgres_server: PostgresServer, way: Way, role: str, database: str | None, told: str
) -> None:
    refused = refusal(way, engine_from_url(postgres_server.url(database or "postgres", role, "wr0ng")), ONE)
    assert not is_outage(refused)
    assert told in str(refused)


# passwords


@WAYS
def test_no_error_has_the_password(postgres_server: PostgresServer, way: Way) -> None:
    secret = "hush-é %/@'"  # noqa: S105
    addresses = [
        postgres_server.url("postgres", CAREFUL, secret),
        postgres_server.url("none", "nobody", secret),
        postgres_server.url(role="postgres", password=secret).replace("host=", "host=/nowhere"),
        "postgresql+psycopg://u@/d?host=/nowhere&password=hush-2",
        "postgresql+psycopg://u:hush-3@127.0.0.1:1/d",
        "postgresql+psycopg://u:hush-4@/d?host=/nowhere&nonsense=1",
    ]
    for address in addresses:
        refused = refusal(lambda address=address: way(engine_from_url(address), ONE))
        told = "".join(traceback.format_exception(refused)) + repr(refused.__cause__)
        assert not re.search("hush", told)


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://u:hush@h:port/d", "mysql://u:hush@h/d", "oracle9://u:hush@h", "hush"]
)
def test_an_address_that_cannot_be_used_is_refused_without_it(url: str) -> None:
    refused = refusal(engine_from_url, url)
    assert "hush" not in "".join(traceback.format_exception(refused))
    assert "postgresql+psycopg://user@host/database" in str(refused)


# SQLite


def test_a_locked_file_is_an_outage_and_a_wrong_query_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.store.database.BUSY_SECONDS", 0.01)
    engine = engine_from_url(f"sqlite:///{tmp_path}/x.db")
    other = engine_from_url(f"sqlite:///{tmp_path}/x.db")
    with writing(other, "test") as connection:
        connection.execute(sa.text("CREATE TABLE t (x INT)"))
        locked = refusal(_write, engine)
    assert is_outage(locked)
    assert "Another process is writing" in str(locked)
    assert not is_outage(refusal(by_psycopg, engine, sa.text("SELECT locked FROM nowhere")))


def _write(engine: Engine) -> None:
    with writing(engine, "test") as connection:
        connection.execute(sa.text("CREATE TABLE u (x INT)"))


def test_a_query_of_the_desk_that_meets_an_outage_is_not_called_wrong(postgresql: Engine) -> None:
    load_frames(postgresql, inputs())
    ending = "SELECT * FROM prices WHERE pg_terminate_backend(pg_backend_pid())"
    refused = refusal(read_inputs, postgresql, Source(queries={"prices": ending}), TODAY, None, SINCE)
    assert is_outage(refused)
    assert "in the policy" not in str(refused)
