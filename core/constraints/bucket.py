"""Constraints on the gross weight of buckets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import ConfigDict

from core.constraints.base import WeightConstraint
from core.constraints.ceilings import BucketLimit, Ceilings, limit_of_bucket
from core.constraints.forms import Limit, Names, Total
from core.constraints.panel import BUCKET, CURRENT, GROUP, ROW, WEIGHT
from core.errors import ConfigurationError
from core.limits import TOLERANCE, require_positive
from core.schemas import UNKNOWN_BUCKET

_weight, _current = pl.col(WEIGHT), pl.col(CURRENT)


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
        super().__post_init__()
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
        today = pl.col(CURRENT).abs().sum().over(GROUP, BUCKET)
        return self.in_force(limit_of_bucket(self.max_weight), today)

    def limits(self, names: Names) -> list[Limit]:
        """One for each bucket that has a limit."""
        return [
            Limit(
                self.kind, bucket, f"weight of {bucket}", limit,
                (Total.of(limit, absolute=names.buckets == bucket),), bound="at most ",
            )
            for bucket, limit in limits_by_bucket(self.max_weight, names)
        ]  # fmt: skip

    @property
    def ceilings(self) -> Ceilings:
        """The bucket limits: what is cut is always placed again."""
        return Ceilings(buckets=(self.limit,))

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:
        """Fill each book under the bucket limits."""
        return self.ceilings.filled(rows, fixed)

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per group and bucket with a limit: the bucket's gross."""
        limited = rows.with_columns(limit=self.limit).group_by(GROUP, BUCKET, maintain_order=True)
        buckets = limited.agg(pl.col(ROW, "limit").first(), level=pl.col(WEIGHT).abs().sum())
        return buckets.with_columns(scope=BUCKET, excess=pl.col("level") - pl.col("limit"))


@dataclass(frozen=True)
class MinBucketWeightConstraint(WeightConstraint):
    """Σ|w| of a bucket's names ≥ min_weight: one limit for all buckets, or a map for those that it names.

    Below it, the bucket's names are scaled by one factor, min_weight / Σ|w|, so that their ratios stay; what they gain
    is taken from nobody, and the gross of the group grows. Frozen names count in their bucket and stay. A bucket whose
    names are all at 0 cannot be scaled. Needs the column `bucket`. One limit for all means the buckets that have a
    name in the group, but never `Unknown`; a bucket that a map names and no name of the group is in weighs 0.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    needs: ClassVar[tuple[str, ...]] = (BUCKET,)

    min_weight: float | Mapping[str, float]  # fractions of net asset value, > 0
    kind: Literal["min_bucket_weight"] = field(default="min_bucket_weight", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.min_weight, Mapping):
            require_positive("min_weight", self.min_weight)
            return
        object.__setattr__(self, "min_weight", dict(self.min_weight))  # of our own: a limit does not change later
        if not self.min_weight:
            raise ConfigurationError("min_weight of min_bucket_weight names no bucket: name one, or give one number.")
        for bucket, limit in self.min_weight.items():
            require_positive(f"min_weight of bucket {bucket!r}", limit)

    @property
    def statement(self) -> str:
        """The limit in words."""
        if isinstance(self.min_weight, Mapping):
            named = ", ".join(f"{bucket} {100 * limit:.4g} %" for bucket, limit in self.min_weight.items())
            return f"no bucket below its share of net asset value: {named}"
        return f"no bucket below {100 * self.min_weight:.4g} % of net asset value"

    @property
    def limit(self) -> pl.Expr:
        """That of the row's bucket; null where it has none."""
        return self._in_force.over(GROUP, BUCKET)

    @property
    def _in_force(self) -> pl.Expr:
        """Per bucket, as an aggregate."""
        return self.in_force_below(self._configured.first(), _current.abs().sum())

    @property
    def _configured(self) -> pl.Expr:
        if isinstance(self.min_weight, Mapping):
            return limit_of_bucket(self.min_weight)
        return pl.when(pl.col(BUCKET) != UNKNOWN_BUCKET).then(float(self.min_weight))

    def limits(self, names: Names) -> list[Limit]:
        """One for each bucket that has a limit."""
        return [
            Limit(
                self.kind, bucket, f"weight of {bucket}", limit,
                (Total.of(-limit, absolute=np.where(names.buckets == bucket, -1.0, 0.0)),), -1, "at least ",
            )
            for bucket, limit in self._asked(names)
        ]  # fmt: skip

    def _asked(self, names: Names) -> list[tuple[str, float]]:
        """The buckets that must have a weight, with it."""
        if isinstance(self.min_weight, Mapping):
            return sorted(self.min_weight.items())
        return [asked for asked in limits_by_bucket(self.min_weight, names) if asked[0] != UNKNOWN_BUCKET]

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:
        """Scale the names of a bucket up to what the frozen ones leave of its limit."""
        size, is_name = _weight.abs(), _weight.abs() > TOLERANCE
        scaled = pl.when(is_name).then(size).sum()
        missing = self._in_force - fixed.abs().sum() - pl.when(~is_name).then(size).sum()
        factor = pl.when(missing > scaled).then(missing / scaled).otherwise(1.0)
        return rows.with_columns(pl.when(is_name).then(_weight * factor.over(GROUP, BUCKET)).otherwise(_weight))

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per group and bucket with a limit: the bucket's gross."""
        buckets = rows.group_by(GROUP, BUCKET, maintain_order=True).agg(
            pl.col(ROW).first(), level=_weight.abs().sum(), limit=self._in_force
        )
        found = pl.concat([buckets, *self._absent(rows)], how="diagonal")
        return found.with_columns(scope=BUCKET, excess=pl.col("limit") - pl.col("level"))

    def _absent(self, rows: pl.LazyFrame) -> list[pl.LazyFrame]:
        """Per bucket of a map, the groups in which it has no name: at level 0, which is today's too."""
        named = self.min_weight if isinstance(self.min_weight, Mapping) and self.mode != "no_worse" else {}
        return [
            rows.group_by(GROUP, maintain_order=True)
            .agg(pl.col(ROW).first(), there=(pl.col(BUCKET) == bucket).any())
            .filter(~pl.col("there"))
            .select(GROUP, ROW, level=0.0, limit=pl.lit(float(limit)), bucket=pl.lit(bucket))
            for bucket, limit in named.items()
        ]


def limits_by_bucket(limit: BucketLimit, names: Names) -> list[tuple[str, float]]:
    """The buckets of a group that have a limit, in alphabetical order, with it."""
    present = sorted({str(bucket) for bucket in names.buckets})
    if isinstance(limit, Mapping):
        return [(bucket, limit[bucket]) for bucket in present if bucket in limit]
    return [(bucket, limit) for bucket in present]
