"""The flow in this process, disturbed at one of its points, instead of a process that is killed there."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from unittest.mock import patch

from prefect.tasks import Task

from flows.daily_rebalance import daily_rebalance
from tasks import approval, load, publish, retries
from tests.soak.driver import Done, Point, numbered
from tests.soak.points import watched
from tests.soak.worlds import AS_OF, World

TASKS = [task for module in (load, approval, publish) for task in vars(module).values() if isinstance(task, Task)]
PAUSES = [0.3, 0.6, 1.2]  # seconds; the real ones are longer


def nothing() -> None:
    """Disturb nothing."""


@dataclass(frozen=True)
class Here:
    """Runs the flow in this process; at `at`, if given, `act` is called, and what it raises comes out of the point."""

    at: Point | None = None
    act: Callable[[], None] = nothing

    def run(self, world: World, policy: str, kill_at: Point | None = None) -> Done:
        """Run the flow in a world."""
        assert kill_at is None, "a process does not kill itself"
        names: list[str] = []

        def reached(name: str) -> None:
            names.append(name)
            if self.at == Point(name, names.count(name)):
                self.act()

        places = {"EVENKEEL_DATABASE_URL": world.database_url, "EVENKEEL_TARGETS": str(world.targets)}
        with patch.dict(os.environ, places), _short_pauses(), watched(reached, world.folder):
            state = daily_rebalance(as_of=AS_OF, policy=policy, return_state=True)
        return Done(0, numbered(names), (str(state.type.value), str(state.message)), "")


def _short_pauses() -> ExitStack:
    stack = ExitStack()
    stack.enter_context(patch.object(retries, "DELAYS", lambda _retries: PAUSES))
    for task in TASKS:
        stack.enter_context(patch.object(task, "retry_delay_seconds", PAUSES))
    return stack
