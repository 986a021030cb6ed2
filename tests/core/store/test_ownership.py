"""A folder of targets belongs to one database: another one writes and removes nothing there."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.errors import StoreError
from core.store import engine_from_url, init, publish, remove_leftovers, retire
from core.store.ownership import NAME
from tests.core.store.samples import NOON, record


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def other(tmp_path: Path) -> Engine:
    """A database that is given the folder of another one by mistake; with a run of the same names."""
    engine = engine_from_url(f"sqlite:///{tmp_path}/other.db")
    init(engine)
    return engine


DEEDS: dict[str, Callable[[Engine, Path], object]] = {
    "publishing": lambda engine, root: publish(engine, root, record("r9"), NOON),
    "looking for leftovers": remove_leftovers,
    "retention": lambda engine, root: retire(engine, root, NOON + dt.timedelta(days=999)),
}


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("named", [True, False])
def test_another_database_changes_nothing_in_the_folder(
    engine: Engine, other: Engine, root: Path, deed: str, named: bool
) -> None:
    publish(engine, root, record("r1"), NOON)
    if not named:
        (root / NAME).unlink()
    before = contents(root)
    with pytest.raises(StoreError, match="another database") as refusal:
        DEEDS[deed](other, root)
    assert str(root / NAME) in str(refusal.value)
    assert contents(root) == before
    remove_leftovers(engine, root)
    assert {*before} <= {*contents(root)}


def test_a_folder_that_has_no_name_is_that_of_the_database_that_names_its_files(engine: Engine, root: Path) -> None:
    publish(engine, root, record("r1"), NOON)
    own = (root / NAME).read_text()
    (root / NAME).unlink()
    publish(engine, root, record("r2"), NOON)
    assert (root / NAME).read_text() == own


def test_what_others_keep_beside_the_targets_is_theirs(engine: Engine, root: Path) -> None:
    publish(engine, root, record("r1"), NOON)
    theirs = ["NOTES.txt", "as_of=2026-07-31/NOTES.txt", "as_of=2026-07-31/export.parquet"]
    theirs += [
        ".env",
        ".notes.tmp",
        "as_of=2026-07-31/portfolio_id=core/README",
        "_inputs/notes.csv",
        "_inputs/old/x.parquet",
    ]
    for path in theirs:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("mine")
    ours = [".0123456789abcdef.tmp", "_inputs/.0123456789abcdef.tmp", "as_of=2026-07-31/portfolio_id=core/lost.parquet"]
    for path in ours:
        (root / path).write_text("half")
    assert remove_leftovers(engine, root) == ours
    assert {*theirs} <= {*contents(root)}


def test_each_database_has_a_name_of_its_own(engine: Engine, other: Engine) -> None:
    found = []
    for each in (engine, other):
        with each.connect() as connection:
            found.append(connection.execute(sa.text("SELECT store_id FROM evenkeel_store")).scalar_one())
    assert len({*found}) == len(found)
