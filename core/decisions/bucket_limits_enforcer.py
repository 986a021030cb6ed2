"""Bucket limits on scored names: who may stay in a bucket, and how much of what is proposed fits.

`enforce_bucket_limits` works on frames: `_within_position_limit` keeps, per bucket, the first names in slot order up to
the limit in force, and `_within_allocation_limit` scales the proposed weights of a bucket by one factor.
`BucketLimitsEnforcer` is the same for a list of assets and reports what the minimum representation misses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from core.actions import action_rows, numbered, sentences
from core.arithmetic import ordered_sum, ratio
from core.decisions.bucket_manager import BucketManager, represented_buckets
from core.decisions.listing import as_rows
from core.decisions.objects import require_kind, require_usable
from core.decisions.ranking import ALIVE, in_slot_order, place, reject
from core.decisions.screening import STEP as SCREENING
from core.limits import TOLERANCE, BucketLimitsConfig
from core.models import AssetScore, BucketStatistics, Step
from core.schemas import KEYS, RUN_KEYS

STEP = "buckets"
ENFORCED = {
    "max_positions_per_bucket": "{} name{} rejected",
    "max_allocation_per_bucket": "weights scaled to the limit",
    "max_bucket_weight": "weights cut to the limit",
    "min_buckets_represented": "{} slot{} given to represent enough buckets",
}
"""What enforcing each bucket rule did to a bucket."""


def enforce_bucket_limits(rows: pl.DataFrame, limits: BucketLimitsConfig, *, protect_held: bool = False) -> Step:
    """Rows of `Decided` with the names beyond their bucket's limits rejected and proposed weights scaled.

    `protect_held`: held names stay beyond the position limit, as with `allow_bucket_overflow`.
    """
    actions = []
    if limits.enforce_position_limits:
        rows, taken = _within_position_limit(rows, limits, protect_held or limits.allow_bucket_overflow)
        actions.append(taken)
    if limits.enforce_allocation_limits:
        rows, taken = _within_allocation_limit(rows, limits.max_allocation_per_bucket)
        actions.append(taken)
    return Step(rows.sort(KEYS), numbered(actions))


def position_limit_in_force(limit: int, held: pl.Expr, overflow: bool) -> pl.Expr:
    """The position limit of a bucket: `limit`, or with overflow the number of its held names where that is larger."""
    return pl.max_horizontal(pl.lit(limit, pl.Int64), held.cast(pl.Int64)) if overflow else pl.lit(limit, pl.Int64)


def _within_position_limit(
    rows: pl.DataFrame, limits: BucketLimitsConfig, overflow: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    held = (ALIVE & (pl.col("tier") < 2)).sum().over(*RUN_KEYS, "bucket")
    ordered = (
        in_slot_order(rows.with_columns(out=~ALIVE), "bucket", "out")
        .with_columns(place=place("bucket", "out"))
        .with_columns(in_force=position_limit_in_force(limits.max_positions_per_bucket, held, overflow))
    )
    kept, actions = reject(
        ordered,
        (pl.col("place") > pl.col("in_force")) & ~pl.col("fixed"),
        STEP,
        "max_positions_per_bucket",
        level=pl.col("place"),
        limit=pl.col("in_force"),
    )
    return kept.drop("out", "tier", "place", "in_force"), actions


def _within_allocation_limit(rows: pl.DataFrame, limit: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Scale the movable proposed weights of each bucket into what its fixed names leave of the limit."""
    of_bucket = (*RUN_KEYS, "bucket")
    moves = ALIVE & ~pl.col("fixed")
    measured = rows.with_columns(
        movable=ordered_sum(pl.when(moves).then(pl.col("proposed_weight").abs())).over(of_bucket),
        frozen=ordered_sum(pl.when(ALIVE & pl.col("fixed")).then(pl.col("current_weight").abs())).over(of_bucket),
    ).with_columns(room=pl.max_horizontal(limit - pl.col("frozen"), 0.0))
    over = (pl.col("movable") + pl.col("frozen") > limit + TOLERANCE) & (pl.col("movable") > 0)
    cut = pl.when(moves & over).then(pl.col("proposed_weight") * ratio(pl.col("room"), pl.col("movable")))
    actions = action_rows(
        measured.filter(over).unique(of_bucket, keep="first").sort(of_bucket).drop("symbol"),
        STEP,
        "max_allocation_per_bucket",
        "scale",
        before=pl.col("movable") + pl.col("frozen"),
        after=pl.col("room") + pl.col("frozen"),
        limit=limit,
    )
    scaled = measured.with_columns(proposed_weight=cut.otherwise("proposed_weight"))
    return scaled.drop("movable", "frozen", "room"), actions


@dataclass(frozen=True)
class BucketEnforcementResult:
    """What enforcement made of a list of assets.

    `actions` are the typed rows, `enforcement_actions` their sentences, one to one; `violations_fixed` has one entry
    per bucket and rule; `unmet` names the requirements that could not be met, with what is required, reached, and
    why.
    """

    selected_assets: list[AssetScore]
    rejected_assets: list[AssetScore]
    bucket_statistics: dict[str, BucketStatistics]
    enforcement_actions: list[str]
    violations_fixed: list[str]
    actions: pl.DataFrame
    unmet: dict[str, dict[str, Any]]
    buckets_represented: int


class BucketLimitsEnforcer:
    """Applies bucket limits to a list of scored assets."""

    def __init__(self, bucket_manager: BucketManager) -> None:
        self.bucket_manager = bucket_manager

    def apply_bucket_limits(
        self, scored_assets: Sequence[AssetScore], config: BucketLimitsConfig
    ) -> BucketEnforcementResult:
        """Select and scale `scored_assets`, which are not changed. Held means priority PORTFOLIO.

        A new asset without a score is rejected; a held one is fixed: never rejected, never scaled, counted for every
        limit. Raises `InputError` where an asset is given twice, or one of its fields cannot be used.
        """
        require_usable(scored_assets)
        require_kind("the bucket limits", config, BucketLimitsConfig, "a BucketLimitsConfig")
        rows, no_score = reject(
            as_rows(scored_assets, self.bucket_manager),
            pl.col("score").is_null() & ~pl.col("held"),
            SCREENING,
            "no_score",
        )
        step = enforce_bucket_limits(rows, config)
        actions = numbered([no_score, step.actions])
        selected, rejected = _chosen(scored_assets, step.rows)
        grouped = self.bucket_manager.group_assets_by_bucket(selected)
        reached = len(represented_buckets(grouped, config.min_position_weight))
        return BucketEnforcementResult(
            selected_assets=selected,
            rejected_assets=rejected,
            bucket_statistics=self.bucket_manager.calculate_bucket_statistics(selected),
            enforcement_actions=sentences(actions),
            violations_fixed=violations_fixed(step.actions),
            actions=actions,
            unmet=self._unmet(selected, reached, config),
            buckets_represented=reached,
        )

    def get_enforcement_summary(self, result: BucketEnforcementResult) -> dict[str, Any]:
        """Counts, the selected names by bucket, and the statistics of a result, ready for JSON."""
        grouped = self.bucket_manager.group_assets_by_bucket(result.selected_assets)
        return {
            "total_selected": len(result.selected_assets),
            "total_rejected": len(result.rejected_assets),
            "buckets_represented": result.buckets_represented,
            "selected_by_bucket": {bucket: [member.asset for member in members] for bucket, members in grouped.items()},
            "enforcement_actions_count": len(result.enforcement_actions),
            "violations_fixed_count": len(result.violations_fixed),
            "bucket_statistics": statistics_summary(result.bucket_statistics),
        }

    def _unmet(
        self, selected: Sequence[AssetScore], reached: int, config: BucketLimitsConfig
    ) -> dict[str, dict[str, Any]]:
        unmet: dict[str, dict[str, Any]] = {}
        if config.enforce_min_buckets and reached < config.min_buckets_represented:
            unmet["min_buckets"] = {
                "required": config.min_buckets_represented,
                "reached": reached,
                "reason": "no other bucket has an asset with a score among those given",
            }
        if config.enforce_allocation_limits:
            unmet.update(self._overfull(selected, config.max_allocation_per_bucket))
        return unmet

    def _overfull(self, selected: Sequence[AssetScore], limit: float) -> dict[str, dict[str, Any]]:
        """Buckets above their allocation limit after scaling: the fixed names alone exceed it."""
        return {
            f"max_allocation {bucket}": {
                "required": limit,
                "reached": statistics.total_allocation,
                "reason": "its fixed names alone exceed the limit",
            }
            for bucket, statistics in self.bucket_manager.calculate_bucket_statistics(selected).items()
            if statistics.total_allocation > limit + TOLERANCE
        }


def statistics_summary(statistics: Mapping[str, BucketStatistics]) -> dict[str, dict[str, float]]:
    """Statistics by bucket, ready for JSON."""
    return {
        bucket: {
            "asset_count": found.asset_count,
            "total_allocation": found.total_allocation,
            "avg_score": found.avg_score,
        }
        for bucket, found in statistics.items()
    }


def violations_fixed(actions: pl.DataFrame) -> list[str]:
    """One sentence per bucket and bucket rule that was enforced."""
    of_buckets = actions.filter(pl.col("rule").is_in(list(ENFORCED)), pl.col("bucket").is_not_null())
    counted = of_buckets.group_by("bucket", "rule", maintain_order=True).len().sort("bucket", "rule")
    return [
        f"bucket {bucket}, {rule}: {ENFORCED[rule].format(count, 's' if count > 1 else '')}"
        for bucket, rule, count in counted.iter_rows()
    ]


def _chosen(scored_assets: Sequence[AssetScore], rows: pl.DataFrame) -> tuple[list[AssetScore], list[AssetScore]]:
    """The given assets split into selected, with scaled weights and rejected, both in slot order."""
    given = {asset_score.asset: asset_score for asset_score in scored_assets}
    ordered = in_slot_order(rows)
    selected = [
        replace(given[symbol], position_size_percentage=weight)
        for symbol, weight in ordered.filter(ALIVE).select("symbol", "proposed_weight").iter_rows()
    ]
    return selected, [given[symbol] for symbol in ordered.filter(~ALIVE)["symbol"]]
