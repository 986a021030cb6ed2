"""A small market that the gate passes without a finding, and ways to damage it.

GROWTH holds 100 AAA at 10 and 50 BBB at 20, with 1,000 in cash: 3,000. INCOME holds 10 CCC at 50, with 500 in cash:
1,000. DDD at 40 is a candidate that nobody holds.
"""

import datetime as dt
from typing import Any

import polars as pl

from core.inputs import GateConfig, Gated, judge
from core.models import Inputs
from core.schemas import INPUTS, empty

TODAY = dt.date(2026, 3, 10)
YESTERDAY = dt.date(2026, 3, 9)
PRICES = {"AAA": 10.0, "BBB": 20.0, "CCC": 50.0, "DDD": 40.0}


def day(back: int) -> dt.date:
    return TODAY - dt.timedelta(days=back)


def rows(table: str, *records: dict[str, Any]) -> pl.DataFrame:
    """Rows of an input table; columns that are left out are null."""
    schema = empty(INPUTS[table]).schema
    return pl.DataFrame([{name: record.get(name) for name in schema} for record in records], schema=schema)


def override(
    symbol: str, kind: str, value: str | None = None, portfolio_id: str = "all", **other: Any
) -> dict[str, Any]:
    named = {"portfolio_id": portfolio_id, "symbol": symbol, "kind": kind, "value": value}
    return {**named, "from": TODAY, "to": TODAY, "who": "Ada", "why": "checked", **other}


def split(symbol: str, factor: float, effective: dt.date = TODAY, new_symbol: str | None = None) -> dict[str, Any]:
    return {"effective": effective, "symbol": symbol, "factor": factor, "new_symbol": new_symbol}


def frames() -> dict[str, pl.DataFrame]:
    return {
        "portfolios": rows(
            "portfolios",
            {"portfolio_id": "GROWTH", "name": "Growth", "base_currency": "USD", "active": True},
            {"portfolio_id": "INCOME", "name": "Income", "base_currency": "USD", "active": True},
        ),
        "positions": rows(
            "positions",
            {"portfolio_id": "GROWTH", "as_of": TODAY, "symbol": "AAA", "quantity": 100.0},
            {"portfolio_id": "GROWTH", "as_of": TODAY, "symbol": "BBB", "quantity": 50.0},
            {"portfolio_id": "INCOME", "as_of": TODAY, "symbol": "CCC", "quantity": 10.0},
        ),
        "cash": rows(
            "cash",
            {"portfolio_id": "GROWTH", "as_of": TODAY, "amount": 1000.0},
            {"portfolio_id": "INCOME", "as_of": TODAY, "amount": 500.0},
        ),
        "assets": rows(
            "assets",
            {"symbol": "AAA", "bucket": "Energy", "tradable": True, "currency": "USD"},
            {"symbol": "BBB", "bucket": "Utilities", "tradable": True, "currency": "USD"},
            {"symbol": "CCC", "tradable": True},
            {"symbol": "DDD", "bucket": "Energy", "tradable": True},
        ),
        "prices": rows(
            "prices",
            *[
                {"as_of": date, "symbol": name, "close": price}
                for name, price in PRICES.items()
                for date in (YESTERDAY, TODAY)
            ],
        ),
        "signals": rows(
            "signals",
            *[
                {"as_of": TODAY, "symbol": name, "signal": "technical", "value": price}
                for name, price in PRICES.items()
            ],
        ),
        "candidates": rows("candidates", {"as_of": TODAY, "symbol": "DDD", "priority": "trending"}),
        "corporate_actions": rows("corporate_actions"),
        "overrides": rows("overrides"),
    }


LAST_PRICES = {"portfolio_id": pl.String, "symbol": pl.String, "as_of": pl.Date, "close": pl.Float64}


def last_prices(*records: tuple[str, str, dt.date, float]) -> pl.DataFrame:
    return pl.DataFrame(list(records), schema=LAST_PRICES, orient="row")


def example(last: pl.DataFrame | None = None, **changed: pl.DataFrame) -> Inputs:
    """The example with some tables replaced."""
    return Inputs(TODAY, frames() | changed, last_prices() if last is None else last)


def added(table: str, *records: dict[str, Any]) -> dict[str, pl.DataFrame]:
    """A table of the example with rows added, as an argument of `example`."""
    return {table: pl.concat([frames()[table], rows(table, *records)])}


def changed(table: str, where: pl.Expr, **cells: Any) -> dict[str, pl.DataFrame]:
    """A table of the example with cells replaced in some rows."""
    put = [pl.when(where).then(pl.lit(cell)).otherwise(name).alias(name) for name, cell in cells.items()]
    return {table: frames()[table].with_columns(put)}


def dropped(table: str, where: pl.Expr) -> dict[str, pl.DataFrame]:
    """A table of the example without some rows."""
    return {table: frames()[table].filter(~where)}


def judged(last: pl.DataFrame | None = None, config: GateConfig | None = None, **tables: pl.DataFrame) -> Gated:
    """The gate's judgement of the example with some tables replaced, candidates from all assets."""
    return judge(example(last, **tables), config or GateConfig(), "assets")


def told(gated: Gated) -> set[tuple[str, str, str | None, str | None]]:
    """The findings as (severity, code, portfolio_id, symbol)."""
    return set(gated.findings.select("severity", "code", "portfolio_id", "symbol").rows())


def only(gated: Gated, code: str) -> dict[str, Any]:
    """The one finding of a code."""
    return gated.findings.filter(pl.col("code") == code).row(0, named=True) if code in gated.findings["code"] else {}
