"""The watchdog: says when the targets of a session are late. Prefect knows of runs that fail, not of ones that never
came: no worker, no schedule, a database that could not be reached."""

from datetime import date
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.occasion import occasion_of, skipped, why_skipped
from tasks.load import read_policy
from tasks.watch import find_late

TOLD = 10  # so many portfolios a message names


@flow(name="watchdog")
def watchdog(policy: str = "conservative", as_of: date | None = None) -> State[Any]:
    """Ends Failed, naming them, where active portfolios have no current targets of a session by now.

    It is scheduled for the time at which targets must be there. On a day that is no session it ends Skipped.

    Args:
        policy: The policy whose exchange and portfolios are looked at.
        as_of: The session. Empty: the day this run was scheduled for, at the policy's exchange.
    """
    document = read_policy(policy)
    occasion = occasion_of(document, as_of)
    why = why_skipped(occasion, as_of)
    if why is not None:
        return skipped(why)
    late = find_late(document, occasion.as_of)
    if late:
        return Failed(name="Overdue", message=_overdue(late, occasion.as_of))
    return Completed(message=f"every active portfolio has its targets of {occasion.as_of}")


def _overdue(late: list[str], as_of: date) -> str:
    named = ", ".join(late[:TOLD]) + (f" and {len(late) - TOLD} more" if len(late) > TOLD else "")
    return (
        f"no targets of {as_of} are published for {named}. See whether daily-rebalance ran: where it was refused or "
        "failed, its page says what to do; where there is no run, see whether a worker polls the work pool."
    )
