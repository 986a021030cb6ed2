"""The rows of the signals table that count today.

`current_signals` takes the latest row of each symbol and signal under today's names; what is too old, not a number, or
said twice with different values is missing, and told (`_stale`, `_bad`). An older row never stands in for a bad one.
"""

import datetime as dt

import polars as pl

from core.inputs.config import GateConfig
from core.inputs.corporate_actions import brought_forward
from core.inputs.findings import count_of, found, joined, sentence
from core.inputs.schema_checks import Checked
from core.schemas import Severity

ROW = sentence("{} {} {}", "as_of", "symbol", "signal")


def current_signals(
    as_of: dt.date,
    signals: Checked,
    actions: pl.DataFrame,
    considered: pl.Series,
    holders: pl.DataFrame,
    config: GateConfig,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Signals of the symbols `considered` (symbol, signal, value: finite), and findings.

    `holders`: portfolio_id and symbol of what is held: a non-finite value of a held name stops its portfolio; for any
    other name it is a missing signal, as is a null for all.
    """
    latest = _latest(signals, actions).filter(pl.col("symbol").is_in(considered.implode()))
    age = (pl.lit(as_of) - pl.col("as_of")).dt.total_days()
    aged = latest.with_columns(age_days=age)
    fresh = pl.col("age_days") <= config.max_signal_age_days
    bad = aged.filter(fresh & pl.col("flaw").is_not_null())
    unusable = bad.filter(pl.col("bad_value") != "null")
    findings = joined(
        [
            _stale(aged.filter(~fresh), config),
            _bad(unusable.join(holders.select("portfolio_id", "symbol"), on="symbol"), Severity.STOP_PORTFOLIO),
            _bad(bad, Severity.WARN),
        ]
    )
    good = aged.filter(fresh & pl.col("flaw").is_null())
    return good.select("symbol", "signal", "value").sort("symbol", "signal"), findings


def _latest(signals: Checked, actions: pl.DataFrame) -> pl.DataFrame:
    """The last row of each (symbol, signal) under today's names: as_of, value, flaw, bad_value."""
    rows = pl.concat([signals.rows, signals.flawed], how="diagonal_relaxed")
    keys = ["symbol", "signal"]
    dated = brought_forward(rows, actions)
    last = dated.filter(pl.col("as_of") == pl.col("as_of").max().over(keys))
    said_twice = pl.col("value").drop_nulls().n_unique() > 1
    return last.group_by(keys).agg(
        pl.col("as_of").first(),
        value=pl.col("value").first(),
        flaw=pl.when(said_twice)
        .then(pl.lit("value differs under the old and the new name"))
        .otherwise(pl.col("flaw").drop_nulls().first()),
        bad_value=pl.when(said_twice).then(pl.lit("two values")).otherwise(pl.col("bad_value").drop_nulls().first()),
    )


def _stale(rows: pl.DataFrame, config: GateConfig) -> pl.DataFrame:
    return found(
        rows,
        Severity.WARN,
        "stale_signal",
        frame="signals",
        column=pl.col("signal"),
        row=ROW,
        value=pl.col("as_of").cast(pl.String),
        message=sentence(
            f"signal {{}} of {{}} is of {{}}, {{}} old, limit {config.max_signal_age_days}: it counts as missing.",
            "signal",
            "symbol",
            "as_of",
            count_of("age_days", "day"),
        ),
        remedy="Load newer signals.",
    )


def _bad(rows: pl.DataFrame, severity: Severity) -> pl.DataFrame:
    return found(
        rows,
        severity,
        "bad_signal",
        frame="signals",
        column=pl.col("signal"),
        row=ROW,
        value=pl.col("bad_value"),
        message=sentence("signal {} of {} cannot be used: {} on {}.", "signal", "symbol", "flaw", "as_of"),
        remedy="Correct the value, or delete the row: no row is a missing signal.",
    )
