"""The last word: every limit in force, recomputed from the final weights.

`breaches` returns one row per limit that is not met; no rows means that a run may be published. It shares nothing
with the code that made the weights: each constraint has a check of its own, found by its `kind`
(`core.results.checks`), and a constraint without a check is refused. `_count_breaches` adds the counts of the limits,
`_integrity_breaches` what must hold whatever is configured: finite weights, fixed names unmoved, rejected names at
zero, or, where they are held, on their way there.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from core.limits import TOLERANCE, RebalancingLimits
from core.results.checks import CURRENT, OF_BUCKET, WEIGHT, unmet
from core.schemas import RUN_KEYS, UNKNOWN_BUCKET, Breaches, Relaxations, empty

POSITIONS = WEIGHT.abs() > TOLERANCE
STAYS = pl.col("held") & (CURRENT * WEIGHT > 0)  # held, and on the same side


def breaches(
    rows: pl.DataFrame,
    runs: pl.DataFrame,
    constraints: Sequence[Any],
    limits: RebalancingLimits,
    per_side: int | None = None,
    relaxations: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row per limit that the `target_weight` of `rows` does not meet; schema `Breaches`.

    `rows`: schema `Sized` with `target_weight`, all names of each run, the rejected ones included. `runs`
    (portfolio_id, as_of): all runs, also those without a row. `per_side`: the number of names that a long-short book
    must have on each side. `relaxations`: schema `Relaxations`, the soft limits that gave way; none did where left out.
    """
    finite = rows.with_columns(target_weight=pl.when(WEIGHT.is_finite()).then(WEIGHT).otherwise(0.0))
    granted = empty(Relaxations) if relaxations is None else relaxations
    checked = [_named(unmet(finite, runs, each, granted), each.kind) for each in constraints]
    columns = Breaches.column_names()
    parts = [*_integrity_breaches(rows, runs), *checked, *_count_breaches(finite, runs, limits, per_side)]
    found = pl.concat([part.select(pl.col(name).cast(_TYPES[name]) for name in _TYPES) for part in parts]).unique()
    excess = found.with_columns(excess=(pl.col("level") - pl.col("limit")).abs())
    return Breaches.cast(excess.select(columns).sort(columns[:4]))


_TYPES = {name: dtype for name, dtype in empty(Breaches).schema.items() if name != "excess"}


def _limited(levels: pl.DataFrame, limit: float | pl.Expr, scope: str | None) -> pl.DataFrame:
    """`levels` (run, level) with their limit, and a column as their scope; none: the whole portfolio."""
    return levels.with_columns(limit=limit, scope=pl.col(scope) if scope else pl.lit(""))


def _above(levels: pl.DataFrame, limit: float | pl.Expr, scope: str | None = None) -> pl.DataFrame:
    return _limited(levels, limit, scope).filter(pl.col("level") > pl.col("limit") + TOLERANCE)


def _below(levels: pl.DataFrame, limit: float | pl.Expr, scope: str | None = None) -> pl.DataFrame:
    return _limited(levels, limit, scope).filter(pl.col("level") < pl.col("limit") - TOLERANCE)


def _per(rows: pl.DataFrame, keys: Sequence[str], level: pl.Expr, **others: pl.Expr) -> pl.DataFrame:
    return rows.group_by(keys).agg(level=level.cast(pl.Float64), **others)


def _of_all(runs: pl.DataFrame, levels: pl.DataFrame) -> pl.DataFrame:
    """The level of every run, 0 for one without a row."""
    return runs.join(levels, on=RUN_KEYS, how="left").with_columns(pl.col("level").fill_null(0.0))


def _integrity_breaches(rows: pl.DataFrame, runs: pl.DataFrame) -> Iterator[pl.DataFrame]:
    finite = WEIGHT.is_not_null() & WEIGHT.is_finite()
    yield _named(_above(_of_all(runs, _per(rows, RUN_KEYS, (~finite).sum())), 0.0), "finite_weight")
    yield _named(_off(rows.filter("fixed", finite), CURRENT), "fixed_weight")
    on_its_way = pl.when("held").then(WEIGHT.clip(CURRENT.clip(upper_bound=0.0), CURRENT.clip(lower_bound=0.0)))
    rejected = rows.filter(pl.col("rejected_by").is_not_null(), finite)
    yield _named(_off(rejected, on_its_way.otherwise(0.0)), "rejected_name")


def _off(rows: pl.DataFrame, limit: pl.Expr) -> pl.DataFrame:
    """The names that are not where they must be."""
    judged = rows.with_columns(level=WEIGHT, limit=limit, scope=pl.col("symbol"))
    return judged.filter((pl.col("level") - pl.col("limit")).abs() > TOLERANCE)


def _count_breaches(
    rows: pl.DataFrame, runs: pl.DataFrame, limits: RebalancingLimits, per_side: int | None
) -> Iterator[pl.DataFrame]:
    protected = not limits.allow_forced_closures
    if protected:
        forced = rows.filter(pl.col("held") & pl.col("rejected_by").is_null() & ~POSITIONS)
        closed = forced.with_columns(level=0.0, limit=pl.col("current_weight"), scope=pl.col("symbol"))
        yield _named(closed, "forced_closure")
    names, stay = POSITIONS.sum(), STAYS.sum()
    total = _per(rows, RUN_KEYS, names, stay=stay)
    in_force = _or_held(limits.max_total_positions, protected)
    yield _named(_above(total, in_force), "max_total_positions")
    initial = limits.max_new_positions if limits.initial_new_positions is None else limits.initial_new_positions
    new = _per(rows, RUN_KEYS, (POSITIONS & ~STAYS).sum(), held=pl.col("held").any())
    entries = pl.when("held").then(limits.max_new_positions).otherwise(initial).cast(pl.Float64)
    yield _named(_above(new, entries), "max_new_positions")
    if limits.total_is_hard:
        gross = _of_all(runs, _per(rows, RUN_KEYS, WEIGHT.abs().sum()))
        yield _named(_below(gross, limits.target_total_allocation), "target_total_allocation")
    if per_side is not None:
        for side, sign in (("long", 1), ("short", -1)):
            book = _of_all(runs, _per(rows, RUN_KEYS, (WEIGHT * sign > TOLERANCE).sum())).with_columns(
                side=pl.lit(side)
            )
            yield _named(_below(book, float(per_side), "side"), "long_short")
    if limits.enable_bucket_diversification:
        yield from _bucket_count_breaches(rows, runs, limits, protected)


def _bucket_count_breaches(
    rows: pl.DataFrame, runs: pl.DataFrame, limits: RebalancingLimits, protected: bool
) -> Iterator[pl.DataFrame]:
    if limits.enforce_position_limits:
        held = _per(rows, OF_BUCKET, POSITIONS.sum(), stay=STAYS.sum())
        in_force = _or_held(limits.max_positions_per_bucket, protected or limits.allow_bucket_overflow)
        yield _named(_above(held, in_force, "bucket"), "max_positions_per_bucket")
    if limits.enforce_min_buckets:
        large = (WEIGHT.abs() >= limits.min_position_weight - TOLERANCE) & (pl.col("bucket") != UNKNOWN_BUCKET)
        reached = _of_all(runs, _per(rows, RUN_KEYS, pl.col("bucket").filter(large).n_unique()))
        yield _named(_below(reached, float(limits.min_buckets_represented)), "min_buckets_represented")


def _or_held(limit: int, overflow: bool) -> pl.Expr:
    """A count limit in force: where held names are protected, at least the number of those that stay."""
    configured = pl.lit(float(limit))
    return pl.max_horizontal(configured, pl.col("stay").cast(pl.Float64)) if overflow else configured


def _named(found: pl.DataFrame, constraint: str) -> pl.DataFrame:
    return found.with_columns(constraint=pl.lit(constraint))


def breach_sentence(breach: dict[str, Any]) -> str:
    """One breach as a sentence."""
    scope = f" of {breach['scope']}" if breach["scope"] else ""
    level, limit, excess = breach["level"], breach["limit"], breach["excess"]
    return f"{breach['constraint']}{scope} is {level:.6g}, limit {limit:.6g}, off by {excess:.3g}."
