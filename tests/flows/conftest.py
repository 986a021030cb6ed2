import datetime as dt
import shutil

import pytest

from core import store
from tasks.settings import settings
from tests.demo import demo_market

AS_OF = dt.date(2026, 11, 20)
PORTFOLIOS = ("balanced", "concentrated", "newcomer")


@pytest.fixture(scope="session")
def market():
    return demo_market(AS_OF)


@pytest.fixture
def database(tmp_path, monkeypatch, demo_database):
    """A database of its own with the demo market, which the environment names."""
    shutil.copy(demo_database, tmp_path / "evenkeel.db")
    monkeypatch.setenv("EVENKEEL_DATABASE_URL", f"sqlite:///{tmp_path / 'evenkeel.db'}")
    monkeypatch.setenv("EVENKEEL_TARGETS", str(tmp_path / "targets"))
    return store.engine_from_url(settings().database_url)
