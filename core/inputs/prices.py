"""What each asset costs, and has cost.

`market` brings the known prices forward (renamings, splits), settles rows that two names claim (`_settled`), and splits
them into `quotes`, the last row of each symbol, and `history`, which price signals read. A row with a bad cell stays as
a row without a price: it is never passed over in favour of an older one.
"""

import datetime as dt
from dataclasses import dataclass

import polars as pl

from core.inputs.config import GateConfig
from core.inputs.corporate_actions import brought_forward
from core.inputs.findings import sentence
from core.inputs.overrides import Rulings
from core.inputs.schema_checks import Checked

EXPLAIN_JUMP = "Enter the split as a corporate action, correct the price, or enter an override `accept-jump`"
SAME_PRICE = 1e-6  # relative; a price under the old and the new name of an asset may differ by rounding


@dataclass(frozen=True)
class Market:
    """The prices of a batch, in units of the as-of date.

    - `quotes`: one row per symbol, before overrides: symbol, close (null where it cannot be trusted, `flaw` says why),
      price_as_of, age_days, previous_close and previous_as_of (the last good row before).
    - `history`: as_of, symbol, close (null where bad), jump (the change since the row before is beyond the limit and
      not accepted), of symbols with a fresh price, sorted by symbol and date.
    - `latest`: symbol, close, price_as_of of the fresh, good quotes, after the overrides for all.
    """

    quotes: pl.DataFrame
    history: pl.DataFrame
    latest: pl.DataFrame


def known_prices(as_of: dt.date, config: GateConfig) -> pl.Expr:
    """Which price rows were known on the morning of `as_of`; rows without a date are kept, to be reported."""
    date = pl.col("as_of")
    return date.is_null() | (date <= as_of if config.prices_known == "by_morning" else date < as_of)


def market(as_of: dt.date, prices: Checked, actions: pl.DataFrame, rulings: Rulings, config: GateConfig) -> Market:
    """The market as known on the morning of `as_of`."""
    rows = _settled(_forward(prices, actions)).sort("symbol", "as_of")
    quotes = _quotes(rows, as_of)
    shared = rulings.shared_prices
    quoted = overridden(quotes.join(shared.select("symbol"), on="symbol", how="full", coalesce=True), shared, as_of)
    fresh = quoted.filter(pl.col("close").is_not_null() & (pl.col("age_days") <= config.max_price_age_days))
    latest = fresh.select("symbol", "close", "price_as_of").sort("symbol")
    return Market(quotes, _history(rows, quotes, rulings.shared_accepted, config), latest)


def overridden(rows: pl.DataFrame, prices: pl.DataFrame, as_of: dt.date) -> pl.DataFrame:
    """Rows with the columns of a quote, where an override names a price with that price, as of today.

    `prices`: override_price by the columns it shares with `rows`: symbol, or portfolio_id and symbol.
    """
    keys = [key for key in ("portfolio_id", "symbol") if key in prices.columns]
    ruled = pl.col("override_price").is_not_null()
    joined = rows.join(prices, on=keys, how="left", maintain_order="left")
    return joined.with_columns(
        close=pl.coalesce("override_price", "close"),
        flaw=pl.when(~ruled).then("flaw"),
        price_as_of=pl.when(ruled).then(pl.lit(as_of)).otherwise("price_as_of"),
        age_days=pl.when(ruled).then(0).otherwise("age_days"),
        # what the override replaces is the price before it, if it was a price
        previous_close=pl.when(ruled).then(pl.coalesce("close", "previous_close")).otherwise("previous_close"),
        previous_as_of=pl.when(ruled & pl.col("close").is_not_null()).then("price_as_of").otherwise("previous_as_of"),
    )


def _forward(prices: Checked, actions: pl.DataFrame) -> pl.DataFrame:
    """All price rows under today's names: close and adjusted in today's units, both null where the row has a flaw."""
    rows = pl.concat([prices.rows.with_columns(flaw=pl.lit(None, dtype=pl.String)), prices.flawed], how="diagonal")
    forward = brought_forward(rows.select("as_of", "symbol", "close", "adjusted_close", "flaw"), actions)
    close = pl.col("close") / pl.col("factor")
    good = pl.col("flaw").is_null() & close.is_finite() & (close > 0)
    return forward.with_columns(
        close=pl.when(good).then(close),
        adjusted_close=pl.when(good).then(pl.coalesce("adjusted_close", close)),
        flaw=pl.when(~good).then(pl.coalesce("flaw", pl.lit("close is out of range after its corporate actions"))),
    ).drop("factor")


def _settled(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per symbol and date: the same price under an old and a new name counts once, another one is a flaw."""
    renamed = rows.filter("renamed")
    if renamed.is_empty():
        return rows.drop("renamed")
    keys = ["symbol", "as_of"]
    clashing = rows.join(renamed.select(keys).unique(), on=keys, how="semi")
    low, high = pl.col("close").min(), pl.col("close").max()
    same = (pl.col("close").null_count() == 0) & (high <= low * (1 + SAME_PRICE))
    told = sentence("close is {} and {} under its old and new name", low, high)
    merged = (
        clashing.sort("renamed")
        .group_by(keys)
        .agg(
            close=pl.when(same).then(pl.col("close").first()),
            adjusted_close=pl.when(same).then(pl.col("adjusted_close").first()),
            flaw=pl.when(~same).then(pl.coalesce(pl.col("flaw").drop_nulls().first(), told)),
        )
    )
    others = rows.join(merged, on=keys, how="anti").drop("renamed")
    return pl.concat([others, merged.select(others.columns)])


def _quotes(rows: pl.DataFrame, as_of: dt.date) -> pl.DataFrame:
    """The last row of each symbol; `rows` are sorted by symbol and date."""
    before = pl.len() - 1
    good = pl.col("close").head(before).is_not_null()
    return rows.group_by("symbol", maintain_order=True).agg(
        pl.col("close", "flaw").last(),
        price_as_of=pl.col("as_of").last(),
        age_days=(pl.lit(as_of) - pl.col("as_of").last()).dt.total_days(),
        previous_close=pl.col("close").head(before).filter(good).last(),
        previous_as_of=pl.col("as_of").head(before).filter(good).last(),
    )


def _history(rows: pl.DataFrame, quotes: pl.DataFrame, accepted: list[str], config: GateConfig) -> pl.DataFrame:
    """What price signals read. An adjusted close is taken as it is; only a close is adjusted by corporate actions."""
    fresh = quotes.filter(pl.col("age_days") <= config.max_price_age_days)["symbol"]
    change = pl.col("close") / pl.col("close").shift(1) - 1
    same_symbol = pl.col("symbol") == pl.col("symbol").shift(1)
    jump = same_symbol & (change.abs() > config.max_jump) & ~pl.col("symbol").is_in(accepted)
    return (
        rows.filter(pl.col("symbol").is_in(fresh.implode()))
        .select("as_of", "symbol", close="adjusted_close")
        .with_columns(jump=jump.fill_null(False))
    )
