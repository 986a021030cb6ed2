"""A year, day by day: `python -m tests.soak.year`.

A clock is moved through every day of a year of the New York Stock Exchange (`tests.soak.new_york`, written by hand),
to several moments of each (`timetable`): around midnight there and in UTC, when the snapshot comes in, when the
schedule of `deployments/prefect.yaml` is due, and in the evening. At each it does what is done then (`Rehearsal`): runs
that are due are taken up, in order; somebody starts a run by hand; a day is asked about. In a downtime nothing is done,
and what was due meanwhile is taken up after it; the next evening the sessions that were missed are backfilled. Prices,
signals and holdings are there on every day, so that nothing but the calendar keeps a run from a holiday.

What a moment amounts to is decided by `occasion_of` and `why_skipped`, as in the flow, then by `batch.rebalance` on
SQLite (`through_engine`); `through_flow` is the flow itself. Every answer is compared with what is written down by
hand, and at the end so is the database, by plain SQL (`stored_faults`).
"""

import asyncio
import datetime as dt
import logging
import os
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import polars as pl
import yaml
from prefect.runtime import flow_run
from sqlalchemy.engine import Engine

from core import batch, store
from core.policy import Policy
from core.results.report import BatchReport
from core.wording import counted
from deployments.replay import NO_ACTIONS, Desk, Market, morning, opened
from flows import occasion
from flows.occasion import occasion_of, why_skipped
from tasks.settings import ROOT, named_policy
from tests.prefect_server import prefect_server
from tests.soak import new_york
from tests.soak.worlds import World

POLICY = "conservative"
PORTFOLIOS = ("large", "small")
BUCKETS = ("Energy", "Health", "Industry", "Retail", "Technology", "Utilities")
NAMES = [f"{bucket[:3].upper()}{number}" for bucket in BUCKETS for number in range(5)]
HISTORY = 30  # days before the first
CODE = "XNYS"
FLOW_DAYS = (dt.date(2024, 11, 25), dt.date(2024, 12, 6))  # with Thanksgiving and an early close


@dataclass(frozen=True)
class Downtime:
    """Nothing works from `begins` to `ends`, in UTC."""

    begins: dt.datetime
    ends: dt.datetime

    def missed(self) -> list[dt.date]:
        """The sessions whose run was due meanwhile, but for the latest: the one that is run at the end."""
        known = new_york.sessions(new_york.FIRST, new_york.today(self.ends))
        due = [day for day in known if self.begins <= new_york.moment(day, 8, 30) < self.ends]
        return [day for day in due if day < known[-1]]


DOWNTIMES = (
    # over an early close and Independence Day; back on a Monday at noon
    Downtime(dt.datetime(2024, 7, 2, tzinfo=dt.UTC), dt.datetime(2024, 7, 8, 16, tzinfo=dt.UTC)),
    # back on a Saturday, the day before the clocks go back
    Downtime(dt.datetime(2024, 10, 30, 4, 30, tzinfo=dt.UTC), dt.datetime(2024, 11, 2, 12, tzinfo=dt.UTC)),
)


# the market


def market(first: dt.date, last: dt.date) -> Market:
    """Prices and signals of some invented names on every weekday, holidays too, known by the morning; all at once."""
    weekdays = [day for day in new_york.days(first - dt.timedelta(days=HISTORY), last) if day.weekday() < 5]
    draw, close = Random(CODE), dict.fromkeys(NAMES, 100.0)
    quality = {name: draw.random() for name in NAMES}
    prices, signals = [], []
    for day in weekdays:
        for name in NAMES:
            close[name] *= 1.0 + draw.gauss(0.0, 0.01)
            prices.append((day, name, round(close[name], 2)))
            signals.append((day, name, "technical", quality[name] + draw.gauss(0.0, 0.2)))
            signals.append((day, name, "fundamental", quality[name]))
    assets = {"symbol": NAMES, "name": NAMES, "bucket": [bucket for bucket in BUCKETS for _ in range(5)]}
    return Market(
        assets=pl.DataFrame(assets).with_columns(tradable=True, currency=pl.lit(None, pl.String)),
        prices=pl.DataFrame(prices, {"as_of": pl.Date, "symbol": pl.String, "close": pl.Float64}, orient="row"),
        signals=pl.DataFrame(
            signals, {"as_of": pl.Date, "symbol": pl.String, "signal": pl.String, "value": pl.Float64}, orient="row"
        ),
        corporate_actions=NO_ACTIONS,
    )


# the clock


@contextmanager
def clock_at(now: dt.datetime, scheduled: dt.datetime) -> Iterator[None]:
    """It is `now`, and the flow run that starts was scheduled for another moment, or for this one."""
    stopped = SimpleNamespace(now=now.astimezone)
    with (
        patch.object(occasion, "datetime", stopped),
        patch.dict(flow_run.FIELDS, scheduled_start_time=lambda: scheduled),
    ):
        yield


def due(first: dt.date, last: dt.date) -> list[dt.datetime]:
    """When runs are due, as Prefect reads the schedule of the deployment `daily`."""
    from prefect.server.schemas.schedules import CronSchedule

    document = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())
    (daily,) = [each for each in document["deployments"] if each["name"] == "daily"]
    (schedule,) = daily["schedules"]
    cron = CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
    begin, end = new_york.moment(first, 0), new_york.moment(last, 23, 59)
    return [found.astimezone(dt.UTC) for found in asyncio.run(cron.get_dates(1000, begin, end))]


# what is done at a moment


@dataclass(frozen=True)
class Ended:
    """How a run ended: why it was skipped, or its report."""

    as_of: dt.date
    skipped: str | None
    report: BatchReport | None = None


Runner = Callable[[dt.datetime, dt.datetime, dt.date | None], Ended]
"""Runs at a moment what was scheduled for a moment, for a day or without one."""


def through_engine(engine: Engine, root: Path) -> Runner:
    """What the flow does, without Prefect."""
    policy = named_policy(POLICY)

    def run(now: dt.datetime, scheduled: dt.datetime, day: dt.date | None) -> Ended:
        with clock_at(now, scheduled):
            this = replace(occasion_of(policy, day), batch_id=uuid4().hex)
        why = why_skipped(this, day)
        if why is not None:
            return Ended(this.as_of, why)
        report = batch.rebalance(engine, root, this, clock=lambda: now)
        return Ended(this.as_of, None, replace(report, missed=batch.missed(engine, this)))

    return run


def through_flow(now: dt.datetime, scheduled: dt.datetime, day: dt.date | None) -> Ended:
    """The flow itself, in the environment's database."""
    from flows.daily_rebalance import daily_rebalance

    with clock_at(now, scheduled):
        state = daily_rebalance(policy=POLICY, as_of=day, fresh=True, return_state=True)
    if state.name == occasion.SKIPPED:
        return Ended(day or new_york.today(scheduled), state.message)
    report: BatchReport = state.result()
    return Ended(report.as_of, None, report)


@dataclass
class Rehearsal:
    """What is done at a moment of the clock, compared with what is written down by hand; differences are `faults`."""

    engine: Engine
    run: Runner
    desks: list[Desk] = field(default_factory=lambda: [Desk(name) for name in PORTFOLIOS])
    policy: Policy = field(default_factory=lambda: named_policy(POLICY))
    waiting: list[dt.datetime] = field(default_factory=list)  # when runs were due that nobody has taken up
    done: set[dt.date] = field(default_factory=set)
    missed: set[dt.date] = field(default_factory=set)  # the sessions of which a run has told that nobody ran them
    faults: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)

    def deliver(self, now: dt.datetime) -> None:
        """The custodian tells what is held, on any day."""
        for desk in self.desks:
            store.load_frames(self.engine, morning(desk, new_york.today(now), ()))

    def look(self, now: dt.datetime) -> None:
        """Which day it is, whether it is a session, and until when."""
        with clock_at(now, now):
            this = occasion_of(self.policy, None)
        day = new_york.today(now)
        self._expect(now, "the day", this.as_of, day)
        self._expect(now, "why there is no session", why_skipped(this, None), _why_skipped(day, now, asked=False))
        assert self.policy.sessions
        early = dt.time(13) if day in new_york.EARLY_CLOSES else None
        self._expect(now, "the early close", self.policy.sessions.early_close(day), early)

    def take_up(self, now: dt.datetime) -> None:
        """A worker runs what is due, the oldest first."""
        for scheduled in self.waiting:
            self._start(now, scheduled)
        self.waiting.clear()

    def fall_due(self, now: dt.datetime) -> None:
        """The schedule makes a run, at half past eight there, in summer and in winter."""
        self._expect(now, "the time of the schedule", now, new_york.moment(new_york.today(now), 8, 30))
        self.waiting.append(now)

    def start(self, now: dt.datetime) -> None:
        """Somebody starts a run by hand, without a date."""
        self._start(now, now)

    def backfill(self, downtime: Downtime, now: dt.datetime) -> None:
        """Somebody runs what was missed in a downtime."""
        first, last = new_york.today(downtime.begins), new_york.today(downtime.ends)
        found = batch.to_backfill(self.engine, self.policy, first, last, None, again=False)
        self._expect(now, f"what to backfill from {first} to {last}", found, downtime.missed())
        for day in found:
            self._start(now, now, day)
        self.figures["backfilled"] += len(found)

    def _start(self, now: dt.datetime, scheduled: dt.datetime, asked: dt.date | None = None) -> None:
        day = asked or new_york.today(scheduled)
        ended = self.run(now, scheduled, asked)
        self.figures["runs"] += 1
        self.figures["skipped"] += ended.skipped is not None
        self._expect(now, "the as-of date", ended.as_of, day)
        self._expect(now, f"why {day} is skipped", ended.skipped, _why_skipped(day, now, asked=asked is not None))
        if ended.report is not None:
            self._expect_published(now, day, ended.report)
            if asked is None and day not in self.done:
                self._trade(ended.report)
            self.done.add(day)

    def _expect_published(self, now: dt.datetime, day: dt.date, report: BatchReport) -> None:
        outcome = "unchanged" if day in self.done else "published"
        told = {each.portfolio_id: (each.outcome, each.reason) for each in report.outcomes}
        self._expect(now, f"the outcome of {day}", told, dict.fromkeys(PORTFOLIOS, (outcome, None)))
        before = max((each for each in self.done if each < day), default=day)
        missed = new_york.sessions(before + dt.timedelta(days=1), day - dt.timedelta(days=1))
        self._expect(now, f"what was missed before {day}", [*report.missed], missed)
        self.missed.update(missed)

    def _trade(self, report: BatchReport) -> None:
        for desk in self.desks:
            desk.trade(report.targets.filter(portfolio_id=desk.portfolio_id))

    def _expect(self, now: dt.datetime, what: str, found: Any, wanted: Any) -> None:
        self.figures["comparisons"] += 1
        if found != wanted:
            self.faults.append(f"{now:%Y-%m-%d %H:%M} UTC: {what} is {found}, not {wanted}")


def _why_skipped(day: dt.date, now: dt.datetime, *, asked: bool) -> str | None:
    if (closed := new_york.closed(day)) is not None:
        return f"{day} is no session of {CODE}: {closed}."
    latest = new_york.sessions(day, new_york.today(now))[-1]
    if asked or latest == day:
        return None
    return f"the session {day} was missed, and {latest} has come: that one is run, and {day} with `backfill`."


# the whole of it

Event = tuple[dt.datetime, Callable[[dt.datetime], None]]


def timetable(rehearsal: Rehearsal, first: dt.date, last: dt.date, downtimes: Sequence[Downtime]) -> list[Event]:
    """What is done when, in order; in a downtime only what others do."""
    others, own = _of_others(rehearsal, first, last), _of_days(rehearsal, first, last)
    for downtime in downtimes:
        own = [event for event in own if not downtime.begins <= event[0] < downtime.ends]
        evening = new_york.moment(new_york.today(downtime.ends) + dt.timedelta(days=1), 20)
        own += [(downtime.ends, rehearsal.take_up), (evening, partial(rehearsal.backfill, downtime))]
    return sorted([*others, *own], key=lambda event: event[0])  # stable: what falls due is there to be taken up


def _of_others(rehearsal: Rehearsal, first: dt.date, last: dt.date) -> list[Event]:
    delivered = [(new_york.moment(day, 7), rehearsal.deliver) for day in new_york.days(first, last)]
    return [*delivered, *((moment, rehearsal.fall_due) for moment in due(first, last))]


def _of_days(rehearsal: Rehearsal, first: dt.date, last: dt.date) -> list[Event]:
    """Around midnight in summer and winter, at half past eight, at noon and in the evening."""
    midnights = [dt.time(3, 59), dt.time(4), dt.time(4, 59), dt.time(5)]
    events: list[Event] = []
    for day in new_york.days(first, last):
        events += [(dt.datetime.combine(day, time_, dt.UTC), rehearsal.look) for time_ in midnights]
        events += [(new_york.moment(day, 8, 30), rehearsal.take_up), (new_york.moment(day, 12), rehearsal.look)]
        events.append((new_york.moment(day, 21), rehearsal.start))
    return events


def rehearse(
    world: World, first: dt.date, last: dt.date, downtimes: Sequence[Downtime] = (), run: Runner | None = None
) -> Rehearsal:
    """Move the clock through all days of a range; returns what was done, and what was not as it must be."""
    known = market(first, last)
    with world.engine() as engine:
        opened(engine, known, PORTFOLIOS)
        rehearsal = Rehearsal(engine, run or through_engine(engine, world.targets))
        for moment, act in timetable(rehearsal, first, last, downtimes):
            act(moment)
            rehearsal.figures["moments"] += 1
    rehearsal.faults += stored_faults(world, known, new_york.sessions(first, last))
    return rehearsal


def stored_faults(world: World, known: Market, sessions: Sequence[dt.date]) -> list[str]:
    """What the database holds beside one current run for each portfolio and session, made at the prices of its day."""
    with closing(sqlite3.connect(world.folder / "evenkeel.db")) as database:
        runs = database.execute("SELECT portfolio_id, as_of, status, parquet_path FROM runs").fetchall()
        closes = database.execute(
            "SELECT runs.as_of, symbol, close FROM targets JOIN runs USING (run_key) WHERE NOT is_cash"
        ).fetchall()
    found = Counter((portfolio_id, as_of, status) for portfolio_id, as_of, status, _ in runs)
    wanted = Counter((name, str(day), "published") for name in PORTFOLIOS for day in sessions)
    prices = {(str(day), symbol): close for day, symbol, close in known.prices.iter_rows()}
    return [
        *(f"a run too many: {run}" for run in (found - wanted).elements()),
        *(f"no current run: {run}" for run in (wanted - found).elements()),
        *(f"no file of {portfolio_id} on {day}" for portfolio_id, day, _, path in runs if not _is_file(world, path)),
        *(f"{symbol} on {day} at {close}" for day, symbol, close in closes if prices[day, symbol] != close),
        *([] if closes else ["no targets"]),
    ]


def _is_file(world: World, path: str | None) -> bool:
    return path is not None and (world.targets / path).is_file()


def main() -> int:
    """A whole year, and two weeks of it through the flow; 1 where anything was not as it must be."""
    logging.disable()
    with TemporaryDirectory() as name:
        faults = _faults("the engine", Path(name) / "engine", new_york.FIRST, new_york.LAST, DOWNTIMES)
        with prefect_server(Path(name)), patch.dict(os.environ, environment(world_in(Path(name) / "flow"))):
            faults += _faults("the flow", Path(name) / "flow", *FLOW_DAYS, run=through_flow)
    return int(faults > 0)


def world_in(folder: Path) -> World:
    """A world with an SQLite file, in a new folder."""
    folder.mkdir(exist_ok=True)
    return World(f"sqlite:///{folder}/evenkeel.db", folder)


def environment(world: World) -> dict[str, str]:
    """The environment in which a flow finds a world."""
    return {"EVENKEEL_DATABASE_URL": world.database_url, "EVENKEEL_TARGETS": str(world.targets)}


def _faults(way: str, folder: Path, first: dt.date, last: dt.date, *given: Any, **more: Any) -> int:
    """Rehearse a range, print its faults and figures, and count the faults."""
    begun = time.monotonic()
    done = rehearse(world_in(folder), first, last, *given, **more)
    print(*done.faults, told(done, way, first, last), f"{time.monotonic() - begun:.0f} s", sep="\n", flush=True)
    return len(done.faults)


def told(done: Rehearsal, way: str, first: dt.date, last: dt.date) -> str:
    """What a rehearsal went through."""
    figures = done.figures
    holidays = [day for day in new_york.HOLIDAYS if first <= day <= last]
    early = [day for day in new_york.EARLY_CLOSES if first <= day <= last]
    return (
        f"{CODE} from {first} to {last} through {way}: {counted(len(done.done), 'session')}, "
        f"{counted(len(holidays), 'holiday')}, {counted(len(early), 'early close', 'early closes')}; "
        f"{counted(len(done.missed), 'session')} missed and told, {figures['backfilled']} backfilled; "
        f"{counted(figures['moments'], 'moment')}, {counted(figures['runs'], 'run')}, {figures['skipped']} of them "
        f"skipped; {counted(figures['comparisons'], 'comparison')}, {counted(len(done.faults), 'fault')}"
    )


if __name__ == "__main__":
    sys.exit(main())
