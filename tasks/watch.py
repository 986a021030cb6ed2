"""The task of the watchdog: whose run is missing, and who waits for a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from core import store
from core.policy import Policy
from core.store import approvals
from core.store.approvals import Asked
from core.store.days import without_current_run
from tasks.retries import retried
from tasks.settings import settings


@dataclass(frozen=True)
class Late:
    """The active portfolios that have no current run of a day: those that wait for a person, and the others."""

    waiting: Sequence[Asked]
    missing: Sequence[str]


@retried
def find_late(policy: Policy, as_of: date, now: datetime) -> Late:
    """The active portfolios that have no current run of a day; `now` has its zone."""
    database = store.engine_from_url(settings().database_url)
    store.require_current(database)
    late = without_current_run(database, policy.reads, as_of)
    waiting = [asked for asked in approvals.open_on(database, as_of, now) if asked.portfolio_id in late]
    answerable = {asked.portfolio_id for asked in waiting}
    return Late(waiting, [portfolio_id for portfolio_id in late if portfolio_id not in answerable])
