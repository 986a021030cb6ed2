"""Targets: the final weights as what a desk trades.

`targets` gives one row per held or wanted name and one cash row per portfolio; `trade_action` labels each. A held
name never disappears: it has a row, if only to close it. `bucket_statistics` sums the targets by bucket.
"""

import polars as pl

from core.actions import sentences
from core.arithmetic import ordered_mean, ordered_sum, ratio
from core.limits import TOLERANCE, RebalancingLimits
from core.schemas import CASH_SYMBOL, KEYS, RUN_KEYS, BucketStatisticsRows, Targets, TradeAction

HOLD_BAND = 0.05  # a weight within 5 % of the current one, relatively, is labelled hold


def targets(rows: pl.DataFrame, nav: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """One row per held or wanted name and one cash row per run; schema `Targets`, sorted by run and symbol.

    `rows`: schema `Sized` with `target_weight`. `nav`: portfolio_id, as_of, nav and cash, both in the portfolio's
    currency. `actions`: all actions of the runs; what rejected or fixed a name becomes the reason of its target.
    """
    names = rows.filter(pl.col("held") | (pl.col("target_weight").abs() > TOLERANCE))
    reasons = _reasons(actions, names)
    named = names.join(reasons, on=KEYS, how="left", maintain_order="left").select(
        *KEYS,
        pl.lit(False).alias("is_cash"),
        pl.col("priority").cast(pl.String),
        "bucket",
        "score",
        "confidence",
        "current_weight",
        "wanted_weight",
        "target_weight",
        "close",
        pl.col("quantity").alias("current_quantity"),
        pl.coalesce("why", "reason").alias("reason"),
    )
    lines = pl.concat([named, _cash(named, nav)], how="diagonal").join(nav.select(*RUN_KEYS, "nav"), on=RUN_KEYS)
    trade = pl.col("target_weight") - pl.col("current_weight")
    traded = lines.with_columns(
        action=trade_action(pl.col("current_weight"), pl.col("target_weight")),
        trade_weight=trade,
        trade_notional=trade * pl.col("nav"),
        trade_quantity=ratio(trade * pl.col("nav"), pl.col("close")),
    )
    return Targets.cast(traded.select(Targets.column_names()).sort(KEYS))


def _reasons(actions: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """Why a name was rejected or is fixed, as a sentence, one row per (portfolio_id, as_of, symbol)."""
    telling = actions.filter(pl.col("verb").is_in(["reject", "keep"])).join(names, on=KEYS, how="semi")
    return telling.select(*KEYS, pl.Series("why", sentences(telling), dtype=pl.String)).unique(KEYS, keep="last")


def _cash(named: pl.DataFrame, nav: pl.DataFrame) -> pl.DataFrame:
    """The cash row of each run: what the names leave of the whole."""
    weights = pl.col("current_weight", "wanted_weight", "target_weight")
    held = named.group_by(RUN_KEYS).agg(ordered_sum(weights))
    left = nav.join(held, on=RUN_KEYS, how="left").with_columns(-weights.fill_null(0.0) + 1.0)
    return left.select(
        *RUN_KEYS,
        pl.lit(CASH_SYMBOL).alias("symbol"),
        pl.lit(True).alias("is_cash"),
        weights,
        pl.when(pl.col("cash").is_not_null()).then(1.0).alias("close"),
        pl.col("cash").alias("current_quantity"),
        pl.lit("what the names leave").alias("reason"),
    )


def trade_action(current: pl.Expr, target: pl.Expr) -> pl.Expr:
    """What a target asks for: open, close, increase, decrease, or hold within 5 % of the current weight."""
    ratio = target / current
    return (
        pl.when((current.abs() <= TOLERANCE) & (target.abs() <= TOLERANCE)).then(pl.lit(TradeAction.HOLD.value))
        .when(current.abs() <= TOLERANCE).then(pl.lit(TradeAction.OPEN.value))
        .when(target.abs() <= TOLERANCE).then(pl.lit(TradeAction.CLOSE.value))
        .when(ratio < 0).then(pl.lit(TradeAction.OPEN.value))
        .when(ratio > 1 + HOLD_BAND + TOLERANCE).then(pl.lit(TradeAction.INCREASE.value))
        .when(ratio < 1 - HOLD_BAND - TOLERANCE).then(pl.lit(TradeAction.DECREASE.value))
        .otherwise(pl.lit(TradeAction.HOLD.value))
    )  # fmt: skip


def bucket_statistics(target_rows: pl.DataFrame, limits: RebalancingLimits) -> pl.DataFrame:
    """One row per run and bucket with a target: names, gross weight, scores, limits; schema `BucketStatisticsRows`."""
    buckets = limits.enable_bucket_diversification
    positions = target_rows.filter(~pl.col("is_cash") & (pl.col("target_weight").abs() > TOLERANCE))
    score = pl.col("score")
    grouped = positions.group_by(*RUN_KEYS, "bucket").agg(
        asset_count=pl.len(),
        gross_weight=ordered_sum(pl.col("target_weight").abs()),
        avg_score=ordered_mean(score),
        max_score=score.max(),
        min_score=score.min(),
        max_positions=pl.lit(limits.max_positions_per_bucket if buckets and limits.enforce_position_limits else None),
        max_allocation=pl.lit(
            limits.max_allocation_per_bucket if buckets and limits.enforce_allocation_limits else None
        ),
    )
    ordered = grouped.select(BucketStatisticsRows.column_names()).sort(*RUN_KEYS, "bucket")
    return BucketStatisticsRows.cast(ordered)
