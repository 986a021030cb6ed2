"""The housekeeping: what is no longer kept is removed, what is kept is verified, and the space is told."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from tasks.housekeeping import Housekept, close_questions, find_damages, measure, remove_unnamed, retire, tell

KeepDays = Annotated[int, Field(ge=1, description="Files of runs that were current within so many days are kept.")]


@flow(name="housekeeping")
def housekeeping(keep_days: KeepDays = 400) -> State[Any]:
    """Remove the files that are no longer kept, verify all others, and say what takes how much room.

    Target files of superseded runs go, and the inputs of runs that are not current, once the run has been neither made
    nor current for the period. What is current is kept, however old it is, and so are all rows in SQL. Files that
    killed runs left behind are removed, of whatever day. Questions of approval that nobody answered in time are closed.
    Ends Failed, naming them, where files are damaged.

    Args:
        keep_days: The period, in days.
    """
    now = datetime.now(UTC)
    since = now - timedelta(days=keep_days)
    before = measure()
    retired = retire(since)
    removed = remove_unnamed()
    closed = close_questions(now)
    done = Housekept(since.date(), retired, removed, closed, find_damages(), before, measure())
    tell(done)
    return Completed(message=done.told) if done.trouble is None else Failed(message=done.trouble)
