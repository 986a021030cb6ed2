"""The constraint on the gross weight of buckets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import polars as pl
from pydantic import ConfigDict

from core.constraints.base import WeightConstraint
from core.constraints.ceilings import Ceilings, limit_of_bucket
from core.constraints.panel import BUCKET, GROUP, ROW, WEIGHT
from core.limits import require_positive


@dataclass(frozen=True)
class MaxBucketWeightConstraint(WeightConstraint):
    """Σ|w| of a bucket's names ≤ max_weight: one limit for all buckets, or a map that may leave some unlimited.

    Above it, the bucket's names are scaled by one factor, and what is cut goes to the other names of the same book in
    proportion to their weights, as far as their buckets have room: w = min(s, S_b)·|w| by two-level filling
    (`core.constraints.ceilings`). What finds no room stays unplaced. Needs the column `bucket`. Frozen names count in
    their bucket and stay; the others share what they leave of the limit.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    needs: ClassVar[tuple[str, ...]] = (BUCKET,)

    max_weight: float | Mapping[str, float]  # fractions of net asset value, > 0
    kind: Literal["max_bucket_weight"] = field(default="max_bucket_weight", kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.max_weight, Mapping):
            require_positive("max_weight", self.max_weight)
            return
        object.__setattr__(self, "max_weight", dict(self.max_weight))  # of our own: a limit does not change later
        for bucket, limit in self.max_weight.items():
            require_positive(f"max_weight of bucket {bucket!r}", limit)

    @property
    def statement(self) -> str:
        """The limit in words."""
        if isinstance(self.max_weight, Mapping):
            named = ", ".join(f"{bucket} {100 * limit:.4g} %" for bucket, limit in self.max_weight.items())
            return f"no bucket above its share of net asset value: {named or 'none is limited'}"
        return f"no bucket above {100 * self.max_weight:.4g} % of net asset value"

    @property
    def limit(self) -> pl.Expr:
        """That of the row's bucket."""
        return limit_of_bucket(self.max_weight)

    @property
    def ceilings(self) -> Ceilings:
        """The bucket limits: what is cut is always placed again."""
        return Ceilings(buckets=(self.max_weight,))

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:
        """Fill each book under the bucket limits."""
        return self.ceilings.filled(rows, fixed)

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per group and bucket with a limit: the bucket's gross."""
        buckets = rows.group_by(GROUP, BUCKET, maintain_order=True).agg(
            pl.col(ROW).first(), level=pl.col(WEIGHT).abs().sum()
        )
        limited = buckets.with_columns(limit=self.limit, scope=BUCKET)
        return limited.with_columns(excess=pl.col("level") - pl.col("limit"))
