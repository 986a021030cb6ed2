"""A day that is done again: from stored inputs or fresh ones, while others are at work, after a crash."""

import datetime as dt
import sqlite3

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import get_client
from sqlalchemy.exc import OperationalError

from core import engine, store, stored
from core.errors import StoreError
from core.store import guarded
from flows.daily_rebalance import daily_rebalance, rebalanced
from flows.occasion import BatchBusyError
from tasks import guard, publish
from tasks.settings import settings
from tests.flows.conftest import AS_OF, PORTFOLIOS

pytestmark = pytest.mark.usefixtures("prefect_server")
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


def run(**parameters):
    return rebalanced(**{"as_of": AS_OF, **parameters})


def outcomes(report):
    return {told.portfolio_id: told.outcome for told in report.outcomes}


def more_cash(database, portfolio):
    with database.begin() as connection:
        change = "UPDATE cash SET amount = amount * 2 WHERE portfolio_id = :portfolio"
        connection.execute(sa.text(change), {"portfolio": portfolio})


def test_a_rerun_starts_from_the_stored_inputs_unless_it_asks_for_fresh_ones(database):
    first = run()
    more_cash(database, "balanced")
    again = run()
    assert set(outcomes(again).values()) == {"unchanged"}
    assert again.targets.equals(first.targets)
    fresh = run(fresh=True)
    assert outcomes(fresh) == dict.fromkeys(PORTFOLIOS, "unchanged") | {"balanced": "published"}
    (balanced, *_) = fresh.outcomes
    assert balanced.supersedes == first.outcomes[0].run_id
    assert set(outcomes(run()).values()) == {"unchanged"}  # the newest inputs are the stored ones now


def test_what_was_refused_is_read_afresh(database):
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE cash SET amount = NULL WHERE portfolio_id = 'balanced'"))
    assert outcomes(run())["balanced"] == "refused"
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE cash SET amount = 1000000 WHERE portfolio_id = 'balanced'"))
    mended = run()
    assert outcomes(mended) == dict.fromkeys(PORTFOLIOS, "unchanged") | {"balanced": "published"}
    assert [told.portfolio_id for told in mended.outcomes] == sorted(PORTFOLIOS)


def test_another_policy_decides_on_the_same_inputs(database):
    run()
    more_cash(database, "balanced")
    compared = run(policy="aggressive", portfolios=["balanced"])
    assert outcomes(compared) == {"balanced": "published"}
    runs = store.read_runs(database, AS_OF, "balanced")
    assert runs["inputs_hash"].n_unique() == 1
    assert runs["status"].to_list() == ["superseded", "published"]


def test_a_policy_that_needs_more_history_is_told_to_read_afresh(database, tmp_path, monkeypatch):
    run(portfolios=["balanced"])
    policies = tmp_path / "policies"
    policies.mkdir()
    long_memory = "{kind: momentum, name: momentum, weight: 1.0, lookback: 252, skip: 21}"
    (policies / "long.yaml").write_text(f"name: long\nscoring:\n  signals:\n    - {long_memory}\n")
    monkeypatch.setenv("EVENKEEL_POLICIES", str(policies))
    ended = daily_rebalance(as_of=AS_OF, policy="long", portfolios=["balanced"], return_state=True)
    assert ended.is_failed()
    assert "go back" in ended.message
    assert "--fresh" in ended.message


def test_what_another_run_is_doing_is_left_to_it(database):
    with guarded(database, AS_OF, ["balanced"], "ann's run", NOON):
        report = run()
        assert outcomes(report) == dict.fromkeys(PORTFOLIOS, "published") | {"balanced": "busy"}
        (busy,) = report.busy
        assert busy.reason == (
            "portfolio 'balanced' on 2026-11-20 is being done by ann's run since 2026-11-20 12:00:00 UTC."
        )
    assert store.read_runs(database, AS_OF, "balanced").is_empty()
    assert outcomes(run(portfolios=["balanced"])) == {"balanced": "published"}


@pytest.mark.parametrize("shards", [1, 3])
def test_others_are_told_of_a_run_by_the_name_that_the_ui_shows(database, monkeypatch, shards):
    told, honest = [], store.publish_all

    def looked_at(engine, root, records, clock):
        for record in records:
            with guarded(engine, AS_OF, [record.portfolio_id], "ann's run", NOON, patience=0) as late:
                told.extend(busy.holder for busy in late.busy)
        return honest(engine, root, records, clock)

    monkeypatch.setattr(store, "publish_all", looked_at)
    state = daily_rebalance(as_of=AS_OF, portfolios=["balanced", "newcomer"], shards=shards, return_state=True)
    with get_client(sync_client=True) as client:
        shown = client.read_flow_run(state.state_details.flow_run_id)
    assert len(told) == 2
    assert all(each.startswith(f"flow run '{shown.name}' ({shown.id}) on ") for each in told)


def test_a_run_of_which_others_do_everything_ends_busy(database):
    with guarded(database, AS_OF, PORTFOLIOS, "ann's run", NOON):
        state = daily_rebalance(as_of=AS_OF, return_state=True)
    assert (state.name, state.is_cancelled()) == ("Busy", True)
    assert "ann's run" in state.message
    with pytest.raises(BatchBusyError):
        state.result()
    assert store.read_runs(database).is_empty()


@pytest.fixture
def overtaken(monkeypatch):
    """Somebody publishes what he has mended, after a run has read its inputs and before it holds its portfolios."""

    def overtaken(by):
        honest, once = stored.read, iter([True])

        def read(*given, **settings):
            parts = honest(*given, **settings)
            if any("balanced" in part.portfolio_ids for part in parts) and next(once, False):
                by()
            return parts

        monkeypatch.setattr(stored, "read", read)

    return overtaken


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("fresh", [False, True])
def test_what_others_publish_while_a_run_reads_is_not_superseded_by_it(database, overtaken, shards, fresh):
    run()

    def mended():
        more_cash(database, "balanced")
        assert outcomes(run(portfolios=["balanced"], fresh=True)) == {"balanced": "published"}

    overtaken(mended)
    report = run(policy="aggressive", fresh=fresh, shards=shards)
    assert outcomes(report) == dict.fromkeys(PORTFOLIOS, "published") | {"balanced": "busy"}, report.outcomes
    (busy,) = report.busy
    assert "after this run had read its inputs. Run again if it should be decided anew." in busy.reason
    runs = store.read_runs(database, AS_OF, "balanced")
    assert runs["policy_name"].to_list() == ["conservative", "conservative"]
    assert runs["status"].to_list() == ["superseded", "published"]
    assert outcomes(run(policy="aggressive"))["balanced"] == "published"


@pytest.mark.parametrize("shards", [1, 2])
def test_what_others_published_during_an_outage_is_not_superseded(database, monkeypatch, shards):
    """The outage frees what was held; somebody else takes it, and has ended when the database is there again."""
    still_held = guard.Guard.require_held

    def away(held):
        monkeypatch.setattr(guard.Guard, "require_held", still_held)
        held.locks.close()
        more_cash(database, "balanced")
        assert outcomes(run(portfolios=["balanced"], fresh=True)) == {"balanced": "published"}
        raise StoreError("the database is away.") from OperationalError("", {}, sqlite3.OperationalError("locked"))

    monkeypatch.setattr(guard.Guard, "require_held", away)
    ended = daily_rebalance(as_of=AS_OF, portfolios=["balanced"], shards=shards, return_state=True)
    assert ended.is_failed()
    assert "the database was away, and meanwhile portfolio 'balanced' was published by batch " in ended.message
    assert store.read_runs(database, AS_OF, "balanced")["status"].to_list() == ["published"]


@pytest.mark.parametrize("shards", [1, 2])
def test_a_run_that_lost_its_guard_while_it_decided_publishes_nothing(database, monkeypatch, shards):
    decided, honest = [], engine.targets

    def decides(*given, **settings):
        decided.append(True)
        return honest(*given, **settings)

    def lost(_):
        assert decided
        raise StoreError("the lock file was removed")

    monkeypatch.setattr(engine, "targets", decides)
    monkeypatch.setattr(guard.Guard, "require_held", lost)
    assert daily_rebalance(as_of=AS_OF, shards=shards, return_state=True).is_failed()
    assert decided
    assert store.read_runs(database).is_empty()


def test_what_a_killed_run_left_is_removed_and_told(database, monkeypatch):
    left = settings().targets / f"as_of={AS_OF}" / "portfolio_id=balanced" / "half.parquet"
    run(portfolios=["newcomer"])
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    told = []
    monkeypatch.setattr(publish, "create_artifacts", lambda report, *_: told.append(report))
    run()
    assert told[0].removed == [f"as_of={AS_OF}/portfolio_id=balanced/half.parquet"]
    assert not left.exists()
    assert store.read_targets(database, settings().targets)["portfolio_id"].unique().len() == len(PORTFOLIOS)
