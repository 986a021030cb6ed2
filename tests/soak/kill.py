"""kill -9 at every point of a run: `python -m tests.soak.kill [--points N]`.

A first, undisturbed run of each scenario lists its points (`prepared`): around each task, each file operation, each SQL
statement and each commit, and in the midst of files and rows (`tests.soak.points`). Then the run is started anew for
each of them, from a copy of the same database and folder, and killed there (`faults_of`). What readers see must be the
old state or the new one, portfolio by portfolio and whole (`half_seen`); a plain rerun must end as if
nothing had happened (`differing`). All flows talk to one Prefect server.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Protocol

import sqlalchemy as sa

from tests.postgres import PostgresServer
from tests.prefect_server import prefect_server
from tests.soak.driver import Done, Driver, Order, Point
from tests.soak.wholeness import differing, half_seen, strange_files
from tests.soak.worlds import AS_OF, Known, PostgresWorlds, SqliteWorlds, World, Worlds, state_of

DRIVERS = 2
TOLD_EVERY = 50  # kills
INTERRUPTED_AT = "before INSERT INTO promotions"


@dataclass(frozen=True)
class Scenario:
    """What was published `before`, by which policies, and the policy of the run that is killed.

    `without_cash`: a portfolio that is refused. `interrupted`: a run like it was killed before.
    """

    name: str
    before: Sequence[str] = ()
    policy: str = "conservative"
    without_cash: str | None = None
    interrupted: bool = False


SCENARIOS = (
    Scenario("first run"),
    Scenario("superseding run", before=["conservative"], policy="aggressive"),
    Scenario("run with a refused portfolio", without_cash="concentrated"),
    Scenario("run that restores an earlier one", before=["conservative", "aggressive"]),
    Scenario("rerun after a kill", interrupted=True),
)


@dataclass(frozen=True)
class Case:
    """A scenario on one kind of database: the world before, what is known of it, and how it ends undisturbed."""

    worlds: Worlds
    scenario: Scenario
    template: World
    before: Known = field(repr=False)
    after: Known = field(repr=False)
    undisturbed: Done = field(repr=False)

    def __str__(self) -> str:
        return f"{self.worlds.kind}, {self.scenario.name}"


@dataclass
class Drivers:
    """Drivers at work side by side, each for one order at a time."""

    api_url: str
    count: int = DRIVERS
    _idle: Queue[Driver] = field(default_factory=Queue)

    def run(self, world: World, policy: str, kill_at: Point | None = None) -> Done:
        """Run the flow in a world, up to a point if one is given."""
        with tempfile.TemporaryDirectory() as notes, self._driver() as driver:
            parameters = {"as_of": str(AS_OF), "policy": policy}
            return driver.run(Order(world.database_url, str(world.folder), notes, parameters, kill_at))

    @contextmanager
    def started(self) -> Iterator["Drivers"]:
        """Start all drivers; stop them at the end."""
        drivers = [Driver(self.api_url) for _ in range(self.count)]
        for driver in drivers:
            self._idle.put(driver)
        try:
            yield self
        finally:
            for driver in drivers:
                driver.stop()

    @contextmanager
    def _driver(self) -> Iterator[Driver]:
        driver = self._idle.get()
        try:
            yield driver
        finally:
            self._idle.put(driver)


class Runner(Protocol):
    """Who runs the flow: drivers, or this process (`tests.soak.here`)."""

    def run(self, world: World, policy: str, kill_at: Point | None = None) -> Done:
        """Run the flow in a world, up to a point if one is given."""


def prepared(worlds: Worlds, scenario: Scenario, runner: Runner) -> Case:
    """Make the world in which a scenario begins, and run it undisturbed in a copy."""
    world = worlds.filled()
    if scenario.without_cash is not None:
        with world.engine() as engine, engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM cash WHERE portfolio_id = :id"), {"id": scenario.without_cash})
    for policy in scenario.before:
        _require_ended(runner.run(world, policy))
    if scenario.interrupted:
        undisturbed, _ = _undisturbed(worlds, world, scenario, runner)
        late = [point for point in undisturbed.points if point.name == INTERRUPTED_AT][-1]
        assert runner.run(world, scenario.policy, late).killed
    undisturbed, after = _undisturbed(worlds, world, scenario, runner)
    return Case(worlds, scenario, world, state_of(world), after, undisturbed)


def _undisturbed(worlds: Worlds, world: World, scenario: Scenario, runner: Runner) -> tuple[Done, Known]:
    copy = worlds.copy(world)
    done = _require_ended(runner.run(copy, scenario.policy))
    after = state_of(copy)
    faults = [*strange_files(copy, after), *worlds.locks(copy)]
    assert not faults, faults
    worlds.drop(copy)
    return done, after


def _require_ended(done: Done) -> Done:
    """The flow came to an end of its own."""
    assert done.told is not None, done.log
    return done


def faults_of(case: Case, point: Point, drivers: Drivers, rerunner: Runner) -> list[str]:
    """Kill a run of the case at a point, and run again; returns what is not as it must be."""
    world = case.worlds.copy(case.template)
    try:
        killed = drivers.run(world, case.scenario.policy, point)
        if not killed.killed:
            return [f"the point was not reached: the run ended with status {killed.status}, {killed.told}"]
        faults = half_seen(state_of(world), case.before, case.after)
        again = rerunner.run(world, case.scenario.policy)
        return faults + _faults_after_rerun(case, world, again)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    finally:
        case.worlds.drop(world)


def _faults_after_rerun(case: Case, world: World, again: Done) -> list[str]:
    """All as after an undisturbed run, without a file too many, and nothing locked."""
    expected = _require_ended(case.undisturbed).told
    if again.told is None or expected is None or again.told[0] != expected[0]:
        return [f"the rerun ended with status {again.status}, {again.told}, not {expected}: {again.log[-2000:]}"]
    found = state_of(world)
    return [
        *(f"after the rerun, {fault}" for fault in differing(found, case.after)),
        *strange_files(world, found),
        *case.worlds.locks(world),
    ]


# the whole of it


def _chosen(points: Sequence[Point], count: int) -> list[Point]:
    """So many points, spread evenly."""
    return [points[place * len(points) // count] for place in range(min(count, len(points)))]


def _killed(case: Case, points: Sequence[Point], drivers: Drivers) -> int:
    """Kill a run of a case at each of some points; prints and counts failures."""
    failures = 0
    started = time.monotonic()
    with ThreadPoolExecutor(drivers.count) as pool:
        done = pool.map(lambda point: (point, faults_of(case, point, drivers, drivers)), points)
        for number, (point, faults) in enumerate(done, 1):
            failures += bool(faults)
            for fault in faults:
                print(f"FAILED {case}, {point}: {fault}", flush=True)
            if number % TOLD_EVERY == 0:
                print(f"... {number} kills in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print(f"{case}: {len(case.undisturbed.points)} points, {len(points)} kills, {failures} failures", flush=True)
    return failures


def _all(folder: Path, server: PostgresServer, api_url: str, limit: int | None) -> int:
    kinds: list[Worlds] = [SqliteWorlds(folder), PostgresWorlds(folder, server)]
    with Drivers(api_url).started() as drivers:
        cases = [prepared(worlds, scenario, drivers) for scenario in SCENARIOS for worlds in kinds]
        known = sum(len(case.undisturbed.points) for case in cases)
        share = 1.0 if limit is None else min(1.0, limit / known)
        chosen = [_chosen(case.undisturbed.points, -int(-len(case.undisturbed.points) * share // 1)) for case in cases]
        started = time.monotonic()
        failures = sum(_killed(case, points, drivers) for case, points in zip(cases, chosen, strict=True))
    kills, minutes = sum(map(len, chosen)), (time.monotonic() - started) / 60
    print(f"{known} points in {len(cases)} cases, {kills} kills in {minutes:.1f} minutes, {failures} failures")
    return failures


def main() -> int:
    """Run all scenarios on both databases; 1 where anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, help="about how many kills, spread evenly; all points by default")
    limit = parser.parse_args().points
    with tempfile.TemporaryDirectory() as name, prefect_server(Path(name)) as api_url:
        folder = Path(name)
        server = PostgresServer()
        try:
            return int(_all(folder, server, api_url, limit) > 0)
        finally:
            server.remove()


if __name__ == "__main__":
    sys.exit(main())
