"""The process in which flows run that are to be killed: `python -m tests.soak.driver`.

It imports what is slow to import and then takes orders from its standard input, a line of JSON each (`Order`). Every
order is carried out in a forked child (`_obey`), which is what dies; the answer is a line with the child's exit status.
Forking is safe as there is one thread, and Polars, which does not survive it, is not imported yet: `main` makes sure.
"""

import datetime as dt
import importlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SLOW = ("prefect", "prefect.flows", "prefect.artifacts", "alembic.command", "scipy.optimize", "highspy", "psycopg")
PATIENCE = 120  # seconds for a flow
QUIET = {
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True)
class Point:
    """A point at which a run can be killed: its name, and which time that name comes up, counted from 1."""

    name: str
    time: int

    def __str__(self) -> str:
        return self.name if self.time == 1 else f"{self.name}, time {self.time}"


@dataclass(frozen=True)
class Order:
    """A flow to run. `folder` has all that it may write; `notes` is where the child leaves its points and its end."""

    database_url: str
    folder: str
    notes: str
    parameters: dict[str, Any]
    kill_at: Point | None = None


@dataclass(frozen=True)
class Done:
    """What became of an order. `status`: of the process, negative for a signal; `told`: the flow's state and words."""

    status: int
    points: list[Point]
    told: tuple[str, str] | None  # if the flow ended
    log: str

    @property
    def killed(self) -> bool:
        """Whether it died as ordered."""
        return self.status == -signal.SIGKILL


class Driver:
    """A driver that is started, seen from outside."""

    def __init__(self, api_url: str) -> None:
        environment = os.environ | QUIET | {"PREFECT_API_URL": api_url}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.driver"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, order: Order) -> Done:
        """Carry out one order."""
        notes = Path(order.notes)
        notes.mkdir(parents=True, exist_ok=True)
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        told = json.loads((notes / "told").read_text()) if (notes / "told").exists() else None
        names = (notes / "points").read_text().splitlines() if (notes / "points").exists() else []
        return Done(status, numbered(names), told, (notes / "log").read_text())

    def stop(self) -> None:
        """End the process."""
        self._process.communicate()


def numbered(names: Iterable[str]) -> list[Point]:
    """Points by their names, in the order in which they came up."""
    seen: Counter[str] = Counter()
    return [_counted(seen, name) for name in names]


def _counted(seen: Counter[str], name: str) -> Point:
    seen[name] += 1
    return Point(name, seen[name])


def main() -> None:
    """Take orders until there are no more."""
    for name in SLOW:
        importlib.import_module(name)
    if len(os.listdir("/proc/self/task")) > 1 or "polars" in sys.modules:
        raise SystemExit("a driver must have one thread and no Polars: it forks")
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _obey(Order(**order | {"kill_at": order["kill_at"] and Point(**order["kill_at"])}))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _obey(order: Order) -> None:
    """Run the flow, up to the point at which to die; in a process of its own, which does not return."""
    notes = Path(order.notes)
    signal.alarm(PATIENCE)
    os.environ.update(EVENKEEL_DATABASE_URL=order.database_url, EVENKEEL_TARGETS=f"{order.folder}/targets")
    with (notes / "log").open("wb", 0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        told = _flow(order, os.open(notes / "points", os.O_WRONLY | os.O_CREAT | os.O_APPEND))
        (notes / "told").write_text(json.dumps(told))
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _flow(order: Order, points: int) -> tuple[str, str]:
    from tests.soak.points import watched

    seen: Counter[str] = Counter()

    def reached(name: str) -> None:
        os.write(points, f"{name}\n".encode())
        if _counted(seen, name) == order.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows.daily_rebalance import daily_rebalance

    parameters = order.parameters | {"as_of": dt.date.fromisoformat(order.parameters["as_of"])}
    quiet = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with quiet, watched(reached, Path(order.folder)):
        state = daily_rebalance(**parameters, return_state=True)
    return str(state.type.value), str(state.message)


if __name__ == "__main__":
    main()
