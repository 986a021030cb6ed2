"""A batch in shards, on the demo market: the same targets as in one, whatever happens to a shard."""

import pickle

import polars as pl
import pytest
import sqlalchemy as sa
from prefect.client.orchestration import get_client

from core import batch, store
from core.errors import ConfigurationError, StoreError
from core.models import sharded
from flows.daily_rebalance import daily_rebalance, rebalanced
from tasks import shards as shard_tasks
from tasks.runners import task_runner
from tasks.settings import settings
from tests.flows.conftest import AS_OF, PORTFOLIOS
from tests.flows.test_daily_rebalance import artifacts

pytestmark = pytest.mark.usefixtures("prefect_server")
MANY = [f"p{number:02}" for number in range(24)]


def run(shards, **parameters):
    return rebalanced(**{"as_of": AS_OF, "shards": shards, **parameters})


def outcomes(report):
    return {told.portfolio_id: told.outcome for told in report.outcomes}


def execute(database, sql):
    with database.begin() as connection:
        connection.execute(sa.text(sql))


@pytest.fixture
def many(database):
    """The demo market with 27 portfolios: the new ones hold cash alone, each another amount."""
    rows = {
        "portfolios": pl.DataFrame({"portfolio_id": MANY, "name": MANY, "base_currency": "USD", "active": True}),
        "cash": pl.DataFrame(
            {"portfolio_id": MANY, "as_of": AS_OF, "amount": [1e6 + number for number in range(len(MANY))]}
        ),
    }
    store.load_frames(database, rows)
    return database


def test_any_number_of_shards_gives_the_same_bits_and_the_same_identity(database):
    first = run(1)
    for count in (2, 3, 7):
        again = run(count, fresh=True)
        assert set(outcomes(again).values()) == {"unchanged"}
        assert [told.run_id for told in again.outcomes] == [told.run_id for told in first.outcomes]
        assert again.targets.sort("portfolio_id", maintain_order=True).equals(first.targets)


def test_what_was_published_in_shards_is_unchanged_in_one(many):
    parted = run(4)
    assert set(outcomes(parted).values()) == {"published"}
    whole = run(1, fresh=True)
    assert set(outcomes(whole).values()) == {"unchanged"}
    assert outcomes(run(5)) == outcomes(whole)  # from the stored inputs, which others shards had read
    assert store.read_current(many).equals(store.read_targets(many, settings().targets))


def test_a_report_of_many_portfolios_stays_small_and_its_summary_tells_all(many):
    parted, whole = run(4, dry_run=True), run(1, dry_run=True)
    assert parted.targets.height < whole.targets.height
    assert parted.decisions.is_empty()
    assert parted.totals.rows["targets"] == whole.targets.height
    assert parted.totals.figures.sort("portfolio_id").equals(whole.totals.figures.sort("portfolio_id"))
    assert len(pickle.dumps(parted)) < len(pickle.dumps(whole)) / 4


def test_the_artifacts_are_those_of_a_batch_in_one(many):
    parted = artifacts(daily_rebalance(as_of=AS_OF, shards=4, return_state=True))
    whole = artifacts(daily_rebalance(as_of=AS_OF, fresh=True, return_state=True))
    assert parted.keys() - {"shards-progress"} == whole.keys()
    assert parted["shards-progress"] == 100.0
    for part in ("Portfolios", "Weights", "Enforced"):
        theirs = section(whole["rebalance-summary"], part).replace("unchanged", "published")
        assert section(parted["rebalance-summary"], part) == theirs
    assert parted["targets"] == whole["targets"][: len(parted["targets"])]


def section(summary, title):
    return summary.split(f"## {title}\n")[1].split("\n## ")[0]


def test_a_refused_portfolio_stops_neither_its_shard_nor_the_others(many):
    execute(many, "DELETE FROM cash WHERE portfolio_id = 'p03'")
    state = daily_rebalance(as_of=AS_OF, shards=3, return_state=True)
    assert state.is_failed()
    assert "1 of 27 portfolios refused (p03)" in state.message
    assert store.read_current(many)["portfolio_id"].n_unique() == 26


def test_a_shard_that_fails_for_good_is_named_with_its_portfolios_and_the_others_are_published(database, monkeypatch):
    honest = batch.rebalanced

    def broken(engine, root, occasion, part, **how):
        if "concentrated" in part.portfolio_ids:
            raise ArithmeticError("two and two are five.")
        return honest(engine, root, occasion, part, **how)

    monkeypatch.setattr(batch, "rebalanced", broken)
    state = daily_rebalance(as_of=AS_OF, shards=3, return_state=True)
    assert state.is_failed()
    assert "1 of 3 portfolios failed (concentrated)" in state.message
    assert "shard 2 of 3 (concentrated) failed: two and two are five." in state.message
    assert sorted(store.read_current(database)["portfolio_id"].unique()) == ["balanced", "newcomer"]
    told = artifacts(state)["rebalance-summary"]
    assert "3 portfolios: 2 published, 1 failed" in told.replace("1 failed, 2 published", "2 published, 1 failed")
    assert "two and two are five" in section(told, "Failed")
    with get_client(sync_client=True) as client:
        assert "failed" in client.read_flow_run(state.state_details.flow_run_id).tags
    monkeypatch.undo()


def test_a_shard_is_tried_again_after_an_outage_and_finds_what_it_had_published(many, monkeypatch):
    monkeypatch.setattr(shard_tasks.rebalance_shard, "retry_delay_seconds", [0.0])
    honest, cut = store.publish, []

    def away_once(engine, root, record, now):
        if record.portfolio_id == "p05" and not cut:
            cut.append(record)
            gone = sa.exc.OperationalError("SELECT 1", {}, Exception("connection refused"))
            raise StoreError("the database is away") from gone
        return honest(engine, root, record, now)

    monkeypatch.setattr(store, "publish", away_once)
    report = run(3)
    assert cut
    assert set(outcomes(report).values()) == {"published"}
    assert store.read_runs(many).height == 27


def test_what_others_are_doing_is_left_to_them(database):
    since = batch.dt.datetime(2026, 11, 20, 12, tzinfo=batch.dt.UTC)
    with store.guarded(database, AS_OF, ["balanced"], "somebody", since):
        report = run(3)
    assert outcomes(report) == dict.fromkeys(PORTFOLIOS, "published") | {"balanced": "busy"}
    assert "being done by somebody" in report.busy[0].reason


def test_rows_that_belong_to_nobody_stop_every_shard(database):
    execute(database, "UPDATE cash SET portfolio_id = '' WHERE portfolio_id = 'balanced'")
    assert set(outcomes(run(3)).values()) == {"refused"}


def test_a_dry_run_in_shards_publishes_nothing(database):
    assert set(outcomes(run(2, dry_run=True)).values()) == {"planned"}
    assert store.read_runs(database).is_empty()


def test_shards_are_nearly_equal_and_in_order():
    parts = sharded(["a", "b", "c", "d", "e"], 3)
    assert [part.portfolio_ids for part in parts] == [("a",), ("b", "c"), ("d", "e")]
    assert parts[1].others == ("a", "d", "e")
    assert [part.name for part in sharded(["a"], 8)] == ["shard 1 of 1"]


def test_a_task_runner_that_nobody_knows_is_refused_with_the_nearest(monkeypatch):
    monkeypatch.setenv("EVENKEEL_TASK_RUNNER", "dusk")
    with pytest.raises(ConfigurationError, match="Did you mean 'dask'"):
        task_runner()


def test_a_number_of_workers_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("EVENKEEL_WORKERS", "0")
    with pytest.raises(ConfigurationError, match="EVENKEEL_WORKERS is '0'"):
        task_runner()
