"""Publishing to PostgreSQL beside SQLAlchemy's executemany, in one process.

`python -m tests.benchmarks.bench_publish`: 500,000 targets into the table with its primary key, all or nothing, each
time into an empty table of a server of its own. The commit is synced to disk.
"""

import datetime as dt
from collections.abc import Callable
from statistics import median
from time import perf_counter

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from core.schemas import Targets
from core.store import engine_from_url
from core.store.bulk import insert_rows
from core.store.columns import types_of
from core.store.database import writing
from core.store.tables import outputs
from tests.postgres import PostgresServer

ROWS = 500_000
ROUNDS = 3
GOAL = 5.0
TARGETS = outputs["targets"]
Write = Callable[[Connection, sa.Table, pl.DataFrame], None]


def targets() -> pl.DataFrame:
    """Targets of one portfolio, with the digits of real weights; a few columns have nulls."""
    number = pl.int_range(ROWS)
    weight = ((number * 7919) % 104_729 + 1) / 3e9
    frame = pl.DataFrame().select(
        run_key=pl.lit(1, pl.Int32),
        portfolio_id=pl.lit("core"),
        as_of=pl.lit(dt.date(2026, 7, 31)),
        symbol=pl.format("S{}", number),
        is_cash=pl.lit(False),
        action=pl.lit("increase"),
        priority=pl.lit("trending"),
        bucket=pl.format("Bucket {}", number % 40),
        score=weight * 1e4,
        confidence=pl.lit(0.8),
        current_weight=weight / 3,
        wanted_weight=weight * 1.1,
        target_weight=weight,
        trade_weight=weight * 2 / 3,
        close=pl.when(number % 100 > 0).then(weight * 1e6),
        current_quantity=pl.lit(None, pl.Float64),
        trade_notional=weight * 1e9,
        trade_quantity=weight * 1e3,
        reason=pl.format("score {}", weight * 1e4),
    )
    return frame.cast({name: dtype for name, dtype in types_of(Targets).items() if name in frame.columns})


def executemany(connection: Connection, table: sa.Table, rows: pl.DataFrame) -> None:
    """What SQLAlchemy does with rows."""
    connection.execute(sa.insert(table), rows.to_dicts())


def seconds(engine: Engine, write: Write, rows: pl.DataFrame) -> float:
    """The time of one transaction into an empty table."""
    with engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE targets"))
    start = perf_counter()
    with writing(engine, "bench") as connection:
        write(connection, TARGETS, rows)
    return perf_counter() - start


def main() -> None:
    """Print the times, and whether the goal is met."""
    server = PostgresServer(haste=False)
    rows = targets()
    with server.database() as url:
        engine = engine_from_url(url)
        times = [(seconds(engine, executemany, rows), seconds(engine, insert_rows, rows)) for _ in range(ROUNDS)]
        engine.dispose()
    server.remove()
    theirs, ours = (median(column) for column in zip(*times, strict=True))
    ratios = [one / other for one, other in times]
    print(f"{ROWS:,} targets with a primary key into PostgreSQL, one transaction, medians of {ROUNDS}:")
    print(f"SQLAlchemy executemany {theirs:.1f} s, publishing {ours:.2f} s")
    met = "met" if median(ratios) >= GOAL else "missed"
    print(f"{median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}) times faster; goal {GOAL:.0f}: {met}")


if __name__ == "__main__":
    main()
