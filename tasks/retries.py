"""Which failures are worth another try: the database was away. Bad input, or a refusal, is not."""

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from core.store import is_outage

RETRIES = 3
DELAYS = exponential_backoff(2)


def on_outage(_task: Task[Any, Any], _task_run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task may be tried again."""
    try:
        state.result()
    except Exception as error:
        return is_outage(error)
    return False
