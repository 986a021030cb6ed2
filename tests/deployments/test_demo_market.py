"""The demo's market."""

import datetime as dt

import polars as pl
import pytest

from core.errors import InputError
from core.schemas import INPUTS
from deployments.demo_market import demo_market

FRIDAY = dt.date(2026, 7, 31)
MONDAY = dt.date(2026, 8, 3)


@pytest.fixture(scope="module")
def market() -> dict[str, pl.DataFrame]:
    return demo_market(FRIDAY)


@pytest.mark.parametrize("as_of", [dt.date(2020, 1, 1), FRIDAY, dt.date(2026, 8, 2), dt.date(2028, 2, 29)])
def test_every_frame_meets_its_schema(as_of: dt.date) -> None:
    for name, frame in demo_market(as_of).items():
        INPUTS[name].validate(frame)


def test_it_is_always_the_same(market: dict[str, pl.DataFrame]) -> None:
    assert market["prices"].row(0) == (dt.date(2024, 7, 31), "BALAN", 176.52, None)
    assert market["prices"].row(-1) == (dt.date(2026, 7, 30), "TIROB", 365.82, None)
    assert market["signals"].row(-1) == (FRIDAY, "TIROB", "fundamental", 0.142724)
    assert market["positions"].row(-1) == ("concentrated", FRIDAY, "LUMIX", 38961.0)
    assert market["prices"]["close"].sum() == pytest.approx(8_986_069.58)


def test_there_are_a_dozen_sectors_of_ten_companies(market: dict[str, pl.DataFrame]) -> None:
    sizes = market["assets"].group_by("bucket").len()["len"].to_list()
    assert sizes == [10] * 12
    assert market["assets"]["name"].n_unique() == 120


def test_prices_cover_two_years_of_weekdays_before_the_morning(market: dict[str, pl.DataFrame]) -> None:
    days = market["prices"]["as_of"]
    assert (days.min(), days.max()) == (dt.date(2024, 7, 31), dt.date(2026, 7, 30))
    assert days.dt.weekday().max() == 5
    assert market["prices"].group_by("as_of").len()["len"].unique().to_list() == [120]


def test_no_price_jumps(market: dict[str, pl.DataFrame]) -> None:
    moves = market["prices"].sort("symbol", "as_of").select(pl.col("close").pct_change().over("symbol").abs())
    assert moves.to_series().max() < 0.15


def test_a_price_is_the_same_from_whichever_morning(market: dict[str, pl.DataFrame]) -> None:
    common = market["prices"].join(demo_market(MONDAY)["prices"], on=["as_of", "symbol"])
    assert len(common) > 60_000
    assert common["close"].equals(common["close_right"].rename("close"))


def test_signals_are_known_on_each_of_the_last_ten_mornings(market: dict[str, pl.DataFrame]) -> None:
    mornings = market["signals"]["as_of"].unique().sort()
    assert (len(mornings), mornings[-1]) == (10, FRIDAY)
    assert market["signals"].group_by("as_of", "signal").len()["len"].unique().to_list() == [120]


def test_the_technical_signal_is_the_return_of_the_last_63_closes(market: dict[str, pl.DataFrame]) -> None:
    closes = market["prices"].filter(symbol="BALAN").sort("as_of")["close"].log()
    said = market["signals"].filter(symbol="BALAN", signal="technical", as_of=FRIDAY)["value"].item()
    assert said == pytest.approx(closes[-1] - closes[-63], abs=1e-6)


def test_the_portfolios_are_broad_concentrated_and_empty(market: dict[str, pl.DataFrame]) -> None:
    held = market["positions"].join(market["assets"], on="symbol")
    books = held.group_by("portfolio_id").agg(pl.col("bucket").n_unique(), names=pl.len()).sort("portfolio_id")
    assert books.rows() == [("balanced", 8, 8), ("concentrated", 1, 5)]
    assert market["portfolios"]["portfolio_id"].to_list() == ["balanced", "concentrated", "newcomer"]


def test_every_portfolio_is_worth_ten_million(market: dict[str, pl.DataFrame]) -> None:
    last = market["prices"].filter(pl.col("as_of") == pl.col("as_of").max())
    amounts = (
        market["positions"].join(last, on="symbol").select("portfolio_id", amount=pl.col("quantity") * pl.col("close"))
    )
    worth = pl.concat([amounts, market["cash"].select("portfolio_id", "amount")]).group_by("portfolio_id").sum()
    assert worth["amount"].to_list() == pytest.approx([10_000_000] * 3)


@pytest.mark.parametrize("day", [dt.date(2019, 12, 31), dt.date(2050, 1, 1)])
def test_a_date_without_a_market_is_refused(day: dt.date) -> None:
    with pytest.raises(InputError, match="from 2020-01-01 to 2049-12-31"):
        demo_market(day)
