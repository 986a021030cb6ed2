"""A database with Evenkeel's tables, and a folder for targets, new for each test."""

from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from core.store import engine_from_url, init


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/var/evenkeel.db"


@pytest.fixture
def bare_engine(database_url: str) -> Engine:
    """A database without tables."""
    return engine_from_url(database_url)


@pytest.fixture
def engine(bare_engine: Engine) -> Engine:
    init(bare_engine)
    return bare_engine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "targets"
