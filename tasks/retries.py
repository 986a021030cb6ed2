"""Which failures are worth another try: the database was away. Bad input, or a refusal, is not."""

import logging
from collections.abc import Callable
from time import sleep
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from core.errors import StoreError
from core.store import is_outage

P = ParamSpec("P")
Result = TypeVar("Result")
logger = logging.getLogger("core.retries")

RETRIES = 3
DELAYS = exponential_backoff(2)


def on_outage(_task: Task[Any, Any], _task_run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task may be tried again."""
    try:
        state.result()
    except Exception as error:
        return is_outage(error)
    return False


def retried(function: Callable[P, Result]) -> Task[P, Result]:
    """A task that is tried again where the database is away."""
    repeated = task(retries=RETRIES, retry_delay_seconds=DELAYS, retry_condition_fn=on_outage, cache_policy=NO_CACHE)
    return repeated(function)


def persistently(call: Callable[[], Result]) -> Result:
    """What a call gives, tried again as a task would be where the database is away: for what is no task's work."""
    for delay in DELAYS(RETRIES):
        try:
            return call()
        except StoreError as error:
            if not is_outage(error):
                raise
            logger.warning("%s Trying again in %s s.", error, delay)
            sleep(delay)
    return call()
