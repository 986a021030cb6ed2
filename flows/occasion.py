"""What a flow knows that the domain does not: the clock, the run it is in, and how a batch ends."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

from prefect.client.schemas.objects import State
from prefect.runtime import deployment, flow_run
from prefect.states import Cancelled, Completed, Failed

from core.approval import Approval
from core.batch import Occasion
from core.errors import EvenkeelError
from core.policy import Policy
from core.results.report import BatchReport
from core.wording import counted, in_short

SKIPPED = "Skipped"  # the name of the state of a run that had nothing to do
TOLD = 3  # so many portfolios or sessions a message tells of
NAMED = 20  # and so many it names


class BatchRefusedError(EvenkeelError):
    """At least one portfolio of a batch was refused; the others were published. Carries the report."""

    def __init__(self, report: BatchReport) -> None:
        names = in_short([outcome.portfolio_id for outcome in report.refused], NAMED)
        reasons = " ".join(f"{outcome.portfolio_id}: {outcome.reason}" for outcome in report.refused[:TOLD])
        super().__init__(f"{len(report.refused)} of {len(report.outcomes)} portfolios refused ({names}). {reasons}")
        self.report = report


class BatchFailedError(EvenkeelError):
    """At least one shard of a batch failed; the others were published. Carries the report."""

    def __init__(self, report: BatchReport) -> None:
        names = in_short([outcome.portfolio_id for outcome in report.failed], NAMED)
        reasons = " ".join([*dict.fromkeys(str(outcome.reason) for outcome in report.failed)][:TOLD])
        refused = f" {BatchRefusedError(report)}" if report.refused else ""
        super().__init__(
            f"{len(report.failed)} of {len(report.outcomes)} portfolios failed ({names}). {reasons}{refused}"
        )
        self.report = report


class BatchBusyError(EvenkeelError):
    """Every portfolio of a batch is being done by somebody else. Carries the report."""

    def __init__(self, report: BatchReport) -> None:
        super().__init__(" ".join(str(outcome.reason) for outcome in report.busy[:TOLD]))
        self.report = report


class SessionsError(EvenkeelError):
    """At least one session of a backfill did not end well; the others were run. Carries why each of them did not."""

    def __init__(self, ended: Mapping[date, State[Any]]) -> None:
        busy = {day: state for day, state in ended.items() if state.is_cancelled()}
        failed = {day: state for day, state in ended.items() if not state.is_completed() and day not in busy}
        heads = [_count(failed, ended, "failed"), _count(busy, ended, "left to others, who are at work on them")]
        reasons = (f"{day}: {state.message}" for day, state in [*failed.items(), *busy.items()][:TOLD])
        super().__init__(" ".join([*filter(None, heads), *reasons]))
        self.failed = failed
        self.causes = [state.result(raise_on_failure=False) for state in (*failed.values(), *busy.values())]


def _count(some: Mapping[date, State[Any]], of: Mapping[date, State[Any]], what: str) -> str:
    """How many sessions of a backfill, and which, in words; nothing for none."""
    days = in_short([str(day) for day in some], NAMED)
    return f"{len(some)} of {len(of)} sessions {what} ({days})." if some else ""


def occasion_of(policy: Policy, as_of: date | None, approval: Approval | None = None) -> Occasion:
    """The batch of this flow run; without a date, for the day it was scheduled for, at the policy's exchange.

    A run that a deployment has started, by itself, can ask persons for their approval; a part of another cannot.
    """
    scheduled = flow_run.scheduled_start_time or datetime.now(UTC)
    day = as_of or scheduled.astimezone(policy.zone).date()
    asks = deployment.id is not None and flow_run.parent_flow_run_id is None
    return Occasion(
        policy,
        day,
        batch_id=str(flow_run.id),
        started_at=datetime.now(UTC),
        question_id=uuid4().hex if asks else None,
        approval=approval,
    )


def why_skipped(
    occasion: Occasion, as_of: date | None, has_asked: Callable[[Occasion], bool] = lambda _: False
) -> str | None:
    """Why there is nothing to do on this day: no session, or, without a date asked for, no longer the latest one.

    A run that has asked a person comes back, however late, to do what was said.
    """
    exchange, day = occasion.policy.sessions, occasion.as_of
    if exchange is None:
        return None
    closed = exchange.closed(day)
    if closed is not None:
        return f"{day} is no session of {exchange.code}: {closed}."
    latest = exchange.latest(exchange.day_of(occasion.started_at))
    if as_of is None and day < latest and not has_asked(occasion):
        return f"the session {day} was missed, and {latest} has come: that one is run, and {day} with `backfill`."
    return None


def skipped(why: str) -> State[None]:
    """How a flow run ends that has nothing to do."""
    return Completed(name=SKIPPED, message=why)


def verdict(report: BatchReport) -> State[BatchReport]:
    """How the flow run ends: Failed, naming what failed or was refused, Busy if others do all, or Completed."""
    if report.failed:
        failure = BatchFailedError(report)
        return Failed(message=str(failure), data=failure)
    if report.refused:
        refusal = BatchRefusedError(report)
        return Failed(message=str(refusal), data=refusal)
    if report.busy and len(report.busy) == len(report.outcomes):
        busy = BatchBusyError(report)
        return Cancelled(name="Busy", message=str(busy), data=busy)
    return Completed(message=f"{report.as_of}: {report.counts}", data=report)


def backfilled(ended: Mapping[date, State[Any]]) -> State[None]:
    """How a backfill ends: Failed or Busy, naming the sessions that did, or Completed with how many were run."""
    if not all(state.is_completed() for state in ended.values()):
        error = SessionsError(ended)
        if error.failed:
            return Failed(message=str(error), data=error)
        return Cancelled(name="Busy", message=str(error), data=error)
    return Completed(
        message=f"{counted(len(ended), 'session')} run" if ended else "no session of the range is left to run"
    )
