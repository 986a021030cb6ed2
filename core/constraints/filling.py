"""Exact water-filling: what is cut from one name goes to the others, in proportion, until nobody is above a ceiling.

For one book of wanted sizes a > 0, ceilings u and a total T, the answer is w = min(u, s·a) with the scale s at which
the book places its total: Σ min(u, s·a) = T. The left side grows with s in straight pieces, one for each number of
names at their ceiling, and ever slower; each piece, prolonged, bounds s from below, and the best bound is s:

    s = max over k of (T − U_k) / A_k,   names sorted by u/a, U_k the first k ceilings, A_k the wanted sizes after them.

Where the ceilings have no room for T, everybody is at the ceiling, and the rest of T stays unplaced.

Sorting is what costs, so `scales` sorts only the names that reach their ceiling within a narrow range of scales
(`_best_bounds`): names that do so below the range, or above it, need only be summed. An s within the range is the
answer; one beyond it is still a bound, and the next range begins there.
"""

from collections.abc import Sequence
from math import inf

import polars as pl

STRETCH = 1.25  # a range of scales, end by start: few names reach their ceiling in it, few books end beyond it

_size, _ceiling = pl.col("size"), pl.col("ceiling")
_lowest, _scale, _total, _full, _free = (pl.col(name) for name in ("lowest", "scale", "total", "full", "free"))
_reach = pl.col("reach")  # the scale at which a name is at its ceiling, in units of the lowest scale of the range
_settled = _scale <= _lowest * STRETCH


def scales(book: pl.DataFrame, keys: Sequence[str], total: pl.Expr = _size.sum()) -> pl.DataFrame:  # noqa: B008
    """The scale s of every book, as a frame of the keys and `scale`; large or infinite where everybody is full.

    `book` has one row per name: the keys of its book, size > 0 and ceiling > 0 (infinite: none). `total` ≥ 0 is an
    aggregate over the names of a book; left out, a book places what it has, at a scale of exactly 1 where nobody is
    above a ceiling.
    """
    members = book.with_columns(lowest=(total / _size.sum()).over(keys))
    bounds = _best_bounds(members, keys, total)
    found = [bounds.filter(_settled)]
    while not (beyond := bounds.filter(~_settled).select(*keys, lowest="scale")).is_empty():
        members = members.drop("lowest").join(beyond, on=keys, maintain_order="left")
        bounds = _best_bounds(members, keys, total)
        found.append(bounds.filter(_settled))
    return pl.concat(found).select(*keys, "scale")


def _best_bounds(members: pl.DataFrame, keys: Sequence[str], total: pl.Expr) -> pl.DataFrame:
    """The best of the bounds that the names of one range of scales give, one row per book: keys, lowest, scale."""
    members = members.with_columns(reach=_ceiling / (_lowest * _size))
    books = members.group_by(keys, maintain_order=True).agg(
        _lowest.first(),
        total=total,
        full=pl.when(_reach <= 1.0).then(_ceiling).sum(),
        free=pl.when(_reach > STRETCH).then(_size).sum(),
        binding=_reach.min() < 1.0,
    )
    head = _full.first() + _ceiling.sort_by(_reach).cum_sum().shift(1, fill_value=0.0)
    tail = _free.first() + _size.sort_by(_reach).cum_sum(reverse=True)
    within = (
        members.lazy()
        .filter((_reach > 1.0) & (_reach <= STRETCH))
        .select(*keys, "size", "ceiling", "reach")
        .join(books.lazy(), on=keys, maintain_order="left")
        .group_by(keys, maintain_order=True)
        .agg(best=((_total.first() - head) / tail).max(), filled=_ceiling.sum())
    )
    left = _total - _full - pl.col("filled").fill_null(0.0)
    last = pl.when(_free > 0).then(left / _free)
    bound = pl.when("binding").then(pl.max_horizontal("best", last).fill_null(inf)).otherwise(_lowest)
    bounds = books.lazy().join(within, on=keys, how="left", maintain_order="left")
    return bounds.select(*keys, "lowest", scale=bound).collect(engine="in-memory")
