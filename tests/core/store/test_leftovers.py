"""What a killed run leaves behind is found and removed, and nothing else is."""

import os
from pathlib import Path
from time import time

import pytest
from sqlalchemy.engine import Engine

from core.errors import StoreError
from core.store import publish, read_targets, remove_leftovers
from core.store.database import writing
from core.store.files import write_file
from core.store.leftovers import while_files_are_written
from tests.core.store.samples import NOON, TODAY, YESTERDAY, record

ORPHANS = [
    "_inputs/.0a0a0a0a0a0a0a0a.tmp",
    "_inputs/00ff.parquet",
    "as_of=2026-07-31/portfolio_id=core/.1b1b1b1b1b1b1b1b.tmp",
    "as_of=2026-07-31/portfolio_id=core/r9.parquet",
    "as_of=2026-07-31/portfolio_id=gone/r8.parquet",
]


@pytest.fixture
def published(engine: Engine, root: Path) -> dict[str, bytes]:
    """Files of a current and a superseded run and of their inputs."""
    for run in (record("r1"), record("r2")):
        publish(engine, root, run, NOON)
    return contents(root)


@pytest.fixture
def claimed(engine: Engine, root: Path) -> None:
    """A folder of this database, without a file of a run."""
    assert remove_leftovers(engine, root) == []


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_files_that_no_row_names_are_removed_and_told(engine: Engine, root: Path, published: dict[str, bytes]) -> None:
    for path in ORPHANS:
        write_file(root, path, b"half")
    assert remove_leftovers(engine, root, [TODAY]) == ORPHANS
    assert contents(root) == published
    assert remove_leftovers(engine, root, [TODAY]) == []
    assert read_targets(engine, root)["run_id"].unique().to_list() == ["r2"]


def test_other_days_are_left_alone(engine: Engine, root: Path, published: dict[str, bytes]) -> None:
    write_file(root, ORPHANS[3], b"half")
    assert remove_leftovers(engine, root, [YESTERDAY]) == []


@pytest.mark.usefixtures("claimed")
def test_inputs_of_long_ago_are_left_to_who_looks_at_all_days(engine: Engine, root: Path) -> None:
    write_file(root, ORPHANS[1], b"half")
    long_ago = time() - 32 * 24 * 3600
    os.utime(root / ORPHANS[1], (long_ago, long_ago))
    assert remove_leftovers(engine, root, [TODAY]) == []
    assert remove_leftovers(engine, root) == [ORPHANS[1]]


@pytest.mark.usefixtures("claimed")
def test_while_somebody_publishes_all_is_left_to_a_later_run(engine: Engine, root: Path) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    write_file(root, ORPHANS[3], b"half")
    with writing(engine, lock="other") as connection:
        while_files_are_written(connection)
        assert remove_leftovers(engine, root, [TODAY]) == []
    assert remove_leftovers(engine, root, [TODAY]) == [ORPHANS[3]]


def test_a_folder_that_is_not_there_has_no_leftovers(engine: Engine, root: Path) -> None:
    assert remove_leftovers(engine, root, [TODAY]) == []


@pytest.mark.usefixtures("claimed")
def test_a_file_that_cannot_be_removed_is_told(engine: Engine, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(root, ORPHANS[3], b"half")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StoreError, match=r"cannot be removed: Permission denied.*EVENKEEL_TARGETS"):
        remove_leftovers(engine, root, [TODAY])
