"""A batch in shards, from the database to published targets: seconds, steps, and the memory that it takes at most.

`python -m tests.benchmarks.bench_shards [PORTFOLIOSxNAMES ...] [--per-shard=250] [--at-once=2] [--runner=threads]
[--steps] [--whole] [--sqlite]`, by default 200x500 and 1000x500, on a PostgreSQL server of its own that syncs each
commit to disk. Each size is filled into a new database and then run, `--at-once` shards on as many threads, as the flow
does by default, or in as many processes (`--runner=processes`), as with Dask on one machine; but without Prefect.
`seconds` are those of reading, deciding, verifying, explaining and publishing, after each process has loaded its
libraries in a dry run of one portfolio; `resident` is the most memory that one of these processes had (`ru_maxrss`),
of which the first had `before` at first. `--steps` tells where the time went, added up over all shards; `--whole` runs
the same size in one shard too.
"""

import argparse
import datetime as dt
import json
import multiprocessing
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Any

import polars as pl

from core import batch, store, stored
from core.batch import Occasion
from core.models import Shard, sharded
from core.policy import Policy
from core.policy_file import parse_policy
from core.results.report import BatchReport, joined, shortened
from core.timing import stopwatch
from tasks.artifacts import ROWS, told_in_full
from tasks.runners import WORKERS

AS_OF = dt.date(2026, 7, 31)
BUCKETS = 11
POLICY = """
name: bench
data_gate: {{max_jump: 10}}
limits:
  max_total_positions: {names}
  max_new_positions: {names}
  initial_new_positions: {names}
  min_score_threshold: 0.0
  min_score_new_position: 0.0
  max_single_position_pct: {five_times_equal}
  enable_bucket_diversification: true
  max_positions_per_bucket: {names}
  max_allocation_per_bucket: 0.2
  min_buckets_represented: 0
sizing: {{kind: score_weighted}}
constraints:
  - {{kind: long_only}}
  - {{kind: turnover, max_turnover: 0.2}}
"""


RUNNERS: dict[str, Callable[[int], Executor]] = {
    "threads": ThreadPoolExecutor,
    "processes": partial(ProcessPoolExecutor, mp_context=multiprocessing.get_context("spawn")),
}
"""What runs so many shards at once."""


def policy_for(names: int) -> Policy:
    """The limits of a portfolio that may hold so many names."""
    return parse_policy(POLICY.format(names=names, five_times_equal=5 / names), "of the benchmark")


def market(portfolios: int, names: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """Input tables in which every portfolio holds every name; positions come in pieces."""
    random = Random(7)
    symbols = [f"S{number:04}" for number in range(names)]
    ids = [f"p{number:05}" for number in range(portfolios)]
    yield "portfolios", pl.DataFrame({"portfolio_id": ids, "name": ids, "base_currency": "USD", "active": True})
    yield "cash", pl.DataFrame({"portfolio_id": ids, "as_of": AS_OF, "amount": 1e6})
    buckets = [f"Bucket {number % BUCKETS:02}" for number in range(names)]
    words = {"bucket": buckets, "tradable": True, "currency": "USD"}
    yield "assets", pl.DataFrame({"symbol": symbols, "name": symbols, **words})
    closes = [random.uniform(10, 500) for _ in symbols]
    yield "prices", pl.DataFrame({"as_of": AS_OF, "symbol": symbols, "close": closes, "adjusted_close": closes})
    signals = [{"as_of": AS_OF, "symbol": s, "signal": n} for s in symbols for n in ("technical", "fundamental")]
    yield "signals", pl.DataFrame(signals).with_columns(value=pl.Series([random.random() for _ in signals]))
    for start in range(0, portfolios, 200):
        part = ids[start : start + 200]
        quantities = [random.uniform(0.2, 1.8) * 1e7 / names / close for _ in part for close in closes]
        rows = {"portfolio_id": [i for i in part for _ in symbols], "symbol": symbols * len(part)}
        yield "positions", pl.DataFrame({**rows, "as_of": AS_OF, "quantity": quantities})


def run(url: str, root: Path, names: int, shards: int, at_once: int, runner: str) -> dict[str, Any]:
    """Run the batch from this process; what it took."""
    occasion = Occasion(policy_for(names), AS_OF, "bench", dt.datetime.now(dt.UTC))
    before = resident()
    database = store.engine_from_url(url)
    with RUNNERS[runner](at_once) as workers:
        ready = [workers.submit(libraries_loaded, url, root, occasion) for _ in range(at_once)]
        done(ready)
        start = perf_counter()
        ids = store.portfolio_ids(database, occasion.policy.reads)
        shown = told_in_full(ids) or ids
        parts = [workers.submit(shard_done, url, root, occasion, shard, shown) for shard in sharded(ids, shards)]
        told = joined(batch.opened(occasion), [report for report, _ in done(parts)])
    return {
        "seconds": perf_counter() - start,
        "resident": max(resident(), *(peak for _, peak in done(parts))),
        "before": before,
        "published": len(told.outcomes) - len(told.refused),
        "rows": told.totals.rows["targets"],
        "steps": told.seconds,
    }


def libraries_loaded(url: str, root: Path, occasion: Occasion) -> None:
    """Run one portfolio dry: whatever a process loads at its first run is there then."""
    database = store.engine_from_url(url)
    batch.rebalance(database, root, occasion, ["p00000"], clock=lambda: occasion.started_at, dry_run=True)
    database.dispose()
    sleep(1)  # so that another process takes the next one


def shard_done(
    url: str, root: Path, occasion: Occasion, shard: Shard, shown: Sequence[str]
) -> tuple[BatchReport, float]:
    """What became of a shard, and the most memory that its process has had, in MB."""
    database, policy, as_of = store.engine_from_url(url), occasion.policy, occasion.as_of
    with (
        stopwatch() as seconds,
        store.guarded(database, as_of, shard.portfolio_ids, shard.name, occasion.started_at) as guard,
    ):
        guard.require_held()
        parts = stored.read(database, root, policy, as_of, None, fresh=True, batch_id="bench", shard=shard)
        now = {"clock": lambda: dt.datetime.now(dt.UTC), "dry_run": False}
        ended = [batch.rebalanced(database, root, occasion, part, **now) for part in parts]
    database.dispose()
    report = replace(joined(batch.opened(occasion), ended), seconds=seconds)
    return shortened(report, shown, ROWS), resident()


def done(submitted: Sequence[Future[Any]]) -> list[Any]:
    """What they returned, in their order."""
    return [future.result() for future in submitted]


def resident() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def databases(on_sqlite: bool) -> Iterator[Iterator[str]]:
    """Addresses of new databases with Evenkeel's tables, one after another."""
    if on_sqlite:
        with TemporaryDirectory() as folder:
            yield (f"sqlite:///{folder}/{number}.db" for number in range(1000))
        return
    from tests.postgres import PostgresServer

    server = PostgresServer(haste=False)
    try:
        yield iter(lambda: server.database().__enter__(), None)
    finally:
        server.remove()


def measured(url: str, portfolios: int, names: int, shards: int, at_once: int, runner: str) -> dict[str, Any]:
    """Fill a database, and run it from a process of its own, in so many shards, so many at once."""
    database = store.engine_from_url(url)
    store.init(database)
    for table, rows in market(portfolios, names):
        store.load_frames(database, {table: rows})
    database.dispose()
    with TemporaryDirectory() as root:
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.bench_shards",
            "--child",
            url,
            root,
            *map(str, (names, shards, at_once)),
            runner,
        ]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(told.splitlines()[-1]))


def tell_steps(steps: Mapping[str, float], portfolios: int) -> None:
    """Print what each step took."""
    whole = sum(steps.values())
    for step, seconds in [*steps.items(), ("all steps", whole)]:
        print(f"{step:>20} {seconds:8.2f} s {seconds / whole:7.1%} {1000 * seconds / portfolios:8.2f} ms per portfolio")


def main() -> None:
    """Print a line per size and number of shards."""
    if sys.argv[1:2] == ["--child"]:
        url, root, *sizes, runner = sys.argv[2:]
        print(json.dumps(run(url, Path(root), *map(int, sizes), runner)))
        return
    asked = argparse.ArgumentParser()
    asked.add_argument("sizes", nargs="*", default=["200x500", "1000x500"])
    asked.add_argument("--per-shard", type=int, default=250)
    asked.add_argument("--at-once", type=int, default=WORKERS)
    asked.add_argument("--runner", choices=RUNNERS, default="threads")
    asked.add_argument("--steps", action="store_true", help="where the time went")
    asked.add_argument("--whole", action="store_true", help="also in one shard")
    asked.add_argument("--sqlite", action="store_true")
    given = asked.parse_args()
    columns = ("shards", "at once", "seconds", "resident MB", "before MB", "targets")
    print(f"{'portfolios x names':>20}", *(f"{column:>12}" for column in columns))
    with databases(given.sqlite) as urls:
        for size in given.sizes:
            portfolios, names = map(int, size.split("x"))
            for shards in [1] * given.whole + [-(-portfolios // given.per_shard)]:
                told = measured(next(urls), portfolios, names, shards, given.at_once, given.runner)
                if told["published"] != portfolios:
                    raise SystemExit(f"{told['published']:.0f} of {portfolios} portfolios were published")
                figures = [f"{shards:12}", f"{given.at_once:12}", f"{told['seconds']:12.1f}"]
                figures += [f"{told[name]:12,.0f}" for name in ("resident", "before", "rows")]
                print(f"{size:>20}", *figures, flush=True)
                if given.steps:
                    tell_steps(told["steps"], portfolios)


if __name__ == "__main__":
    main()
