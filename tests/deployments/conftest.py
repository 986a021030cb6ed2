"""A store that is filled once for a module, of which each test gets a copy; under `make soak` on either database."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from core import store
from core.store.records import RunRecord
from tests.conftest import copy_of
from tests.core.store.samples import NOON
from tests.effort import DATABASES


@dataclass(frozen=True)
class Filled:
    """What a module filled: a folder of targets, and a database to copy, an SQLite file or one of PostgreSQL's."""

    targets: Path
    database: Path | str


@pytest.fixture(scope="module", params=DATABASES)
def stored(request, tmp_path_factory) -> Callable[[Sequence[RunRecord], Callable[[Engine], object]], Filled]:
    """Publishes runs into a new database, and does something more to it."""

    def published(runs: Sequence[RunRecord], then: Callable[[Engine], object] = lambda _: None) -> Filled:
        folder = tmp_path_factory.mktemp("filled")

        def fill(engine: Engine) -> None:
            store.init(engine)
            for run in runs:
                store.publish(engine, folder / "targets", run, NOON)
            then(engine)
            engine.dispose()

        if request.param == "sqlite":
            fill(store.engine_from_url(f"sqlite:///{folder / 'evenkeel.db'}"))
            return Filled(folder / "targets", folder / "evenkeel.db")
        template = folder.name  # a module may be filled more than once in a process
        request.getfixturevalue("postgres_server").make_template(template, fill)
        return Filled(folder / "targets", template)

    return published


@pytest.fixture
def engine(request, filled, tmp_path):
    """The database of a copy of the store that a module filled, for each test; the targets are in `tmp_path`."""
    shutil.copytree(filled.targets, tmp_path / "targets")
    with copy_of(filled.database, request, tmp_path) as url:
        engine = store.engine_from_url(url)
        yield engine
        engine.dispose()


def named(engine: Engine, root: Path, environment: pytest.MonkeyPatch) -> None:
    """Name a store in the environment."""
    environment.setenv("EVENKEEL_DATABASE_URL", engine.url.render_as_string(hide_password=False))
    environment.setenv("EVENKEEL_TARGETS", str(root))
