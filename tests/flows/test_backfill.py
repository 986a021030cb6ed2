"""The backfill: sessions in order, each with the data of its day, and none twice."""

import datetime as dt

import polars as pl
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from core import store
from core.approval import Approval
from core.store import approvals
from flows.backfill import backfill
from flows.daily_rebalance import rebalanced
from tasks.settings import settings
from tests.flows.conftest import AS_OF

pytestmark = pytest.mark.usefixtures("prefect_server")
FRIDAY, THURSDAY, WEDNESDAY, SATURDAY = AS_OF, *(AS_OF + dt.timedelta(days=days) for days in (-1, -2, 1))


@pytest.fixture
def week(database, market):
    """Snapshots of the balanced portfolio for the sessions from Wednesday to Friday."""
    for day in (WEDNESDAY, THURSDAY):
        moved = {name: market[name].with_columns(as_of=pl.lit(day)) for name in ("positions", "cash")}
        store.load_frames(database, moved)
    return database


def run(**parameters):
    return backfill(
        **{"first": WEDNESDAY, "last": SATURDAY, "portfolios": ["balanced"]} | parameters, return_state=True
    )


def days_of(database):
    return store.read_runs(database, portfolio_id="balanced")["as_of"].to_list()


def test_the_sessions_of_a_range_are_run_in_order(week):
    state = run()
    assert (state.is_completed(), state.message) == (True, "3 sessions run")
    assert days_of(week) == [WEDNESDAY, THURSDAY, FRIDAY]
    assert store.read_current(week, THURSDAY)["as_of"].unique().to_list() == [THURSDAY]
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        (progress,) = client.read_artifacts(artifact_filter=wanted)
    assert (progress.key, float(progress.data)) == ("backfill-progress", 100.0)
    assert progress.description == f"3 of 3 sessions, up to {FRIDAY}"


def test_what_is_current_is_passed_over_unless_it_is_to_be_run_again(week):
    two = {"first": THURSDAY, "last": FRIDAY}
    run(**two | {"last": THURSDAY})
    assert run(**two).message == "1 session run"
    assert run(**two).message == "no session of the range is left to run"
    assert run(**two, again=True).message == "2 sessions run"
    assert days_of(week) == [THURSDAY, FRIDAY]


def test_a_session_that_fails_is_named_and_does_not_stop_the_others(database):
    state = run()
    assert state.is_failed()
    assert state.message.startswith(f"2 of 3 sessions failed ({WEDNESDAY}, {THURSDAY}). {WEDNESDAY}: ")
    assert store.read_current(database)["as_of"].unique().to_list() == [FRIDAY]


def test_the_daily_run_tells_which_sessions_nobody_ran(week):
    assert rebalanced(as_of=WEDNESDAY, portfolios=["balanced"]).missed == []
    report = rebalanced(as_of=FRIDAY, portfolios=["balanced"])
    assert report.missed == [THURSDAY]


def test_what_needs_a_person_is_published_in_a_backfill_where_one_approved_it_beforehand(week, tmp_path, monkeypatch):
    conservative = (settings().policies / "conservative.yaml").read_text()
    careful = tmp_path / "careful.yaml"
    careful.write_text(f"{conservative}\napproval: {{max_turnover: 0.0}}\n")
    asks = {"policy": str(careful), "first": THURSDAY, "last": FRIDAY}
    refused = run(**asks)
    assert refused.message.startswith("2 of 2 sessions failed")
    assert "needs a person's approval" in refused.message
    state = run(**asks, approval=Approval(who="ann", reason="the server was away"))
    assert (state.is_completed(), state.message) == (True, "2 sessions run")
    said = approvals.read_approvals(week).select("as_of", "who", "decision").rows()
    assert said == [(THURSDAY, "ann", "approved"), (FRIDAY, "ann", "approved")]


def test_a_range_that_ends_before_it_begins_is_refused(database):
    state = run(first=FRIDAY, last=WEDNESDAY)
    assert state.is_failed()
    assert "is empty" in state.message
