"""Several hundred daily runs in a row: `python -m tests.soak.growth [RUNS]`, by default 400 on each database.

One process goes from weekday to weekday of the market of `tests.soak.year`: the desk reports its positions, the batch
is run and published, the desk trades. The database, the folder of targets and the process live through all of it, so
that what is left behind by a run would make the later ones slower, or the process larger. Compared are the processor
time of a run, and the memory of the process, over the second and the last quarter of the runs: after the first,
everything that is loaded once has been. 1 where either grew by more than `NOISE`.
"""

import datetime as dt
import gc
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time

import polars as pl

from core import batch, store
from deployments.replay import Desk, morning, opened
from tasks.settings import named_policy
from tests.postgres import PostgresServer
from tests.soak.year import POLICY, PORTFOLIOS, market

RUNS = 400
LAST = dt.date(2024, 12, 31)
NOISE = 0.15
PAGE = 4096 / 1e6  # MB


@dataclass(frozen=True)
class Cost:
    """What a run took: seconds of processor time, and the MB that the process has after it."""

    seconds: float
    resident: float


def daily_runs(url: str, root: Path, runs: int) -> Iterator[Cost]:
    """Run so many weekdays in a row."""
    engine, policy = store.engine_from_url(url), named_policy(POLICY)
    known = market(LAST - dt.timedelta(days=runs * 3 // 2), LAST)
    store.init(engine)
    opened(engine, known, PORTFOLIOS)
    desks = [Desk(name) for name in PORTFOLIOS]
    for day in known.days[-runs:]:
        for desk in desks:
            store.load_frames(engine, morning(desk, day, ()))
        gc.collect()
        start, now = process_time(), dt.datetime.combine(day, dt.time(12), dt.UTC)
        occasion = batch.Occasion(policy, day, f"batch of {day}", now)
        report = batch.rebalance(engine, root, occasion, clock=lambda now=now: now)
        seconds = process_time() - start
        if {told.outcome for told in report.outcomes} != {"published"}:
            raise SystemExit(f"{day}: {report.counts}; {[told.reason for told in report.refused]}")
        for desk in desks:
            desk.trade(report.targets.filter(pl.col("portfolio_id") == desk.portfolio_id))
        yield Cost(seconds, int(Path("/proc/self/statm").read_text().split()[1]) * PAGE)
    engine.dispose()


def growth(name: str, costs: list[Cost]) -> bool:
    """Tell how the last quarter of the runs compares with the second; whether it grew."""
    quarter = len(costs) // 4
    then, now = costs[quarter : 2 * quarter], costs[-quarter:]
    figures = {}
    for unit, digits in (("seconds", 3), ("resident", 0)):
        before, after = (median(getattr(cost, unit) for cost in part) for part in (then, now))
        figures[unit] = after / before - 1
        print(f"{name}, {unit}: {before:.{digits}f} in the second quarter, {after:.{digits}f} in the last", end="; ")
        print(f"{figures[unit]:+.1%}", flush=True)
    return max(figures.values()) > NOISE


def main() -> int:
    """Both databases; 1 where something grew."""
    logging.disable()
    runs = int(sys.argv[1]) if sys.argv[1:] else RUNS
    with TemporaryDirectory() as name:
        grew = growth("SQLite", list(daily_runs(f"sqlite:///{name}/evenkeel.db", Path(name) / "targets", runs)))
    server = PostgresServer(haste=False)
    try:
        with server.database() as url, TemporaryDirectory() as name:
            grew |= growth("PostgreSQL", list(daily_runs(url, Path(name) / "targets", runs)))
    finally:
        server.remove()
    print(f"{2 * runs} runs of {len(PORTFOLIOS)} portfolios: {'something grew' if grew else 'nothing grew'}")
    return int(grew)


if __name__ == "__main__":
    sys.exit(main())
