"""A person's approval: what waits, what is published after all, and what never is.

A flow run of a deployment is run here as a worker would, by its id, but in this process; each time from the top.
"""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry, Crashed, Scheduled

from core import store
from core.approval import Approval, shown_hash
from core.store import approvals
from flows import occasion
from flows.daily_rebalance import daily_rebalance, rebalanced
from tasks.settings import ROOT, settings
from tests.flows.conftest import AS_OF

pytestmark = pytest.mark.usefixtures("prefect_server")

POLICY = """
name: careful
approval: {max_turnover: 0.4, timeout_hours: 2}
"""
ANN = {"decision": "approve", "name": "ann", "reason": "out of Technology"}
BOB = Approval(who="bob", reason="told on the phone")


@pytest.fixture
def desk(database, tmp_path, monkeypatch):
    """A policy under which one portfolio of the three, `concentrated`, trades so much that it needs a person."""
    (tmp_path / "careful.yaml").write_text(POLICY)
    monkeypatch.setenv("EVENKEEL_POLICIES", str(tmp_path))
    return database


@pytest.fixture(scope="session")
def deployment(prefect_server):
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(daily_rebalance)
        return client.create_deployment(flow_id, "test", enforce_parameter_schema=False)


class FlowRun:
    """A flow run of the deployment."""

    def __init__(self, deployment, scheduled=None, **parameters):
        self.parameters = {"policy": "careful", "as_of": str(AS_OF)} | parameters
        state = None if scheduled is None else Scheduled(scheduled_time=scheduled)
        with get_client(sync_client=True) as client:
            self.id = client.create_flow_run_from_deployment(deployment, parameters=self.parameters, state=state).id

    def go(self):
        """Run it, from the top, until it ends or suspends; returns its state."""
        with get_client(sync_client=True) as client, suppress(Pause):
            run_flow(daily_rebalance, client.read_flow_run(self.id), self.parameters, return_type="state")
        return self.state

    def until_it_rests(self):
        """Wait until a worker has brought it to where it ends or suspends; returns its state."""
        until = time.monotonic() + 120
        while not ((state := self.state).is_final() or state.is_paused()) and time.monotonic() < until:
            time.sleep(0.2)
        return state

    @property
    def state(self):
        with get_client(sync_client=True) as client:
            return client.read_flow_run(self.id).state

    def answer(self, **said):
        """Fill in the form, as the UI does; returns what the server says to it."""
        with get_client(sync_client=True) as client:
            return client.resume_flow_run(self.id, run_input=said)

    @property
    def form(self):
        """What the form shows."""
        key = self.state.state_details.run_input_keyset["description"]
        with get_client(sync_client=True) as client:
            return client.read_flow_run_input(self.id, key)

    def artifacts(self):
        """The artifacts, by key: of each the latest."""
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[self.id]))
        with get_client(sync_client=True) as client:
            found = client.read_artifacts(artifact_filter=wanted)
        return {each.key: each.data for each in sorted(found, key=lambda each: each.created)}


def publishes_nothing(database, portfolio_id="concentrated"):
    """No target of the portfolio stands in the database, current or not, in a file, or in a decision."""
    runs = store.read_runs(database, portfolio_id=portfolio_id)
    rows = [
        store.run_rows(database, table, run_id) for table in ("targets", "explanations") for run_id in runs["run_id"]
    ]
    weights = [store.run_rows(database, "decisions", run_id)["target_weight"] for run_id in runs["run_id"]]
    return (
        set(runs["status"]) <= {"refused"}
        and all(each.is_empty() for each in rows)
        and all(each.null_count() == each.len() for each in weights)
        and store.read_current(database, portfolio_id=portfolio_id).is_empty()
        and not [*settings().targets.rglob(f"portfolio_id={portfolio_id}/*")]
    )


def change_inputs(database, factor=0.9):
    with database.begin() as connection:
        change = "UPDATE cash SET amount = amount * :factor"
        connection.execute(sa.text(change), {"factor": factor})


def asked(database):
    return approvals.read_approvals(database).to_dicts()


def test_what_needs_a_person_waits_and_the_others_are_published(desk, deployment):
    run = FlowRun(deployment)
    state = run.go()
    assert (state.name, state.is_paused()) == ("Suspended", True)
    assert sorted(store.read_current(desk)["portfolio_id"].unique()) == ["balanced", "newcomer"]
    assert publishes_nothing(desk)
    (question,) = asked(desk)
    assert (question["portfolio_id"], question["decision"]) == ("concentrated", None)
    assert question["until"] - question["asked_at"] == dt.timedelta(hours=2)
    for told in (question["shown_hash"][:12], "turnover of 67.00 % is above 40.00 %", "| TIRIX | close |"):
        assert told in run.form
    shown = run.artifacts()
    assert "| concentrated | waiting | – |" in shown["rebalance-summary"]
    assert "# Proposed for 2026-11-20, not published" in shown["approval"]
    assert {key for key in shown if key.startswith("targets-")} == {"targets-balanced", "targets-newcomer"}


def test_what_waits_in_a_shard_is_asked_about_once_and_published_when_it_was_approved(desk, deployment):
    run = FlowRun(deployment, shards=3, fresh=True)
    assert run.go().is_paused()
    assert sorted(store.read_current(desk)["portfolio_id"].unique()) == ["balanced", "newcomer"]
    assert "turnover of 67.00 % is above 40.00 %" in run.form
    run.answer(**ANN)
    assert run.go().is_completed()
    assert store.read_current(desk)["portfolio_id"].n_unique() == 3
    assert len(asked(desk)) == 1


def test_what_was_approved_is_published_as_it_was_shown(desk, deployment):
    run = FlowRun(deployment, portfolios=["concentrated"])
    run.go()
    assert run.answer(**ANN).status.value == "ACCEPT"
    assert run.go().is_completed()
    (question,) = asked(desk)
    assert (question["decision"], question["who"], question["reason"]) == ("approved", "ann", "out of Technology")
    assert question["asked_at"] < question["decided_at"] < dt.datetime.now(dt.UTC)
    current = store.read_current(desk)
    assert current["run_id"].unique().to_list() == [question["run_id"]]
    assert shown_hash(question["run_id"], current.drop("run_id")) == question["shown_hash"]
    assert current.drop("run_id").equals(store.run_rows(desk, "targets", question["run_id"]))
    assert "**concentrated**: approved by ann: out of Technology" in run.artifacts()["rebalance-summary"]
    assert run.artifacts()["approval"] == "# Approved by ann: out of Technology"
    assert FlowRun(deployment, portfolios=["concentrated"]).go().message == "2026-11-20: 1 unchanged"
    assert len(asked(desk)) == 1


def test_what_was_rejected_is_refused_and_has_no_targets_anywhere(desk, deployment):
    run = FlowRun(deployment)
    run.go()
    for incomplete in ({"name": " "}, {"reason": ""}, {"reason": None}, {"decision": "maybe"}):
        said = {"decision": "reject", "name": "ann", "reason": "no"} | incomplete
        assert run.answer(**{name: each for name, each in said.items() if each is not None}).status.value == "REJECT"
    run.answer(decision="reject", name="ann", reason="wait for the split")
    state = run.go()
    assert state.is_failed()
    assert (
        "1 of 3 portfolios refused (concentrated). concentrated: rejected by ann: wait for the split." in state.message
    )
    assert publishes_nothing(desk)
    assert store.read_runs(desk, portfolio_id="concentrated")["reason"][-1] == "rejected by ann: wait for the split."
    assert [each["decision"] for each in asked(desk)] == ["rejected"]
    shown = run.artifacts()
    assert "targets-concentrated" not in shown
    assert shown["approval"] == "# Rejected by ann: wait for the split"
    assert "- **concentrated**: rejected by ann: wait for the split." in shown["rebalance-summary"]


@pytest.mark.parametrize("answered", [True, False])
def test_an_approval_is_published_although_the_next_session_has_come(answered, desk, deployment, tmp_path, monkeypatch):
    (tmp_path / "careful.yaml").write_text(f"{POLICY}exchange: XNYS\n")
    friday, monday = (dt.datetime(2026, 11, day, 14, 30, tzinfo=dt.UTC) for day in (20, 23))
    run = FlowRun(deployment, scheduled=friday, as_of=None, portfolios=["concentrated"])
    clock = SimpleNamespace(now=lambda _: friday)
    monkeypatch.setattr(occasion, "datetime", clock)
    if answered:
        assert run.go().is_paused()
        run.answer(**ANN)
    clock.now = lambda _: monday
    state = run.go()
    assert (state.name, state.is_completed()) == ("Completed" if answered else "Skipped", True)
    assert store.read_current(desk)["as_of"].unique().to_list() == ([AS_OF] if answered else [])


def test_where_inputs_changed_meanwhile_it_is_said_and_asked_again(desk, deployment):
    run = FlowRun(deployment, portfolios=["concentrated"])
    run.go()
    first = run.form
    change_inputs(desk)
    run.answer(**ANN)
    assert run.go().name == "Suspended"
    assert publishes_nothing(desk)
    then, now = asked(desk)
    assert (then["decision"], now["decision"]) == ("approved", None)
    assert then["run_id"] != now["run_id"]
    assert run.form != first
    assert f"another plan than the one ({then['shown_hash'][:12]}) that was approved by ann" in run.form
    run.answer(**ANN)
    assert run.go().is_completed()
    assert store.read_current(desk)["run_id"].unique().to_list() == [now["run_id"]]


def test_no_answer_in_time_is_a_rejection(desk, deployment):
    run = FlowRun(deployment, portfolios=["concentrated"])
    assert run.go().state_details.pause_timeout > dt.datetime.now(dt.UTC) + dt.timedelta(minutes=119)
    assert "refused unless a person approves within 2 hours of" in store.read_runs(desk)["reason"].item()
    with desk.begin() as connection:
        connection.execute(sa.text("UPDATE approvals SET until = '2026-11-20 12:00:00.000000'"))
    again = FlowRun(deployment, portfolios=["concentrated"])
    assert again.go().name == "Suspended"
    assert [each["decision"] for each in asked(desk)] == ["timed out", None]
    assert publishes_nothing(desk)


def test_a_run_that_begins_anew_withdraws_its_question_and_asks_again(desk, deployment):
    run = FlowRun(deployment, portfolios=["concentrated"])
    run.go()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Crashed(), force=True)
        client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
    assert run.go().name == "Suspended"
    assert [each["decision"] for each in asked(desk)] == ["withdrawn", None]
    run.answer(**ANN)
    assert run.go().is_completed()


def test_a_run_that_no_deployment_started_says_how_to_approve(desk):
    parameters = {"policy": "careful", "as_of": AS_OF, "portfolios": ["concentrated"]}
    (planned,) = rebalanced(**parameters, dry_run=True).outcomes
    assert planned.outcome == "planned"
    (refused,) = rebalanced(**parameters).outcomes
    assert refused.outcome == "refused"
    assert "turnover of 67.00 % is above 40.00 %" in refused.reason
    assert "`--approve-as NAME --reason WHY`" in refused.reason
    assert asked(desk) == []
    assert publishes_nothing(desk)
    (published,) = rebalanced(**parameters, approval=BOB).outcomes
    assert (published.outcome, published.reason) == ("published", "approved by bob: told on the phone")
    (question,) = asked(desk)
    assert (question["decision"], question["who"], question["run_id"]) == ("approved", "bob", published.run_id)
    (again,) = rebalanced(**parameters).outcomes
    assert again.outcome == "unchanged"


@contextmanager
def worker(server, pool):
    """A worker of a work pool, which runs each flow run in a process of its own."""
    surroundings = {**os.environ, "PREFECT_API_URL": server, "PREFECT_WORKER_QUERY_SECONDS": "0.5"}
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    started = subprocess.Popen(command, cwd=ROOT, env=surroundings, start_new_session=True)
    yield
    os.killpg(started.pid, signal.SIGTERM)
    started.wait(timeout=60)


@pytest.mark.end_to_end
def test_a_worker_resumes_it_in_another_process_and_publishes_what_was_shown(desk, prefect_server):
    place = {"path": str(ROOT), "entrypoint": "flows/daily_rebalance.py:daily_rebalance", "work_pool_name": "approval"}
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="approval", type="process"))
        deployment = client.create_deployment(client.create_flow(daily_rebalance), "with a worker", **place)
    run = FlowRun(deployment, portfolios=["concentrated"])
    assert run.go().name == "Suspended"
    shown = run.form
    run.answer(**ANN)
    with worker(prefect_server, "approval"):
        assert run.until_it_rests().message == "2026-11-20: 1 published"
    (question,) = asked(desk)
    assert question["who"] == "ann"
    assert question["shown_hash"][:12] in shown
    current = store.read_current(desk)
    assert shown_hash(question["run_id"], current.drop("run_id")) == question["shown_hash"]
