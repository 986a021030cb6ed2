"""The data gate: before anything is decided, inputs are brought to their schemas and judged, all findings at once.

`judge` tells the story: `_checked` holds every table against its schema, the corporate actions are `resolved` and the
overrides `ruled`, `market` gives quotes and price history, `booked` the holdings with their net asset value, `offered`
the candidates, `current_signals` the signals. Each hands back rows and findings. What stops a portfolio takes it out of
the frames; what stops the batch empties them.

Which bad rows matter: those that would be used. Of prices and signals that is the last row of a symbol, and inside the
window of a price signal, where a bad price makes that signal missing. A row is never passed over for an older one.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import dataframely as dy
import polars as pl

from core.errors import ConfigurationError
from core.inputs.candidates import CandidatesFrom, listed, listed_by_date, offered, other_currency
from core.inputs.config import GateConfig
from core.inputs.corporate_actions import resolved
from core.inputs.findings import found, joined, sentence, stopped_portfolios, stops_batch, summarised
from core.inputs.holdings import Book, booked
from core.inputs.lookalikes import divided_buckets, lookalikes
from core.inputs.overrides import Rulings, ruled
from core.inputs.prices import Market, known_prices, market
from core.inputs.schema_checks import Checked, checked
from core.inputs.signal_rows import current_signals
from core.inputs.snapshots import snapshot_findings
from core.models import Inputs
from core.schemas import CASH_SYMBOL, INPUTS, UNKNOWN_BUCKET, Severity, empty

OPTIONAL_TABLES = ("candidates", "corporate_actions", "overrides")  # not read: they are empty


class LastPrices(dy.Schema):
    """The close of each holding in its portfolio's last published run; no close: that run had none."""

    portfolio_id = dy.String(primary_key=True)
    symbol = dy.String(primary_key=True)
    as_of = dy.Date()
    close = dy.Float64(min_exclusive=0)


@dataclass(frozen=True)
class Gated:
    """The judged inputs of a batch: only what may be used, sorted by its keys.

    With a finding that stops the batch every frame is empty but `findings`. Frames that belong to portfolios hold those
    that are not stopped:

    - `portfolios`: schema `Portfolios`.
    - `holdings`: portfolio_id, as_of, symbol, quantity (not 0), close, price_as_of, bucket, tradable.
    - `nav`: portfolio_id, as_of, nav, cash, in the portfolio's currency.
    - `assets`: schema `Assets`, without flawed rows; no bucket is the bucket `Unknown`.
    - `latest`: symbol, close, price_as_of of every symbol with a fresh price.
    - `history`: as_of, symbol, close (null where bad), jump (the change since the row before voids price signals).
    - `signals`: symbol, signal, value: the latest fresh row of each, finite.
    - `candidates`: symbol, priority, close, currency, tradable, excluded (null, or the reason). A candidate whose
      currency is not null and not the portfolio's is no candidate for that portfolio.
    - `findings`: schema `Findings`, the worst first.
    """

    as_of: dt.date
    portfolios: pl.DataFrame = field(repr=False)
    holdings: pl.DataFrame = field(repr=False)
    nav: pl.DataFrame = field(repr=False)
    assets: pl.DataFrame = field(repr=False)
    latest: pl.DataFrame = field(repr=False)
    history: pl.DataFrame = field(repr=False)
    signals: pl.DataFrame = field(repr=False)
    candidates: pl.DataFrame = field(repr=False)
    findings: pl.DataFrame = field(repr=False)

    @property
    def stops_batch(self) -> pl.DataFrame:
        """The findings that stop every run; empty where the batch may go on."""
        return stops_batch(self.findings)

    @property
    def stopped(self) -> tuple[str, ...]:
        """The portfolios that a finding of their own stops, sorted."""
        return stopped_portfolios(self.findings)


def judge(
    raw: Inputs,
    config: GateConfig,
    candidates_from: CandidatesFrom,
    used_signals: Collection[str] | None = None,
) -> Gated:
    """Judge what the store read; nothing dated after the as-of date, or not yet known on its morning, is looked at.

    `used_signals` names the signals of the table that the policy reads; rows of others are ignored. None: all are read.
    """
    if candidates_from not in ("assets", "candidates"):
        raise ConfigurationError(f"candidates_from is {candidates_from!r}: it must be 'assets' or 'candidates'.")
    as_of = raw.as_of
    tables = _checked(raw, config, candidates_from, used_signals)
    actions = resolved(tables["corporate_actions"].rows)
    rulings = _ruled(tables, actions)
    prices = market(as_of, tables["prices"], actions, rulings, config)
    book = booked(as_of, tables, actions, rulings, prices, config)
    names, list_findings = listed(as_of, tables, candidates_from, config)
    candidates, excluded = offered(as_of, names, tables, prices, rulings, config)
    considered = pl.concat([candidates["symbol"], book.holdings["symbol"]]).unique()
    signals, signal_findings = current_signals(as_of, tables["signals"], actions, considered, book.holdings, config)
    judgements = [
        snapshot_findings(as_of, tables, _other_dates(raw)),
        _reserved_symbols(tables["assets"]),
        lookalikes(tables),
        divided_buckets(tables["assets"]),
        rulings.findings,
        book.findings,
        list_findings,
        excluded,
        other_currency(candidates, tables["portfolios"].rows),
        signal_findings,
    ]
    findings = summarised(_meaningful(tables, judgements))
    return _passed(as_of, tables, prices, book, candidates, signals, findings)


def _checked(
    raw: Inputs, config: GateConfig, candidates_from: CandidatesFrom, used_signals: Collection[str] | None
) -> dict[str, Checked]:
    """Every table held against its schema, those rows of it that count today."""
    frames: dict[str, pl.DataFrame] = {name: empty(INPUTS[name]) for name in OPTIONAL_TABLES} | raw.frames
    if candidates_from == "assets":
        frames["candidates"] = empty(INPUTS["candidates"])
    known = _known(raw.as_of, config, used_signals)
    tables = {name: checked(name, schema, frames.get(name), known[name]) for name, schema in INPUTS.items()}
    return tables | {"last_prices": checked("last_prices", LastPrices, raw.last_prices, pl.col("as_of") < raw.as_of)}


def _known(as_of: dt.date, config: GateConfig, used_signals: Collection[str] | None) -> dict[str, pl.Expr]:
    """Per table, which rows count today; those without a date are kept, to be reported."""
    date, name = pl.col("as_of"), pl.col("signal")
    used = pl.lit(True) if used_signals is None else name.is_null() | name.is_in(sorted(used_signals))
    todays = date.is_null() | (date == as_of)
    started = pl.col("from").is_null() | (pl.col("from") <= as_of)
    return {
        "portfolios": pl.lit(True),
        "positions": todays,
        "cash": todays,
        "assets": pl.lit(True),
        "prices": known_prices(as_of, config),
        "signals": used & (date.is_null() | (date <= as_of)),
        "candidates": listed_by_date(as_of),
        "corporate_actions": pl.col("effective").is_null() | (pl.col("effective") <= as_of),
        "overrides": started & (pl.col("to").is_null() | (pl.col("to") >= as_of)),
    }


def _ruled(tables: Mapping[str, Checked], actions: pl.DataFrame) -> Rulings:
    assets, portfolios = (
        pl.concat([tables[table].rows[key], tables[table].flawed[key]])
        for table, key in (("assets", "symbol"), ("portfolios", "portfolio_id"))
    )
    elsewhere = [tables[name].rows["symbol"].unique() for name in ("positions", "prices", "corporate_actions")]
    return ruled(tables["overrides"], portfolios, actions, assets, pl.concat([assets, *elsewhere]).unique())


def _other_dates(raw: Inputs) -> pl.DataFrame:
    """The days of other snapshots, where the store read any, for the message about a missing one."""
    none = empty(INPUTS["cash"]).select("portfolio_id", "as_of")
    cash = raw.frames.get("cash", none)
    readable = all(cash.schema.get(name) == kind for name, kind in none.schema.items())
    return cash.select(none.columns).filter(pl.col("as_of") != raw.as_of) if readable else none


def _reserved_symbols(assets: Checked) -> pl.DataFrame:
    rows = pl.concat([assets.rows, assets.flawed], how="diagonal")
    return found(
        rows.filter(pl.col("symbol") == CASH_SYMBOL),
        Severity.STOP_BATCH,
        "reserved_symbol",
        frame="assets",
        column="symbol",
        row=pl.col("symbol"),
        value=pl.col("symbol"),
        message=sentence("an asset is called {}, the name of the cash row among the targets.", "symbol"),
        remedy="Give the asset another symbol.",
    )


RESTS_ON = {
    "unknown_portfolio": "portfolios",
    "override_elsewhere": "portfolios",
    "override_unknown_symbol": "assets",
    "override_value": "assets",
    "lookalike_symbol": "assets",
}
"""Findings about one table that mean nothing where another cannot be read."""


def _meaningful(tables: Mapping[str, Checked], judgements: list[pl.DataFrame]) -> pl.DataFrame:
    """All findings; of a table that cannot be read only why not, since all else about it would follow from that."""
    broken = [name for name, table in tables.items() if table.broken]
    rests_on = pl.col("code").replace_strict(RESTS_ON, default=pl.col("frame"))
    follows = pl.col("frame").is_in(broken) | rests_on.is_in(broken)
    told = joined(judgements).filter(~follows)
    return joined([*(table.findings for table in tables.values()), told])


def _passed(
    as_of: dt.date,
    tables: Mapping[str, Checked],
    prices: Market,
    book: Book,
    candidates: pl.DataFrame,
    signals: pl.DataFrame,
    findings: pl.DataFrame,
) -> Gated:
    """What may be used: nothing of a stopped portfolio, and nothing at all where the batch is stopped."""
    stopped = pl.Series(stopped_portfolios(findings), dtype=pl.String)
    going = tables["portfolios"].rows.filter(~pl.col("portfolio_id").is_in(stopped.implode())).sort("portfolio_id")
    ids = going.select("portfolio_id")
    assets = tables["assets"].rows.with_columns(pl.col("bucket").fill_null(UNKNOWN_BUCKET)).sort("symbol")
    frames = {
        "portfolios": going,
        "holdings": book.holdings.join(ids, on="portfolio_id", how="semi", maintain_order="left"),
        "nav": book.nav.join(ids, on="portfolio_id", how="semi", maintain_order="left"),
        "assets": assets,
        "latest": prices.latest,
        "history": prices.history,
        "signals": signals,
        "candidates": candidates,
    }
    stop = not stops_batch(findings).is_empty()
    return Gated(as_of, **{name: rows.clear() if stop else rows for name, rows in frames.items()}, findings=findings)
