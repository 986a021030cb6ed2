"""The task of the watchdog: whose run is missing."""

from datetime import date

from prefect import task
from prefect.cache_policies import NO_CACHE

from core import store
from core.policy import Policy
from core.store.days import without_current_run
from tasks.retries import DELAYS, RETRIES, on_outage
from tasks.settings import settings


@task(retries=RETRIES, retry_delay_seconds=DELAYS, retry_condition_fn=on_outage, cache_policy=NO_CACHE)
def find_late(policy: Policy, as_of: date) -> list[str]:
    """The active portfolios that have no current run of a day."""
    database = store.engine_from_url(settings().database_url)
    store.require_current(database)
    return without_current_run(database, policy.reads, as_of)
