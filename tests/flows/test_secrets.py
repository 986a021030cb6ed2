"""The database's password is nowhere: not in logs, artifacts, messages, rows and files, whatever goes wrong.

The role's password has signs that addresses, quotes and JSON write in ways of their own; `SECRET` finds all of them.
"""

import logging
import re
import sqlite3
import sys
import traceback
from pathlib import Path
from urllib.parse import quote

import polars as pl
import psycopg
import pytest
import sqlalchemy as sa
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL
from psycopg import sql

from core import store
from deployments import cli
from flows.daily_rebalance import daily_rebalance
from tests.flows.conftest import AS_OF
from tests.postgres import CAREFUL, PASSWORD
from tests.soak.here import TASKS
from tests.soak.worlds import small_market

SECRET = re.compile(r"(€|%e2%82%ac|\\u20ac|\\xe2\\x82\\xac|\\342\\202\\254)cret", re.IGNORECASE)
WRITTEN = quote(PASSWORD, safe="")

FAILURES = {
    "no such host": f"postgresql+psycopg://{CAREFUL}:{WRITTEN}@127.0.0.1:1/evenkeel",
    "no such socket": f"postgresql+psycopg://{CAREFUL}:{WRITTEN}@/evenkeel?host=/nowhere",
    "no such port": f"postgresql+psycopg://{CAREFUL}:{WRITTEN}@host:port/evenkeel",
    "not quoted": f"postgresql+psycopg://{CAREFUL}:{PASSWORD}@host/evenkeel",
    "no such driver": f"postgresql+psycop://{CAREFUL}:{WRITTEN}@host/evenkeel",
    "no such kind": f"mysql://{CAREFUL}:{WRITTEN}@host/evenkeel",
    "option unknown": f"postgresql+psycopg://{CAREFUL}:{WRITTEN}@/evenkeel?nothing=1",
}


@pytest.fixture(autouse=True)
def quick(monkeypatch, prefect_server):
    for task in TASKS:
        monkeypatch.setattr(task, "retry_delay_seconds", [0.05] * 3)


@pytest.fixture
def secret_address(postgres, postgres_server):
    """The small market in a database to which a role with a password may do anything."""
    engine = store.engine_from_url(postgres)
    store.load_frames(engine, small_market())
    engine.dispose()
    database = sa.make_url(postgres).database
    for kind in ("TABLES", "SEQUENCES"):
        postgres_server.execute(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO {CAREFUL}", database=database)
    return postgres_server.url(database, CAREFUL, PASSWORD)


@pytest.fixture
def told(monkeypatch, tmp_path, caplog, capfd):
    """Run flow and command line with an address, and return all that they say anywhere but in their database."""
    caplog.set_level(logging.DEBUG)
    for name in ("prefect", "prefect.flow_runs", "prefect.task_runs", "core", "sqlalchemy.engine", "sqlalchemy.pool"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [*logging.getLogger(name).handlers, caplog.handler])

    def run(address, *commands):
        monkeypatch.setenv("EVENKEEL_DATABASE_URL", address)
        monkeypatch.setenv("EVENKEEL_TARGETS", str(tmp_path / "targets"))
        state = daily_rebalance(as_of=AS_OF, return_state=True)
        said = [str(state.message), repr(state), *(command(*words) for words in commands)]
        printed = capfd.readouterr()
        return "\n".join([*said, printed.out, printed.err, caplog.text])

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["evenkeel", *words])
        try:
            cli.main()
        except SystemExit as ended:
            return f"exit {ended.code}"
        except Exception as error:
            return "".join(traceback.format_exception(error))
        return ""

    return run


def everything_of_prefect() -> str:
    """All that the Prefect server has stored: logs, artifacts, states, parameters, events."""
    with sqlite3.connect(PREFECT_API_DATABASE_CONNECTION_URL.value().partition("///")[2]) as connection:
        return "\n".join(connection.iterdump())


def everything_in(database: str) -> str:
    """All rows of all tables of a database."""
    with psycopg.connect(sa.make_url(database).set(drivername="postgresql").render_as_string(False)) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        tables = [connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name))) for (name,) in names]
        return "\n".join(str(row) for table in tables for row in table.fetchall())


def everything_below(folder: Path) -> str:
    """The cells of all Parquet files, and the bytes of all files."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    cells = [pl.read_parquet(path).write_csv() for path in files if path.suffix == ".parquet"]
    return "\n".join([*cells, *(path.read_bytes().decode("latin-1") for path in files)])


@pytest.mark.parametrize("form", [PASSWORD, WRITTEN, repr(PASSWORD), ascii(PASSWORD), str(PASSWORD.encode())])
def test_the_search_finds_the_password_however_it_is_written(form):
    assert SECRET.search(form)


def test_a_run_leaves_no_password_anywhere(secret_address, postgres, told, tmp_path):
    show = ("show", "--as-of", str(AS_OF))
    said = told(secret_address, ("init",), ("run", "--as-of", str(AS_OF), "--debug"), show, ("show", "--debug"))
    assert "3 published" in said
    assert "The tables are ready" in said
    stored, files, shown = everything_in(postgres), everything_below(tmp_path / "targets"), everything_of_prefect()
    assert "balanced" in stored
    assert "balanced" in files
    assert "3 published" in shown
    assert not any(SECRET.search(text) for text in (said, stored, files, shown))


@pytest.mark.parametrize("failure", FAILURES)
def test_an_address_that_leads_nowhere_is_told_without_its_password(failure, told):
    said = told(FAILURES[failure], ("init",), ("init", "--debug"), ("run", "--debug"))
    assert "database" in said
    assert not SECRET.search(said)
    assert not SECRET.search(everything_of_prefect())


def test_a_wrong_password_is_not_repeated(secret_address, told):
    said = told(secret_address.replace(WRITTEN, WRITTEN + "x"), ("show",), ("show", "--debug"))
    assert "password authentication failed" in said
    assert not SECRET.search(said)


def test_what_a_role_may_not_is_told_without_its_password(secret_address, postgres_server, told):
    database = sa.make_url(secret_address).database
    postgres_server.execute(f"REVOKE INSERT ON ALL TABLES IN SCHEMA public FROM {CAREFUL}", database=database)
    said = told(secret_address, ("run", "--as-of", str(AS_OF)), ("run", "--as-of", str(AS_OF), "--debug"))
    assert "Let the owner grant" in said
    assert not SECRET.search(said)
    assert not SECRET.search(everything_of_prefect())


def test_a_server_that_is_down_is_told_without_the_password(secret_address, postgres_server, told):
    postgres_server.stop()
    try:
        said = told(secret_address, ("show",), ("show", "--debug"))
    finally:
        postgres_server.start()
    assert "Check that EVENKEEL_DATABASE_URL is right" in said
    assert not SECRET.search(said)
    assert not SECRET.search(everything_of_prefect())
