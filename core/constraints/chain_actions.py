"""What a chain of constraints did, as typed rows: one per name and rule that changed it, one per unplaced remainder.

The changes of a name add up, to 1e-12, from the weight that was wanted to the one that came out: only changes up to
1e-14, which are rounding, are left out. Columns: those of `by`, then

- `rule`: the kind of the constraint;
- `verb`: "cut" (smaller), "raise" (larger), "shift" (other sign), "unplaced";
- `symbol`, `bucket` (null where weights have none), `before`, `after`;
- `limit` in force (null where there is none); `detail`: null but for what stays unplaced.

Where a filling found no room for all it had to place, one row per group and book says so: symbol null, `before` what
was to be placed, `after` what was, both the gross of the book.
"""

from collections.abc import Sequence

import polars as pl

from core.constraints.base import WeightConstraint
from core.constraints.panel import BUCKET, GROUP, ROW, SYMBOL, Panel
from core.limits import TOLERANCE

ACTION_COLUMNS = pl.Schema(
    {
        "rule": pl.String,
        "verb": pl.String,
        "symbol": pl.String,
        "bucket": pl.String,
        "before": pl.Float64,
        "after": pl.Float64,
        "limit": pl.Float64,
        "detail": pl.String,
    }
)

ROUNDING = 1e-14  # a change up to this size, of weights up to 1, is no change that a rule made

_before, _after = pl.col("before"), pl.col("after")

VERB = (
    pl.when(_before * _after < 0).then(pl.lit("shift"))
    .when(_after.abs() < _before.abs()).then(pl.lit("cut"))
    .otherwise(pl.lit("raise"))
)  # fmt: skip
"""What a rule did to a weight, of the columns before and after."""


def step_column(number: int) -> str:
    """The column with the weights after a step of a chain; step 0 is what came in."""
    return f"step_{number}"


def actions_of(
    panel: Panel, constraints: Sequence[WeightConstraint], steps: pl.DataFrame, without: Sequence[int]
) -> pl.DataFrame:
    """The actions of a chain, rule by rule, in the groups that are not left out: ROW and `ACTION_COLUMNS`.

    `steps` has the weights after each step, in the order of the panel.
    """
    rows = pl.concat([panel.rows, steps.drop("weight")], how="horizontal").with_row_index(ROW).lazy()
    if without:
        rows = rows.filter(~pl.col(GROUP).is_in(list(without)))
    if BUCKET not in panel.rows.columns:
        rows = rows.with_columns(pl.lit(None, pl.String).alias(BUCKET))
    parts = [pl.DataFrame(schema={ROW: pl.UInt32, **ACTION_COLUMNS}).lazy()]
    for number, constraint in enumerate(constraints, start=1):
        changed = rows.with_columns(before=step_column(number - 1), after=step_column(number))
        parts.append(_as_actions(_changes(changed, constraint), constraint))
        if constraint.ceilings is not None:
            parts += [_as_actions(_unplaced(changed, side), constraint) for side in (1, -1)]
    return pl.concat(pl.collect_all(parts, engine="in-memory"))


def _changes(rows: pl.LazyFrame, constraint: WeightConstraint) -> pl.LazyFrame:
    """One row per name that a rule changed."""
    largest = pl.max_horizontal(_before.abs(), _after.abs(), pl.lit(1.0))
    return rows.filter((_after - _before).abs() > ROUNDING * largest).with_columns(
        verb=VERB, symbol=SYMBOL, limit=constraint.limit, detail=None
    )


def _unplaced(rows: pl.LazyFrame, side: int) -> pl.LazyFrame:
    """One row per group where one book lost gross."""
    books = rows.group_by(GROUP, maintain_order=True).agg(
        pl.col(ROW).first(), *((pl.col(column) * side).clip(lower_bound=0.0).sum() for column in ("before", "after"))
    )
    lost = (_before - _after).round_sig_figs(4)
    told = pl.format("long book: {} stays cash", lost) if side > 0 else pl.format("short book: net changes by {}", lost)
    return books.filter(_before - _after > TOLERANCE).with_columns(
        verb=pl.lit("unplaced"), symbol=None, bucket=None, limit=None, detail=told
    )


def _as_actions(rows: pl.LazyFrame, constraint: WeightConstraint) -> pl.LazyFrame:
    told = rows.with_columns(rule=pl.lit(constraint.kind))
    return told.select(ROW, *ACTION_COLUMNS).cast(ACTION_COLUMNS)
