"""Settings that are read at the first import, and the servers and databases of a test process.

No telemetry, and a server without the services that no test looks at. Tests run side by side, so Polars gets one
thread.
"""

import datetime as dt
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from tests.effort import DATABASES, SOAK, examples, temporary_folder

os.environ.update(
    TMPDIR=temporary_folder(),
    POLARS_MAX_THREADS="1",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DO_NOT_TRACK="1",
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED="false",
    PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED="false",
    PREFECT_LOGGING_EXTRA_LOGGERS="core",
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW="ignore",
)

import pytest
from hypothesis import settings

# The same examples each time, so that a change is judged by what it changes; others under `make soak`.
settings.register_profile("patient", deadline=None, max_examples=examples(25), derandomize=not SOAK)
settings.load_profile("patient")


PREFECT = "EVENKEEL_TESTS_PREFECT"  # the folder of the Prefect server, which the processes of a test run share


def pytest_configure(config):
    """Make the folder of the Prefect server, before there are other processes."""
    if not hasattr(config, "workerinput"):
        os.environ[PREFECT] = mkdtemp(prefix="evenkeel_")


def pytest_collection_finish(session):
    """Start the Prefect server that tests will need."""
    if any("prefect_server" in getattr(item, "fixturenames", ()) for item in session.items):
        _shared_server().start()


def pytest_unconfigure(config):
    """Stop it when all processes are done."""
    if hasattr(config, "workerinput"):
        return
    if os.listdir(os.environ[PREFECT]):  # else it was never started
        _shared_server().stop()
    shutil.rmtree(os.environ.pop(PREFECT))


def _shared_server():
    from tests.prefect_server import SharedServer

    return SharedServer(Path(os.environ[PREFECT]))


@pytest.fixture(scope="session")
def prefect_server():
    """The address of the Prefect server for all tests that run flows: see `tests.prefect_server`."""
    with _shared_server().client() as url:
        yield url


@pytest.fixture(scope="session")
def demo_database(tmp_path_factory):
    """An SQLite file with the demo market of 2026-11-20, filled once; each test that needs it takes a copy."""
    from core import store
    from tests.demo import demo_market

    path = tmp_path_factory.mktemp("demo") / "evenkeel.db"
    engine = store.engine_from_url(f"sqlite:///{path}")
    store.init(engine)
    store.load_frames(engine, demo_market(dt.date(2026, 11, 20)))
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL server of its own, see `tests.postgres`."""
    from tests.postgres import PostgresServer

    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture
def postgres(postgres_server):
    """The address of a PostgreSQL database with Evenkeel's tables, new for each test."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory):
    """An SQLite file with Evenkeel's tables, to copy."""
    from core import store

    path = tmp_path_factory.mktemp("empty") / "evenkeel.db"
    engine = store.engine_from_url(f"sqlite:///{path}")
    store.init(engine)
    engine.dispose()
    return path


@pytest.fixture
def sqlite(sqlite_template, tmp_path):
    """The address of an SQLite database with Evenkeel's tables, new for each test."""
    shutil.copy(sqlite_template, tmp_path / "evenkeel.db")
    return f"sqlite:///{tmp_path / 'evenkeel.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request):
    """The address of a database with Evenkeel's tables, new for each test: a test runs on SQLite and on PostgreSQL."""
    return request.getfixturevalue("postgres" if request.param == "postgresql" else "sqlite")


@pytest.fixture(scope="session")
def demo_template(postgres_server):
    """A PostgreSQL database with the same market, for `postgres_server` to copy."""
    from core import store
    from tests.demo import demo_market

    def fill(engine):
        store.init(engine)
        store.load_frames(engine, demo_market(dt.date(2026, 11, 20)))

    postgres_server.make_template("demo", fill)
    return "demo"


@pytest.fixture(params=["sqlite", "postgresql"])
def any_demo_database(request, tmp_path):
    """The address of a database with the demo market of 2026-11-20, new for each test, on either database."""
    yield from _copied(request, tmp_path, request.param)


@pytest.fixture(params=DATABASES)
def kind_of_database(request):
    """`sqlite`, and under `make soak` `postgresql` too."""
    return request.param


@pytest.fixture
def a_demo_database(request, tmp_path, kind_of_database):
    """The address of a database with the demo market, new for each test, of this kind."""
    yield from _copied(request, tmp_path, kind_of_database)


@pytest.fixture
def a_database(request, kind_of_database):
    """The address of a database with Evenkeel's tables, new for each test, of this kind."""
    return request.getfixturevalue("postgres" if kind_of_database == "postgresql" else "sqlite")


@pytest.fixture
def a_bare_database(request, tmp_path, kind_of_database):
    """The address of a database without tables, new for each test, of this kind."""
    if kind_of_database == "sqlite":
        yield f"sqlite:///{tmp_path / 'evenkeel.db'}"
        return
    with request.getfixturevalue("postgres_server").database("template0") as url:
        yield url


def _copied(request, folder, kind):
    demo = "demo_database" if kind == "sqlite" else "demo_template"
    with copy_of(request.getfixturevalue(demo), request, folder) as url:
        yield url


@contextmanager
def copy_of(database, request, folder):
    """The address of a copy of a database: of an SQLite file, in a folder, or of a template of PostgreSQL's."""
    if isinstance(database, Path):
        shutil.copy(database, folder / "evenkeel.db")
        yield f"sqlite:///{folder / 'evenkeel.db'}"
        return
    with request.getfixturevalue("postgres_server").database(database) as url:
        yield url
