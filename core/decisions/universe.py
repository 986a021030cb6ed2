"""The universe: which assets a run considers.

`considered` crosses the portfolios with the candidates and puts the holdings first: a held asset is always in, whatever
the candidates say. `UniverseBuilder` is the same for one portfolio of weights.
"""

import datetime as dt
from collections.abc import Iterable, Mapping

import polars as pl

from core.decisions.bucket_manager import BucketManager
from core.errors import InputError
from core.limits import TOLERANCE
from core.schemas import KEYS, AssetPriority, Universe

UNIVERSE_COLUMNS = Universe.column_names()


def considered(holdings: pl.DataFrame, candidates: pl.DataFrame, nav: pl.DataFrame, assets: pl.DataFrame) -> pl.DataFrame:
    """The universe of each portfolio of `nav`, one row per (portfolio_id, as_of, symbol); schema `Universe`.

    `holdings`: portfolio_id, as_of, symbol, quantity, close. `candidates`: symbol, priority, close, excluded, and
    optionally portfolio_id for exclusions of one portfolio. `nav`: portfolio_id, as_of, nav. `assets`: symbol, bucket,
    tradable.
    """
    held = _held(holdings, nav)
    new = _new(candidates, nav).join(held, on=KEYS, how="anti")
    rows = pl.concat([held.select(new.columns), new]).join(assets.select("symbol", "bucket", "tradable"), on="symbol")
    return Universe.cast(rows.select(UNIVERSE_COLUMNS).sort(KEYS))


def _held(holdings: pl.DataFrame, nav: pl.DataFrame) -> pl.DataFrame:
    return holdings.join(nav, on=("portfolio_id", "as_of")).with_columns(
        priority=pl.lit(AssetPriority.PORTFOLIO.value),
        held=True,
        current_weight=pl.col("quantity") * pl.col("close") / pl.col("nav"),
        excluded=pl.lit(None, dtype=pl.String),
    )


def _new(candidates: pl.DataFrame, nav: pl.DataFrame) -> pl.DataFrame:
    return (
        nav.select("portfolio_id", "as_of")
        .join(candidates, how="cross")
        .select(
            *KEYS,
            pl.col("priority").cast(pl.String),
            pl.lit(False).alias("held"),
            pl.lit(0.0).alias("current_weight"),
            pl.lit(0.0).alias("quantity"),
            "close",
            "excluded",
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
        held = held_weights(current_positions)
        priorities = candidates if isinstance(candidates, Mapping) else dict.fromkeys(candidates, AssetPriority.FALLBACK)
        symbols = sorted(held.keys() | priorities.keys())
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


def held_weights(current_positions: Mapping[str, float]) -> dict[str, float]:
    """The positions that are held: those of more than 1e-9 in size. Raises `InputError` where a weight is no number."""
    for symbol, weight in current_positions.items():
        if not isinstance(weight, int | float) or weight != weight or weight in (float("inf"), float("-inf")):
            raise InputError(f"the current weight of {symbol} is {weight!r}: it must be a finite number, 0.05 for 5 %.")
    return {symbol: float(weight) for symbol, weight in current_positions.items() if abs(weight) > TOLERANCE}
