"""The rows that constraints work on: checked, grouped, and under names of their own.

`Panel.of` checks a frame of weights and copies what a constraint reads into `rows`, whose columns are GROUP, SYMBOL,
WEIGHT and, where given, FROZEN, BUCKET and CURRENT. A user's other columns stay in `weights`, so no name of theirs can
collide with ours. Rows of one group stand together in `rows` (`_grouped`), sorted there if they were not: every sum
then runs over one stretch of memory, in one order, and gives the same bits alone or in a panel. `Panel.adjusted` runs a
lazy step over pieces of whole groups side by side (`_by_pieces`), `Panel.restored` puts the result back. `Panel.found`
looks for rows in the same way, and `Panel.located` names them by the user's keys.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import polars as pl

from core.constraints.checks import (
    anonymous,
    is_text,
    repeated,
    require_columns,
    require_finite,
    require_frame,
    require_no_nulls,
)

GROUP, SYMBOL, WEIGHT, FROZEN, BUCKET, ROW = "group", "symbol", "weight", "frozen", "bucket", "row"
CURRENT = "current_weight"

PIECE_ROWS = 1_600_000  # large enough to be worth a task of its own, small enough for the caches of a processor
Step = Callable[[pl.LazyFrame, pl.Expr], pl.LazyFrame]
"""From rows whose WEIGHT may move, and the expression of the weights that may not, to rows with another WEIGHT."""


@dataclass(frozen=True)
class Panel:
    """Checked weights of any number of groups; `order` says from which row of `weights` each row came, if moved."""

    weights: pl.DataFrame
    by: tuple[str, ...]
    rows: pl.DataFrame
    order: pl.Series | None

    @classmethod
    def of(cls, weights: pl.DataFrame, by: str | Sequence[str], needs: Iterable[str] = ()) -> "Panel":
        """Check weights and lay them out; `needs` are columns beyond the keys, symbol and weight that must be there.

        Raises `InvalidWeightsError`: a column is missing or of a type that cannot be meant; a group key, a symbol or a
        needed column is null; a weight, or a current weight where given, is NaN, infinite or beyond 1e100.
        """
        require_frame(weights, by)
        given = {CURRENT} & {*weights.columns}
        keys, needed = (by,) if isinstance(by, str) else tuple(by), sorted({*needs} | given)
        require_columns(weights, keys, needed)
        require_no_nulls(weights, keys, (*keys, SYMBOL, *needed))
        for column in sorted({WEIGHT} | given):
            require_finite(weights, keys, column)
        group, order = _grouped(anonymous(weights, keys))
        own = weights.select(_own_columns(weights)).rechunk()
        rows = (own if order is None else own[order]).with_columns(group.alias(GROUP))
        return cls(weights, keys, rows, order)

    def adjusted(self, step: Step, *columns: str) -> pl.DataFrame:
        """Run a step over all groups: WEIGHT, frozen names included, and other columns of weights that it added."""
        return self._by_pieces(lambda piece, _: _adjusted(piece.lazy(), step, columns).collect(engine="in-memory"))

    def found(self, plan: Callable[[pl.LazyFrame], pl.LazyFrame], condition: pl.Expr) -> pl.DataFrame:
        """What meets a condition, of what a plan makes of the rows that have a weight; ROW counts those of `rows`."""

        def found_in(piece: pl.DataFrame, start: int) -> pl.DataFrame:
            rows = piece.lazy().with_row_index(ROW, start)
            # A filter costs more than the question whether it is needed, and copies also where it keeps all rows.
            planned = plan(rows.filter(pl.col(WEIGHT).is_not_null()) if piece[WEIGHT].null_count() else rows)
            if planned.select(condition.any()).collect(engine="in-memory").item():
                return planned.filter(condition).collect(engine="in-memory")
            return planned.collect_schema().to_frame()

        return self._by_pieces(found_in)

    def require_distinct(self) -> None:
        """No symbol stands twice in a group; raises `InvalidWeightsError` that names the rows."""
        if self._by_pieces(lambda piece, _: _repeated(piece)).height:
            raise repeated(self.weights, self.by)

    def restored(self, weight: pl.Series) -> pl.DataFrame:
        """The user's frame with other weights, in its own order."""
        in_order = weight if self.order is None else weight.gather(self.order.arg_sort())
        return self.weights.with_columns(in_order.alias(WEIGHT))

    def replaced(self, weight: pl.Series) -> "Panel":
        """The same rows with other weights, in the panel's order."""
        return replace(self, rows=self.rows.with_columns(weight.alias(WEIGHT)))

    def located(self, table: pl.DataFrame) -> pl.DataFrame:
        """A table with the user's keys in place of its ROW, the position of a row in `rows`."""
        places = table[ROW] if self.order is None else self.order.gather(table[ROW])
        keys = [self.weights[key].gather(places) for key in self.by]
        return pl.DataFrame([*keys, *table.drop(ROW)])

    def _by_pieces(self, work: Callable[[pl.DataFrame, int], pl.DataFrame]) -> pl.DataFrame:
        """Work on pieces of whole groups side by side; it gets a piece, and the place of the first row of it."""
        starts = self._starts()
        if starts == [0]:
            return work(self.rows, 0)
        pieces = [self.rows[start:end] for start, end in zip(starts, [*starts[1:], self.rows.height], strict=True)]
        with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
            return pl.concat(pool.map(work, pieces, starts))

    def _starts(self) -> list[int]:
        """Where pieces begin: the first row of some groups; of one at least. All cores get as many of them."""
        group, height, cores = self.rows[GROUP], self.rows.height, pl.thread_pool_size()
        rounds = -(-height // (PIECE_ROWS * cores))
        pieces = rounds * cores if height > PIECE_ROWS else 1
        cuts = (group.search_sorted(group[height * piece // pieces], side="left") for piece in range(1, pieces))
        return sorted({0, *cuts})


def _repeated(rows: pl.DataFrame) -> pl.DataFrame:
    """The groups in which a symbol stands more than once."""
    ascends = (pl.col(SYMBOL) > pl.col(SYMBOL).shift()) | (pl.col(GROUP) != pl.col(GROUP).shift())
    if rows.select(ascends.all()).item():  # true of most frames, and twice as fast to see
        return rows.select(GROUP).clear()
    groups = rows.group_by(GROUP, maintain_order=True).agg(distinct=pl.col(SYMBOL).n_unique() == pl.len())
    return groups.filter(~pl.col("distinct")).select(GROUP)


def _adjusted(rows: pl.LazyFrame, step: Step, columns: Sequence[str]) -> pl.LazyFrame:
    """Frozen weights leave WEIGHT as nulls, which take no part, and come back into every column of weights."""
    if FROZEN not in rows.collect_schema():
        return step(rows, pl.lit(0.0)).select(WEIGHT, *columns)
    weight, fixed = pl.col(WEIGHT), pl.col("fixed")
    split = rows.with_columns(weight=pl.when(~pl.col(FROZEN)).then(weight), fixed=pl.when(FROZEN).then(weight))
    return step(split, fixed).select(pl.col(WEIGHT, *columns).fill_null(fixed))


def _own_columns(weights: pl.DataFrame) -> list[pl.Expr]:
    """What the constraints read, in the types they compute with."""
    own = [pl.col(SYMBOL), pl.col(WEIGHT).cast(pl.Float64)]
    if FROZEN in weights.columns:
        own.append(pl.col(FROZEN).cast(pl.Boolean).fill_null(False))
    if is_text(weights, BUCKET):
        own.append(pl.col(BUCKET).cast(pl.String))
    if CURRENT in weights.columns:
        # A name without a weight takes no part, nor does what is held of it.
        own.append(pl.when(pl.col(WEIGHT).is_not_null()).then(pl.col(CURRENT).cast(pl.Float64)))
    return own


def _grouped(keys: pl.DataFrame) -> tuple[pl.Series, pl.Series | None]:
    """A sorted key per row under which every group stands together, and the order to bring the rows into, if any."""
    first = keys.to_series()
    if keys.width == 1 and (first.dtype.is_integer() or first.dtype.is_temporal()) and first.is_sorted():
        return first.rechunk().set_sorted(), None
    numbers = _stretches(keys)
    starts = keys.filter(numbers.is_first_distinct())
    if not starts.is_duplicated().any():
        return numbers, None
    order = keys.select(pl.arg_sort_by(keys.columns, maintain_order=True)).to_series()
    return _stretches(keys[order]), order


def _stretches(keys: pl.DataFrame) -> pl.Series:
    """Number the stretches of rows with equal keys: 0, 0, 0, 1, 1, 2, ..."""
    changes = pl.any_horizontal(pl.all() != pl.all().shift()).fill_null(False)
    return keys.select(changes.cum_sum().cast(pl.UInt32)).to_series().set_sorted()
