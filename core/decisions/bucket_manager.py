"""Buckets: which group an asset belongs to, and what a list of scored assets looks like seen by bucket.

The manager only looks; `bucket_limits_enforcer` decides. Bucket weights are gross: the sum of the sizes of the weights.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isnan
from typing import Any

from core.decisions.objects import require_kind, require_usable, shown
from core.errors import InputError
from core.limits import TOLERANCE, BucketLimitsConfig
from core.models import AssetScore, BucketAllocation, BucketStatistics
from core.schemas import UNKNOWN_BUCKET

logger = logging.getLogger(__name__)

DEVELOPMENT_BUCKETS: Mapping[str, Sequence[str]] = {
    "Technology": ("AAPL", "MSFT", "GOOGL", "NVDA", "META"),
    "Financials": ("JPM", "BAC", "GS", "V"),
    "Health Care": ("JNJ", "PFE", "UNH", "LLY"),
    "Energy": ("XOM", "CVX", "COP", "SLB"),
}
"""For trying things out by hand; a run reads its buckets from the assets table."""


class BucketManager:
    """Knows the bucket of each asset.

    Takes a mapping from bucket to its assets, or an asset manager: any object with a mapping `buckets`, or with
    `get_all_buckets()` returning one. None given: a small development map, with a warning.
    """

    def __init__(self, bucket_mappings: Mapping[str, Sequence[str]] | Any | None = None) -> None:
        self._buckets = {bucket: tuple(assets) for bucket, assets in _mapping_of(bucket_mappings).items()}
        self._bucket_of: dict[str, str] = {}
        for bucket, assets in self._buckets.items():
            for asset in assets:
                self._assign(asset, bucket)

    def _assign(self, asset: str, bucket: str) -> None:
        first = self._bucket_of.setdefault(asset, bucket)
        if first != bucket:
            logger.warning("asset %s is listed in the buckets %s and %s: it counts in %s", asset, first, bucket, first)

    def get_asset_bucket(self, asset: str) -> str:
        """The bucket of an asset; `Unknown` where nothing lists it."""
        return self._bucket_of.get(asset, UNKNOWN_BUCKET)

    def get_bucket_assets(self, bucket_name: str) -> list[str]:
        """The assets that count in a bucket; empty for a bucket that does not exist."""
        return [
            asset
            for asset in dict.fromkeys(self._buckets.get(bucket_name, ()))
            if self._bucket_of[asset] == bucket_name
        ]

    def get_all_buckets(self) -> list[str]:
        """All buckets that were given, in their order."""
        return list(self._buckets)

    def group_assets_by_bucket(self, asset_scores: Sequence[AssetScore]) -> dict[str, list[AssetScore]]:
        """The assets of each bucket, score highest first, then by name; assets without a score last."""
        require_usable(asset_scores)
        grouped: dict[str, list[AssetScore]] = {}
        for asset_score in sorted(asset_scores, key=_score_then_name):
            grouped.setdefault(self.get_asset_bucket(asset_score.asset), []).append(asset_score)
        return grouped

    def calculate_bucket_statistics(self, asset_scores: Sequence[AssetScore]) -> dict[str, BucketStatistics]:
        """Count, gross weight and scores of each bucket; a missing weight counts 0."""
        return {
            bucket: _statistics(bucket, members)
            for bucket, members in self.group_assets_by_bucket(asset_scores).items()
        }

    def get_bucket_allocation_status(
        self,
        asset_scores: Sequence[AssetScore],
        max_positions_per_bucket: int = 4,
        max_allocation_per_bucket: float = 0.4,
    ) -> dict[str, BucketAllocation]:
        """What each known bucket, and each with an asset, may hold and holds."""
        statistics = self.calculate_bucket_statistics(asset_scores)
        return {
            bucket: BucketAllocation(
                max_positions=max_positions_per_bucket,
                max_weight=max_allocation_per_bucket,
                current_positions=statistics[bucket].asset_count if bucket in statistics else 0,
                current_weight=statistics[bucket].total_allocation if bucket in statistics else 0.0,
            )
            for bucket in dict.fromkeys([*self.get_all_buckets(), *statistics])
        }

    def validate_bucket_constraints(
        self,
        asset_scores: Sequence[AssetScore],
        max_positions_per_bucket: int = 4,
        max_allocation_per_bucket: float = 0.4,
        min_buckets_represented: int = 2,
    ) -> dict[str, Any]:
        """Judge a list against bucket limits without changing it.

        Keys: is_valid, violations and recommendations (sentences), bucket_statistics, buckets_represented.
        """
        limits = BucketLimitsConfig(max_positions_per_bucket, max_allocation_per_bucket, min_buckets_represented)
        statistics = self.calculate_bucket_statistics(asset_scores)
        represented = represented_buckets(self.group_assets_by_bucket(asset_scores), limits.min_position_weight)
        judged = [*_bucket_violations(statistics, limits), *_representation_violations(represented, limits)]
        return {
            "is_valid": not judged,
            "violations": [violation for violation, _ in judged],
            "recommendations": [recommendation for _, recommendation in judged],
            "bucket_statistics": statistics,
            "buckets_represented": len(represented),
        }


def has_score(asset_score: AssetScore) -> bool:
    """Whether an asset has a score: None and NaN are none."""
    return asset_score.combined_score is not None and not isnan(asset_score.combined_score)


def represented_buckets(grouped: Mapping[str, Sequence[AssetScore]], min_position_weight: float) -> list[str]:
    """The buckets, never `Unknown`, with a name of at least `min_position_weight`, or whose weight is still open."""
    return [
        bucket
        for bucket, members in grouped.items()
        if bucket != UNKNOWN_BUCKET and any(_represents(member, min_position_weight) for member in members)
    ]


def _represents(asset_score: AssetScore, min_position_weight: float) -> bool:
    weight = asset_score.position_size_percentage
    return weight is None or abs(weight) >= min_position_weight - TOLERANCE


def _score_then_name(asset_score: AssetScore) -> tuple[bool, float, str]:
    scored = has_score(asset_score)
    return (not scored, -(asset_score.combined_score or 0.0) if scored else 0.0, asset_score.asset)


def _statistics(bucket: str, members: Sequence[AssetScore]) -> BucketStatistics:
    scores = [member.combined_score for member in members if has_score(member) and member.combined_score is not None]
    return BucketStatistics(
        bucket_name=bucket,
        asset_count=len(members),
        total_allocation=sum(abs(member.position_size_percentage or 0.0) for member in members),
        assets=tuple(member.asset for member in members),
        avg_score=sum(scores) / len(scores) if scores else 0.0,
        max_score=max(scores, default=0.0),
        min_score=min(scores, default=0.0),
    )


def _bucket_violations(
    statistics: Mapping[str, BucketStatistics], limits: BucketLimitsConfig
) -> Iterator[tuple[str, str]]:
    """Each violation of a bucket with what would mend it."""
    most, largest = limits.max_positions_per_bucket, limits.max_allocation_per_bucket
    for bucket, found in statistics.items():
        surplus, gross = found.asset_count - most, found.total_allocation
        if surplus > 0:
            mend = f"remove {surplus} of the lowest-scored positions of {bucket}"
            yield f"bucket {bucket} has {found.asset_count} positions, limit {most}", mend
        if gross > largest + TOLERANCE:
            mend = f"scale the positions of {bucket} by {largest / gross:.4f}"
            yield f"bucket {bucket} has {gross:.2%} allocated, limit {largest:.2%}", mend


def _representation_violations(represented: Sequence[str], limits: BucketLimitsConfig) -> list[tuple[str, str]]:
    missing = limits.min_buckets_represented - len(represented)
    if missing <= 0:
        return []
    return [
        (
            f"{len(represented)} of at least {limits.min_buckets_represented} buckets are represented",
            f"add positions of {missing} more bucket{'s' if missing > 1 else ''}",
        )
    ]


def _mapping_of(source: Mapping[str, Sequence[str]] | Any | None) -> Mapping[str, Sequence[str]]:
    if source is None:
        logger.warning("no buckets given: a small development map of well-known tickers is used")
        return DEVELOPMENT_BUCKETS
    offered = source if isinstance(source, Mapping) else getattr(source, "buckets", None)
    if not isinstance(offered, Mapping) and hasattr(source, "get_all_buckets"):
        offered = source.get_all_buckets()
    if not isinstance(offered, Mapping):
        raise InputError(
            f"{type(source).__name__} is no source of buckets: give a mapping from bucket to assets, or an object with "
            "a mapping `buckets` or a method get_all_buckets() that returns one."
        )
    for bucket, assets in offered.items():
        if isinstance(assets, str):
            raise InputError(f"bucket {bucket} lists {assets!r}, a text: give a list of assets, [{assets!r}].")
        require_kind("the name of a bucket", bucket, str, "a text")
        require_kind(f"the assets of bucket {shown(bucket)}", assets, Iterable, "a list of assets")
        for asset in assets:
            require_kind(f"an asset of bucket {shown(bucket)}", asset, str, "a text")
    return offered
