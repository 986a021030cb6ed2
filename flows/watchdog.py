"""The watchdog: says when the targets of a session are late. Prefect knows of runs that fail, not of ones that never
came: no worker, no schedule, a database that could not be reached."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from prefect.utilities.urls import url_for

from core.store.approvals import Asked
from core.wording import in_utc
from flows.form import Day, PolicyName
from flows.occasion import occasion_of, skipped, why_skipped
from tasks.load import read_policy
from tasks.watch import Late, find_late

TOLD = 10  # so many portfolios a message names


@flow(name="watchdog")
def watchdog(policy: PolicyName = "conservative", as_of: Day | None = None) -> State[Any]:
    """Ends Failed, naming them, where active portfolios have no current targets of a session by now.

    Of those that wait for a person's approval it says so: since when, until when, and in which run. It is scheduled for
    the time at which targets must be there. On a day that is no session it ends Skipped.

    Args:
        policy: The policy whose exchange and portfolios are looked at.
        as_of: The session. Empty: the day this run was scheduled for, at the policy's exchange.
    """
    document = read_policy(policy)
    occasion = occasion_of(document, as_of)
    why = why_skipped(occasion, as_of)
    if why is not None:
        return skipped(why)
    late = find_late(document, occasion.as_of, datetime.now(UTC))
    if late.waiting or late.missing:
        return Failed(name="Overdue", message=" ".join(_overdue(late, occasion.as_of)))
    return Completed(message=f"every active portfolio has its targets of {occasion.as_of}")


def _overdue(late: Late, as_of: date) -> Iterator[str]:
    if late.waiting:
        yield f"Waiting for a person's approval of {as_of}: {_named([*map(_waits, late.waiting)], '; ')}."
        yield "Open the run and choose Resume, to approve or to reject; without an answer nothing is published."
    if late.missing:
        yield f"No targets of {as_of} are published for {_named(late.missing, ', ')}. See whether daily-rebalance ran:"
        yield "where it was refused or failed, its page says what to do; where there is no run, see whether a worker"
        yield "polls the work pool."


def _waits(asked: Asked) -> str:
    asks = url_for("flow-run", asked.flow_run_id) or f"flow run {asked.flow_run_id}"
    return f"{asked.portfolio_id} since {in_utc(asked.asked_at)}, until {in_utc(asked.until)}, in {asks}"


def _named(each: Sequence[str], between: str) -> str:
    return between.join(each[:TOLD]) + (f" and {len(each) - TOLD} more" if len(each) > TOLD else "")
