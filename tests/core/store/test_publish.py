"""Publishing: everywhere or nowhere, once, and with one current run per portfolio and date."""

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from core.errors import PublishingRefusedError, StoreError
from core.store import (
    Published,
    RunRecord,
    damages,
    publish,
    publish_all,
    read_current,
    read_runs,
    read_targets,
    run_rows,
)
from core.store.database import reading
from core.store.files import write_file
from core.store.input_files import FOLDER
from core.store.ownership import NAME
from core.store.records import Done, Status
from core.store.tables import outputs, promotions, runs
from tests.core.store.samples import NOON, TODAY, YESTERDAY, breach, record, target_rows
from tests.effort import examples

LATER = NOON + dt.timedelta(minutes=1)


def put(engine: Engine, root: Path, run: RunRecord) -> Published:
    return publish(engine, root, run, LATER)


def statuses(engine: Engine) -> dict[str, str]:
    return dict(read_runs(engine).select("run_id", "status").iter_rows())


def files(root: Path) -> list[str]:
    """The target files; those of stored inputs are in a folder of their own, and the folder has its name in one."""
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.parts[0] not in (FOLDER, NAME))


def ended(outcome: Done, path: str | None, supersedes: str | None, status: Status) -> Published:
    """What becomes of the first run."""
    return Published(outcome, "r1", 1, path, supersedes, status, pl.DataFrame())


def history(engine: Engine) -> list[tuple[str, int, int | None]]:
    """What became current, and what it replaced, in order."""
    columns = (promotions.c.portfolio_id, promotions.c.run_key, promotions.c.replaced)
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(promotions.c.promotion_key))]


def contents(engine: Engine) -> dict[str, list[Any]]:
    with reading(engine) as connection:
        return {name: list(connection.execute(sa.select(table))) for name, table in [("runs", runs), *outputs.items()]}


def test_a_published_run_has_its_row_file_and_rows(engine: Engine, root: Path) -> None:
    done = put(engine, root, record())
    path = "as_of=2026-07-31/portfolio_id=core/r1.parquet"
    assert done == ended("published", path, None, "published")
    assert files(root) == [path]
    run = read_runs(engine).row(0, named=True)
    assert (run["status"], run["parquet_path"], run["reason"], run["supersedes"]) == ("published", path, None, None)
    assert (run["started_at"], run["finished_at"]) == (NOON, LATER)
    for table in outputs:
        assert run_rows(engine, table, "r1").equals(record().rows(table))


def test_times_of_another_zone_are_stored_in_utc(engine: Engine, root: Path) -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    put(engine, root, record(started_at=NOON.astimezone(zone)))
    assert read_runs(engine)["started_at"].to_list() == [NOON]


def test_publishing_again_changes_nothing(engine: Engine, root: Path) -> None:
    put(engine, root, record())
    before, written = contents(engine), (root / files(root)[0]).stat().st_mtime_ns
    again = put(engine, root, record(batch_id="b2"))
    assert (again.outcome, again.status, again.run_key) == ("unchanged", "published", 1)
    assert contents(engine) == before
    assert (root / files(root)[0]).stat().st_mtime_ns == written


def test_another_run_supersedes_the_current_one(engine: Engine, root: Path) -> None:
    put(engine, root, record("r1"))
    second = put(engine, root, record("r2", targets=target_rows("core", TODAY, {"CCC": 0.1})))
    assert (second.outcome, second.supersedes) == ("published", "r1")
    assert statuses(engine) == {"r1": "superseded", "r2": "published"}
    assert read_current(engine)["symbol"].to_list() == ["$CASH", "CCC"]
    assert run_rows(engine, "targets", "r1")["symbol"].to_list() == ["$CASH", "AAA", "BBB"]


def test_a_superseded_run_becomes_current_again(engine: Engine, root: Path) -> None:
    first = put(engine, root, record("r1"))
    put(engine, root, record("r2", targets=target_rows("core", TODAY, {"CCC": 0.1})))
    rows, written = contents(engine)["targets"], files(root)
    restored = put(engine, root, record("r1"))
    assert restored == ended("restored", first.path, "r2", "published")
    assert history(engine) == [("core", 1, None), ("core", 2, 1), ("core", 1, 2)]
    assert read_runs(engine)["supersedes"].to_list() == [None, 1]
    assert statuses(engine) == {"r1": "published", "r2": "superseded"}
    assert (contents(engine)["targets"], files(root)) == (rows, written)
    assert read_targets(engine, root)["run_id"].unique().to_list() == ["r1"]


def test_a_run_that_its_own_batch_publishes_again_is_still_said_to_be_published(engine: Engine, root: Path) -> None:
    """As where the database went away at the commit, and nobody knows whether it took place."""
    put(engine, root, record("r0", batch_id="b0"))
    put(engine, root, record())
    before = contents(engine)
    again = put(engine, root, record())
    assert (again.outcome, again.supersedes) == ("published", "r0")
    assert contents(engine) == before


def test_a_run_that_is_known_returns_the_targets_that_are_stored(engine: Engine, root: Path) -> None:
    put(engine, root, record())
    nearly = record().targets.with_columns(pl.col("score") + 1e-12)
    again = put(engine, root, record(batch_id="b2", targets=nearly))
    assert again.targets.equals(record().targets)


def test_a_known_run_with_other_targets_is_refused(engine: Engine, root: Path) -> None:
    put(engine, root, record())
    with pytest.raises(PublishingRefusedError, match=r"other targets for \$CASH, AAA.*needs a new version"):
        put(engine, root, record(batch_id="b2", targets=target_rows("core", TODAY, {"AAA": 0.41, "BBB": 0.3})))


def test_runs_of_other_portfolios_and_dates_stay_current(engine: Engine, root: Path) -> None:
    for run in (record("r1"), record("r2", portfolio="other"), record("r3", as_of=YESTERDAY)):
        assert put(engine, root, run).supersedes is None
    assert set(statuses(engine).values()) == {"published"}


@settings(max_examples=examples(10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["r1", "r2", "r3", "bad"]), max_size=6))
def test_the_last_run_put_is_the_one_current(engine: Engine, root: Path, ids: list[str]) -> None:
    for run_id in ids:
        put(engine, root, record(run_id, breaches=breach()) if run_id == "bad" else record(run_id))
    current = read_runs(engine).filter(status="published")["run_id"].to_list()
    good = [run_id for run_id in ids if run_id != "bad"]
    assert len(current) <= 1
    assert not good or current == good[-1:]
    assert read_targets(engine, root).equals(read_current(engine))


def test_runs_put_at_the_same_time_take_turns(engine: Engine, root: Path) -> None:
    ids = [f"r{number}" for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda run_id: put(engine, root, record(run_id)), ids))
    assert {result.outcome for result in done} == {"published"}
    assert sorted(statuses(engine).values()) == ["published"] + ["superseded"] * 5
    assert len({result.supersedes for result in done}) == 6


# refused runs


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"breaches": breach()}, "1 limits breached: max_position"),
        ({"reason": "no price for AAA"}, "no price for AAA"),
        ({"reason": "no price for AAA", "breaches": breach()}, "no price for AAA"),
    ],
)
def test_a_refused_run_leaves_its_row_and_what_tells_why(
    engine: Engine, root: Path, changes: dict[str, Any], reason: str
) -> None:
    run = record(**changes)
    assert put(engine, root, run) == ended("refused", None, None, "refused")
    assert read_runs(engine).select("status", "reason", "parquet_path").row(0) == ("refused", reason, None)
    left = {table: len(run_rows(engine, table, "r1")) for table in outputs}
    why = {"findings": 2, "breaches": len(run.breaches), "relaxations": 1, "decisions": 2}
    assert left == dict.fromkeys(("targets", "actions", "bucket_statistics", "explanations"), 0) | why
    assert files(root) == []
    assert history(engine) == []


def test_a_refused_run_supersedes_nothing(engine: Engine, root: Path) -> None:
    put(engine, root, record("r1"))
    put(engine, root, record("r2", breaches=breach()))
    assert statuses(engine) == {"r1": "published", "r2": "refused"}


def test_refusing_again_changes_nothing(engine: Engine, root: Path) -> None:
    put(engine, root, record(breaches=breach()))
    before = contents(engine)
    again = put(engine, root, record(breaches=breach(), batch_id="b2"))
    assert (again.outcome, again.status) == ("unchanged", "refused")
    assert contents(engine) == before


@pytest.mark.parametrize("verdicts", [("good", "bad"), ("bad", "good")])
def test_the_same_run_cannot_have_two_verdicts(engine: Engine, root: Path, verdicts: tuple[str, str]) -> None:
    run = {"good": record(), "bad": record(breaches=breach())}
    put(engine, root, run[verdicts[0]])
    before = contents(engine)
    with pytest.raises(PublishingRefusedError, match="same inputs, policy and program version"):
        put(engine, root, run[verdicts[1]])
    assert contents(engine) == before


def _weight(weight: float | None) -> pl.DataFrame:
    return record().targets.with_columns(target_weight=pl.lit(weight, dtype=pl.Float64))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (_weight(float("nan")), "target_weight"),
        (_weight(float("inf")), "target_weight"),
        (_weight(None), "target_weight"),
        (pl.concat([record().targets] * 2), "primary_key.*AAA"),
        (record().targets.clear(), "one at least"),
        (target_rows("other", TODAY, {"AAA": 0.1}), "rows of this run"),
        (target_rows("core", YESTERDAY, {"AAA": 0.1}), "rows of this run"),
        (record().targets.drop("close"), "Targets declares them: see close"),
        (record().targets.with_columns(pl.col("score").cast(pl.String)), "see score"),
        (record().targets.select(sorted(record().targets.columns)), "the order"),
    ],
)
def test_targets_that_cannot_be_meant_are_not_published(
    engine: Engine, root: Path, targets: pl.DataFrame, message: str
) -> None:
    with pytest.raises(PublishingRefusedError, match=message):
        put(engine, root, record(targets=targets))
    assert read_runs(engine).is_empty()
    assert not root.exists()


# several runs


def several() -> list[RunRecord]:
    """Runs of other portfolios, with more rows and fewer, one of them refused."""
    return [
        record("r1", "one"),
        record("r2", "two", breaches=breach("two")),
        record("r3", "three", targets=target_rows("three", TODAY, {"AAA": 0.2}), findings=record().findings.clear()),
        record("r4", "four"),
    ]


def test_runs_that_are_published_together_keep_their_own_rows(engine: Engine, root: Path) -> None:
    done = list(publish_all(engine, root, several(), lambda: LATER))
    assert [each.outcome for each in done] == ["published", "refused", "published", "published"]
    of_refused = ("findings", "breaches", "relaxations", "decisions")
    for run in several():
        for table in outputs:
            kept = run.rows(table) if not run.refused or table in of_refused else run.rows(table).clear()
            assert run_rows(engine, table, run.run_id).equals(kept), (run.run_id, table)
    assert read_targets(engine, root).equals(read_current(engine))


def test_the_run_whose_targets_cannot_be_meant_is_named_and_none_is_published(engine: Engine, root: Path) -> None:
    wrong = [*several(), record("r5", "five", targets=target_rows("four", TODAY, {"AAA": 0.1}))]
    with pytest.raises(PublishingRefusedError, match="targets of portfolio 'five' on 2026-07-31 must be rows of this"):
        list(publish_all(engine, root, wrong, lambda: LATER))
    assert read_runs(engine).is_empty()
    assert not root.exists()


# killed half way


@pytest.mark.parametrize("step", ["keep_inputs", "write_file", "_insert_run", "_step_back", "_promote"])
def test_a_run_killed_half_way_is_nowhere_and_can_be_run_again(
    engine: Engine, root: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    put(engine, root, record("r1"))
    before = contents(engine)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(import_module("core.store.publish"), step, killed)
        with pytest.raises(KeyboardInterrupt):
            put(engine, root, record("r2"))
    assert contents(engine) == before
    assert read_targets(engine, root)["run_id"].unique().to_list() == ["r1"]
    assert put(engine, root, record("r2")).outcome == "published"


def test_a_run_killed_after_its_last_row_is_nowhere(
    engine: Engine, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine.dialect, "do_commit", refuses)
        with pytest.raises(KeyboardInterrupt):
            put(engine, root, record())
    assert files(root) == ["as_of=2026-07-31/portfolio_id=core/r1.parquet"]
    assert read_runs(engine).is_empty()
    assert read_targets(engine, root).is_empty()


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"half")], ids=["missing", "damaged"])
@pytest.mark.parametrize("which", ["as_of=*/*/*.parquet", f"{FOLDER}/*.parquet"], ids=["targets", "inputs"])
def test_files_that_are_not_whole_any_more_are_written_again_by_the_same_run(
    engine: Engine, root: Path, harm: Callable[[Path], object], which: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(engine, root, record())
    assert put(engine, root, record()).outcome == "published"
    assert not caplog.records
    before = {path: path.read_bytes() for path in root.rglob("*.parquet")}
    for path in root.glob(which):
        harm(path)
    other_batch = replace(record(), batch_id="another")
    assert put(engine, root, other_batch).outcome == "unchanged"
    assert {path: path.read_bytes() for path in root.rglob("*.parquet")} == before
    assert "written again" in caplog.text
    assert damages(engine, root).is_empty()


def test_a_file_that_was_left_over_is_replaced(engine: Engine, root: Path) -> None:
    put(engine, root, record("r0", portfolio="other"))
    write_file(root, "as_of=2026-07-31/portfolio_id=core/r1.parquet", b"half of an older attempt")
    put(engine, root, record())
    assert len(read_targets(engine, root, portfolio_id="core")) == 3


def test_targets_that_cannot_be_written_leave_no_run(engine: Engine, root: Path) -> None:
    root.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"cannot be written.*EVENKEEL_TARGETS"):
        put(engine, root, record())
    assert read_runs(engine).is_empty()


# odd names


@pytest.mark.parametrize("name", ["a/b", "../up", "O'Neil", 'quo"te', "日本", "a=b%41", " ", ".", "all", "x" * 80])
def test_odd_portfolios_and_symbols_come_back(engine: Engine, root: Path, name: str) -> None:
    targets = target_rows(name, TODAY, {name: 0.1})
    put(engine, root, record(portfolio=name, targets=targets, actions=record(portfolio=name).actions))
    expected = targets.sort("symbol")
    assert read_targets(engine, root, TODAY, name).drop("run_id").equals(expected)
    assert read_current(engine, TODAY, name).drop("run_id").equals(expected)
    assert len(Path(files(root)[0]).parts) == 3
