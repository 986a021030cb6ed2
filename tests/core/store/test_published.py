"""Reading what was published."""

from pathlib import Path

import polars as pl
import pytest
from sqlalchemy.engine import Engine

from core.errors import StoreError
from core.schemas import Targets
from core.store import (
    find_run,
    publish,
    read_current,
    read_runs,
    read_targets,
    run_days,
    run_rows,
    symbol_rows,
    symbols_considered,
    unnamed_files,
)
from core.store.files import digest, encoded
from tests.core.store.samples import NOON, TODAY, YESTERDAY, breach, record


@pytest.fixture
def published(engine: Engine, root: Path) -> Engine:
    """Two portfolios today, one of them yesterday too, and a refused run."""
    runs = [
        record("r1"),
        record("r2", portfolio="other"),
        record("r3", as_of=YESTERDAY),
        record("r4", portfolio="third", breaches=breach("third")),
    ]
    for run in runs:
        publish(engine, root, run, NOON)
    return engine


def test_both_ways_of_reading_give_the_same_rows(published: Engine, root: Path) -> None:
    targets = read_targets(published, root)
    assert targets.columns == ["run_id", *Targets.columns()]
    assert targets.equals(read_current(published))
    assert targets["run_id"].unique(maintain_order=True).to_list() == ["r3", "r1", "r2"]


def test_reading_is_narrowed_to_a_date_and_a_portfolio(published: Engine, root: Path) -> None:
    for read in (lambda *which: read_targets(published, root, *which), lambda *which: read_current(published, *which)):
        assert read(TODAY)["run_id"].unique(maintain_order=True).to_list() == ["r1", "r2"]
        assert read(TODAY, "other")["run_id"].unique().to_list() == ["r2"]
        assert read(None, "core")["run_id"].unique(maintain_order=True).to_list() == ["r3", "r1"]
        assert read(YESTERDAY, "other").is_empty()


def test_nothing_published_reads_as_typed_and_empty(engine: Engine, root: Path) -> None:
    assert read_targets(engine, root).equals(read_current(engine))
    assert read_targets(engine, root).drop("run_id").schema == Targets.create_empty().schema
    assert read_runs(engine).is_empty()


def test_runs_are_listed_in_the_order_in_which_they_were_made(published: Engine) -> None:
    assert read_runs(published)["run_id"].to_list() == ["r1", "r2", "r3", "r4"]
    assert read_runs(published, TODAY, "third").select("run_id", "status").rows() == [("r4", "refused")]


def test_rows_of_an_unknown_run_are_refused(published: Engine) -> None:
    with pytest.raises(StoreError, match="no run 'r9'"):
        run_rows(published, "actions", "r9")


def test_the_days_of_each_portfolio_are_listed_once(published: Engine, root: Path) -> None:
    publish(published, root, record("r5"), NOON)
    days = [("core", YESTERDAY), ("core", TODAY), ("other", TODAY), ("third", TODAY)]
    assert run_days(published).rows() == days


def test_the_rows_of_a_symbol_are_read_over_several_runs(published: Engine) -> None:
    found = symbol_rows(published, "decisions", [1, 2], "AAA")
    assert found.select("run_key", "portfolio_id", "wanted_weight").rows() == [(1, "core", 0.4), (2, "other", 0.4)]
    assert symbol_rows(published, "explanations", [1, 2], "BBB").is_empty()
    assert symbols_considered(published, [1]) == ["AAA", "BBB"]
    assert symbols_considered(published, []) == []


def _file(root: Path) -> Path:
    return next(root.glob("as_of=2026-07-31/portfolio_id=core/*.parquet"))


@pytest.mark.parametrize("position", [0, 100, -1])
def test_a_corrupted_file_is_named(published: Engine, root: Path, position: int) -> None:
    content = bytearray(_file(root).read_bytes())
    content[position] ^= 1
    _file(root).write_bytes(content)
    with pytest.raises(StoreError, match=r"portfolio_id=core/r1\.parquet are not those that were published"):
        read_targets(published, root)
    assert len(read_targets(published, root, TODAY, "other")) == 3


def test_a_missing_file_is_named(published: Engine, root: Path) -> None:
    _file(root).unlink()
    with pytest.raises(StoreError, match=r"portfolio_id=core/r1\.parquet cannot be read"):
        read_targets(published, root)


def test_a_file_that_no_run_names_is_not_read(published: Engine, root: Path) -> None:
    _file(root).with_name("r9.parquet").write_bytes(_file(root).read_bytes())
    assert len(read_targets(published, root)) == 9


def test_a_run_is_found_by_the_beginning_of_its_id(published: Engine, root: Path) -> None:
    for run_id in ("abc_123", "abc_124"):
        publish(published, root, record(run_id), NOON)
    assert find_run(published, "r1")["run_id"].item() == "r1"
    assert find_run(published, "abc_124")["status"].item() == "published"
    with pytest.raises(StoreError, match=r"'abc_12': abc_123 \(core, 2026-07-31\), abc_124 \(core, 2026-07-31\)\."):
        find_run(published, "abc_12")
    for unknown in ("abc%12", "ABC_124", "r"):
        with pytest.raises(StoreError, match=f"there is no run '{unknown}'"):
            find_run(published, unknown)


def test_files_that_no_row_names_are_listed(published: Engine, root: Path) -> None:
    assert unnamed_files(published, root) == []
    lost = _file(root).with_name("r9.parquet")
    lost.write_bytes(b"")
    assert unnamed_files(published, root) == [str(lost.relative_to(root))]


def test_equal_targets_give_equal_bytes() -> None:
    assert encoded("r1", record().targets) == encoded("r1", record().targets.clone())
    assert digest(encoded("r1", record().targets)) != digest(encoded("r2", record().targets))


def test_other_programs_read_the_folder_as_one_table(published: Engine, root: Path) -> None:
    found = (
        pl.scan_parquet(root / "as_of=*/**/*.parquet", hive_partitioning=True)
        .collect()
        .sort("as_of", "portfolio_id", "symbol")
    )
    assert found["portfolio_id"].to_list() == ["core"] * 6 + ["other"] * 3
