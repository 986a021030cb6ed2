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

_size, _ceiling, _total = pl.col("size"), pl.col("ceiling"), pl.col("total")
_lowest, _scale = pl.col("lowest"), pl.col("scale")
_settled = _scale <= _lowest * STRETCH
_full_before, _full_within = _ceiling <= _lowest * _size, _ceiling <= _lowest * STRETCH * _size


def scales(book: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """The scale s of every book, as a frame of the keys and `scale`; large or infinite where everybody is full.

    `book` has one row per name: the keys of its book, size > 0, ceiling > 0 (infinite: none), and total ≥ 0, the same
    in all rows of a book.
    """
    members = book.with_columns(lowest=(_total.first() / _size.sum()).over(keys))
    bounds = _best_bounds(members, keys)
    found = [bounds.filter(_settled)]
    while not (higher := bounds.filter(~_settled).select(*keys, lowest="scale")).is_empty():
        members = members.drop("lowest").join(higher, on=keys, maintain_order="left")
        bounds = _best_bounds(members, keys)
        found.append(bounds.filter(_settled))
    return pl.concat(found).select(*keys, "scale")


def _best_bounds(members: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """The best of the bounds that the names of one range give, one row per book: keys, lowest, scale."""
    books = members.group_by(keys, maintain_order=True).agg(
        _lowest.first(),
        _total.first(),
        binding=(_ceiling < _lowest * _size).any(),
        full=pl.when(_full_before).then(_ceiling).sum(),
        free=pl.when(~_full_within).then(_size).sum(),
    )
    order = _ceiling / _size
    head = pl.col("full").first() + _ceiling.sort_by(order).cum_sum().shift(1, fill_value=0.0)
    tail = pl.col("free").first() + _size.sort_by(order).cum_sum(reverse=True)
    within = (
        members.filter(~_full_before & _full_within)
        .select(*keys, "size", "ceiling")
        .join(books, on=keys, maintain_order="left")
        .group_by(keys, maintain_order=True)
        .agg(best=((_total.first() - head) / tail).max(), filled=_ceiling.sum())
    )
    left = _total - pl.col("full") - pl.col("filled").fill_null(0.0)
    last = pl.when(pl.col("free") > 0).then(left / pl.col("free"))
    bound = pl.when("binding").then(pl.max_horizontal("best", last).fill_null(inf)).otherwise(_lowest)
    return books.join(within, on=keys, how="left", maintain_order="left").select(*keys, "lowest", scale=bound)
