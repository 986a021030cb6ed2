"""What may be wrong with a holding.

Each check takes holdings as `holdings.booked` values them (one row per portfolio and symbol, with the asset, the quote
and the reference price) and returns findings, one per bad row. Most stop the portfolio; `renamings`, `written_off` and
`dust` only tell.
"""

import polars as pl

from core.arithmetic import ratio
from core.inputs.config import GateConfig
from core.inputs.findings import count_of, found, number, sentence
from core.inputs.overrides import Rulings
from core.inputs.prices import EXPLAIN_JUMP
from core.limits import TOLERANCE
from core.schemas import OverrideKind, Severity

HOLDER = ("portfolio_id", "symbol")
ROW = sentence("{} {}", *HOLDER)
HELD = sentence("{} of portfolio {}", "symbol", "portfolio_id")


def _stop(
    rows: pl.DataFrame, code: str, frame: str, column: str, value: pl.Expr | None, message: pl.Expr, remedy: str
) -> pl.DataFrame:
    """One finding per holding, which stops its portfolio."""
    return found(
        rows,
        Severity.STOP_PORTFOLIO,
        code,
        frame=frame,
        column=column,
        row=ROW,
        value=value,
        message=message,
        remedy=remedy,
    )


def _uncounted(rows: pl.DataFrame, code: str, why: str, remedy: str) -> pl.DataFrame:
    """A warning per holding whose quantity does not count as one; `why` is the rest of a sentence."""
    return found(
        rows,
        Severity.WARN,
        code,
        frame="positions",
        column="quantity",
        row=ROW,
        value=number("quantity"),
        message=sentence(f"{{}}: {{}} units are {why}.", HELD, number("quantity")),
        remedy=remedy,
    )


def written_off(dropped: pl.DataFrame) -> pl.DataFrame:
    """Holdings that left the book by override."""
    remedy = "Remove the position at the custodian."
    return _uncounted(dropped, "written_off", "written off by override and count 0", remedy)


def renamings(named: pl.DataFrame) -> pl.DataFrame:
    """Holdings under another name than the custodian's."""
    return found(
        named.filter(pl.col("reported") != pl.col("symbol")),
        Severity.WARN,
        "renamed",
        frame="positions",
        column="symbol",
        row=sentence("{} {}", "portfolio_id", "reported"),
        value=pl.col("reported"),
        message=sentence("{} is reported as {} and taken under its new name.", HELD, "reported"),
        remedy="None needed; it ends when the custodian reports the new name.",
    )


def doubled(named: pl.DataFrame) -> pl.DataFrame:
    """Holdings that the custodian reports under their old and their new name."""
    twice = named.filter(named.select(HOLDER).is_duplicated())
    return _stop(
        twice.group_by(HOLDER, maintain_order=True).agg(reported=pl.col("reported").str.join(", ")),
        "duplicate_holding",
        "positions",
        "symbol",
        pl.col("reported"),
        sentence("{} is reported more than once, as {}: it may be counted twice.", HELD, "reported"),
        "Correct the positions, or write one of the names off by override.",
    )


def ambiguous(named: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    """Holdings under an old name that is still, or again, in use."""
    renamed = named.filter(pl.col("renamed_on").is_not_null())
    old = prices.join(renamed.select(symbol="reported").unique(), on="symbol", how="semi")
    last = old.group_by(reported="symbol").agg(last_price=pl.col("as_of").max())
    rows = renamed.join(last, on="reported")
    return _stop(
        rows.filter(pl.col("last_price") >= pl.col("renamed_on")),
        "ambiguous_symbol",
        "positions",
        "symbol",
        pl.col("reported"),
        sentence(
            "{} is reported as {}, renamed on {}, but {} has prices up to {}: which asset is meant?",
            HELD,
            "reported",
            "renamed_on",
            "reported",
            "last_price",
        ),
        "Correct the corporate action, or the prices that still come under the old name.",
    )


def without_asset(held: pl.DataFrame) -> pl.DataFrame:
    """Holdings that no asset row describes."""
    return _stop(
        held.filter(pl.col("known").is_null()),
        "no_asset",
        "assets",
        "symbol",
        pl.col("symbol"),
        sentence("{} has no asset row.", HELD),
        "Add the asset, or enter an override `renamed-to` or `written-off`.",
    )


def flawed_assets(held: pl.DataFrame) -> pl.DataFrame:
    """Holdings whose asset row has a bad cell."""
    return _stop(
        held.filter(pl.col("asset_flaw").is_not_null()),
        "bad_asset",
        "assets",
        "symbol",
        pl.col("asset_flaw"),
        sentence("{} has a bad asset row: {}.", HELD, "asset_flaw"),
        "Correct the asset row.",
    )


def flawed_actions(held: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Holdings that a corporate action with a bad cell is about, by its old or its new name."""
    names = pl.concat(
        [actions.select("symbol", "effective", "flaw"), actions.select("effective", "flaw", symbol="new_symbol")],
        how="diagonal",
    )
    return _stop(
        held.join(names.rename({"flaw": "action_flaw"}), on="symbol"),
        "bad_corporate_action",
        "corporate_actions",
        "factor",
        pl.col("action_flaw"),
        sentence("{} has a bad corporate action of {}: {}.", HELD, "effective", "action_flaw"),
        "Correct the corporate action, or delete it.",
    )


def without_price(held: pl.DataFrame) -> pl.DataFrame:
    """Holdings that never had a price."""
    return _stop(
        held.filter(pl.col("price_as_of").is_null()),
        "no_price",
        "prices",
        "close",
        None,
        sentence("{} has no price.", HELD),
        "Load a price, or enter an override `price` or `written-off`.",
    )


def bad_prices(held: pl.DataFrame) -> pl.DataFrame:
    """Holdings whose last price row cannot be trusted; an older one is never used in its place."""
    return _stop(
        held.filter(pl.col("close").is_null() & pl.col("price_as_of").is_not_null()),
        "bad_price",
        "prices",
        "close",
        pl.col("flaw"),
        sentence("{} has a bad price row of {}: {}.", HELD, "price_as_of", "flaw"),
        "Correct the price row, or enter an override `price`.",
    )


def stale(held: pl.DataFrame, config: GateConfig) -> pl.DataFrame:
    """Holdings whose last price is too old."""
    limit = config.max_price_age_days
    return _stop(
        held.filter(pl.col("age_days") > limit),
        "stale_price",
        "prices",
        "as_of",
        pl.col("price_as_of").cast(pl.String),
        sentence(
            f"{{}}: its last price is of {{}}, {{}} old; the limit is {limit}.",
            HELD,
            "price_as_of",
            count_of("age_days", "day"),
        ),
        "Load a price, or enter an override `price` or `written-off`.",
    )


def other_currency(held: pl.DataFrame) -> pl.DataFrame:
    """Holdings in another currency than their portfolio's."""
    return _stop(
        held.filter(pl.col("currency") != pl.col("base_currency")),
        "other_currency",
        "assets",
        "currency",
        pl.col("currency"),
        sentence("{} is in {}, the portfolio in {}; prices are not converted.", HELD, "currency", "base_currency"),
        "Correct the currency, or hold the asset in a portfolio of its currency.",
    )


def jumped(held: pl.DataFrame, rulings: Rulings, config: GateConfig) -> pl.DataFrame:
    """Holdings whose price is too far from that of the last published run or, where none held them, the row before."""
    accepted = rulings.of(OverrideKind.ACCEPT_JUMP)
    change = pl.col("close") / pl.col("reference") - 1
    rows = held.join(accepted, on=HOLDER, how="anti").filter(change.abs() > config.max_jump)
    source = (
        pl.when(pl.col("published_close").is_null()).then(pl.lit("the price row")).otherwise(pl.lit("the last run"))
    )
    return _stop(
        rows,
        "price_jump",
        "prices",
        "close",
        number("close"),
        sentence(
            f"{{}}: close {{}} of {{}} is {{}} % away from {{}} in {{}} of {{}}; the limit is {config.max_jump:.0%}.",
            HELD,
            number("close"),
            "price_as_of",
            number((change * 100).round(1)),
            number("reference"),
            source,
            "reference_as_of",
        ),
        f"{EXPLAIN_JUMP}.",
    )


def dust(held: pl.DataFrame, nav: pl.DataFrame) -> pl.DataFrame:
    """Holdings of a weight that is none: they are not held, so that they open no name and close none."""
    weight = ratio(pl.col("quantity") * pl.col("close"), pl.col("nav"))
    rows = held.join(nav.select("portfolio_id", "nav"), on="portfolio_id").filter(weight.abs() <= TOLERANCE)
    why = f"worth {TOLERANCE:g} of net asset value or less, and count as not held"
    remedy = "None needed, unless the quantity is wrong; sold by hand, it no longer shows."
    return _uncounted(rows, "dust", why, remedy)


def without_value(nav: pl.DataFrame) -> pl.DataFrame:
    """Portfolios whose net asset value is not a positive number."""
    fine = pl.col("nav").is_finite() & (pl.col("nav") > 0)
    return found(
        nav.filter(~fine),
        Severity.STOP_PORTFOLIO,
        "bad_nav",
        frame="cash",
        column="amount",
        row=sentence("{} {}", "portfolio_id", "as_of"),
        value=number("nav"),
        message=sentence(
            "portfolio {} has a net asset value of {} (positions {}, cash {}): it must be positive.",
            "portfolio_id",
            number("nav"),
            number("positions"),
            number("cash"),
        ),
        remedy="Correct the cash row or the positions.",
    )


def overstretched(nav: pl.DataFrame, config: GateConfig) -> pl.DataFrame:
    """Portfolios that hold so much more than they are worth that their weights would mean nothing."""
    worth = pl.col("nav").is_finite() & (pl.col("nav") > 0)
    return found(
        nav.filter(worth & (pl.col("gross") > config.max_leverage * pl.col("nav"))),
        Severity.STOP_PORTFOLIO,
        "leverage",
        frame="cash",
        column="amount",
        row=sentence("{} {}", "portfolio_id", "as_of"),
        value=number("nav"),
        message=sentence(
            "portfolio {} holds positions of {}, gross, with a net asset value of {} (cash {}): more than "
            f"{config.max_leverage:g} times.",
            "portfolio_id",
            number("gross"),
            number("nav"),
            number("cash"),
        ),
        remedy="Correct the cash row or the positions, or raise data_gate.max_leverage.",
    )
