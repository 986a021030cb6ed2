"""The gate on real daily snapshots of the S&P 500, with the gaps and the unadjusted splits that real data has."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from core.inputs import GateConfig, Gated, judge
from core.models import Inputs
from core.schemas import Severity
from tests.core.inputs.example import last_prices, rows, split

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "sp500"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason=f"the real snapshots are not at {FOLDER}")
JUMPED = (pl.col("code") == "price_jump") & (pl.col("severity") == Severity.STOP_PORTFOLIO.value)
SPLITS = [("KLAC", dt.date(2026, 6, 13)), ("CRWD", dt.date(2026, 7, 3)), ("DD", dt.date(2026, 6, 25))]


def held(as_of: dt.date, symbols: list[str], *actions: dict[str, object], last: pl.DataFrame | None = None) -> Gated:
    """A portfolio of 100 of each symbol on the morning of a day."""
    assets = pl.read_csv(FOLDER / "assets.csv")
    snapshots = pl.read_parquet(FOLDER / "snapshots.parquet").filter(pl.col("close").is_not_null())
    positions = [{"portfolio_id": "P", "as_of": as_of, "symbol": symbol, "quantity": 100.0} for symbol in symbols]
    frames = {
        "portfolios": rows("portfolios", {"portfolio_id": "P", "name": "P", "base_currency": "USD", "active": True}),
        "positions": rows("positions", *positions),
        "cash": rows("cash", {"portfolio_id": "P", "as_of": as_of, "amount": 1000.0}),
        "assets": assets.select("symbol", "name", bucket="sector", tradable=True),
        "prices": snapshots.select("as_of", "symbol", "close"),
        "signals": rows("signals"),
        "corporate_actions": rows("corporate_actions", *actions),
    }
    return judge(Inputs(as_of, frames, last_prices() if last is None else last), GateConfig(), "assets")


@pytest.mark.parametrize(("symbol", "day"), SPLITS)
def test_an_unadjusted_split_is_caught_and_named(symbol: str, day: dt.date) -> None:
    gated = held(day, [symbol, "AAPL"])
    assert gated.stopped == ("P",)
    assert gated.findings.filter(JUMPED)["symbol"].to_list() == [symbol]


@pytest.mark.parametrize(("symbol", "day"), SPLITS)
def test_with_the_split_as_corporate_action_the_day_runs(symbol: str, day: dt.date) -> None:
    before = held(day - dt.timedelta(days=1), [symbol]).holdings["close"].item()
    after = held(day, [symbol], last=last_prices(("P", symbol, day - dt.timedelta(days=1), 1.0))).findings
    assert after.filter(JUMPED).height == 1
    raw = pl.read_parquet(FOLDER / "snapshots.parquet").filter(symbol=symbol, as_of=day)["close"].item()
    factor = float(round(before / raw)) if before > raw else 1.0 / round(raw / before)
    published = last_prices(("P", symbol, day - dt.timedelta(days=1), before))
    assert held(day, [symbol, "AAPL"], split(symbol, factor, day), last=published).stopped == ()


def test_names_without_a_price_are_excluded_and_stop_nobody() -> None:
    gated = held(dt.date(2026, 6, 12), ["AAPL", "MSFT"])
    assert gated.stopped == ()
    assert set(gated.findings["severity"]) == {Severity.EXCLUDE.value}
    assert 10 <= gated.findings.height <= 20
    assert gated.findings["code"].unique().to_list() == ["no_price"]


def test_a_name_that_lost_its_price_for_good_is_stale_six_days_later() -> None:
    assert held(dt.date(2026, 6, 14), ["HOLX"]).stopped == ()
    assert held(dt.date(2026, 6, 15), ["HOLX"]).findings["code"][0] == "stale_price"
