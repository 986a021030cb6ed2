"""What a run takes beyond its own work and Prefect's: the daily flow, beside its work alone and an empty flow.

`python -m tests.benchmarks.bench_run` runs, in turn, in one process, on the demo market and a Prefect server of its own
(`tests.prefect_server`): the daily rebalance as a flow, publishing; its own work, which is the batch and what it shows,
without Prefect; and a flow of as many tasks and the same artifacts that does nothing else, which is Prefect's. The
overhead is what is left of the first without the second, as a multiple of the third. Medians and range of ten rounds.
"""

import datetime as dt
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.logging.handlers import APILogHandler
from prefect.tasks import Task

from core import batch, store
from core.results.chart import charts
from flows.daily_rebalance import rebalanced
from tasks import artifacts
from tasks.settings import named_policy
from tests.demo import demo_market
from tests.prefect_server import prefect_server

AS_OF = dt.date(2026, 11, 20)
POLICY = "conservative"
ROUNDS = 10
TARGET = 1.2  # times Prefect's own
CREATORS = ("create_markdown_artifact", "create_table_artifact")

Artifact = tuple[str, tuple[Any, ...], dict[str, Any]]
"""The name of what creates it, and what that is given."""


@task(cache_policy=NO_CACHE)
def nothing(shown: list[Artifact]) -> None:
    """Create some artifacts, and no more."""
    for creator, args, settings in shown:
        getattr(artifacts, creator)(*args, **settings)


@flow(name="empty")
def empty(tasks: int, shown: list[Artifact]) -> None:
    """As many tasks as the daily rebalance has, of which the last creates its artifacts."""
    for _ in range(tasks - 1):
        nothing([])
    nothing(shown)


@contextmanager
def desk(template: Path) -> Iterator[Path]:
    """A new database and folder of targets, which the environment names."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(template, folder / "evenkeel.db")
        places = {"DATABASE_URL": f"sqlite:///{folder / 'evenkeel.db'}", "TARGETS": str(folder / "targets")}
        with patch.dict(os.environ, {f"EVENKEEL_{name}": place for name, place in places.items()}):
            yield folder


def as_flow() -> None:
    """The daily rebalance."""
    report = rebalanced(policy=POLICY, as_of=AS_OF)
    assert not report.refused


def by_itself(folder: Path) -> None:
    """The same without Prefect: the batch, and all that it would show."""
    occasion = batch.Occasion(named_policy(POLICY), AS_OF, str(uuid4()), dt.datetime.now(dt.UTC))
    database, root = store.engine_from_url(f"sqlite:///{folder / 'evenkeel.db'}"), folder / "targets"
    batch.tidied(database, root, AS_OF)
    batch.missed(database, occasion)
    ids = store.portfolio_ids(database, occasion.policy.reads)
    with store.guarded(database, AS_OF, ids, occasion.holder, occasion.started_at):
        report = batch.rebalance(database, root, occasion, clock=lambda: dt.datetime.now(dt.UTC))
    drawn = artifacts.pictured(report)
    pictures = dict(charts(report, drawn, store.last_targets(database, AS_OF, drawn)))
    with creating(lambda _: lambda *_, **__: None):
        artifacts.create_artifacts(report, pictures)
        artifacts.create_summary(report, pictures)


@contextmanager
def creating(instead: Callable[[str], Callable[..., Any]]) -> Iterator[None]:
    """Have something else called where artifacts are created: what `instead` gives for the name of what does it."""
    with ExitStack() as patched:
        for creator in CREATORS:
            patched.enter_context(patch.object(artifacts, creator, instead(creator)))
        yield


def recorded(template: Path) -> tuple[int, list[Artifact]]:
    """How many tasks the daily rebalance runs, and the artifacts that it creates."""
    ran: list[str] = []
    shown: list[Artifact] = []
    call = Task.__call__

    def counted(self: Task[..., Any], *args: Any, **settings: Any) -> Any:
        ran.append(self.name)
        return call(self, *args, **settings)

    def noted(creator: str) -> Callable[..., None]:
        return lambda *args, **settings: shown.append((creator, args, settings))

    with desk(template), patch.object(Task, "__call__", counted), creating(noted):
        as_flow()
    return len(ran), shown


def seconds(call: Callable[[], object]) -> float:
    """The time of one call."""
    start = perf_counter()
    call()
    return perf_counter() - start


def main() -> None:
    """Print a table."""
    with TemporaryDirectory() as name, prefect_server(Path(name)):
        template = Path(name) / "template.db"
        database = store.engine_from_url(f"sqlite:///{template}")
        store.init(database)
        store.load_frames(database, demo_market(AS_OF))
        database.dispose()
        tasks, shown = recorded(template)
        rounds = []
        for _ in range(ROUNDS + 1):
            with desk(template):
                whole = seconds(as_flow)
            with desk(template) as folder:
                work = seconds(lambda at=folder: by_itself(at))
            rounds.append((whole, work, seconds(lambda: empty(tasks, shown))))
        APILogHandler().flush()
        rounds = rounds[1:]  # the first loads libraries
    multiples = [(whole - work) / prefects for whole, work, prefects in rounds]
    print(f"{tasks} tasks, {len(shown)} artifacts, {ROUNDS} rounds\n")
    print("| run | its own work | Prefect's | beyond its work, times Prefect's | target |")
    print("| --: | --: | --: | --: | --- |")
    cells = [f"{1000 * median(column):,.0f} ms" for column in zip(*rounds, strict=True)]
    cells.append(f"{median(multiples):.2f} ({min(multiples):.2f} to {max(multiples):.2f})")
    cells.append(f"{TARGET:g} times: {'met' if median(multiples) <= TARGET else 'missed'}")
    print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
