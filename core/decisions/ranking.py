"""The order in which names take slots, the same everywhere: fixed first, then incumbents, then by score, then by name.

An incumbent is a held name considered on the side it is held on; a name that would change its sign competes as a new
one. A name is `alive` while no rule has rejected it.
"""

import polars as pl

from core.actions import action_rows
from core.schemas import RUN_KEYS, Actions, empty

ALIVE = pl.col("rejected_by").is_null()
INCUMBENT = pl.col("held") & ~pl.col("fixed") & (pl.col("current_weight") * pl.col("side") >= 0)
NEW = ~INCUMBENT & ~pl.col("fixed")
TIER = pl.when("fixed").then(0).when(INCUMBENT).then(1).otherwise(2).alias("tier")


def in_slot_order(rows: pl.DataFrame, *first: str) -> pl.DataFrame:
    """Rows sorted by run, then by the columns `first`, then by tier, score (highest first, none last) and name."""
    return rows.with_columns(TIER).sort(
        *RUN_KEYS,
        *first,
        "tier",
        "score",
        "symbol",
        descending=[False] * (len(RUN_KEYS) + len(first) + 1) + [True, False],
        nulls_last=True,
    )


def place(*group: str) -> pl.Expr:
    """The 1-based place of a row within its run and the columns of `group`, in the order of the frame."""
    return pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(*RUN_KEYS, *group)


def reject(
    rows: pl.DataFrame,
    condition: pl.Expr,
    step: str,
    rule: str,
    *,
    level: pl.Expr | None = None,
    limit: float | pl.Expr | None = None,
    detail: pl.Expr | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Mark alive rows that meet a condition as rejected by a rule; returns all rows, and one action per rejection."""
    falls = ALIVE & condition
    fallen = rows.filter(falls)
    if fallen.is_empty():
        return rows, empty(Actions)
    actions = action_rows(fallen, step, rule, "reject", before=level, limit=limit, detail=detail)
    marked = pl.when(falls).then(pl.lit(rule)).otherwise("rejected_by")
    return rows.with_columns(rejected_by=marked), actions
