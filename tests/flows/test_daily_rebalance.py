"""The flow on Prefect's test harness, on the demo market: what it publishes, and what it shows."""

import datetime as dt
import json
from types import SimpleNamespace

import polars as pl
import pytest
import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import Artifact
from prefect.logging.handlers import APILogHandler
from prefect.states import State
from sqlalchemy.exc import OperationalError

from core import batch, store
from core.errors import StoreError
from flows.daily_rebalance import daily_rebalance
from flows.occasion import BatchRefusedError
from tasks.settings import named_policy, settings
from tests.flows.conftest import AS_OF, PORTFOLIOS, demo_desk

pytestmark = pytest.mark.usefixtures("prefect_server")


def run(**parameters) -> State:
    return daily_rebalance(**{"as_of": AS_OF, **parameters}, return_state=True)


def artifacts(state: State) -> dict[str, object]:
    """The artifacts of a flow run, by key; tables as rows, Markdown as text."""
    return {a.key: plain(json.loads(a.data)) if a.type == "table" else a.data for a in artifacts_of(state)}


def artifacts_of(state: State) -> list[Artifact]:
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        return client.read_artifacts(artifact_filter=wanted)


def plain(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of a table without the spaces that align its numbers."""
    return [{name: cell.strip() for name, cell in row.items()} for row in rows]


def test_every_portfolio_is_published_as_parquet_and_sql(any_demo_database, tmp_path, monkeypatch):
    monkeypatch.setenv("EVENKEEL_DATABASE_URL", any_demo_database)
    monkeypatch.setenv("EVENKEEL_TARGETS", str(tmp_path / "targets"))
    database = store.engine_from_url(any_demo_database)
    state = run()
    assert state.is_completed()
    assert state.message == "2026-11-20: 3 published"
    from_sql = store.read_current(database, AS_OF)
    assert from_sql.equals(store.read_targets(database, settings().targets, AS_OF))
    assert sorted(from_sql["portfolio_id"].unique()) == list(PORTFOLIOS)


@pytest.fixture(scope="module")
def day(demo_database, tmp_path_factory, prefect_server):
    """A morning that is run four times: anew, once more, under another policy, and as at first. How each ended."""
    with pytest.MonkeyPatch.context() as environment:
        desk = demo_desk(demo_database, tmp_path_factory.mktemp("day"), environment)

        def ran(**parameters) -> SimpleNamespace:
            state = run(**parameters)
            current = current_run(desk.database, "balanced")
            return SimpleNamespace(state=state, runs=store.read_runs(desk.database), current=current)

        desk.first, desk.again, desk.other, desk.back = ran(), ran(), ran(policy="aggressive"), ran()
    return desk


@pytest.fixture(scope="module")
def dry(demo_database, tmp_path_factory, prefect_server):
    """A dry run of two portfolios: how it ended."""
    with pytest.MonkeyPatch.context() as environment:
        desk = demo_desk(demo_database, tmp_path_factory.mktemp("dry"), environment)
        desk.state = run(policy="aggressive", portfolios=["balanced", "newcomer"], dry_run=True)
    return desk


def test_the_flow_and_the_engine_give_equal_targets(dry):
    engine = batch.rebalance(
        dry.database,
        dry.targets,
        batch.Occasion(named_policy("aggressive"), AS_OF, "engine", dt.datetime.now(dt.UTC)),
        ["balanced", "newcomer"],
        clock=lambda: dt.datetime.now(dt.UTC),
        dry_run=True,
    )
    flow = dry.state.result()
    assert not flow.targets.is_empty()
    assert flow.targets.equals(engine.targets)
    assert flow.actions.equals(engine.actions)


def test_the_summary_stands_above_the_artifacts_of_the_tasks(day):
    assert [each.key for each in artifacts_of(day.first.state) if each.task_run_id is None] == ["rebalance-summary"]


def test_the_artifacts_tell_the_run(day):
    shown = artifacts(day.first.state)
    assert shown["rebalance-summary"].startswith("# Rebalance of Friday, 2026-11-20")
    assert "| balanced | published | 9 | 3 | 2 |" in shown["rebalance-summary"]
    _, time = shown["rebalance-summary"].split("## Time\n\n")
    steps = [line.split(" | ")[0] for line in time.splitlines() if line.startswith("|")]
    assert steps[2:4] + steps[-2:] == ["| reading", "| data gate", "| publishing", "| all, beside Prefect's own"]
    for kind in ("targets", "enforcement-actions", "buckets", "explanations"):
        assert {f"{kind}-{portfolio_id}" for portfolio_id in PORTFOLIOS} <= shown.keys()
    rows = shown["enforcement-actions-balanced"]
    stored = store.run_rows(day.database, "actions", day.first.current)
    assert len(rows) == stored.height
    (lumiu,) = [row for row in shown["explanations-concentrated"] if row["symbol"] == "LUMIU"]
    assert lumiu["changed by"] == "max_position -3.75 %, max_bucket_weight -2.5 %"
    assert (lumiu["wanted"], lumiu["target"]) == ("23.75 %", "17.50 %")
    (bucket,) = [row for row in shown["buckets-concentrated"] if row["bucket"] == "Industrials"]
    assert (bucket["gross"], bucket["limit of gross"], bucket["used"]) == ("35.00 %", "35.00 %", "100.00 %")


def test_a_run_is_named_and_tagged_by_date_policy_and_portfolios(dry):
    with get_client(sync_client=True) as client:
        told = client.read_flow_run(dry.state.state_details.flow_run_id)
    assert told.name == "2026-11-20 aggressive: balanced, newcomer"
    assert {"2026-11-20", "aggressive", "dry-run"} <= {*told.tags}
    assert "refused" not in told.tags


def test_each_portfolio_has_a_picture_of_its_own(day):
    shown = artifacts(day.first.state)
    for portfolio_id in PORTFOLIOS:
        assert shown[f"weights-{portfolio_id}"].startswith(f"![{portfolio_id}: weights by bucket")
        assert shown[f"weights-{portfolio_id}"] in shown["rebalance-summary"]


def current_run(database, portfolio_id):
    runs = store.read_runs(database, AS_OF, portfolio_id)
    return runs.filter(status="published")["run_id"].item()


def test_a_second_run_writes_nothing_and_says_so(day):
    assert day.again.state.message == "2026-11-20: 3 unchanged"
    assert day.first.runs.height == 3
    assert day.again.runs.equals(day.first.runs)


def test_another_policy_supersedes_and_the_first_comes_back(day):
    assert day.other.current != day.first.current
    assert day.back.state.message == "2026-11-20: 3 restored"
    assert day.back.current == day.first.current


def test_a_run_that_supersedes_another_tells_what_changed(day):
    assert not [key for key in artifacts(day.first.state) if key.startswith("diff-")]
    shown = artifacts(day.other.state)
    assert {f"diff-{portfolio_id}" for portfolio_id in PORTFOLIOS} <= shown.keys()
    assert "max_positions_per_bucket" in shown["diff-balanced"]


def test_a_dry_run_publishes_nothing_but_artifacts(dry):
    assert {told.outcome for told in dry.state.result().outcomes} == {"planned"}
    assert store.read_runs(dry.database).is_empty()
    assert not dry.targets.exists()
    assert "Dry run: nothing was published" in artifacts(dry.state)["rebalance-summary"]


def test_a_refused_portfolio_fails_the_batch_by_name_and_the_others_are_published(database):
    with database.begin() as connection:
        connection.execute(sa.text("DELETE FROM cash WHERE portfolio_id = 'balanced'"))
    state = run()
    assert state.is_failed()
    assert "1 of 3 portfolios refused (balanced)" in state.message
    assert "has no cash row of 2026-11-20" in state.message
    runs = store.read_runs(database, AS_OF)
    assert dict(runs.select("portfolio_id", "status").iter_rows()) == {
        "balanced": "refused",
        "concentrated": "published",
        "newcomer": "published",
    }
    assert store.run_rows(database, "targets", runs.filter(status="refused")["run_id"].item()).is_empty()
    assert "## Refused" in artifacts(state)["rebalance-summary"]
    with pytest.raises(BatchRefusedError, match="balanced"):
        state.result()


def test_what_stops_the_batch_refuses_every_portfolio(database):
    with database.begin() as connection:
        connection.execute(sa.text("DELETE FROM signals"))
    state = run()
    assert "3 of 3 portfolios refused" in state.message
    assert store.read_current(database).is_empty()
    assert store.read_runs(database)["status"].to_list() == ["refused"] * 3


def test_only_the_portfolios_asked_for_are_run(database):
    run(portfolios=["newcomer"])
    assert store.read_current(database)["portfolio_id"].unique().to_list() == ["newcomer"]


def test_a_portfolio_that_nobody_knows_fails_with_the_known_ones(database):
    state = run(portfolios=["newcomr"])
    assert state.is_failed()
    assert "newcomer" in state.message
    assert store.read_runs(database).is_empty()


def test_a_policy_that_nobody_knows_fails_with_the_nearest(database):
    state = run(policy="conservativ")
    assert state.is_failed()
    assert "Did you mean 'conservative'?" in state.message


def test_a_database_without_tables_fails_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("EVENKEEL_DATABASE_URL", f"sqlite:///{tmp_path / 'empty.db'}")
    state = run()
    assert "run `evenkeel init`" in state.message


def test_above_twenty_portfolios_one_table_of_each_kind_serves_all(database, market):
    ids = [f"p{i:02}" for i in range(21)]
    store.load_frames(
        database,
        {
            "portfolios": pl.DataFrame({"portfolio_id": ids, "name": ids, "base_currency": "USD", "active": True}),
            "cash": pl.DataFrame({"portfolio_id": ids, "as_of": AS_OF, "amount": 1e6}),
        },
    )
    shown = artifacts(run())
    assert shown.keys() == {"rebalance-summary", "targets", "enforcement-actions", "buckets"}
    assert len(shown["enforcement-actions"]) == 500


def test_domain_logs_stand_on_the_run_page(dry):
    APILogHandler().flush()
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[dry.state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        told = [log.message for log in client.read_logs(log_filter=wanted)]
    assert [line for line in told if line.startswith("Step ")] == [
        "Step 1/5: universe",
        "Step 2/5: scoring",
        "Step 3/5: buckets",
        "Step 4/5: selection",
        "Step 5/5: targets",
    ]


def test_an_outage_is_tried_again_and_bad_input_is_not(database, monkeypatch):
    asked = []

    def away_at_first(engine):
        asked.append(engine)
        if len(asked) == 1:
            raise StoreError("the database is away") from OperationalError(
                "SELECT 1", {}, Exception("connection refused")
            )

    monkeypatch.setattr(store, "require_current", away_at_first)
    assert run(dry_run=True).is_completed()
    assert len(asked) == 2
    assert run(portfolios=["nobody"]).is_failed()
    assert len(asked) == 3
