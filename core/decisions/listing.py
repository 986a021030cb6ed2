"""Lists of `AssetScore` as rows of a run, for the faces that take and give objects."""

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from core.decisions.bucket_manager import BucketManager, has_score
from core.models import AssetScore
from core.schemas import KEYS, AssetPriority, Decided

PORTFOLIO = "portfolio"  # the one portfolio of a list
NO_DATE = date.min  # a list by itself has no as-of date


def as_rows(
    asset_scores: Sequence[AssetScore],
    bucket_manager: BucketManager,
    as_of: date = NO_DATE,
    current_weights: Mapping[str, float] | None = None,
) -> pl.DataFrame:
    """One row per asset; schema `Decided`, nothing rejected yet.

    Held are the assets of `current_weights`, or without it those of priority PORTFOLIO, at their own weights. An
    asset without a score (None or NaN) has a null score; a held one is then fixed. By its own weight an asset is
    considered on the side it is held on; otherwise long.
    """
    own = current_weights is None
    held = _own_weights(asset_scores) if current_weights is None else current_weights
    scores = [asset_score.combined_score if has_score(asset_score) else None for asset_score in asset_scores]
    symbols = [asset_score.asset for asset_score in asset_scores]
    columns = {
        "portfolio_id": PORTFOLIO,
        "as_of": as_of,
        "symbol": symbols,
        "priority": [asset_score.priority.value for asset_score in asset_scores],
        "held": [symbol in held for symbol in symbols],
        "bucket": [bucket_manager.get_asset_bucket(symbol) for symbol in symbols],
        "tradable": True,
        "current_weight": [held.get(symbol, 0.0) for symbol in symbols],
        "quantity": 0.0,
        "close": None,
        "excluded": None,
        "score": scores,
        "confidence": [asset_score.confidence for asset_score in asset_scores],
        "reason": [asset_score.scoring_reason for asset_score in asset_scores],
        "proposed_weight": [asset_score.position_size_percentage for asset_score in asset_scores],
        "volatility": None,
        "side": [-1 if own and held.get(symbol, 0.0) < 0 else 1 for symbol in symbols],
        "fixed": [symbol in held and score is None for symbol, score in zip(symbols, scores, strict=True)],
        "rejected_by": None,
    }
    numbers = dict.fromkeys(("current_weight", "score", "confidence", "proposed_weight"), pl.Float64)
    return Decided.cast(pl.DataFrame(columns, schema_overrides=numbers)).select(Decided.column_names()).sort(KEYS)


def _own_weights(asset_scores: Sequence[AssetScore]) -> dict[str, float]:
    return {
        asset_score.asset: asset_score.position_size_percentage or 0.0
        for asset_score in asset_scores
        if asset_score.priority is AssetPriority.PORTFOLIO
    }
