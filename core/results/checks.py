"""An independent check for each kind of constraint: its levels, recomputed from the final weights, and which exceed.

Each function of `CHECKS` is a plain aggregation that shares nothing with `core.constraints`. It gives one row per level
that its constraint limits: run, scope, level, `today` (the same level of the current weights), limit as configured,
`sense` (1: at most, −1: at least) and `relaxed_as` (the scope under which the limit may be relaxed).

`unmet` then applies the mode: a `hard` limit is in force as it is; one that is `no_worse` at the worse of the limit and
today's level; a `soft` one as far as a relaxation row of the run grants (`_granted`), but no further than its policy
allows: a row beyond `max_relaxation`, or for another limit than the policy's, counts for nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from core.errors import ConfigurationError
from core.limits import TOLERANCE
from core.schemas import RUN_KEYS, UNKNOWN_BUCKET

WEIGHT, CURRENT = pl.col("target_weight"), pl.col("current_weight")
OF_BUCKET = (*RUN_KEYS, "bucket")

Check = Callable[[pl.DataFrame, pl.DataFrame, Any], pl.DataFrame]
"""From the rows of all runs, the runs, and a constraint to its levels."""


def unmet(rows: pl.DataFrame, runs: pl.DataFrame, constraint: Any, relaxations: pl.DataFrame) -> pl.DataFrame:
    """The levels of a constraint that exceed their limit in force by more than 1e-9: run, scope, limit, level."""
    levels = CHECKS.get(constraint.kind, _no_check)(rows, runs, constraint)
    in_force = _granted(levels, constraint, relaxations) if constraint.mode == "soft" else levels
    limit, sense, today = pl.col("limit"), pl.col("sense"), pl.col("today")
    if constraint.mode == "no_worse":
        worse = pl.when(sense > 0).then(pl.max_horizontal(limit, today)).otherwise(pl.min_horizontal(limit, today))
        in_force = levels.with_columns(limit=worse)
    return in_force.filter(sense * (pl.col("level") - limit) > TOLERANCE).select(*RUN_KEYS, "scope", "limit", "level")


def _granted(levels: pl.DataFrame, constraint: Any, relaxations: pl.DataFrame) -> pl.DataFrame:
    """Levels with their limits as far as relaxation rows moved them, within what the constraint allows."""
    moved = (pl.col("used") - pl.col("limit")).abs()
    allowed = relaxations.filter(
        pl.col("constraint") == constraint.kind, moved <= constraint.max_relaxation + TOLERANCE
    )
    keys = (*RUN_KEYS, "relaxed_as", "limit")
    rooms = allowed.rename({"scope": "relaxed_as"}).group_by(keys).agg(room=(pl.col("used") - pl.col("limit")).max())
    sense, room = pl.col("sense"), pl.col("room").fill_null(0.0)
    # A limit on both sides is relaxed on both, by the size of the room.
    from_both_sides = sense.n_unique().over(keys) > 1
    granted = pl.when(from_both_sides).then(sense * room.abs()).when(sense * room > 0).then(room).otherwise(0.0)
    return levels.join(rooms, on=keys, how="left").with_columns(limit=pl.col("limit") + granted)


def per(rows: pl.DataFrame, keys: Sequence[str], level: Callable[[pl.Expr], pl.Expr]) -> pl.DataFrame:
    """One row per combination of keys: the level of the final weights, and of today's."""
    return rows.group_by(keys).agg(level=level(WEIGHT).cast(pl.Float64), today=level(CURRENT).cast(pl.Float64))


def of_all(asked: pl.DataFrame, levels: pl.DataFrame, keys: Sequence[str] = RUN_KEYS) -> pl.DataFrame:
    """The level of everything that is asked for, 0 where there is none."""
    return asked.join(levels, on=list(keys), how="left").with_columns(pl.col("level", "today").fill_null(0.0))


def _by_name(rows: pl.DataFrame, level: Callable[[pl.Expr], pl.Expr]) -> pl.DataFrame:
    return rows.with_columns(level=level(WEIGHT), today=level(CURRENT))


def _limited(
    levels: pl.DataFrame, sense: int, limit: float | pl.Expr, scope: str | None = None, *, jointly: bool = False
) -> pl.DataFrame:
    """Levels with their limit; `scope` is a column, `jointly` says that one limit is relaxed for all of them."""
    own = pl.lit("") if scope is None else pl.col(scope)
    bound = limit if isinstance(limit, pl.Expr) else pl.lit(float(limit))
    return levels.select(
        *RUN_KEYS, "level", "today", limit=bound, sense=pl.lit(sense), scope=own,
        relaxed_as=pl.lit("") if jointly else own,
    )  # fmt: skip


def _at_most(levels: pl.DataFrame, limit: float | pl.Expr, scope: str | None = None, **how: bool) -> pl.DataFrame:
    return _limited(levels, 1, limit, scope, **how)


def _at_least(levels: pl.DataFrame, limit: float | pl.Expr, scope: str | None = None, **how: bool) -> pl.DataFrame:
    return _limited(levels, -1, limit, scope, **how)


def _exactly(levels: pl.DataFrame, limit: float | pl.Expr, scope: str | None = None) -> pl.DataFrame:
    return pl.concat([_at_most(levels, limit, scope), _at_least(levels, limit, scope)])


def _gross(weight: pl.Expr) -> pl.Expr:
    return weight.abs().sum()


def _count(weight: pl.Expr) -> pl.Expr:
    return (weight.abs() > TOLERANCE).sum()


def _max_gross_exposure(rows: pl.DataFrame, _: pl.DataFrame, constraint: Any) -> pl.DataFrame:
    return _at_most(per(rows, RUN_KEYS, _gross), constraint.max_exposure)


def _min_gross_exposure(rows: pl.DataFrame, runs: pl.DataFrame, constraint: Any) -> pl.DataFrame:
    return _at_least(of_all(runs, per(rows, RUN_KEYS, _gross)), constraint.min_exposure)


def _market_neutral(rows: pl.DataFrame, _: pl.DataFrame, __: Any) -> pl.DataFrame:
    return _exactly(per(rows, RUN_KEYS, pl.Expr.sum), 0.0)


def _net_exposure(rows: pl.DataFrame, runs: pl.DataFrame, constraint: Any) -> pl.DataFrame:
    net = of_all(runs, per(rows, RUN_KEYS, pl.Expr.sum)).with_columns(
        minimum=pl.lit("minimum"), maximum=pl.lit("maximum")
    )
    low, high = (pl.lit(bound, pl.Float64) for bound in (constraint.minimum, constraint.maximum))
    return pl.concat([_at_least(net, low, "minimum"), _at_most(net, high, "maximum")]).drop_nulls("limit")


def _long_only(rows: pl.DataFrame, _: pl.DataFrame, __: Any) -> pl.DataFrame:
    return _at_least(_by_name(rows, lambda weight: weight), 0.0, "symbol", jointly=True)


def _max_position(rows: pl.DataFrame, _: pl.DataFrame, constraint: Any) -> pl.DataFrame:
    """A position of today counts on its own side alone: none that is new may be as large."""
    sizes = _by_name(rows, lambda weight: weight * WEIGHT.sign())
    return _at_most(sizes, constraint.max_weight, "symbol", jointly=True)


def _max_bucket_weight(rows: pl.DataFrame, _: pl.DataFrame, constraint: Any) -> pl.DataFrame:
    gross = per(rows, OF_BUCKET, _gross)
    if not isinstance(constraint.max_weight, Mapping):
        return _at_most(gross, constraint.max_weight, "bucket")
    return _at_most(gross.join(_table("bucket", constraint.max_weight), on="bucket"), pl.col("limit"), "bucket")


def _min_bucket_weight(rows: pl.DataFrame, runs: pl.DataFrame, constraint: Any) -> pl.DataFrame:
    """A map asks for its buckets in every run; one number for the buckets with a selected name."""
    if isinstance(constraint.min_weight, Mapping):
        asked = runs.join(_table("bucket", constraint.min_weight), how="cross")
    else:
        selected = rows.filter(pl.col("rejected_by").is_null(), pl.col("bucket") != UNKNOWN_BUCKET)
        asked = selected.select(OF_BUCKET).unique().with_columns(limit=pl.lit(float(constraint.min_weight)))
    return _at_least(of_all(asked, per(rows, OF_BUCKET, _gross), OF_BUCKET), pl.col("limit"), "bucket")


def _turnover(rows: pl.DataFrame, _: pl.DataFrame, constraint: Any) -> pl.DataFrame:
    return _at_most(per(rows, RUN_KEYS, lambda weight: 0.5 * (weight - CURRENT).abs().sum()), constraint.max_turnover)


def _max_positions(rows: pl.DataFrame, _: pl.DataFrame, constraint: Any) -> pl.DataFrame:
    if constraint.per_bucket:
        return _at_most(per(rows, OF_BUCKET, _count), constraint.max_positions, "bucket")
    return _at_most(per(rows, RUN_KEYS, _count), constraint.max_positions)


def _min_position_weight(rows: pl.DataFrame, _: pl.DataFrame, constraint: Any) -> pl.DataFrame:
    """What is 0 is neither too small now nor was it today."""
    sizes = _by_name(rows, lambda weight: pl.when(weight.abs() > TOLERANCE).then(weight.abs())).drop_nulls("level")
    return _at_least(sizes, constraint.min_weight, "symbol", jointly=True)


def _min_buckets(rows: pl.DataFrame, runs: pl.DataFrame, constraint: Any) -> pl.DataFrame:
    def represented(weight: pl.Expr) -> pl.Expr:
        large = weight.abs() >= constraint.min_weight - TOLERANCE
        return pl.col("bucket").filter(large & (pl.col("bucket") != UNKNOWN_BUCKET)).n_unique()

    return _at_least(of_all(runs, per(rows, RUN_KEYS, represented)), constraint.min_buckets)


def _name_limits(rows: pl.DataFrame, runs: pl.DataFrame, constraint: Any) -> pl.DataFrame:
    """A symbol that a run does not have weighs 0 in it."""
    weights = _by_name(rows, lambda weight: weight).select(*RUN_KEYS, "symbol", "level", "today")
    found = []
    for bound, sense in (("minimum", -1), ("maximum", 1)):
        limits = {symbol: getattr(limit, bound) for symbol, limit in constraint.names.items()}
        asked = runs.join(_table("symbol", limits).drop_nulls(), how="cross")
        levels = of_all(asked, weights, (*RUN_KEYS, "symbol")).with_columns(scope=pl.format(f"{{}} {bound}", "symbol"))
        found.append(_limited(levels, sense, pl.col("limit"), "scope"))
    return pl.concat(found)


def _frozen_names(rows: pl.DataFrame, _: pl.DataFrame, constraint: Any) -> pl.DataFrame:
    listed = rows.filter(pl.col("symbol").is_in(list(constraint.symbols)))
    return _exactly(_by_name(listed, lambda weight: weight), CURRENT, "symbol")


def _table(column: str, limits: Mapping[str, float | None]) -> pl.DataFrame:
    """A map of limits as rows."""
    rows = {column: list(limits), "limit": list(limits.values())}
    return pl.DataFrame(rows, {column: pl.String, "limit": pl.Float64}, strict=False)


def _no_check(_: pl.DataFrame, __: pl.DataFrame, constraint: Any) -> pl.DataFrame:
    raise ConfigurationError(
        f"constraint {constraint.kind!r} has no independent check in core.results.checks: add one to CHECKS; "
        "nothing is published unchecked."
    )


CHECKS: dict[str, Check] = {
    "frozen_names": _frozen_names,
    "long_only": _long_only,
    "market_neutral": _market_neutral,
    "max_bucket_weight": _max_bucket_weight,
    "max_gross_exposure": _max_gross_exposure,
    "max_position": _max_position,
    "max_positions": _max_positions,
    "min_bucket_weight": _min_bucket_weight,
    "min_buckets_represented": _min_buckets,
    "min_gross_exposure": _min_gross_exposure,
    "min_position_weight": _min_position_weight,
    "name_limits": _name_limits,
    "net_exposure": _net_exposure,
    "turnover": _turnover,
}
"""By kind of constraint."""
