"""A store that is filled once for a module, of which each test gets a copy."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from core import store
from core.store.records import RunRecord
from tests.core.store.samples import NOON


@pytest.fixture(scope="module")
def stored(tmp_path_factory, sqlite_template) -> Callable[[Sequence[RunRecord]], Path]:
    """Publishes runs into a new SQLite database; the folder of the database and of the targets."""

    def published(runs: Sequence[RunRecord]) -> Path:
        folder = tmp_path_factory.mktemp("filled")
        shutil.copy(sqlite_template, folder / "evenkeel.db")
        engine = engine_of(folder)
        for run in runs:
            store.publish(engine, folder / "targets", run, NOON)
        engine.dispose()
        return folder

    return published


@pytest.fixture
def engine(filled, tmp_path) -> Engine:
    """A copy of the store that a module filled, for each test."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return engine_of(tmp_path)


def engine_of(folder: Path) -> Engine:
    """The database of such a folder."""
    return store.engine_from_url(f"sqlite:///{folder / 'evenkeel.db'}")
