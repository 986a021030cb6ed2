"""A batch in shards, from the database to published targets: seconds, and the memory that each process takes at most.

`python -m tests.benchmarks.bench_shards [PORTFOLIOSxNAMES ...] [--per-shard=50] [--sqlite]`, by default 200x500 and
1000x500, on a PostgreSQL server of its own that syncs each commit to disk. Each size is filled into a new database and
then run by a process of its own, shard after shard, without Prefect: `seconds` are those of reading, deciding,
verifying and publishing; `resident` is the most memory that this process had (`ru_maxrss`), less is what it had before
its first shard. Run in one shard too, the same size tells what shards save.
"""

import argparse
import datetime as dt
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter

import polars as pl

from core import batch, store, stored
from core.batch import Occasion
from core.models import sharded
from core.policy_file import parse_policy
from core.results.report import joined, shortened
from tasks.artifacts import ROWS, told_in_full

AS_OF = dt.date(2026, 7, 31)
BUCKETS = 11
POLICY = """
name: bench
data_gate: {max_jump: 10}
limits:
  max_total_positions: 500
  max_new_positions: 500
  initial_new_positions: 500
  min_score_threshold: 0.0
  min_score_new_position: 0.0
  max_single_position_pct: 0.01
  enable_bucket_diversification: true
  max_positions_per_bucket: 500
  max_allocation_per_bucket: 0.2
sizing: {kind: score_weighted}
constraints:
  - {kind: long_only}
  - {kind: turnover, max_turnover: 0.2}
"""


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


def run(url: str, root: Path, shards: int) -> dict[str, float]:
    """Run the batch in this process; what it took."""
    database, policy = store.engine_from_url(url), parse_policy(POLICY, "of the benchmark")
    occasion = Occasion(policy, AS_OF, "bench", dt.datetime.now(dt.UTC))
    before, start = resident(), perf_counter()
    ids = store.portfolio_ids(database, policy.reads)
    shown = told_in_full(ids) or ids
    told = batch.opened(occasion)
    for shard in sharded(ids, shards):
        with store.guarded(database, AS_OF, shard.portfolio_ids, "bench", occasion.started_at) as guard:
            guard.require_held()
            parts = stored.read(database, root, policy, AS_OF, None, fresh=True, batch_id="bench", shard=shard)
            now = {"clock": lambda: dt.datetime.now(dt.UTC), "dry_run": False}
            done = [batch.rebalanced(database, root, occasion, part, **now) for part in parts]
        told = joined(told, [shortened(joined(batch.opened(occasion), done), shown, ROWS)])
    refused = len(told.refused)
    return {
        "seconds": perf_counter() - start,
        "resident": resident(),
        "before": before,
        "published": len(told.outcomes) - refused,
        "rows": told.totals.rows["targets"],
    }


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


def measured(url: str, portfolios: int, names: int, shards: int) -> dict[str, float]:
    """Fill a database, and run it in a process of its own."""
    database = store.engine_from_url(url)
    store.init(database)
    for table, rows in market(portfolios, names):
        store.load_frames(database, {table: rows})
    database.dispose()
    with TemporaryDirectory() as root:
        command = [sys.executable, "-m", "tests.benchmarks.bench_shards", "--child", url, root, str(shards)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(told.splitlines()[-1]))


def main() -> None:
    """Print a line per size and number of shards."""
    if sys.argv[1:2] == ["--child"]:
        url, root, shards = sys.argv[2:]
        print(json.dumps(run(url, Path(root), int(shards))))
        return
    asked = argparse.ArgumentParser()
    asked.add_argument("sizes", nargs="*", default=["200x500", "1000x500"])
    asked.add_argument("--per-shard", type=int, default=50)
    asked.add_argument("--sqlite", action="store_true")
    asked.add_argument("--whole", action="store_true", help="also in one shard")
    given = asked.parse_args()
    print(
        f"{'portfolios x names':>20} {'shards':>7} {'seconds':>8} {'resident MB':>12} {'before MB':>10} {'targets':>10}"
    )
    with databases(given.sqlite) as urls:
        for size in given.sizes:
            portfolios, names = map(int, size.split("x"))
            for shards in [1] * given.whole + [-(-portfolios // given.per_shard)]:
                told = measured(next(urls), portfolios, names, shards)
                if told["published"] != portfolios:
                    raise SystemExit(f"{told['published']:.0f} of {portfolios} portfolios were published")
                figures = (
                    f"{told['seconds']:8.1f} {told['resident']:12,.0f} {told['before']:10,.0f} {told['rows']:10,.0f}"
                )
                print(f"{size:>20} {shards:7} {figures}", flush=True)


if __name__ == "__main__":
    main()
