"""A small market of the project's own making, the same for everybody.

`demo_market` gives 120 companies of twelve sectors (`_companies`), two years of closing prices (`_walk`), two signals
(`_signals`) and three portfolios (`_books`). The returns of a day are drawn from a generator seeded with that day, from
`ORIGIN` on: the prices of a date are the same whichever morning they are looked at from, so that a demo may go on day
after day. Nothing of it is real.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log
from random import Random
from typing import Any

import polars as pl

from core.errors import InputError
from core.schemas import INPUTS

ORIGIN = dt.date(2018, 1, 1)
END = dt.date(2049, 12, 31)  # each day is drawn from the ones before: later ones would only take longer
SEED = "evenkeel"
HISTORY_DAYS = 730
SIGNAL_DAYS = 14  # ten weekdays
MOMENTUM_LENGTH = 63  # closes
CURRENCY = "USD"
NET_ASSET_VALUE = 10_000_000.0

MARKET_MOVE, SECTOR_MOVE = 0.008, 0.006  # standard deviations of a day's log returns
OWN_MOVE = (0.010, 0.020)  # the calmest and the wildest company
DRIFT = 0.0002

HEADS = ("Bal", "Cor", "Del", "Fen", "Gar", "Hal", "Kel", "Lum", "Mor", "Tir")
SECTORS = {
    "Energy": ("ano", "Power"),
    "Materials": ("ex", "Mining"),
    "Industrials": ("ium", "Works"),
    "Transport": ("ora", "Lines"),
    "Consumer Goods": ("eto", "Brands"),
    "Retail": ("amo", "Stores"),
    "Health Care": ("ivo", "Health"),
    "Financials": ("esta", "Bank"),
    "Insurance": ("uro", "Assurance"),
    "Technology": ("ix", "Systems"),
    "Communications": ("elo", "Networks"),
    "Utilities": ("obi", "Water"),
}
"""How the companies of a sector are called: Balano Power (BALAN), Corano Power (CORAN), ..."""

CONCENTRATED_SECTOR = "Technology"


@dataclass(frozen=True)
class _Company:
    symbol: str
    name: str
    sector: str
    first_close: float
    own_move: float
    quality: float  # in [0, 1]: what its fundamental signal says, day by day, but for some noise


def demo_market(as_of: dt.date) -> dict[str, pl.DataFrame]:
    """The input tables of the demo as they stand on the morning of `as_of`, by name; each meets its schema.

    Prices are dated by their close, up to the day before `as_of`; signals by the morning on which they are known.
    Raises `InputError` for a date before the market has two years of prices, or after its end.
    """
    earliest = ORIGIN + dt.timedelta(days=HISTORY_DAYS)
    if not earliest <= as_of <= END:
        raise InputError(f"there is no demo market on {as_of}: choose a date from {earliest} to {END}.")
    companies = _companies()
    closes = dict(_walk(companies, as_of))
    last = closes[max(closes)]
    rows: dict[str, list[tuple[Any, ...]]] = {
        "portfolios": [
            ("balanced", "Eight names of eight sectors", CURRENCY, True),
            ("concentrated", "Five names of one sector", CURRENCY, True),
            ("newcomer", "Nothing but cash", CURRENCY, True),
        ],
        "positions": [(book, as_of, *holding) for book, holding in _books(companies, last)],
        "cash": [(book, as_of, amount) for book, amount in _cash(companies, last).items()],
        "assets": [(company.symbol, company.name, company.sector, True, CURRENCY) for company in companies],
        "prices": list(_prices(companies, closes, as_of)),
        "signals": list(_signals(companies, closes, as_of)),
    }
    return {name: pl.DataFrame(table, INPUTS[name].create_empty().schema, orient="row") for name, table in rows.items()}


def _companies() -> list[_Company]:
    return [_company(head, tail, trade, sector) for sector, (tail, trade) in SECTORS.items() for head in HEADS]


def _company(head: str, tail: str, trade: str, sector: str) -> _Company:
    symbol = (head + tail)[:5].upper()
    draw = Random(f"{SEED} {symbol}")  # noqa: S311 - a toy market, not a secret
    return _Company(
        symbol, f"{head}{tail} {trade}", sector, draw.uniform(20, 200), draw.uniform(*OWN_MOVE), draw.random()
    )


def _walk(companies: list[_Company], as_of: dt.date) -> Iterator[tuple[dt.date, list[float]]]:
    """Each weekday from `ORIGIN` to the day before `as_of`, and the closes of all companies on it."""
    levels = [log(company.first_close) for company in companies]
    for day in _weekdays(ORIGIN, as_of - dt.timedelta(days=1)):
        levels = [level + move for level, move in zip(levels, _moves(companies, day), strict=True)]
        yield day, [round(exp(level), 2) for level in levels]


def _moves(companies: list[_Company], day: dt.date) -> list[float]:
    """The log returns of a day: the market's, the sector's and the company's own."""
    draw = Random(f"{SEED} {day}")  # noqa: S311
    market = draw.gauss(DRIFT, MARKET_MOVE)
    sectors = {sector: draw.gauss(0, SECTOR_MOVE) for sector in SECTORS}
    return [market + sectors[company.sector] + draw.gauss(0, company.own_move) for company in companies]


def _weekdays(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    days = (first + dt.timedelta(days=count) for count in range((last - first).days + 1))
    return (day for day in days if day.weekday() < 5)


def _prices(
    companies: list[_Company], closes: dict[dt.date, list[float]], as_of: dt.date
) -> Iterator[tuple[dt.date, str, float, None]]:
    for day in _weekdays(as_of - dt.timedelta(days=HISTORY_DAYS), as_of - dt.timedelta(days=1)):
        yield from ((day, company.symbol, close, None) for company, close in zip(companies, closes[day], strict=True))


def _signals(
    companies: list[_Company], closes: dict[dt.date, list[float]], as_of: dt.date
) -> Iterator[tuple[dt.date, str, str, float]]:
    """Per morning: `technical`, the log return over three months, and `fundamental`, the quality as it is seen."""
    days = list(closes)
    for morning in _weekdays(as_of - dt.timedelta(days=SIGNAL_DAYS - 1), as_of):
        draw = Random(f"{SEED} fundamental {morning}")  # noqa: S311
        known = [day for day in days[-MOMENTUM_LENGTH - SIGNAL_DAYS :] if day < morning]
        for number, company in enumerate(companies):
            change = log(closes[known[-1]][number] / closes[known[-MOMENTUM_LENGTH]][number])
            yield morning, company.symbol, "technical", round(change, 6)
            yield morning, company.symbol, "fundamental", round(company.quality + draw.gauss(0, 0.02), 6)


def _books(companies: list[_Company], last: list[float]) -> list[tuple[str, tuple[str, float]]]:
    """The holdings of the two portfolios that have any, as (portfolio_id, (symbol, quantity))."""
    close = {company.symbol: price for company, price in zip(companies, last, strict=True)}
    best = {sector: _best(companies, sector) for sector in SECTORS}
    balanced = {best[sector][0]: 0.11 for sector in list(SECTORS)[:8]}
    concentrated = dict.fromkeys(best[CONCENTRATED_SECTOR][:5], 0.18)
    weights = {"balanced": balanced, "concentrated": concentrated}
    return [
        (book, (symbol, float(round(weight * NET_ASSET_VALUE / close[symbol]))))
        for book, names in weights.items()
        for symbol, weight in names.items()
    ]


def _best(companies: list[_Company], sector: str) -> list[str]:
    """The symbols of a sector, the company of the highest quality first."""
    members = [company for company in companies if company.sector == sector]
    return [company.symbol for company in sorted(members, key=lambda company: -company.quality)]


def _cash(companies: list[_Company], last: list[float]) -> dict[str, float]:
    """What the holdings leave of each portfolio's net asset value."""
    close = {company.symbol: price for company, price in zip(companies, last, strict=True)}
    cash = dict.fromkeys(("balanced", "concentrated", "newcomer"), NET_ASSET_VALUE)
    for book, (symbol, quantity) in _books(companies, last):
        cash[book] -= quantity * close[symbol]
    return {book: round(amount, 2) for book, amount in cash.items()}
