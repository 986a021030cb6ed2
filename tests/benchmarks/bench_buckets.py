"""What bucket enforcement adds to a run, beside the same in plain Python objects, in one process.

`python -m tests.benchmarks.bench_buckets` prints medians. The promise: less than 100 ms for one run of up to 50,000
names; the target is a tenth of that.
"""

import datetime as dt
from collections.abc import Callable
from statistics import median
from time import perf_counter

import polars as pl

from core.decisions.bucket_limits_enforcer import enforce_bucket_limits
from core.limits import BucketLimitsConfig
from core.schemas import Decided

BUCKETS = 40
SIZES = ((1, 500), (1, 5_000), (1, 50_000), (100, 500))
TARGET = 10  # milliseconds, for one run
LIMITS = BucketLimitsConfig(max_positions_per_bucket=4, max_allocation_per_bucket=0.4)


def universe(portfolios: int, names: int) -> pl.DataFrame:
    """Runs of random names, a tenth of them held; schema `Decided`."""
    count = portfolios * names
    number = pl.int_range(count)
    frame = pl.select(
        portfolio_id=(number // names).cast(pl.String).str.zfill(6),
        as_of=pl.lit(dt.date(2026, 1, 5)),
        symbol=(number % names).cast(pl.String).str.zfill(6),
        priority=pl.lit("fallback"),
        held=number % 10 == 0,
        bucket=((number * 7919) % BUCKETS).cast(pl.String),
        tradable=pl.lit(True),
        current_weight=pl.when(number % 10 == 0).then(0.001).otherwise(0.0),
        quantity=pl.lit(0.0),
        close=pl.lit(None),
        excluded=pl.lit(None),
        score=((number * 104_729) % 9973) / 9973,
        confidence=pl.lit(0.8),
        reason=pl.lit(""),
        proposed_weight=pl.lit(0.02),
        volatility=pl.lit(None),
        side=pl.lit(1),
        fixed=pl.lit(False),
        rejected_by=pl.lit(None),
    )
    return Decided.cast(frame.select(Decided.column_names()))


def by_objects(rows: list[dict[str, object]]) -> int:
    """The position limit in plain Python, for comparison: how many names stay."""
    grouped: dict[tuple[object, object], list[dict[str, object]]] = {}
    for row in rows:
        grouped.setdefault((row["portfolio_id"], row["bucket"]), []).append(row)
    kept = 0
    for members in grouped.values():
        members.sort(key=lambda row: (not row["held"], -float(str(row["score"])), row["symbol"]))
        kept += len(members[: LIMITS.max_positions_per_bucket])
    return kept


def milliseconds(call: Callable[[], object], repeats: int = 7) -> list[float]:
    """The times of a call, in order of their length."""
    times = []
    for _ in range(repeats):
        start = perf_counter()
        call()
        times.append(1000 * (perf_counter() - start))
    return sorted(times)


def main() -> None:
    """Print one line per size: medians, the range of our own times, and whether a single run meets the target."""
    print(f"{'runs x names':>16}{'enforcement':>14}{'range':>20}{'objects':>12}{'ratio':>8}  target {TARGET} ms")
    for portfolios, names in SIZES:
        rows = universe(portfolios, names)
        objects = rows.to_dicts()
        times = milliseconds(lambda rows=rows: enforce_bucket_limits(rows, LIMITS))
        ours, loops = median(times), median(milliseconds(lambda objects=objects: by_objects(objects)))
        span = f"{times[0]:.1f} to {times[-1]:.1f} ms"
        verdict = "" if portfolios > 1 else "  met" if ours < TARGET else f"  missed {ours / TARGET:.1f} times"
        size = f"{portfolios:,} x {names:,}"
        print(f"{size:>16}{ours:>11.1f} ms{span:>20}{loops:>9.1f} ms{loops / ours:>8.1f}{verdict}")


if __name__ == "__main__":
    main()
