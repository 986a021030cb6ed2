"""The universe: which assets a run considers.

`considered` crosses the portfolios with the candidates and puts the holdings first: a held asset is always in, whatever
the candidates say. `UniverseBuilder` is the same for one portfolio of weights.
"""

import datetime as dt
from collections.abc import Iterable, Mapping

import polars as pl

from core.arithmetic import ratio
from core.decisions.bucket_manager import BucketManager
from core.decisions.objects import finite, require_day, require_kind, require_name, shown
from core.inputs import Gated
from core.limits import TOLERANCE
from core.schemas import KEYS, RUN_KEYS, UNKNOWN_BUCKET, AssetPriority, Universe


def considered(gated: Gated) -> pl.DataFrame:
    """The universe of each portfolio that the data gate lets through, one row per asset; schema `Universe`."""
    held = _held(gated)
    new = _new(gated).join(held, on=KEYS, how="anti")
    return Universe.cast(pl.concat([held, new]).sort(KEYS))


def _held(gated: Gated) -> pl.DataFrame:
    """The holdings but for dust, of which the data gate tells: a weight of at most 1e-9 in size is 0."""
    weight = ratio(pl.col("quantity") * pl.col("close"), pl.col("nav"))
    return (
        gated.holdings.join(gated.nav, on=RUN_KEYS)
        .filter(weight.abs() > TOLERANCE)
        .select(
            *KEYS,
            pl.lit(AssetPriority.PORTFOLIO.value).alias("priority"),
            pl.lit(True).alias("held"),
            "bucket",
            "tradable",
            weight.alias("current_weight"),
            "quantity",
            "close",
            pl.lit(None, dtype=pl.String).alias("excluded"),
        )
    )


def _new(gated: Gated) -> pl.DataFrame:
    """Every candidate for every portfolio; one in another currency than the portfolio's is excluded for it."""
    buckets = gated.assets.select("symbol", "bucket")
    foreign = pl.col("currency").is_not_null() & (pl.col("currency") != pl.col("base_currency"))
    why = pl.format("in {}, the portfolio is in {}", "currency", "base_currency")
    return (
        gated.nav.join(gated.portfolios.select("portfolio_id", "base_currency"), on="portfolio_id")
        .join(gated.candidates.join(buckets, on="symbol", how="left"), how="cross")
        .select(
            *KEYS,
            pl.col("priority").cast(pl.String),
            pl.lit(False).alias("held"),
            pl.col("bucket").fill_null(UNKNOWN_BUCKET),
            pl.col("tradable").fill_null(False),
            pl.lit(0.0).alias("current_weight"),
            pl.lit(0.0).alias("quantity"),
            "close",
            pl.coalesce("excluded", pl.when(foreign).then(why)).alias("excluded"),
        )
    )


class UniverseBuilder:
    """The universe of one portfolio given by its weights."""

    def __init__(self, bucket_manager: BucketManager) -> None:
        self.bucket_manager = bucket_manager

    def get_universe(
        self,
        as_of: dt.date,
        current_positions: Mapping[str, float],
        candidates: Iterable[str] | Mapping[str, AssetPriority] = (),
        not_tradable: Iterable[str] = (),
    ) -> pl.DataFrame:
        """One row per asset, held ones and candidates (an asset named as both is held); schema `Universe`.

        `current_positions` maps symbols to signed weights; a weight of at most 1e-9 in size is not held.
        """
        require_day("as_of", as_of)
        held = held_weights(current_positions)
        priorities = _priorities(candidates)
        symbols = sorted(held.keys() | priorities.keys())
        require_kind("not_tradable", not_tradable, Iterable, "a list of symbols")
        barred = set(not_tradable)
        columns = {
            "portfolio_id": "portfolio",
            "as_of": as_of,
            "symbol": symbols,
            "priority": [(AssetPriority.PORTFOLIO if s in held else priorities[s]).value for s in symbols],
            "held": [s in held for s in symbols],
            "bucket": [self.bucket_manager.get_asset_bucket(s) for s in symbols],
            "tradable": [s not in barred for s in symbols],
            "current_weight": [held.get(s, 0.0) for s in symbols],
            "quantity": 0.0,
            "close": None,
            "excluded": None,
        }
        return Universe.cast(pl.DataFrame(columns))


def _priorities(candidates: Iterable[str] | Mapping[str, AssetPriority]) -> Mapping[str, AssetPriority]:
    require_kind("the candidates", candidates, Iterable, "a list of symbols, or a mapping from symbol to AssetPriority")
    named = list(candidates)
    for symbol in named:
        require_name("the symbol of a candidate", symbol)
    if not isinstance(candidates, Mapping):
        return dict.fromkeys(named, AssetPriority.FALLBACK)
    for symbol, priority in candidates.items():
        require_kind(f"the priority of {shown(symbol)}", priority, AssetPriority, "an AssetPriority")
    return candidates


def held_weights(current_positions: Mapping[str, float]) -> dict[str, float]:
    """The positions that are held: those of more than 1e-9 in size. Raises `InputError` where a weight is no number."""
    require_kind("the current positions", current_positions, Mapping, "a mapping from symbol to weight")
    for symbol in current_positions:
        require_name("the symbol of a current position", symbol)
    weights = {
        symbol: finite(f"the current weight of {shown(symbol)}", weight, "a finite number, 0.05 for 5 %")
        for symbol, weight in current_positions.items()
    }
    return {symbol: weight for symbol, weight in weights.items() if abs(weight) > TOLERANCE}
