import datetime as dt
import shutil
from types import SimpleNamespace

import pytest

from core import store
from tasks.settings import settings
from tests.demo import demo_market

AS_OF = dt.date(2026, 11, 20)
PORTFOLIOS = ("balanced", "concentrated", "newcomer")


@pytest.fixture(scope="session")
def market():
    return demo_market(AS_OF)


def demo_desk(demo_database, folder, environment) -> SimpleNamespace:
    """A database of its own with the demo market, and a folder of targets, which the environment names."""
    shutil.copy(demo_database, folder / "evenkeel.db")
    return desk_of(f"sqlite:///{folder / 'evenkeel.db'}", folder, environment)


def desk_of(url, folder, environment) -> SimpleNamespace:
    """A database, and a folder of targets, which the environment names."""
    environment.setenv("EVENKEEL_DATABASE_URL", url)
    environment.setenv("EVENKEEL_TARGETS", str(folder / "targets"))
    return SimpleNamespace(database=store.engine_from_url(settings().database_url), targets=settings().targets)


@pytest.fixture
def database(tmp_path, monkeypatch, a_demo_database):
    """A database of its own with the demo market, which the environment names."""
    return desk_of(a_demo_database, tmp_path, monkeypatch).database
