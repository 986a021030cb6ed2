"""Databases of both kinds, with Evenkeel's tables or without, and a folder for targets, new for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from core.store import engine_from_url


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/var/evenkeel.db"
        return
    with request.getfixturevalue("postgres_server").database("template0") as url:
        yield url


@pytest.fixture
def database_url(any_database: str) -> str:
    return any_database


@pytest.fixture
def bare_engine(bare_url: str) -> Iterator[Engine]:
    """A database without tables."""
    engine = engine_from_url(bare_url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_from_url(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "targets"
