"""What runs were made from is kept, once per content, and comes back as it was."""

from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.errors import StoreError
from core.models import Inputs
from core.results.identity import content_hash, frame_hashes
from core.store import current_inputs, publish, read_runs, stored_inputs
from core.store.database import writing
from core.store.input_files import FOLDER, input_path
from core.store.tables import input_frames
from tests.core.store.samples import LAST, NOON, READ, TODAY, breach, inputs, record


def stored(root: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (root / FOLDER).iterdir()}


def changed(**frames: pl.DataFrame) -> dict[str, object]:
    """A run of other inputs."""
    other = Inputs(TODAY, inputs() | frames, LAST)
    return {"inputs": other, "frame_hashes": frame_hashes(other)}


def test_inputs_come_back_as_they_were_read(engine: Engine, root: Path) -> None:
    publish(engine, root, record(), NOON)
    back = stored_inputs(engine, root, read_runs(engine)["inputs_id"].item(), TODAY)
    for name, frame in READ.all_frames.items():
        assert back.all_frames[name].equals(frame)
        assert back.all_frames[name].schema == frame.schema


def test_a_frame_that_did_not_fit_its_schema_comes_back_too(engine: Engine, root: Path) -> None:
    prices = inputs()["prices"].with_columns(close=pl.lit("fifty"))
    publish(engine, root, record(reason="no price", **changed(prices=prices)), NOON)
    back = stored_inputs(engine, root, read_runs(engine)["inputs_id"].item(), TODAY)
    assert back["prices"].equals(prices)


def test_equal_content_is_kept_once(engine: Engine, root: Path) -> None:
    publish(engine, root, record("r1"), NOON)
    before = stored(root)
    assert len(before) == len(READ.all_frames)
    publish(engine, root, record("r2"), NOON)
    assert stored(root) == before
    publish(engine, root, record("r3", **changed(cash=inputs()["cash"].with_columns(amount=pl.lit(7.0)))), NOON)
    assert stored(root).items() > before.items()
    assert len(stored(root)) == len(before) + 1


def test_a_damaged_file_is_written_anew_by_the_next_set_that_has_it(engine: Engine, root: Path) -> None:
    publish(engine, root, record("r1"), NOON)
    file = root / input_path(content_hash(READ["prices"]))
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    publish(engine, root, record("r2", **changed(cash=inputs()["cash"].clear())), NOON)
    assert file.read_bytes() == whole


@pytest.mark.parametrize("damage", ["cut", "other", "gone"])
def test_a_file_that_is_not_what_was_stored_is_refused(engine: Engine, root: Path, damage: str) -> None:
    publish(engine, root, record(), NOON)
    file = root / input_path(content_hash(READ["prices"]))
    {
        "cut": lambda: file.write_bytes(file.read_bytes()[:100]),
        "other": lambda: READ["cash"].write_parquet(file),
        "gone": file.unlink,
    }[damage]()
    with pytest.raises(StoreError, match=r"stored prices.*backup.*--fresh"):
        stored_inputs(engine, root, read_runs(engine)["inputs_id"].item(), TODAY)


def test_inputs_of_refused_runs_are_kept_but_not_those_to_start_from(engine: Engine, root: Path) -> None:
    publish(engine, root, record(breaches=breach()), NOON)
    assert len(stored(root)) == len(READ.all_frames)
    assert current_inputs(engine, TODAY) == {}


def test_a_day_that_is_done_again_starts_from_the_current_run(engine: Engine, root: Path) -> None:
    publish(engine, root, record("r1"), NOON)
    publish(engine, root, record("r2", **changed(cash=inputs()["cash"].clear())), NOON)
    assert current_inputs(engine, TODAY)["core"].run_id == "r2"


def test_unknown_inputs_are_told(engine: Engine, root: Path) -> None:
    with pytest.raises(StoreError, match="no inputs x are stored"):
        stored_inputs(engine, root, "x", TODAY)


def test_a_set_that_lacks_a_frame_is_told(engine: Engine, root: Path) -> None:
    publish(engine, root, record(), NOON)
    with writing(engine, "test") as connection:
        connection.execute(sa.delete(input_frames).where(input_frames.c.frame == "prices"))
    with pytest.raises(StoreError, match="lack prices"):
        stored_inputs(engine, root, read_runs(engine)["inputs_id"].item(), TODAY)
