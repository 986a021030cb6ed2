"""What is older than the period and nobody's current is no longer kept, whatever happens in between; all else stays."""

import datetime as dt
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from core.models import Inputs
from core.results.identity import frame_hashes
from core.store import (
    RunRecord,
    damages,
    engine_from_url,
    inputs_kept,
    publish,
    read_runs,
    read_targets,
    remove_leftovers,
    retire,
    run_rows,
    space,
    stored_inputs,
    unnamed_files,
)
from core.store.ownership import NAME
from core.store.retention import Retired
from tests.core.store.samples import LAST, NOON, TODAY, inputs, record, table

PERIOD = dt.timedelta(days=100)
LATER = NOON + PERIOD


def made(run_id: str, cash: float, **changes: object) -> RunRecord:
    """A run of inputs of its own."""
    read = Inputs(TODAY, inputs() | {"cash": table("cash", ("core", TODAY, cash))}, LAST)
    return replace(record(run_id), inputs=read, frame_hashes=frame_hashes(read), **changes)


OLD, MIDDLE, NEW = made("r1", 1.0), made("r2", 2.0), made("r3", 3.0)


@pytest.fixture
def history(engine: Engine, root: Path) -> None:
    """Three runs of one day, ten days apart; the last one is current."""
    for number, run in enumerate((OLD, MIDDLE, NEW)):
        publish(engine, root, run, NOON + number * dt.timedelta(days=10))


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - {NAME}


def target_files(root: Path) -> set[str]:
    return {Path(path).stem for path in files(root) if path.startswith("as_of=")}


@pytest.mark.usefixtures("history")
def test_superseded_runs_that_nobody_changed_since_lose_their_files_and_keep_their_rows(engine: Engine, root: Path):
    before = read_runs(engine)
    assert retire(engine, root, NOON + dt.timedelta(days=15)) == Retired(targets=1, input_sets=1)
    remove_leftovers(engine, root)
    assert target_files(root) == {"r2", "r3"}
    assert not inputs_kept(engine, OLD.inputs_id)
    assert read_runs(engine).drop("parquet_path").equals(before.drop("parquet_path"))
    assert run_rows(engine, "targets", "r1").height == 3
    assert stored_inputs(engine, root, MIDDLE.inputs_id, TODAY).frames["cash"]["amount"].to_list() == [2.0]


@pytest.mark.usefixtures("history")
def test_a_run_that_was_superseded_within_the_period_is_kept(engine: Engine, root: Path) -> None:
    """r1 was made on day 0 and superseded on day 10."""
    assert retire(engine, root, NOON + dt.timedelta(days=10)) == Retired(0, 0)
    assert retire(engine, root, NOON + dt.timedelta(days=10, seconds=1)) == Retired(1, 1)


@pytest.mark.usefixtures("history")
def test_what_is_current_is_kept_however_old_it_is(engine: Engine, root: Path) -> None:
    assert retire(engine, root, NOON + dt.timedelta(days=9999)) == Retired(2, 2)
    remove_leftovers(engine, root)
    assert target_files(root) == {"r3"}
    assert read_targets(engine, root)["run_id"].unique().to_list() == ["r3"]
    assert damages(engine, root).is_empty()


def test_inputs_that_a_kept_run_shares_are_kept(engine: Engine, root: Path) -> None:
    publish(engine, root, record("r1"), NOON)
    publish(engine, root, record("r2", policy="limits: {} # other"), NOON)
    before = {path for path in files(root) if path.startswith("_inputs")}
    assert retire(engine, root, LATER) == Retired(targets=1, input_sets=0)
    remove_leftovers(engine, root)
    assert {path for path in files(root) if path.startswith("_inputs")} == before


@pytest.mark.usefixtures("history")
def test_a_kill_between_rows_and_files_leaves_files_that_nobody_names_and_no_damage(engine: Engine, root: Path) -> None:
    before = files(root)
    retire(engine, root, LATER)
    assert files(root) == before
    assert damages(engine, root).is_empty()
    left = unnamed_files(engine, root)
    assert {Path(path).stem for path in left if path.startswith("as_of")} == {"r1", "r2"}
    assert remove_leftovers(engine, root) == left
    assert retire(engine, root, LATER) == Retired(0, 0)


@pytest.mark.usefixtures("history")
def test_a_run_that_becomes_current_again_is_kept_again(engine: Engine, root: Path) -> None:
    content = (root / read_runs(engine)["parquet_path"][0]).read_bytes()
    retire(engine, root, LATER)
    remove_leftovers(engine, root)
    again = publish(engine, root, OLD, LATER)
    assert (again.outcome, again.supersedes) == ("restored", "r3")
    assert again.path is not None
    assert (root / again.path).read_bytes() == content
    assert read_targets(engine, root)["run_id"].unique().to_list() == ["r1"]
    assert inputs_kept(engine, OLD.inputs_id)
    assert damages(engine, root).is_empty()
    assert unnamed_files(engine, root) == []


@pytest.mark.usefixtures("history")
def test_what_is_damaged_is_named(engine: Engine, root: Path) -> None:
    (path,) = read_runs(engine).filter(run_id="r2")["parquet_path"]
    (root / path).write_bytes(b"half")
    kept = frame_hashes(NEW.inputs)["cash"]
    (root / f"_inputs/{kept}.parquet").unlink()
    found = damages(engine, root)
    assert found["run_id"].to_list() == ["r2", "r3"]
    assert path in found["detail"][0]
    assert kept in found["detail"][1]


@pytest.mark.usefixtures("history")
def test_space_adds_up_to_the_files_there_are(engine: Engine, root: Path) -> None:
    (root / "as_of=2026-07-31" / "left.tmp").write_bytes(b"12345")
    told = space(engine, root).rows_by_key("kind", named=True, unique=True)
    kinds = {kind: row for kind, row in told.items() if kind != "database"}
    assert sum(row["files"] for row in kinds.values()) == len(files(root))
    assert sum(row["bytes"] for row in kinds.values()) == sum((root / path).stat().st_size for path in files(root))
    assert told["targets, current"]["files"] == 1
    assert told["targets, superseded"]["files"] == 2
    assert told["inputs of current runs"]["files"] == len(set(frame_hashes(NEW.inputs).values()))
    assert told["inputs of other runs"]["files"] == 2  # the cash of either
    assert told["named by no run"] == {"files": 1, "bytes": 5}
    assert told["database"]["bytes"] > 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    days=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    order=st.lists(st.integers(0, 3), min_size=6, max_size=6),
    cut=st.integers(0, 40),
)
def test_after_any_history_nothing_current_or_recent_is_missing(
    tmp_path_factory, sqlite_template, days, order, cut
) -> None:
    folder = tmp_path_factory.mktemp("history")
    shutil.copy(sqlite_template, folder / "evenkeel.db")
    engine, root = engine_from_url(f"sqlite:///{folder / 'evenkeel.db'}"), folder / "targets"
    touched: dict[str, int] = {}
    current = None
    for day, number in zip(sorted(days), order, strict=False):
        run = made(f"r{number}", float(number))
        if publish(engine, root, run, NOON + dt.timedelta(days=day)).outcome != "unchanged":
            touched |= {name: day for name in (run.run_id, current) if name is not None}
            current = run.run_id
    retire(engine, root, NOON + dt.timedelta(days=cut))
    remove_leftovers(engine, root)
    assert target_files(root) == {name for name, day in touched.items() if day >= cut or name == current}
    assert damages(engine, root).is_empty()
    assert unnamed_files(engine, root) == []
    kept = {f"r{number}" for number in range(4) if inputs_kept(engine, made(f"r{number}", float(number)).inputs_id)}
    assert kept == target_files(root)
    engine.dispose()


def test_frames_are_of_the_declared_columns(engine: Engine, root: Path) -> None:
    assert damages(engine, root).schema == pl.Schema(
        {"portfolio_id": pl.String, "as_of": pl.Date, "run_id": pl.String, "detail": pl.String}
    )
    assert space(engine, root).filter(pl.col("files") > 0).is_empty()
