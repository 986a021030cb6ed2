"""Several hundred daily runs in a row: `python -m tests.soak.growth [RUNS]`, by default 400 on each database.

One process goes from weekday to weekday of the market of `tests.soak.year`: the desk reports its positions, the batch
is run and published, the desk trades. The database, the folder of targets and the process live through all of it, so
that what is left behind by a run would make the later ones slower, or the process larger. Beside each run the first one
is planned again in a database that stays as it is, and the time of a run, the processor's and the clock's, in which the
database's own is, is told in multiples of that, as what else the machine does slows down both. These multiples, and the
memory of the process, are compared over the second and the last quarter of the runs; after the first, everything that
is loaded once has been. 1 where any of them grew by more than `NOISE`.
"""

import datetime as dt
import gc
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import polars as pl
from sqlalchemy.engine import Engine

from core import batch, store
from core.results.report import BatchReport
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
    """A run's times in multiples of those of the same small work, and the MB that the process has after it."""

    processor: float
    clock: float
    resident: float


def daily_runs(url: str, reference_url: str, root: Path, runs: int) -> Iterator[Cost]:
    """Run so many weekdays in a row."""
    engine, reference = store.engine_from_url(url), store.engine_from_url(reference_url)
    known = market(LAST - dt.timedelta(days=runs * 3 // 2), LAST)
    days, desks = known.days[-runs:], [Desk(name) for name in PORTFOLIOS]
    for each in (engine, reference):
        opened(each, known, PORTFOLIOS)
        load(each, desks, days[0])
    for day in days:
        load(engine, desks, day)
        report, processor, clock = run_once(engine, root, day)
        _, same_processor, same_clock = run_once(reference, root, days[0], dry_run=True)
        if {told.outcome for told in report.outcomes} != {"published"}:
            raise SystemExit(f"{day}: {report.counts}; {[told.reason for told in report.refused]}")
        for desk in desks:
            desk.trade(report.targets.filter(pl.col("portfolio_id") == desk.portfolio_id))
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
        yield Cost(processor / same_processor, clock / same_clock, resident)
    engine.dispose()
    reference.dispose()


def load(engine: Engine, desks: Sequence[Desk], day: dt.date) -> None:
    """The holdings of a morning."""
    for desk in desks:
        store.load_frames(engine, morning(desk, day, ()))


def run_once(engine: Engine, root: Path, day: dt.date, *, dry_run: bool = False) -> tuple[BatchReport, float, float]:
    """The report of a batch, done as the flow does it, and the seconds that it took: the processor's, the clock's."""
    gc.collect()
    processor, clock, now = process_time(), perf_counter(), dt.datetime.combine(day, dt.time(12), dt.UTC)
    occasion = batch.Occasion(named_policy(POLICY), day, f"batch of {day}", now)
    if not dry_run:
        batch.tidied(engine, root, day)
    report = batch.rebalance(engine, root, occasion, clock=lambda: now, dry_run=dry_run)
    batch.missed(engine, occasion)
    return report, process_time() - processor, perf_counter() - clock


def growth(name: str, costs: list[Cost]) -> bool:
    """Tell how the last quarter of the runs compares with the second; whether it grew."""
    quarter = len(costs) // 4
    then, now = costs[quarter : 2 * quarter], costs[-quarter:]
    figures = {}
    for unit, digits in (("processor", 2), ("clock", 2), ("resident", 0)):
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
        urls = (f"sqlite:///{name}/{database}.db" for database in ("evenkeel", "reference"))
        grew = growth("SQLite", list(daily_runs(*urls, Path(name) / "targets", runs)))
    server = PostgresServer(haste=False)
    try:
        with server.database() as url, server.database() as reference, TemporaryDirectory() as name:
            grew |= growth("PostgreSQL", list(daily_runs(url, reference, Path(name) / "targets", runs)))
    finally:
        server.remove()
    print(f"{2 * runs} runs of {len(PORTFOLIOS)} portfolios: {'something grew' if grew else 'nothing grew'}")
    return int(grew)


if __name__ == "__main__":
    sys.exit(main())
