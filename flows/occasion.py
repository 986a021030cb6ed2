"""What a flow knows that the domain does not: the clock, the run it is in, and how a batch ends."""

import os
from datetime import UTC, date, datetime
from socket import gethostname
from zoneinfo import ZoneInfo

from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from core.batch import Occasion
from core.errors import EvenkeelError
from core.policy import Policy
from core.results.summary import BatchReport

TOLD = 3  # so many portfolios a message tells of


class BatchRefusedError(EvenkeelError):
    """At least one portfolio of a batch was refused; the others were published. Carries the report."""

    def __init__(self, report: BatchReport) -> None:
        names = ", ".join(outcome.portfolio_id for outcome in report.refused)
        reasons = " ".join(f"{outcome.portfolio_id}: {outcome.reason}" for outcome in report.refused[:TOLD])
        super().__init__(f"{len(report.refused)} of {len(report.outcomes)} portfolios refused ({names}). {reasons}")
        self.report = report


class BatchBusyError(EvenkeelError):
    """Every portfolio of a batch is being done by somebody else. Carries the report."""

    def __init__(self, report: BatchReport) -> None:
        super().__init__(" ".join(str(outcome.reason) for outcome in report.busy[:TOLD]))
        self.report = report


def occasion_of(policy: Policy, as_of: date | None) -> Occasion:
    """The batch of this flow run; without a date, for the day it was scheduled for, in the policy's time zone."""
    scheduled = flow_run.scheduled_start_time or datetime.now(UTC)
    day = as_of or scheduled.astimezone(ZoneInfo(policy.time_zone)).date()
    holder = f"flow run {flow_run.name} ({flow_run.id}) on {gethostname()}, process {os.getpid()}"
    return Occasion(policy, day, batch_id=str(flow_run.id), started_at=datetime.now(UTC), holder=holder)


def verdict(report: BatchReport) -> State[BatchReport]:
    """How the flow run ends: Failed, naming the refused portfolios, Busy if others do all, or Completed."""
    if report.refused:
        refusal = BatchRefusedError(report)
        return Failed(message=str(refusal), data=refusal)
    if report.busy and len(report.busy) == len(report.outcomes):
        busy = BatchBusyError(report)
        return Cancelled(name="Busy", message=str(busy), data=busy)
    return Completed(message=f"{report.as_of}: {report.counts}", data=report)
