"""Constraints on how many names there are, how small they may be, and how many buckets they represent.

The closed forms keep some names of a book, set the others to 0, and give what these had to the kept ones
(`_concentrated`). Names are put in order by `_place` and `_running`.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import ConfigDict

from core.constraints.base import Mode, WeightConstraint, group_level
from core.constraints.forms import Count, Floor, Limit, Names, Representation, Truths
from core.constraints.panel import BUCKET, CURRENT, GROUP, ROW, SYMBOL, WEIGHT
from core.errors import ConfigurationError
from core.limits import TOLERANCE, require_at_least, require_positive
from core.schemas import UNKNOWN_BUCKET
from core.wording import counted

ROUNDING = 1e-12  # a name that misses its floor by up to this is at its floor

_weight, _current = pl.col(WEIGHT), pl.col(CURRENT)
_size = _weight.abs()
_is_name, _is_held = _size > TOLERANCE, _current.abs() > TOLERANCE
_book = pl.when(_is_name).then(_weight.sign())  # 1 the long, −1 the short book; null for what is no name


@dataclass(frozen=True)
class MaxPositionsConstraint(WeightConstraint):
    """#{|w| > 1e-9} ≤ max_positions, in the group or, with `per_bucket`, in each of its buckets.

    Where there are more, the largest names stay (frozen ones first, then by size, ties by symbol): the nearest weights
    in Euclidean distance with so many names, by hard thresholding. What the others had goes to those that stay in the
    same book, in proportion to their weights; where none stays in a book, it is cash, or a change of net. `per_bucket`
    needs the column `bucket`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    max_positions: int  # names, ≥ 1
    per_bucket: bool = False
    kind: Literal["max_positions"] = field(default="max_positions", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("max_positions", self.max_positions, 1)
        if self.max_relaxation is not None and self.max_relaxation != int(self.max_relaxation):
            raise ConfigurationError(
                f"max_relaxation of max_positions is {self.max_relaxation:g}: it must be a whole number of names."
            )

    @property
    def needed(self) -> tuple[str, ...]:
        """Buckets too, where they are counted apart."""
        return (BUCKET, *super().needed) if self.per_bucket else super().needed

    @property
    def statement(self) -> str:
        """The limit in words."""
        return f"at most {counted(self.max_positions, 'name')}{' in each bucket' if self.per_bucket else ''}"

    @property
    def limit(self) -> pl.Expr:
        """That of the row's group or bucket."""
        return self._in_force.over(self._keys) if self.mode == "no_worse" else self._in_force

    @property
    def _in_force(self) -> pl.Expr:
        """Per group or bucket, as an aggregate."""
        return self.in_force(pl.lit(float(self.max_positions)), _is_held.sum().cast(pl.Float64))

    @property
    def _keys(self) -> tuple[str, ...]:
        return (GROUP, BUCKET) if self.per_bucket else (GROUP,)

    def limits(self, names: Names) -> list[Limit]:
        """One for the group, or one for each of its buckets."""
        if not self.per_bucket:
            return [self._limit("", "positions", names.ones > 0)]
        buckets = sorted({str(bucket) for bucket in names.buckets})
        return [self._limit(bucket, f"positions in {bucket}", names.buckets == bucket) for bucket in buckets]

    def _limit(self, scope: str, noun: str, members: Truths) -> Limit:
        form = Count(self.max_positions, members)
        return Limit(self.kind, scope, noun, float(self.max_positions), (form,), bound="at most ", counted=True)

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:
        """Keep the largest names that the frozen ones leave room for."""
        left = self._in_force - (fixed.abs() > TOLERANCE).sum()
        return _concentrated(rows, (_place(_size) < left).over(self._keys))

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per group or bucket: how many names it has."""
        counts = rows.group_by(self._keys, maintain_order=True).agg(
            pl.col(ROW).first(), level=_is_name.sum().cast(pl.Float64), limit=self._in_force
        )
        scope = pl.col(BUCKET) if self.per_bucket else pl.lit("")
        return counts.with_columns(scope=scope, excess=pl.col("level") - pl.col("limit"))


@dataclass(frozen=True)
class MinPositionWeightConstraint(WeightConstraint):
    """|w| ≥ min_weight for every name, unless it is 0.

    Each book keeps the largest names such that, scaled to the gross that the book had, the smallest of them is at the
    floor or above: with sizes a in falling order, A_i the sum of the first i and A that of all, name i stays where
    a_i · A / A_i ≥ min_weight. That falls with i, so those that stay come first. The others are 0, and where no name
    is large enough the book is empty. Frozen names are no part of it.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    min_weight: float  # fraction of net asset value, > 0
    kind: Literal["min_position_weight"] = field(default="min_position_weight", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("min_weight", self.min_weight)

    @property
    def statement(self) -> str:
        """The limit in words."""
        return f"no position below {100 * self.min_weight:.4g} % of net asset value, unless zero"

    @property
    def limit(self) -> pl.Expr:
        """The same for every row; a smaller position of today may stay where the limit is no_worse."""
        return self.in_force_below(pl.lit(float(self.min_weight)), pl.when(_is_held).then(_current.abs()))

    def limits(self, names: Names) -> list[Limit]:
        """One for all names."""
        form = Floor(self.min_weight * names.ones)
        return [Limit(self.kind, "", "min position", self.min_weight, (form,), -1)]

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:  # noqa: ARG002
        """Keep the names that can be at their floor."""
        # In units of its own floor, so that the order falls also where floors differ.
        share = _size / self.limit
        reached = share * _size.sum() / _running(_size, share)
        return _concentrated(rows, (reached >= 1.0 - ROUNDING / self.limit).over(GROUP, _book))

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per name: the size of its position."""
        return rows.filter(_is_name).select(ROW, scope=SYMBOL, level=_size, limit=self.limit, excess=self.limit - _size)


@dataclass(frozen=True)
class MinBucketsConstraint(WeightConstraint):
    """#{buckets with a name of |w| ≥ min_weight} ≥ min_buckets; `Unknown` is no bucket.

    No closed form: which name should stand for a bucket is not for a single limit to say. A name that is not wanted
    represents nothing in the exact solution, and where the wanted weights represent fewer buckets already, that is a
    breach which no other weights can mend: then as many are kept. Needs the column `bucket`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    needs: ClassVar[tuple[str, ...]] = (BUCKET,)
    modes: ClassVar[tuple[Mode, ...]] = ("hard",)
    keeps_only: ClassVar[bool] = True

    min_buckets: int  # ≥ 1
    min_weight: float = 0.001  # fraction of net asset value, > 0
    kind: Literal["min_buckets_represented"] = field(default="min_buckets_represented", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("min_buckets", self.min_buckets, 1)
        require_positive("min_weight", self.min_weight)

    @property
    def statement(self) -> str:
        """The limit in words."""
        return f"at least {self.min_buckets} buckets with a position of {100 * self.min_weight:.4g} % or more"

    @property
    def limit(self) -> pl.Expr:
        """The same for every row."""
        return pl.lit(float(self.min_buckets))

    def limits(self, names: Names) -> list[Limit]:
        """One for the group."""
        represents = (names.buckets != UNKNOWN_BUCKET) & (np.abs(names.wanted) > TOLERANCE)
        numbers = np.unique(names.buckets, return_inverse=True)[1]
        form = Representation(self.min_buckets, self.min_weight, np.where(represents, numbers, -1))
        kept = form.no_worse(names.wanted)
        return [Limit(self.kind, "", "buckets represented", float(kept.least), (kept,), -1, "at least ", counted=True)]

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:  # noqa: ARG002
        """The rows as they are."""
        return rows

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per group: how many buckets are represented."""
        large = (_size >= self.min_weight - TOLERANCE) & (pl.col(BUCKET) != UNKNOWN_BUCKET)
        reached = pl.col(BUCKET).filter(large).n_unique().cast(pl.Float64)
        counts = group_level(rows, reached, limit=self.limit)
        return counts.with_columns(excess=pl.col("limit") - pl.col("level"))


def _place(order: pl.Expr) -> pl.Expr:
    """The place of each name when `order` falls and ties go by symbol, from 0 on; what is null comes last."""
    return _sorted_places(order).arg_sort()


def _running(sizes: pl.Expr, order: pl.Expr) -> pl.Expr:
    """For each name, the sum of the sizes up to its place."""
    return sizes.gather(_sorted_places(order)).cum_sum().gather(_place(order))


def _sorted_places(order: pl.Expr) -> pl.Expr:
    return pl.arg_sort_by([order.fill_null(-1.0), SYMBOL], descending=[True, False])


def _concentrated(rows: pl.LazyFrame, kept: pl.Expr) -> pl.LazyFrame:
    """Rows with the names that are not kept at 0, and what they had with the kept ones of their book, in proportion.

    A name of at most 1e-9 is 0 already, and stays as it is.
    """
    cut = _is_name & ~pl.col("kept")
    gross, left = _size.sum(), pl.when("kept").then(_size).sum()
    factor = pl.when(cut.any()).then(gross / left).otherwise(1.0).over(GROUP, _book)
    placed = pl.when(cut).then(0.0).when(_is_name).then(_weight * factor).otherwise(_weight)
    return rows.with_columns(kept=kept).with_columns(placed.alias(WEIGHT)).drop("kept")
