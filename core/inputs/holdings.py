"""What the portfolios hold, under today's names and at today's prices, and what stops them.

`booked` takes the positions of the as-of date through `_named` (written off, renamed) and `_valued` (asset, price,
price of the last published run), sums them up in `_net_asset_values`, and runs the checks of `holding_checks` on them.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from core.arithmetic import ordered_sum
from core.inputs import holding_checks
from core.inputs.config import GateConfig
from core.inputs.corporate_actions import brought_forward, renamed
from core.inputs.findings import joined
from core.inputs.holding_checks import HOLDER
from core.inputs.overrides import Rulings
from core.inputs.prices import Market, overridden
from core.inputs.schema_checks import Checked
from core.schemas import KEYS, UNKNOWN_BUCKET, OverrideKind


@dataclass(frozen=True)
class Book:
    """The holdings of all portfolios, stopped ones included, and what is wrong with them.

    `holdings`: one row per (portfolio_id, as_of, symbol): quantity, close, price_as_of, bucket, tradable. `nav`: one
    row per portfolio with cash: portfolio_id, as_of, nav (null where a price is missing), cash, in its currency.
    """

    holdings: pl.DataFrame
    nav: pl.DataFrame
    findings: pl.DataFrame


def booked(
    as_of: dt.date,
    tables: Mapping[str, Checked],
    actions: pl.DataFrame,
    rulings: Rulings,
    market: Market,
    config: GateConfig,
) -> Book:
    """The holdings as of the morning of `as_of`, judged."""
    named, written_off = _named(tables["positions"].rows, actions, rulings)
    held = _valued(as_of, named.unique(KEYS, keep="first", maintain_order=True), tables, actions, rulings, market)
    nav = _net_asset_values(held, tables["cash"].rows)
    findings = joined(
        [
            holding_checks.written_off(written_off),
            holding_checks.renamings(named),
            holding_checks.doubled(named),
            holding_checks.ambiguous(named, tables["prices"].rows),
            holding_checks.without_asset(held),
            holding_checks.flawed_assets(held),
            holding_checks.flawed_actions(held, tables["corporate_actions"].flawed),
            holding_checks.without_price(held),
            holding_checks.bad_prices(held),
            holding_checks.stale(held, config),
            holding_checks.other_currency(held),
            holding_checks.jumped(held, rulings, config),
            holding_checks.dust(held, nav),
            holding_checks.without_value(nav),
            holding_checks.overstretched(nav, config),
        ]
    )
    columns = [*KEYS, "quantity", "close", "price_as_of", "bucket", "tradable"]
    return Book(held.select(columns), nav.drop("positions", "gross"), findings)


def _named(positions: pl.DataFrame, actions: pl.DataFrame, rulings: Rulings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Positions under today's names, with `reported` (the custodian's name) and `renamed_on`; and those written off.

    A name may be written off as the custodian calls it or as it is called today.
    """
    gone = rulings.of(OverrideKind.WRITTEN_OFF).select(HOLDER)
    to = rulings.of(OverrideKind.RENAMED_TO).select(*HOLDER, to="value")
    reported = positions.filter(pl.col("quantity") != 0).with_columns(reported="symbol").sort(KEYS)
    ruled = reported.join(to, on=HOLDER, how="left", maintain_order="left")
    named = renamed(ruled.with_columns(symbol=pl.coalesce("to", "symbol")), actions)
    by_report = gone.rename({"symbol": "reported"}).with_columns(gone=True)
    marked = named.join(by_report, on=("portfolio_id", "reported"), how="left", maintain_order="left").join(
        gone.with_columns(gone_today=True), on=HOLDER, how="left", maintain_order="left"
    )
    dropped = pl.any_horizontal("gone", "gone_today").fill_null(False)
    return marked.filter(~dropped).sort(*KEYS, "reported"), marked.filter(dropped)


def _valued(
    as_of: dt.date,
    named: pl.DataFrame,
    tables: Mapping[str, Checked],
    actions: pl.DataFrame,
    rulings: Rulings,
    market: Market,
) -> pl.DataFrame:
    """Positions with their portfolio's currency, their asset (`asset_flaw`), their quote and their reference price."""
    assets = described(tables["assets"])
    portfolios = tables["portfolios"].rows.select("portfolio_id", "base_currency")
    rows = (
        named.join(portfolios, on="portfolio_id", how="left")
        .join(assets, on="symbol", how="left")
        .join(market.quotes, on="symbol", how="left")
    )
    prices = rulings.of(OverrideKind.PRICE).select(*HOLDER, override_price="price")
    published = _published(tables["last_prices"].rows, actions)
    return (
        overridden(rows, prices, as_of)
        .join(published, on=HOLDER, how="left")
        .with_columns(
            reference=pl.coalesce("published_close", "previous_close"),
            reference_as_of=pl.coalesce("published_as_of", "previous_as_of"),
        )
        .sort(KEYS)
    )


def described(assets: Checked) -> pl.DataFrame:
    """All asset rows, with `known` and, where a cell is bad, `asset_flaw`; no bucket is the bucket `Unknown`."""
    return pl.concat([assets.rows, assets.flawed], how="diagonal").select(
        "symbol",
        pl.col("bucket").fill_null(UNKNOWN_BUCKET),
        "tradable",
        "currency",
        known=True,
        asset_flaw="flaw",
    )


def _published(last_prices: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """The close of each holding in its portfolio's last published run, in today's names and units."""
    forward = brought_forward(last_prices, actions).select(
        *HOLDER, published_close=pl.col("close") / pl.col("factor"), published_as_of="as_of"
    )
    return forward.sort("published_as_of").unique(HOLDER, keep="last")


def _net_asset_values(held: pl.DataFrame, cash: pl.DataFrame) -> pl.DataFrame:
    """Σ quantity × close + cash of each portfolio, null where a price is missing; rows are sorted before the sum."""
    worth = pl.col("quantity") * pl.col("close")
    positions = held.group_by("portfolio_id", maintain_order=True).agg(
        positions=pl.when(worth.is_not_null().all()).then(ordered_sum(worth)), gross=ordered_sum(worth.abs())
    )
    valued = cash.join(positions.with_columns(has_positions=True), on="portfolio_id", how="left").sort("portfolio_id")
    total = pl.when(pl.col("has_positions").is_null()).then(0.0).otherwise("positions")
    return valued.select(
        "portfolio_id",
        "as_of",
        pl.col("gross").fill_null(0.0),
        positions=total,
        nav=total + pl.col("amount"),
        cash="amount",
    )
