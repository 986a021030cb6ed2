"""Which assets may be bought, and which of them the gate excludes.

`listed` takes all assets, or the latest list of the candidates table; `offered` gives each its asset and its price and
excludes those that lack one. A candidate in another currency than a portfolio's is excluded for that portfolio alone:
`other_currency` reports the pairs, and the universe compares the currencies.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Literal

import polars as pl

from core.inputs.config import GateConfig
from core.inputs.findings import count_of, finding, found, joined, number, sentence
from core.inputs.holdings import described
from core.inputs.overrides import Rulings
from core.inputs.prices import EXPLAIN_JUMP, Market, overridden
from core.inputs.schema_checks import Checked
from core.schemas import AssetPriority, Severity
from core.wording import counted

CandidatesFrom = Literal["assets", "candidates"]
REASONS = {
    "no_asset": ("assets", "symbol", "Add the asset row, or take the name off the candidates."),
    "bad_asset": ("assets", "symbol", "Correct the asset row."),
    "bad_corporate_action": ("corporate_actions", "factor", "Correct the corporate action, or delete it."),
    "bad_candidate": ("candidates", "priority", "Correct the priority of the candidate."),
    "no_price": ("prices", "close", "Load a price, or enter an override `price`."),
    "bad_price": ("prices", "close", "Correct the price row, or enter an override `price`."),
    "stale_price": ("prices", "as_of", "Load a price, or enter an override `price`."),
    "price_jump": ("prices", "close", f"{EXPLAIN_JUMP} for all."),
}
"""Why a candidate is excluded, by the code of its finding, in the order of precedence: frame, column, remedy."""


def listed_by_date(as_of: dt.date) -> pl.Expr:
    """Which rows of the candidates table count: those of its latest date until `as_of`, and those without a date."""
    date = pl.col("as_of")
    return date.is_null() | (date == date.filter(date <= as_of).max())


def listed(
    as_of: dt.date, tables: Mapping[str, Checked], candidates_from: CandidatesFrom, config: GateConfig
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The names that may be bought (symbol, priority, flaw), and what is wrong with the list as a whole."""
    if candidates_from == "assets":
        names = described(tables["assets"]).select(
            "symbol", priority=pl.lit(AssetPriority.FALLBACK.value), flaw=pl.lit(None, dtype=pl.String)
        )
        return names, _no_list(as_of, "assets", names, None, config)
    rows = pl.concat([tables["candidates"].rows, tables["candidates"].flawed], how="diagonal")
    priority = pl.col("priority").cast(pl.String)
    held = pl.when(priority == AssetPriority.PORTFOLIO.value).then(pl.lit("priority is portfolio, which means held"))
    names = rows.select("symbol", priority, flaw=pl.coalesce("flaw", held))
    return names, _no_list(as_of, "candidates", names, rows["as_of"].max(), config)


def _no_list(as_of: dt.date, table: str, names: pl.DataFrame, dated: object, config: GateConfig) -> pl.DataFrame:
    limit = config.max_candidates_age_days
    if names.is_empty():
        message, remedy = f"{table} has no row until {as_of}: there is nothing to choose from.", "Load the table."
        return finding(Severity.STOP_BATCH, "no_candidates", frame=table, message=message, remedy=remedy)
    if isinstance(dated, dt.date) and (as_of - dated).days > limit:
        message = (
            f"the latest candidates are of {dated}, {counted((as_of - dated).days, 'day')} old; the limit is {limit}."
        )
        remedy = "Load a newer list, or take the candidates from the assets."
        return finding(Severity.STOP_BATCH, "stale_candidates", frame=table, message=message, remedy=remedy)
    return joined([])


def offered(
    as_of: dt.date,
    names: pl.DataFrame,
    tables: Mapping[str, Checked],
    market: Market,
    rulings: Rulings,
    config: GateConfig,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One row per candidate (symbol, priority, close, currency, tradable, excluded: null or why), and findings."""
    actions = tables["corporate_actions"].flawed
    flawed_actions = pl.concat([actions["symbol"], actions["new_symbol"].drop_nulls().alias("symbol")]).unique()
    named = names.rename({"flaw": "candidate_flaw"}).join(market.quotes, on="symbol", how="left")
    quoted = overridden(named, rulings.shared_prices, as_of)
    rows = quoted.join(described(tables["assets"]), on="symbol", how="left").with_columns(
        bad_action=pl.col("symbol").is_in(flawed_actions.implode()),
        accepted=pl.col("symbol").is_in(rulings.shared_accepted),
    )
    judged = rows.with_columns(_reason(config)).unnest("reason").sort("symbol")
    columns = ["symbol", "priority", "close", "currency", "tradable", "excluded"]
    bought = judged.with_columns(close=pl.when(pl.col("excluded").is_null()).then("close"))
    return bought.select(columns), _excluded(judged)


def _reason(config: GateConfig) -> pl.Expr:
    """The first reason to exclude a candidate, as a struct of its code and its sentence; null where there is none."""
    change = pl.col("close") / pl.col("previous_close") - 1
    conditions = {
        "no_asset": (pl.col("known").is_null(), pl.lit("no asset row")),
        "bad_asset": (pl.col("asset_flaw").is_not_null(), sentence("bad asset row: {}", "asset_flaw")),
        "bad_corporate_action": (pl.col("bad_action"), pl.lit("bad corporate action")),
        "bad_candidate": (pl.col("candidate_flaw").is_not_null(), sentence("bad candidate row: {}", "candidate_flaw")),
        "no_price": (pl.col("price_as_of").is_null(), pl.lit("no price")),
        "bad_price": (pl.col("close").is_null(), sentence("bad price row of {}: {}", "price_as_of", "flaw")),
        "stale_price": (
            pl.col("age_days") > config.max_price_age_days,
            sentence(
                f"last price of {{}} is {{}} old, limit {config.max_price_age_days}",
                "price_as_of",
                count_of("age_days", "day"),
            ),
        ),
        "price_jump": (
            ~pl.col("accepted") & (change.abs() > config.max_jump),
            sentence(
                f"close {{}} of {{}} is {{}} % away from {{}} of {{}}, limit {config.max_jump:.0%}",
                number("close"),
                "price_as_of",
                number((change * 100).round(1)),
                number("previous_close"),
                "previous_as_of",
            ),
        ),
    }
    code = pl.coalesce([pl.when(met).then(pl.lit(name)) for name, (met, _) in conditions.items()])
    told = pl.coalesce([pl.when(met).then(why) for met, why in conditions.values()])
    return pl.struct(code=code, excluded=told).alias("reason")


def _excluded(judged: pl.DataFrame) -> pl.DataFrame:
    return joined(
        found(
            judged.filter(pl.col("code") == code),
            Severity.EXCLUDE,
            code,
            frame=frame,
            column=column,
            row=pl.col("symbol"),
            message=sentence("candidate {} is excluded: {}.", "symbol", "excluded"),
            remedy=remedy,
        )
        for code, (frame, column, remedy) in REASONS.items()
    )


def other_currency(candidates: pl.DataFrame, portfolios: pl.DataFrame) -> pl.DataFrame:
    """Findings on candidates that are in another currency than a portfolio's."""
    own = portfolios.select("portfolio_id", "base_currency")
    offered_in = candidates.filter(pl.col("excluded").is_null()).drop_nulls("currency")
    differ = (
        own.select("base_currency").unique().join(offered_in.select("currency").unique(), how="cross")
        .filter(pl.col("currency") != pl.col("base_currency"))
    )  # fmt: skip
    foreign = own.join(differ, on="base_currency").join(offered_in, on="currency").sort("portfolio_id", "symbol")
    return found(
        foreign,
        Severity.EXCLUDE,
        "other_currency",
        frame="assets",
        column="currency",
        row=sentence("{} {}", "portfolio_id", "symbol"),
        value=pl.col("currency"),
        message=sentence(
            "candidate {} is excluded for portfolio {}: it is in {}, the portfolio in {}.",
            "symbol",
            "portfolio_id",
            "currency",
            "base_currency",
        ),
        remedy="None needed, unless the currency is wrong.",
    )
