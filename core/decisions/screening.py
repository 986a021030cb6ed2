"""Screening: which names may compete for slots at all, judged one by one.

`screened` rejects in this order: candidates that the data gate excludes, that are not tradable, that have no score or
not the number that sizing reads; then every name below its threshold, `min_score_threshold` for incumbents and
`min_score_new_position` for new ones. What is rejected here takes no slot later. Fixed names are never rejected.
"""

import polars as pl

from core.actions import action_rows, numbered
from core.decisions.ranking import INCUMBENT, NEW, reject
from core.limits import TOLERANCE, RebalancingLimits
from core.models import Step

STEP = "screening"


def screened(rows: pl.DataFrame, limits: RebalancingLimits, sizing_input: str | None = None) -> Step:
    """Scored rows with `fixed` and `rejected_by` decided; schema `Decided`.

    `sizing_input` is the column that the sizing reads (a proposed weight, a volatility): without it, a held name is
    fixed and a new one rejected, as without a score.
    """
    no_input = pl.col(sizing_input).is_null() if sizing_input else pl.lit(False)
    rows = rows.with_columns(
        fixed=pl.col("held") & (~pl.col("tradable") | pl.col("score").is_null() | no_input),
        rejected_by=pl.lit(None, dtype=pl.String),
    )
    actions = [_kept(rows)]
    score = pl.col("score")
    for rule, condition, level, limit, detail in (
        ("data_gate", pl.col("excluded").is_not_null() & ~pl.col("held"), None, None, pl.col("excluded")),
        ("not_tradable", ~pl.col("tradable"), None, None, None),
        ("no_score", score.is_null(), None, None, None),
        (f"no_{sizing_input}", no_input, None, None, None),
        (
            "min_score_threshold",
            INCUMBENT & (score < limits.min_score_threshold - TOLERANCE),
            score,
            limits.min_score_threshold,
            None,
        ),
        (
            "min_score_new_position",
            NEW & (score < limits.min_score_new_position - TOLERANCE),
            score,
            limits.min_score_new_position,
            None,
        ),
    ):
        rows, taken = reject(rows, condition & ~pl.col("fixed"), STEP, rule, level=level, limit=limit, detail=detail)
        actions.append(taken)
    return Step(rows, numbered(actions))


def _kept(rows: pl.DataFrame) -> pl.DataFrame:
    """One action per fixed name: why its weight does not move."""
    why = (
        pl.when(~pl.col("tradable")).then(pl.lit("not tradable"))
        .when(pl.col("score").is_null()).then(pl.lit("no score"))
        .otherwise(pl.lit("no input for sizing"))
    )  # fmt: skip
    weight = pl.col("current_weight")
    return action_rows(rows.filter("fixed"), STEP, "fixed", "keep", before=weight, after=weight, detail=why)
