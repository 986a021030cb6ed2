"""What a filling may not exceed: position caps and bucket limits, together.

`Ceilings.filled` fills the long and the short book of each group again, each to the gross it has, so that no sign flips
and each book keeps its gross as far as there is room. With bucket limits the filling has two levels,

    w = min(cap, min(s, S_b)·a),

where S_b fills bucket b, both books together, to its limit (`_bucket_scales`), and s each book to its total
(`_book_scales`). Frozen names are not filled, but take their room in a bucket. A name of at most 1e-9 is 0: it takes
nothing, and stays as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import polars as pl

from core.constraints.filling import scales
from core.constraints.panel import BUCKET, GROUP, WEIGHT
from core.limits import TOLERANCE

ROUNDING = 1e-12  # an excess of a bucket up to this size is rounding, and moves nothing

BucketLimit = float | Mapping[str, float]
"""One limit for every bucket, or a limit for each bucket that is named; the others are unlimited."""

_weight = pl.col(WEIGHT)
_is_name = _weight.abs() > TOLERANCE


def limit_of_bucket(limit: BucketLimit) -> pl.Expr:
    """The limit of a row's bucket; null where it has none."""
    if isinstance(limit, Mapping):
        return pl.col(BUCKET).replace_strict(limit, default=None, return_dtype=pl.Float64)
    return pl.lit(float(limit))


@dataclass(frozen=True)
class Ceilings:
    """Limits that a filling meets all at once; those of several constraints join by `&`."""

    position: float = inf  # no |w| above
    lift: float = inf  # no |w| lifted above, though it may stay above: the cap of a constraint that only clips
    buckets: tuple[BucketLimit, ...] = ()  # no bucket's gross above any of them

    def __and__(self, other: "Ceilings") -> "Ceilings":
        return Ceilings(min(self.position, other.position), min(self.lift, other.lift), self.buckets + other.buckets)

    def filled(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:
        """Rows of a panel with the books filled; weights that may not move are null, and are what `fixed` yields."""
        # A filling decides on what it has computed, so it cannot stay a plan.
        return self._filled(rows.collect(engine="in-memory"), fixed).lazy()

    def _filled(self, rows: pl.DataFrame, fixed: pl.Expr) -> pl.DataFrame:
        names, ceiling = rows.select(GROUP, WEIGHT), self._cap()
        if self.buckets:
            names = names.with_columns(bucket_scale=self._bucket_scales(rows, fixed))
            room = pl.when(_is_name).then(pl.col("bucket_scale") * _weight.abs())
            ceiling = pl.min_horizontal(ceiling, room)
        long, short = (_book_scales(names, side, ceiling) for side in (1, -1))
        books = long.join(short, on=GROUP, how="full", coalesce=True, suffix="_short")
        scale = pl.when(_weight > TOLERANCE).then("scale").when(_weight < -TOLERANCE).then("scale_short").otherwise(1.0)
        placed = (_weight * scale).clip(-ceiling, ceiling)
        return rows.with_columns(names.join(books, on=GROUP, how="left", maintain_order="left").select(placed))

    def _cap(self) -> pl.Expr:
        """The ceiling of a name by itself."""
        if self.lift == inf:
            return pl.lit(self.position)
        return _weight.abs().clip(lower_bound=self.lift).clip(upper_bound=self.position)

    def _bucket_scales(self, rows: pl.DataFrame, fixed: pl.Expr) -> pl.Series:
        """Per row, the scale that fills its bucket to what frozen names leave of the limit; null: no limit.

        A bucket that meets its limit may grow to it, and is never cut: its scale is at least 1.
        """
        keys = [GROUP, BUCKET]
        limit = pl.min_horizontal(limit_of_bucket(limit) for limit in self.buckets)
        taken = fixed.abs().sum() + pl.when(~_is_name).then(_weight.abs()).sum()
        names = (
            rows.with_columns(room=(limit - taken.over(keys)).clip(lower_bound=0.0))
            .filter(_is_name & pl.col("room").is_not_null())
            .select(*keys, "room", size=_weight.abs(), ceiling=self._cap())
        )
        room = pl.col("room").first()
        meets = pl.col("size").sum() <= room + ROUNDING
        least = names.group_by(keys, maintain_order=True).agg(least=pl.when(meets).then(1.0).otherwise(0.0))
        found = scales(names, keys, room).join(least, on=keys).select(*keys, scale=pl.max_horizontal("scale", "least"))
        return rows.select(keys).join(found, on=keys, how="left", maintain_order="left")["scale"]


def _book_scales(rows: pl.DataFrame, side: int, ceiling: pl.Expr) -> pl.DataFrame:
    """Per group, the scale at which one book places what it holds: 1 where nobody in it is above a ceiling."""
    size = side * _weight
    return scales(rows.filter(size > TOLERANCE).select(GROUP, size=size, ceiling=ceiling), [GROUP])
