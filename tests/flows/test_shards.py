"""A batch in shards, on the demo market: the same targets as in one, whatever happens to a shard."""

import datetime as dt
import os
import pickle

import polars as pl
import pytest
import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.states import Failed

from core import batch, store
from core.errors import ConfigurationError, StoreError
from core.models import sharded
from flows.daily_rebalance import daily_rebalance, rebalanced
from tasks.runners import task_runner
from tasks.settings import named_policy, settings
from tasks.shards import LeftBehindError, may_be_repeated, rebalance_shard
from tests.flows.conftest import AS_OF, PORTFOLIOS
from tests.flows.test_daily_rebalance import artifacts

pytestmark = pytest.mark.usefixtures("prefect_server")
MANY = [f"p{number:02}" for number in range(18)]


def run(shards, **parameters):
    return rebalanced(**{"as_of": AS_OF, "shards": shards, **parameters})


def outcomes(report):
    return {told.portfolio_id: told.outcome for told in report.outcomes}


def execute(database, sql):
    with database.begin() as connection:
        connection.execute(sa.text(sql))


def filled(database):
    """The same database with 21 portfolios: the new ones hold cash alone, each another amount."""
    rows = {
        "portfolios": pl.DataFrame({"portfolio_id": MANY, "name": MANY, "base_currency": "USD", "active": True}),
        "cash": pl.DataFrame(
            {"portfolio_id": MANY, "as_of": AS_OF, "amount": [1e6 + number for number in range(len(MANY))]}
        ),
    }
    store.load_frames(database, rows)
    return database


@pytest.fixture
def many(database):
    return filled(database)


@pytest.fixture(scope="module")
def twice(postgres_server, demo_template, tmp_path_factory, prefect_server):
    """The same 21 portfolios in four shards, and then in one batch that reads afresh: the ends of both flow runs."""
    with pytest.MonkeyPatch.context() as environment, postgres_server.database(demo_template) as url:
        environment.setenv("EVENKEEL_DATABASE_URL", url)
        environment.setenv("EVENKEEL_TARGETS", str(tmp_path_factory.mktemp("targets")))
        database = filled(store.engine_from_url(settings().database_url))
        parted = daily_rebalance(as_of=AS_OF, shards=4, return_state=True)
        whole = daily_rebalance(as_of=AS_OF, fresh=True, return_state=True)
        same = store.read_current(database).equals(store.read_targets(database, settings().targets))
    assert same
    return parted, whole


def test_any_number_of_shards_gives_the_same_bits_and_the_same_identity(database):
    first = run(1)
    again = run(3, fresh=True)
    assert set(outcomes(again).values()) == {"unchanged"}
    assert [told.run_id for told in again.outcomes] == [told.run_id for told in first.outcomes]
    assert again.targets.equals(first.targets)
    assert set(outcomes(run(2)).values()) == {"unchanged"}  # from the inputs that were stored in one


def test_what_was_published_in_shards_is_unchanged_in_one(twice):
    parted, whole = (state.result() for state in twice)
    assert outcomes(parted) == dict.fromkeys(sorted([*MANY, *PORTFOLIOS]), "published")
    assert set(outcomes(whole).values()) == {"unchanged"}


def test_a_report_of_many_portfolios_is_small_and_its_totals_are_those_of_all(twice):
    parted, whole = (state.result() for state in twice)
    assert parted.decisions.is_empty()
    assert len(pickle.dumps(parted)) < len(pickle.dumps(whole)) / 2  # the rows of 20 portfolios, and no decisions
    assert parted.totals.rows["targets"] == whole.targets.height
    assert parted.totals.figures.sort("portfolio_id").equals(whole.totals.figures.sort("portfolio_id"))


def test_the_artifacts_are_those_of_a_batch_in_one(twice):
    parted, whole = map(artifacts, twice)
    assert parted.keys() - {"shards-progress"} == whole.keys()
    assert parted["shards-progress"] == 100.0
    for part in ("Portfolios", "Weights", "Enforced"):
        theirs = section(whole["rebalance-summary"], part).replace("unchanged", "published")
        assert section(parted["rebalance-summary"], part) == theirs
    assert parted["targets"] == [row for row in whole["targets"] if row["portfolio"] != MANY[-1]]  # those of the first


def section(summary, title):
    return summary.split(f"## {title}\n")[1].split("\n## ")[0]


def test_a_refused_portfolio_stops_neither_its_shard_nor_the_others(many):
    execute(many, "DELETE FROM cash WHERE portfolio_id = 'p03'")
    state = daily_rebalance(as_of=AS_OF, shards=3, return_state=True)
    assert state.is_failed()
    assert "1 of 21 portfolios refused (p03)" in state.message
    assert store.read_current(many)["portfolio_id"].n_unique() == 20


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
    assert "3 portfolios: 2 published, 1 failed" in told
    assert "two and two are five" in section(told, "Failed")
    with get_client(sync_client=True) as client:
        assert "failed" in client.read_flow_run(state.state_details.flow_run_id).tags
    monkeypatch.undo()


def test_a_shard_is_tried_again_after_an_outage_and_finds_what_it_had_published(many, monkeypatch):
    monkeypatch.setattr(rebalance_shard, "retry_delay_seconds", [0.0])
    honest, cut = store.publish_all, []

    def away_once(engine, root, records, clock):
        done = honest(engine, root, records, clock)
        for record in records:
            if record.portfolio_id == "p05" and not cut:
                cut.append(record)
                gone = sa.exc.OperationalError("SELECT 1", {}, Exception("connection refused"))
                raise StoreError("the database is away") from gone
            yield next(done)

    monkeypatch.setattr(store, "publish_all", away_once)
    report = run(3)
    assert cut
    assert set(outcomes(report).values()) == {"published"}
    assert store.read_runs(many).height == 21


def test_a_dry_run_in_shards_publishes_nothing_and_tells_the_time_of_all_by_step(database):
    report = run(3, dry_run=True)
    assert set(outcomes(report).values()) == {"planned"}
    assert store.read_runs(database).is_empty()
    assert {"reading", "data gate", "constraints", "records"} <= report.seconds.keys()
    assert all(seconds > 0 for seconds in report.seconds.values())


def test_what_others_are_doing_is_left_to_them(database):
    with store.guarded(database, AS_OF, ["balanced"], "somebody", dt.datetime.now(dt.UTC)):
        report = run(3)
    assert outcomes(report) == dict.fromkeys(PORTFOLIOS, "published") | {"balanced": "busy"}
    assert "being done by somebody" in report.busy[0].reason


def test_a_shard_whose_earlier_attempt_is_not_quite_over_is_tried_again(database):
    now = dt.datetime.now(dt.UTC)
    occasion = batch.Occasion(named_policy("conservative"), AS_OF, "batch", now, holder="flow run x")
    shard, *_ = sharded(PORTFOLIOS, 3)
    given = {"portfolios": None, "fresh": True, "dry_run": False, "shown": None}
    held = store.guarded(database, AS_OF, shard.portfolio_ids, "flow run x, shard 1 of 3", now)
    with held, pytest.raises(LeftBehindError, match="shard 1 of 3 is still at work on balanced") as refusal:
        rebalance_shard.fn(occasion, shard, **given)
    assert may_be_repeated(rebalance_shard, None, Failed(data=refusal.value))
    assert store.read_runs(database).is_empty()
    assert outcomes(rebalance_shard.fn(occasion, shard, **given)) == {"balanced": "published"}


def test_inputs_that_are_changed_between_two_shards_are_told(database, monkeypatch):
    monkeypatch.setenv("EVENKEEL_WORKERS", "1")
    honest = batch.rebalanced

    def meanwhile(engine, root, occasion, part, **how):
        done = honest(engine, root, occasion, part, **how)
        if "balanced" in part.portfolio_ids:
            execute(database, "UPDATE prices SET close = close * 1.01 WHERE symbol = 'BALAN'")
        return done

    monkeypatch.setattr(batch, "rebalanced", meanwhile)
    report = run(3)
    assert set(outcomes(report).values()) == {"published"}
    assert report.findings.filter(code="changed_meanwhile")["frame"].to_list() == ["prices"]


def test_rows_that_belong_to_nobody_stop_every_shard(database):
    execute(database, "UPDATE cash SET portfolio_id = '' WHERE portfolio_id = 'balanced'")
    assert set(outcomes(run(3)).values()) == {"refused"}


def test_shards_are_nearly_equal_and_in_order():
    parts = sharded(["a", "b", "c", "d", "e"], 3)
    assert [part.portfolio_ids for part in parts] == [("a",), ("b", "c"), ("d", "e")]
    assert [part.name for part in sharded(["a"], 8)] == ["shard 1 of 1"]


def test_a_task_runner_that_nobody_knows_is_refused_with_the_nearest(monkeypatch):
    monkeypatch.setenv("EVENKEEL_TASK_RUNNER", "dusk")
    with pytest.raises(ConfigurationError, match="Did you mean 'dask'"):
        task_runner()


def test_a_number_of_workers_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("EVENKEEL_WORKERS", "0")
    with pytest.raises(ConfigurationError, match="EVENKEEL_WORKERS is '0'"):
        task_runner()


def end_once(marker, portfolio_id):
    """In a worker: have it killed (SIGKILL) when it is about to publish a portfolio; one worker, one time."""
    import os
    import signal

    from core import store

    honest = store.publish_all

    def deadly(engine, root, records, clock):
        done = honest(engine, root, records, clock)
        for record in records:
            if record.portfolio_id == portfolio_id:
                try:
                    os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
                    os.kill(os.getpid(), signal.SIGKILL)
                except FileExistsError:
                    pass
            yield next(done)

    store.publish_all = deadly


@pytest.mark.end_to_end
def test_a_killed_worker_of_a_cluster_is_made_up_for_and_nothing_is_published_twice(many, tmp_path, monkeypatch):
    from distributed import Client, LocalCluster

    expected = run(1, dry_run=True)
    processes = {"n_workers": 3, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**processes) as cluster, Client(cluster) as client:
        monkeypatch.setenv("EVENKEEL_TASK_RUNNER", "dask")
        monkeypatch.setenv("EVENKEEL_DASK_ADDRESS", cluster.scheduler_address)
        client.run(end_once, str(tmp_path / "killed"), "p08")
        before = set(client.run(os.getpid).values())
        report = run(5)
        after = set(client.run(os.getpid).values())
    assert (tmp_path / "killed").exists()
    assert before != after
    assert set(outcomes(report).values()) == {"published"}
    assert store.read_runs(many).height == 21
    published = store.read_current(many, AS_OF).drop("run_id").sort("portfolio_id", "symbol")
    assert published.equals(expected.targets.select(published.columns).sort("portfolio_id", "symbol"))
