"""Small inputs and runs: one portfolio, two names, numbers a reader can add up."""

import datetime as dt
from typing import Any

import dataframely as dy
import polars as pl

from core.models import Inputs
from core.results.identity import frame_hashes
from core.schemas import (
    INPUTS,
    Actions,
    Breaches,
    BucketStatisticsRows,
    Decisions,
    Explanations,
    Findings,
    Relaxations,
    Targets,
    empty,
)
from core.store import RunRecord

TODAY = dt.date(2026, 7, 31)
YESTERDAY = dt.date(2026, 7, 30)
SINCE = dt.date(2026, 7, 1)
NOON = dt.datetime(2026, 7, 31, 12, tzinfo=dt.UTC)


def table(name: str, *rows: tuple[Any, ...]) -> pl.DataFrame:
    """Rows of an input table, typed."""
    return pl.DataFrame(rows, schema=empty(INPUTS[name]).schema, orient="row")


def inputs(portfolio: str = "core", symbol: str = "AAA") -> dict[str, pl.DataFrame]:
    """One portfolio with 10 units of one name."""
    return {
        "portfolios": table("portfolios", (portfolio, "Core", "USD", True)),
        "positions": table("positions", (portfolio, TODAY, symbol, 10.0)),
        "cash": table("cash", (portfolio, TODAY, 500.0)),
        "assets": table("assets", (symbol, "Triple A", "Energy", True, None)),
        "prices": table("prices", (YESTERDAY, symbol, 50.0, None)),
        "signals": table("signals", (TODAY, symbol, "technical", 0.7)),
        "candidates": table("candidates", (TODAY, symbol, "trending")),
        "corporate_actions": table("corporate_actions", (YESTERDAY, symbol, 2.0, None)),
        "overrides": table("overrides", (portfolio, symbol, "price", TODAY, TODAY, "51", "ann", "late close")),
    }


LAST = pl.DataFrame(schema={"portfolio_id": pl.String, "symbol": pl.String, "as_of": pl.Date, "close": pl.Float64})
READ = Inputs(TODAY, inputs(), LAST)


def target_rows(portfolio: str, as_of: dt.date, weights: dict[str, float]) -> pl.DataFrame:
    """Targets of the given weights, each at a price of 100, and the cash row."""
    names = [_target(portfolio, as_of, symbol, weight, 100.0) for symbol, weight in weights.items()]
    cash = _target(portfolio, as_of, "$CASH", 1 - sum(weights.values()), 1.0) | {"is_cash": True, "bucket": None}
    return rows(Targets, *names, cash).sort("symbol")


def _target(portfolio: str, as_of: dt.date, symbol: str, weight: float, close: float | None) -> dict[str, Any]:
    return {
        "portfolio_id": portfolio,
        "as_of": as_of,
        "symbol": symbol,
        "is_cash": False,
        "action": "open",
        "priority": "trending",
        "bucket": "Energy",
        "score": 0.7,
        "confidence": 0.8,
        "current_weight": 0.0,
        "wanted_weight": weight,
        "target_weight": weight,
        "trade_weight": weight,
        "close": close,
        "reason": "score 0.7",
    }


def rows(schema: type[dy.Schema], *found: dict[str, Any]) -> pl.DataFrame:
    """Rows of a schema; what a row does not say is null."""
    types = empty(schema).schema
    return pl.DataFrame([{name: row.get(name) for name in types} for row in found], schema=types)


def breach(portfolio: str = "core", as_of: dt.date = TODAY) -> pl.DataFrame:
    return rows(
        Breaches,
        {
            "portfolio_id": portfolio,
            "as_of": as_of,
            "constraint": "max_position",
            "scope": "AAA",
            "limit": 0.2,
            "level": 0.3,
            "excess": 0.1,
        },
    )


def relaxation(portfolio: str = "core", as_of: dt.date = TODAY) -> pl.DataFrame:
    run = {"portfolio_id": portfolio, "as_of": as_of}
    said = {"constraint": "max_position", "scope": "", "limit": 0.35, "used": 0.4, "reason": "not all limits can hold"}
    return rows(Relaxations, run | said)


def decision(symbol: str, wanted: float, target: float | None, portfolio: str, as_of: dt.date) -> dict[str, Any]:
    return {
        "portfolio_id": portfolio,
        "as_of": as_of,
        "symbol": symbol,
        "bucket": "Energy",
        "held": False,
        "side": 1,
        "score": 0.7,
        "confidence": 0.8,
        "signals": "technical 0.7 x 1",
        "fixed": False,
        "why": "selected as a new name with score 0.7",
        "current_weight": 0.0,
        "wanted_weight": wanted,
        "target_weight": target,
    }


def finding() -> pl.DataFrame:
    said = {"severity": "warn", "code": "jump", "frame": "prices", "message": "AAA jumps", "remedy": "look"}
    return rows(Findings, said, said)


def decided_as(targets: pl.DataFrame, portfolio: str, as_of: dt.date) -> pl.DataFrame:
    """The decisions of which these are the targets."""
    names = targets.filter(~pl.col("is_cash")).select("symbol", "wanted_weight", "target_weight")
    return rows(Decisions, *(decision(*name, portfolio, as_of) for name in names.iter_rows()))


def record(run_id: str = "r1", portfolio: str = "core", as_of: dt.date = TODAY, **changes: Any) -> RunRecord:
    """A run that holds AAA, wanted at 50 %, at 40 %, and BBB at 30 %, with rows of each kind but breaches."""
    run = {"portfolio_id": portfolio, "as_of": as_of}
    action = run | {"seq": 0, "step": "constrain", "rule": "max_position", "verb": "cut", "before": 0.5, "after": 0.4}
    bucket = run | {"bucket": "Energy", "asset_count": 2, "gross_weight": 0.7}
    cut = run | {"seq": 0, "symbol": "AAA", "rule": "max_position", "before": 0.5, "change": -0.1, "after": 0.4}
    targets = changes.get("targets", target_rows(portfolio, as_of, {"AAA": 0.4, "BBB": 0.3}))
    content: dict[str, Any] = {
        "batch_id": "b1",
        "policy_name": "conservative",
        "policy_hash": "p1",
        "policy": "limits: {}\n",
        "inputs_hash": "i1",
        "program_version": "0.1.0",
        "environment": "here",
        "inputs": READ,
        "frame_hashes": frame_hashes(READ),
        "started_at": NOON,
        "targets": targets,
        "actions": rows(Actions, action),
        "findings": finding(),
        "breaches": empty(Breaches),
        "bucket_statistics": rows(BucketStatisticsRows, bucket),
        "relaxations": relaxation(portfolio, as_of),
        "explanations": rows(Explanations, cut),
        "decisions": decided_as(targets, portfolio, as_of),
    }
    return RunRecord(portfolio_id=portfolio, as_of=as_of, run_id=run_id, **(content | changes))
