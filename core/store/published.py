"""Reading what was published: targets from Parquet or from SQL, the list of runs, and the rows of one run.

A Parquet file counts only if a published run names it, and only with the content that the run was published with
(`read_targets`). The view `current_targets` gives the same rows from SQL (`read_current`). Rows of any run, superseded
and refused ones included, are read by its id (`run_rows`), those of one symbol by the keys of several runs
(`symbol_rows`). `find_run` finds a run by the beginning of its id, `unnamed_files` what belongs to none.
`last_prices` is what the data gate measures jumps against, `last_targets` what a picture compares with.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.errors import StoreError
from core.schemas import KEYS, RUN_KEYS
from core.store.columns import typed_frame, types_of
from core.store.database import reading
from core.store.files import TARGET_TYPES, read_file
from core.store.input_files import FOLDER, input_path
from core.store.snapshot import Snapshot, snapshot
from core.store.tables import SCHEMAS, current_targets, input_frames, outputs, runs

RUN_TYPES: dict[str, pl.DataType] = {
    **dict.fromkeys(runs.c.keys(), pl.String()),
    "run_key": pl.Int64(),
    "supersedes": pl.Int64(),
    "as_of": pl.Date(),
    "started_at": pl.Datetime("us", "UTC"),
    "finished_at": pl.Datetime("us", "UTC"),
}
SHORTEST_PREFIX = 6  # of a run's id, for a person who need not write all of it
FEW = 10  # so many runs a message lists
LAST_PRICE_TYPES = {"portfolio_id": pl.String(), "symbol": pl.String(), "as_of": pl.Date(), "close": pl.Float64()}
LAST_TARGET_TYPES = {
    name: TARGET_TYPES[name] for name in ("portfolio_id", "as_of", "symbol", "is_cash", "bucket", "target_weight")
}


def read_targets(
    engine: Engine, root: Path, as_of: dt.date | None = None, portfolio_id: str | None = None
) -> pl.DataFrame:
    """Current targets from the Parquet files below `root`, of one date and portfolio or of all: run_id, and `Targets`.

    Raises `StoreError` naming the file where one that a published run names is missing, or not what was published.
    """
    query = sa.select(runs.c.parquet_path, runs.c.parquet_sha256).where(runs.c.status == "published")
    with reading(engine) as connection:
        files = connection.execute(_narrowed(query, runs, as_of, portfolio_id)).all()
    frames = [read_file(root, path, sha256) for path, sha256 in files]
    return pl.concat([pl.DataFrame(schema=TARGET_TYPES), *frames]).sort(KEYS)


def read_current(engine: Engine, as_of: dt.date | None = None, portfolio_id: str | None = None) -> pl.DataFrame:
    """Current targets from SQL, of one date and portfolio or of all: the same rows and columns as `read_targets`."""
    with snapshot(engine) as moment:
        found = moment.result(_narrowed(sa.select(current_targets), current_targets, as_of, portfolio_id))
    return found.frame(TARGET_TYPES).sort(KEYS)


def read_runs(engine: Engine, as_of: dt.date | None = None, portfolio_id: str | None = None) -> pl.DataFrame:
    """One row per run, of any status, in the order in which they were made: the columns of table `runs`."""
    query = _narrowed(sa.select(runs), runs, as_of, portfolio_id).order_by(runs.c.run_key)
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return pl.DataFrame(rows, schema=RUN_TYPES, orient="row")


@dataclass(frozen=True)
class CurrentRun:
    """Which run is current of a portfolio, and which batch has made it, and when."""

    portfolio_id: str
    run_id: str
    batch_id: str
    finished_at: dt.datetime


def current_runs(engine: Engine, as_of: dt.date, *, but_of: str | None) -> list[CurrentRun]:
    """The current runs of a date, one per portfolio that has one, but for those that a batch has made."""
    columns = (runs.c.portfolio_id, runs.c.run_id, runs.c.batch_id, runs.c.finished_at)
    query = sa.select(*columns).where(runs.c.as_of == as_of, runs.c.status == "published")
    query = query if but_of is None else query.where(runs.c.batch_id != but_of)
    with reading(engine) as connection:
        return [CurrentRun(*row) for row in connection.execute(query)]


def run_rows(engine: Engine, table: str, run_id: str) -> pl.DataFrame:
    """The rows of one run in one of the output tables (`core.store.tables.SCHEMAS`), in their order.

    Raises `StoreError` for a run that does not exist.
    """
    rows = outputs[table]
    types = types_of(SCHEMAS[table])
    *_, key = rows.primary_key
    query = sa.select(*(rows.c[name] for name in types)).order_by(key)
    with reading(engine) as connection:
        run_key = connection.scalar(sa.select(runs.c.run_key).where(runs.c.run_id == run_id))
        if run_key is None:
            raise StoreError(f"there is no run {run_id!r}: see the runs with `evenkeel show`.")
        found = connection.execute(query.where(rows.c.run_key == run_key)).all()
    frame = typed_frame(list(types), found, types)
    return frame.sort(key.name) if key.name in types else frame  # databases differ in how they order texts


def run_days(engine: Engine) -> pl.DataFrame:
    """The portfolios and dates that have a run: portfolio_id, as_of."""
    query = sa.select(runs.c.portfolio_id, runs.c.as_of).distinct()
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return typed_frame(list(RUN_KEYS), rows, {name: RUN_TYPES[name] for name in RUN_KEYS}).sort(RUN_KEYS)


def latest_days(engine: Engine, as_of: dt.date | None = None) -> pl.DataFrame:
    """The date of the latest current run of each portfolio, of one date or of all: portfolio_id, as_of."""
    query = sa.select(runs.c.portfolio_id, sa.func.max(runs.c.as_of)).where(runs.c.status == "published")
    with reading(engine) as connection:
        rows = connection.execute(_narrowed(query, runs, as_of, None).group_by(runs.c.portfolio_id)).all()
    return typed_frame(list(RUN_KEYS), rows, {name: RUN_TYPES[name] for name in RUN_KEYS}).sort("as_of", "portfolio_id")


def find_run(engine: Engine, prefix: str) -> pl.DataFrame:
    """The one row of table `runs` whose id is `prefix`, or begins with it. Raises `StoreError` unless there is one."""
    short = len(prefix) < SHORTEST_PREFIX
    alike = runs.c.run_id == prefix if short else runs.c.run_id.startswith(prefix, autoescape=True)
    with reading(engine) as connection:
        rows = connection.execute(sa.select(runs).where(alike).order_by(runs.c.run_key)).all()
    found = pl.DataFrame(rows, schema=RUN_TYPES, orient="row")
    found = found.filter(pl.col("run_id").str.starts_with(prefix))  # SQLite ignores upper and lower case
    if prefix in found["run_id"]:
        return found.filter(run_id=prefix)
    if found.is_empty():
        remedy = f"give at least {SHORTEST_PREFIX} characters of its id." if short else "table `runs` lists them all."
        raise StoreError(f"there is no run {prefix!r}: {remedy}")
    if found.height > 1:
        told = [f"{row['run_id']} ({row['portfolio_id']}, {row['as_of']})" for row in found.iter_rows(named=True)]
        more = f" and {len(told) - FEW} more" if len(told) > FEW else ""
        raise StoreError(f"several runs begin with {prefix!r}: {', '.join(told[:FEW])}{more}. Give more characters.")
    return found


def unnamed_files(engine: Engine, root: Path) -> list[str]:
    """The files of targets and inputs below `root` that no row names, as paths below it.

    Killed runs left them, or a run that is publishing at this moment will name them; none counts for any reader.
    """
    folders = [root / FOLDER, *root.glob("as_of=*")]
    found = {str(path.relative_to(root)) for folder in folders for path in folder.rglob("*") if path.is_file()}
    with reading(engine) as connection:
        targets = set(connection.scalars(sa.select(runs.c.parquet_path)))
        inputs = set(map(input_path, connection.scalars(sa.select(input_frames.c.content_hash))))
    return sorted(found - targets - inputs)


def days_done(engine: Engine, policy_hash: str, portfolio_ids: Sequence[str]) -> set[dt.date]:
    """The dates on which each of these portfolios has a current run of a policy."""
    current = (runs.c.status == "published") & (runs.c.policy_hash == policy_hash)
    done = sa.select(runs.c.as_of).where(current, runs.c.portfolio_id.in_(portfolio_ids)).group_by(runs.c.as_of)
    with reading(engine) as connection:
        return set(connection.scalars(done.having(sa.func.count() == len(set(portfolio_ids)))))


def day_before(engine: Engine, as_of: dt.date) -> dt.date | None:
    """The last day before one that has a run of any kind; None where there is none."""
    with reading(engine) as connection:
        found: dt.date | None = connection.scalar(sa.select(sa.func.max(runs.c.as_of)).where(runs.c.as_of < as_of))
    return found


def symbol_rows(engine: Engine, table: str, run_keys: Sequence[int], symbol: str) -> pl.DataFrame:
    """The rows of one symbol in several runs: run_key, and the columns of the table's schema, in their order."""
    rows = outputs[table]
    types = {"run_key": RUN_TYPES["run_key"], **types_of(SCHEMAS[table])}
    wanted = sa.select(*(rows.c[name] for name in types)).where(rows.c.run_key.in_(run_keys), rows.c.symbol == symbol)
    with reading(engine) as connection:
        found = connection.execute(wanted.order_by(*rows.primary_key)).all()
    return typed_frame(list(types), found, types)


def symbols_considered(engine: Engine, run_keys: Sequence[int]) -> list[str]:
    """The symbols that any of several runs decided about."""
    rows = outputs["decisions"]
    query = sa.select(rows.c.symbol).where(rows.c.run_key.in_(run_keys)).distinct()
    with reading(engine) as connection:
        return sorted(connection.scalars(query))


def last_prices(moment: Snapshot, as_of: dt.date, portfolios: Sequence[str] | None) -> pl.DataFrame:
    """The prices of each portfolio's last published run before `as_of`: portfolio_id, symbol, as_of, close."""
    targets = outputs["targets"]
    query = _last_targets(as_of, portfolios, LAST_PRICE_TYPES).where(~targets.c.is_cash, targets.c.close.is_not(None))
    return moment.result(query).frame(LAST_PRICE_TYPES).sort("portfolio_id", "symbol")


def last_targets(engine: Engine, as_of: dt.date, portfolios: Sequence[str]) -> pl.DataFrame:
    """The targets of each portfolio's last published run before `as_of`, where there is one.

    One row per name, and the cash row: portfolio_id, as_of, symbol, is_cash, bucket, target_weight.
    """
    with snapshot(engine) as moment:
        found = moment.result(_last_targets(as_of, portfolios, LAST_TARGET_TYPES))
    return found.frame(LAST_TARGET_TYPES).sort("portfolio_id", "symbol")


def _last_targets(as_of: dt.date, portfolios: Sequence[str] | None, columns: Iterable[str]) -> sa.Select[Any]:
    """Columns of the targets of each portfolio's last published run before a day."""
    targets = outputs["targets"]
    latest = sa.select(runs.c.portfolio_id, sa.func.max(runs.c.as_of).label("as_of"))
    latest = latest.where(runs.c.status == "published", runs.c.as_of < as_of).group_by(runs.c.portfolio_id)
    last = latest.subquery()
    query = (
        sa.select(*(targets.c[name] for name in columns))
        .join(runs, runs.c.run_key == targets.c.run_key)
        .join(last, (runs.c.portfolio_id == last.c.portfolio_id) & (runs.c.as_of == last.c.as_of))
        .where(runs.c.status == "published")
    )
    return query if portfolios is None else query.where(runs.c.portfolio_id.in_(portfolios))


def _narrowed(
    query: sa.Select[Any], table: sa.FromClause, as_of: dt.date | None, portfolio_id: str | None
) -> sa.Select[Any]:
    if as_of is not None:
        query = query.where(table.c.as_of == as_of)
    return query if portfolio_id is None else query.where(table.c.portfolio_id == portfolio_id)
