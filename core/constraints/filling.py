"""Exact water-filling: what is cut from one name goes to the others, in proportion, until nobody is above a ceiling.

For one book of wanted sizes a > 0, ceilings u and a total T, the answer is w = min(u, s·a) with the scale s at which
the book places its total: Σ min(u, s·a) = T. The left side grows with s in straight pieces, one for each number of
names at their ceiling, and ever slower; each piece, prolonged, bounds s from below, and the best bound is s:

    s = max over k of (T − U_k) / A_k,   names sorted by u/a, U_k the first k ceilings, A_k the wanted sizes after them.

Where the ceilings have no room for T, everybody is at the ceiling, and the rest of T stays unplaced.

Sorting is what costs, so `scales` sorts only the names that reach their ceiling within a narrow range of scales
(`_best_bounds`): names that do so below the range, or above it, need only be summed. An s within the range is the
answer; one beyond it is still a bound, and the next range begins there (`_climbed`). `book_scales` is the same for the
long and the short books of whole panels, where few names are near their ceiling: all it does to the others is to sum
them.
"""

from collections.abc import Sequence
from math import inf

import numpy as np
import polars as pl

from core.constraints.panel import GROUP, WEIGHT
from core.limits import TOLERANCE

STRETCH = 1.35  # a range of scales, end by start: few names reach their ceiling in it, few books end beyond it

_weight, _size, _ceiling = pl.col(WEIGHT), pl.col("size"), pl.col("ceiling")
_lowest, _scale, _total, _full, _free = (pl.col(name) for name in ("lowest", "scale", "total", "full", "free"))
_reach = pl.col("reach")  # the scale at which a name is at its ceiling, in units of the lowest scale of the range
_settled = _scale <= _lowest * STRETCH
_LONG, _SHORT = "long", "short"
_SIDES = ((_LONG, 1), (_SHORT, -1))


def scales(book: pl.DataFrame, keys: Sequence[str], total: pl.Expr = _size.sum()) -> pl.DataFrame:  # noqa: B008
    """The scale s of every book, as a frame of the keys and `scale`; large or infinite where everybody is full.

    `book` has one row per name: the keys of its book, size > 0 and ceiling ≥ 0 (infinite: none). `total` ≥ 0 is an
    aggregate over the names of a book; left out, a book places what it has, at a scale of exactly 1 where nobody is
    above a ceiling.
    """
    members = book.with_columns(lowest=(total / _size.sum()).over(keys))
    return _climbed(members, _range_bounds(members, keys, total), keys, total)


def book_scales(names: pl.DataFrame) -> pl.DataFrame:
    """The scales at which the books of each group place what they hold: one row per name, `long` and `short`.

    `names` has GROUP, the rows of a group together, WEIGHT and `ceiling`. A name of at most 1e-9 is in no book; the
    scale of a book is exactly 1 where nobody in it is above a ceiling.
    """
    is_near, size = pl.col("is_near"), _weight.abs()
    parted = names.with_columns(is_near=_ceiling <= STRETCH * size)  # once, for both: near its ceiling, or summed
    near = parted.filter(is_near & (size > TOLERANCE)).with_columns(reach=_ceiling / size)
    far = parted.select(GROUP, far=pl.when(~is_near & (size > TOLERANCE)).then(_weight).otherwise(0.0))
    sizes = {side: pl.max_horizontal(sign * pl.col("far"), 0.0) for side, sign in _SIDES}
    grouped = far.select(GROUP, **sizes).group_by(GROUP, maintain_order=True)
    groups = grouped.agg(pl.col(_LONG, _SHORT).sum(), names=pl.len())
    counts = groups["names"].to_numpy()
    found = {side: _scales_of_side(names, near, groups.select(GROUP, free=side), sign) for side, sign in _SIDES}
    return pl.DataFrame({side: np.repeat(scale.to_numpy(), counts) for side, scale in found.items()})


def _scales_of_side(names: pl.DataFrame, near: pl.DataFrame, groups: pl.DataFrame, sign: int) -> pl.Series:
    """The scale of one book per group, in the order of `groups`: GROUP, and `free`, the sizes that are not near."""
    near = near.filter(sign * _weight > 0.0).select(GROUP, "ceiling", "reach", size=_weight.abs())
    sums = near.group_by(GROUP, maintain_order=True).agg(near=_size.sum())
    total = _free + pl.col("near").fill_null(0.0)
    books = groups.join(sums, on=GROUP, how="left", maintain_order="left").with_columns(total=total, lowest=1.0)
    bounds = _best_bounds(near, books, [GROUP])
    if bounds.select(_settled.all()).item():
        return bounds["scale"]
    book = names.filter(sign * _weight > TOLERANCE).select(GROUP, "ceiling", size=_weight.abs())
    climbed = _climbed(book, bounds, [GROUP], _size.sum())
    return groups.join(climbed, on=GROUP, how="left", maintain_order="left")["scale"]


def _climbed(book: pl.DataFrame, bounds: pl.DataFrame, keys: Sequence[str], total: pl.Expr) -> pl.DataFrame:
    """From the bounds that one range of scales gave, range by range up to the scale of every book: keys, scale."""
    found = [bounds.filter(_settled)]
    while not (beyond := bounds.filter(~_settled).select(*keys, lowest="scale")).is_empty():
        book = book.drop("lowest", strict=False).join(beyond, on=keys, maintain_order="left")
        bounds = _range_bounds(book, keys, total)
        found.append(bounds.filter(_settled))
    return pl.concat(found).select(*keys, "scale")


def _range_bounds(members: pl.DataFrame, keys: Sequence[str], total: pl.Expr) -> pl.DataFrame:
    """The best bounds in the range of scales that begins at `lowest`, one row per book."""
    members = members.with_columns(reach=_ceiling / (_lowest * _size))
    free = pl.when(_reach > STRETCH).then(_size).sum()
    books = members.group_by(keys, maintain_order=True).agg(_lowest.first(), total=total, free=free)
    return _best_bounds(members.filter(_reach <= STRETCH), books, keys)


def _best_bounds(near: pl.DataFrame, books: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """The best of the bounds that the names of one range of scales give, one row per book: keys, lowest, scale.

    `near`: the names that are at their ceiling in the range or before it. `books`: keys, `lowest`, `total`, and `free`,
    the sizes of the other names.
    """
    sums = (
        near.lazy()
        .group_by(keys, maintain_order=True)
        .agg(full=pl.when(_reach <= 1.0).then(_ceiling).sum(), filled=_ceiling.sum(), binding=_reach.min() < 1.0)
    )
    limited = books.lazy().join(sums, on=keys, how="left", maintain_order="left")
    head = _full.first() + _ceiling.sort_by(_reach).cum_sum().shift(1, fill_value=0.0)
    tail = _free.first() + _size.sort_by(_reach).cum_sum(reverse=True)
    within = (
        near.lazy()
        .filter(_reach > 1.0)
        .select(*keys, "size", "ceiling", "reach")
        .join(limited, on=keys, maintain_order="left")
        .group_by(keys, maintain_order=True)
        .agg(best=((_total.first() - head) / tail).max())
    )
    last = pl.when(_free > 0).then((_total - pl.col("filled")) / _free)
    bound = pl.when("binding").then(pl.max_horizontal("best", last).fill_null(inf)).otherwise(_lowest)
    bounds = limited.join(within, on=keys, how="left", maintain_order="left")
    return bounds.select(*keys, "lowest", scale=bound).collect(engine="in-memory")
