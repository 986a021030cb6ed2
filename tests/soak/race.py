"""Twenty processes at once, for one portfolio and for twenty: `python -m tests.soak.race`.

Each process publishes a run of its own under the guard, on SQLite and on a real PostgreSQL server. In `turns` all want
one portfolio, and have the patience to come one after the other; in `rivals` nobody leaves before all have their
answer, so that one publishes and the others are told by whom it is being done; in `apart` each has its own portfolio.
`faults` says what is not as it must be: exactly one current run per portfolio, whole in SQL and in Parquet; a run for
everybody who held, in one line of succession; no two at work at a time; all of it within `BOUND`.
"""

import datetime as dt
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.store import engine_from_url, guarded, init, publish, read_current, read_runs, read_targets
from core.store.database import reading
from core.store.tables import promotions
from tests.core.store.samples import NOON, TODAY, record, target_rows
from tests.postgres import PostgresServer

PROCESSES = 20
BOUND = 120.0  # seconds, for processes to start, and for a race
RACES = ("turns", "rivals", "apart")

_start: Barrier


@dataclass(frozen=True)
class Attempt:
    """What became of one process: when it was at work, or what it was told."""

    number: int
    portfolio_id: str
    at_work: tuple[float, float] | None  # seconds of one clock for all processes
    told: tuple[str, dt.datetime | None] | None


@dataclass(frozen=True)
class Race:
    """The figures of one race, and what is wrong."""

    name: str
    database: str
    seconds: float
    attempts: list[Attempt] = field(repr=False)
    current: int
    faults: list[str]

    @property
    def row(self) -> str:
        """The figures, in the columns of `HEAD`."""
        held = sum(attempt.at_work is not None for attempt in self.attempts)
        busy = len(self.attempts) - held
        return (
            f"{self.database:<11} {self.name:<7} {len(self.attempts):>9} {self.seconds:>8.2f} {held:>9} {busy:>5} "
            f"{self.current:>12} {len(self.faults):>7}"
        )


HEAD = "database    race    processes  seconds published  busy current runs  faults"


@contextmanager
def starting_line(processes: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes that have imported everything; each takes part in every race."""
    context = get_context("spawn")  # Polars does not survive a fork
    line = context.Barrier(processes)
    with ProcessPoolExecutor(processes, context, _line_up, (line,)) as pool:
        for ready in [pool.submit(_ready) for _ in range(processes)]:
            ready.result(BOUND)
        yield pool


def _line_up(line: Barrier) -> None:
    global _start  # noqa: PLW0603 - a barrier can only be handed to a process when it starts
    _start = line


def _ready() -> None:
    _start.wait(BOUND)


def said(number: int) -> tuple[str, dt.datetime]:
    """What a process says of itself."""
    return f"process {number}", NOON + dt.timedelta(seconds=number)


def attempt(url: str, root: Path, name: str, number: int) -> Attempt:
    """One process in one race: what `pool` runs."""
    engine = engine_from_url(url)
    portfolio_id = f"{name} {number}" if name == "apart" else name
    _start.wait(BOUND)
    with guarded(engine, TODAY, [portfolio_id], *said(number), patience=BOUND if name == "turns" else 0.0) as guard:
        begun = time.monotonic()
        for held in guard.held:
            weights = target_rows(held, TODAY, {"AAA": 0.3 + number / 1000, "BBB": 0.3})
            publish(engine, root, record(f"{name}-{number}", held, targets=weights), NOON)
        at_work = (begun, time.monotonic()) if guard.held else None
        if name != "turns":
            _start.wait(BOUND)
    engine.dispose()
    told = next(((busy.holder, busy.since) for busy in guard.busy), None)
    return Attempt(number, portfolio_id, at_work, told)


def race(pool: ProcessPoolExecutor, processes: int, url: str, root: Path, name: str) -> Race:
    """One race of all processes, and what is wrong afterwards."""
    begun = time.monotonic()
    entered = [pool.submit(attempt, url, root, name, number) for number in range(processes)]
    attempts = [entry.result(BOUND) for entry in entered]
    seconds = time.monotonic() - begun
    engine = engine_from_url(url)
    current = sum(current_runs(engine, portfolio_id) for portfolio_id in {entry.portfolio_id for entry in attempts})
    found = [*faults(attempts, name), *store_faults(engine, root, attempts)]
    kind = engine.dialect.name
    engine.dispose()
    return Race(name, kind, seconds, attempts, current, found)


def faults(attempts: list[Attempt], name: str) -> list[str]:
    """Who was at work at the same time as another; who neither worked nor was told by whom it is being done."""
    workers = [attempt for attempt in attempts if attempt.at_work]
    expected = 1 if name == "rivals" else len(attempts)
    found = [] if len(workers) == expected else [f"{len(workers)} published instead of {expected}"]
    spans = sorted((worker.portfolio_id, *(worker.at_work or ())) for worker in workers)
    for (one, _, ended), (other, begun, _) in pairwise(spans):
        if one == other and begun < ended:
            found.append(f"two were at work on {one} at a time")
    true = {said(worker.number) for worker in workers}
    return found + [
        f"process {idle.number} was told {idle.told}" for idle in attempts if not idle.at_work and idle.told not in true
    ]


def store_faults(engine: Engine, root: Path, attempts: list[Attempt]) -> list[str]:
    """Portfolios without exactly one current run, or with gaps in their succession."""
    found = []
    published = Counter(attempt.portfolio_id for attempt in attempts if attempt.at_work)
    for portfolio_id, count in published.items():
        if current_runs(engine, portfolio_id) != 1:
            found.append(f"{portfolio_id} has not exactly one current run")
        if not read_current(engine, TODAY, portfolio_id).equals(read_targets(engine, root, TODAY, portfolio_id)):
            found.append(f"{portfolio_id} is not the same in SQL and in Parquet")
        line = succession(engine, portfolio_id)
        if [replaced for replaced, _ in line] != [None, *(run_key for _, run_key in line)][:-1] or len(line) != count:
            found.append(f"{portfolio_id} has a succession that is not one line of {count}: {line}")
    return found


def current_runs(engine: Engine, portfolio_id: str) -> int:
    """How many runs are current."""
    return read_runs(engine, TODAY, portfolio_id).filter(status="published").height


def succession(engine: Engine, portfolio_id: str) -> list[tuple[int | None, int]]:
    """What was replaced, and by what, in the order in which it was."""
    steps = sa.select(promotions.c.replaced, promotions.c.run_key).where(promotions.c.portfolio_id == portfolio_id)
    with reading(engine) as connection:
        return [(replaced, run_key) for replaced, run_key in connection.execute(steps.order_by("promotion_key"))]


def races(processes: int, url: str, root: Path, pool: ProcessPoolExecutor) -> list[Race]:
    """All races on one database."""
    return [race(pool, processes, url, root, name) for name in RACES]


def main() -> int:
    """Race on both databases, print the figures, and return 1 if anything is not as it must be."""
    server = PostgresServer()
    try:
        with TemporaryDirectory() as folder, server.database() as url, starting_line(PROCESSES) as pool:
            file = f"sqlite:///{folder}/evenkeel.db"
            init(engine_from_url(file))
            done = races(PROCESSES, file, Path(folder) / "sqlite", pool)
            done += races(PROCESSES, url, Path(folder) / "postgresql", pool)
    finally:
        server.remove()
    print(HEAD, *(run.row for run in done), sep="\n")
    found = [f"{run.database}, {run.name}: {fault}" for run in done for fault in run.faults]
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
