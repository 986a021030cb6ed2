"""What must be true after a hostile batch, by plain SQL and plain arithmetic that share nothing with the program.

`Stored` is what a database holds; `faults_of` judges a batch: what was published is finite, adds up, and meets the
limits of its policy; what was refused says why and has no targets; no input row changed, and none that counts was
passed over in silence (`_silent_drops`).
"""

import datetime as dt
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core import store
from core.policy import Policy
from core.results import summary
from core.results.report import BatchReport
from core.schemas import INPUTS
from tests.soak.hostile_market import Row

EPSILON = 2e-9
LONGEST = 4_000  # characters of a message that a person may be expected to read


@dataclass(frozen=True)
class Stored:
    """The rows of all tables, by plain SQL."""

    tables: Mapping[str, list[Row]]

    @classmethod
    def of(cls, engine: Engine) -> "Stored":
        """Everything that the database holds."""
        with engine.connect() as connection:
            quote = connection.dialect.identifier_preparer.quote
            found = {}
            known = sa.inspect(connection)
            for name in known.get_table_names():
                columns = ", ".join(
                    # PostgreSQL knows dates that Python does not
                    f"CAST({quote(column['name'])} AS text) AS {quote(column['name'])}"
                    if isinstance(column["type"], sa.Date) and name in INPUTS and engine.dialect.name != "sqlite"
                    else quote(column["name"])
                    for column in known.get_columns(name)
                )
                rows = connection.exec_driver_sql(f"SELECT {columns} FROM {quote(name)}".replace("%", "%%"))  # noqa: S608
                found[name] = [dict(zip(rows.keys(), row, strict=True)) for row in rows.fetchall()]
        return cls(found)

    def same_inputs(self, other: "Stored", own: Sequence[str]) -> bool:
        """Whether the tables are the same, and those of the inputs have the same rows."""
        named = self.tables.keys() == other.tables.keys()
        return named and all(repr(self.tables[name]) == repr(other.tables[name]) for name in (*INPUTS, *own))


def faults_of(
    before: Stored, after: Stored, report: BatchReport, policy: Policy, read: Mapping[str, list[Row]], root: Path
) -> Iterator[str]:
    """What is wrong after a batch; `read` are the rows it was given, by the name of the input table."""
    if not before.same_inputs(after, [name for name in before.tables if name.startswith("desk_")]):
        yield "input tables changed"
    yield from _told_faults(report)
    runs = {run["portfolio_id"]: run for run in after.tables["runs"]}
    for told in report.outcomes:
        run = runs.get(told.portfolio_id)
        if run is None:
            yield f"{told.portfolio_id!r} has no row in runs"
            continue
        rows = [row for row in after.tables["targets"] if row["run_key"] == run["run_key"]]
        if told.outcome == "refused":
            yield from _refusal_faults(run, rows, after, root)
        else:
            yield from weight_faults(rows, policy)
            yield from _silent_drops(run, rows, report, policy, read)
    if not report.outcomes:
        yield "a batch without outcomes"


def file_faults(engine: Engine, root: Path, as_of: dt.date) -> Iterator[str]:
    """Where Parquet does not say what SQL says."""
    from_sql, from_files = store.read_current(engine, as_of), store.read_targets(engine, root, as_of)
    if not from_sql.equals(from_files):
        yield "SQL and Parquet differ"


def _told_faults(report: BatchReport) -> Iterator[str]:
    """Rendering must not fail, and each finding must have a remedy."""
    for told in (summary.summary(report), *summary.finding_lines(report.findings)):
        if not told.strip():
            yield "an empty text in the summary"
    for lines in (summary.action_table(report.actions), summary.target_table(report.targets)):
        list(map(str, lines))
    for found in report.findings.iter_rows(named=True):
        if not found["message"].strip() or not found["remedy"].strip():
            yield f"a finding without message or remedy: {found}"


def _refusal_faults(run: Row, rows: list[Row], after: Stored, root: Path) -> Iterator[str]:
    if run["status"] != "refused":
        yield f"{run['portfolio_id']!r} is told as refused, and stored as {run['status']}"
    if rows or run["parquet_path"]:
        yield f"{run['portfolio_id']!r} was refused and has targets"
    weights = [row["target_weight"] for row in after.tables["decisions"] if row["run_key"] == run["run_key"]]
    if any(weight is not None for weight in weights):
        yield f"{run['portfolio_id']!r} was refused and has weights"
    if list(root.glob(f"as_of=*/*/{run['run_id']}.parquet")):
        yield f"{run['portfolio_id']!r} was refused and has a file"
    yield from message_faults(run["reason"] or "")


def message_faults(message: str) -> Iterator[str]:
    """What keeps a message from being one that a person can read."""
    if len(message.split()) < 4:
        yield f"a message that says little: {message!r}"
    if len(re.sub("X{100,}", "X", message)) > LONGEST:
        yield f"a message of {len(message)} characters: {message[:100]!r}"
    for word in ("Traceback", "Resolved plan", "site-packages", "PyErr", "object at 0x"):
        if word in message:
            yield f"a message for programmers: {message[:300]!r}"


def weight_faults(rows: list[Row], policy: Policy) -> Iterator[str]:
    """What a published set of targets does not meet."""
    cash = [row for row in rows if row["is_cash"]]
    names = {row["symbol"]: row for row in rows if not row["is_cash"]}
    numbers = [cell for row in rows for cell in row.values() if isinstance(cell, float)]
    if not all(map(isfinite, numbers)) or any(row["target_weight"] is None for row in rows):
        yield "published a number that is not finite"
        return
    weights = {symbol: row["target_weight"] for symbol, row in names.items()}
    if len(cash) != 1 or abs(sum(weights.values()) + sum(row["target_weight"] for row in cash) - 1) > EPSILON:
        yield "weights and cash do not add up to 1"
    for row in names.values():
        if abs(row["target_weight"] - row["current_weight"] - row["trade_weight"]) > EPSILON:
            yield f"{row['symbol']!r} trades another weight than the difference"
    for told, level, limit in _levels(weights, names, policy):
        if level > limit + EPSILON * max(1.0, abs(limit)):
            yield f"{told} is {level}, limit {limit}"


def _levels(
    weights: Mapping[str, float], names: Mapping[str, Row], policy: Policy
) -> Iterator[tuple[str, float, float]]:
    limits = policy.limits
    sizes = [abs(weight) for weight in weights.values()]
    gross, net, largest = sum(sizes), sum(weights.values()), max(sizes, default=0.0)
    yield "gross", gross, limits.max_gross_exposure
    yield "the largest weight", largest, limits.max_single_position_pct
    if limits.allow_forced_closures:
        yield "the count", sum(size > 1e-9 for size in sizes), limits.max_total_positions
    if limits.enable_bucket_diversification:
        yield from _bucket_levels(weights, names, policy)
    for constraint in policy.constraints:
        if constraint.mode != "hard":
            continue
        given: Any = constraint
        match constraint.kind:
            case "long_only":
                yield "the most negative weight", -min(weights.values(), default=0.0), 0.0
            case "market_neutral":
                yield "net", abs(net), 0.0
            case "max_gross_exposure":
                yield "gross", gross, given.max_exposure
            case "max_position":
                yield "the largest weight", largest, given.max_weight
            case "net_exposure":
                yield "net", net, given.maximum if given.maximum is not None else net
                yield "minus net", -net, -given.minimum if given.minimum is not None else -net
            case "turnover":
                turnover = sum(abs(row["target_weight"] - row["current_weight"]) for row in names.values()) / 2
                yield "turnover", turnover, given.max_turnover


def _bucket_levels(
    weights: Mapping[str, float], names: Mapping[str, Row], policy: Policy
) -> Iterator[tuple[str, float, float]]:
    limits = policy.limits
    buckets = {row["bucket"] for row in names.values()}
    of = {bucket: [abs(w) for symbol, w in weights.items() if names[symbol]["bucket"] == bucket] for bucket in buckets}
    if limits.enforce_allocation_limits:
        for bucket, sizes in of.items():
            yield f"bucket {bucket!r}", sum(sizes), limits.max_allocation_per_bucket
    if limits.enforce_min_buckets:
        represented = sum(
            max(sizes) >= limits.min_position_weight - EPSILON for bucket, sizes in of.items() if bucket != "Unknown"
        )
        yield "missing buckets", limits.min_buckets_represented - represented, 0


def _silent_drops(
    run: Row, rows: list[Row], report: BatchReport, policy: Policy, read: Mapping[str, list[Row]]
) -> Iterator[str]:
    """Rows that count for this portfolio, and are neither in its result nor in a finding."""
    told = json.dumps(report.findings.to_dicts(), default=str, ensure_ascii=False)
    read = {table: [{name.lower(): cell for name, cell in row.items()} for row in read[table]] for table in read}
    portfolio, as_of = run["portfolio_id"], str(run["as_of"])[:10]
    quantities = {row["symbol"]: row["current_quantity"] for row in rows}
    known = {_plain(row.get("portfolio_id")) for row in read["portfolios"]}
    for row in read["positions"]:
        if row.get("portfolio_id") == portfolio and str(row["as_of"])[:10] == as_of:
            held = quantities.get(row["symbol"])
            if (
                held != row["quantity"]
                and not (held is None and row["quantity"] == 0)
                and not _is_told(row["symbol"], told)
            ):
                yield f"position {row} became {held}, without a finding"
        elif not _is_date(row["as_of"]) and not _is_told(row["as_of"], told):
            yield f"position {row} has no date, and no finding"
        elif (
            _plain(row["portfolio_id"]) in known
            and row["portfolio_id"] not in [each["portfolio_id"] for each in read["portfolios"]]
            and not _is_told(row["portfolio_id"], told)
        ):
            yield f"position {row} is of no portfolio, without a finding"
    symbols = {row["symbol"] for row in read["assets"]}
    for table in ("signals", "prices"):
        for row in read[table]:
            symbol = row.get("symbol")
            looks = symbol not in symbols and _plain(symbol) in {_plain(name) for name in symbols}
            if looks and _counts(row, as_of) and not _is_told(symbol, told):
                yield f"{table} row of {symbol!r} was passed over"


def _counts(row: Row, as_of: str) -> bool:
    return "2026-11-16" <= str(row["as_of"])[:10] <= as_of


def _is_date(cell: object) -> bool:
    try:
        dt.date.fromisoformat(str(cell)[:10])
    except ValueError:
        return False
    return isinstance(cell, str | dt.date)


def _is_told(cell: object, told: str) -> bool:
    return json.dumps(str(cell), ensure_ascii=False)[1:-1] in told


def _plain(cell: object) -> str:
    """What a person takes for the same word."""
    return unicodedata.normalize("NFKC", str(cell)).strip().casefold()


def frame_of(rows: list[Row]) -> pl.DataFrame:
    """Rows as a frame, of whatever types Polars finds for them."""
    return pl.DataFrame({name: _series(name, [row[name] for row in rows]) for name in (rows[0] if rows else ())})


def _series(name: str, cells: list[Any]) -> pl.Series:
    try:
        return pl.Series(name, cells)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        return pl.Series(name, cells, dtype=pl.Object)
