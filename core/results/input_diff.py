"""Which input rows of a portfolio differ between two runs.

`input_changes` compares what each was made from, frame by frame (`_frame_changes`): its own rows and the shared ones,
matched by their keys, cell by cell, as text, for inputs that the data gate refused may hold anything. Days that only
one side has are told as days (`_whole_days`), the other rows one by one: `_one_sided`, and by cell `_changed`.
"""

from collections.abc import Mapping

import polars as pl

from core.models import Inputs
from core.results.identity import OF_PORTFOLIO
from core.schemas import ALL_PORTFOLIOS, INPUTS, RUN_KEYS

INPUT_CHANGES = {
    "frame": pl.String(),
    "change": pl.String(),  # added, removed, changed; of whole days: day added, day removed
    "row": pl.String(),  # its key, or the day
    "column": pl.String(),
    "before": pl.String(),
    "after": pl.String(),
    "rows": pl.Int64(),  # so many input rows this one stands for
}
SNAPSHOTS = ("positions", "cash", "candidates", "last_prices")  # of one day: matched without it
WHOLE_DAY = 10  # a day that only one side has, with more rows than this, is told as a day
NUMBER = "#"  # numbers rows of the same key


def input_changes(before: Inputs, after: Inputs, portfolio_id: str) -> pl.DataFrame:
    """One row per input row that was added or removed, and per cell that changed: the columns of `INPUT_CHANGES`.

    `before` and `after` are those of whole batches. Where they are of different days, the day of a snapshot is no
    difference.
    """
    old, new = (_own(inputs.all_frames, portfolio_id) for inputs in (before, after))
    same_day = before.as_of == after.as_of
    found = [_frame_changes(name, old[name], new[name], same_day=same_day) for name in (*INPUTS, "last_prices")]
    return pl.concat([pl.DataFrame(schema=INPUT_CHANGES), *found])


def _own(frames: Mapping[str, pl.DataFrame], portfolio_id: str) -> dict[str, pl.DataFrame]:
    """The frames with the rows that concern a portfolio: its own, and the shared ones."""
    mine = pl.col("portfolio_id").cast(pl.String).is_in([portfolio_id, ALL_PORTFOLIOS])
    return {name: frame.filter(mine) if name in OF_PORTFOLIO else frame for name, frame in frames.items()}


def _frame_changes(name: str, old: pl.DataFrame, new: pl.DataFrame, *, same_day: bool) -> pl.DataFrame:
    """The differences of one frame."""
    if old.equals(new):
        return pl.DataFrame(schema=INPUT_CHANGES)
    keys = _keys(name)
    dropped = [] if same_day or name not in SNAPSHOTS else ["as_of"]
    left, right = (_numbered(frame.drop(dropped).cast(pl.String), keys) for frame in (old, new))
    days = []
    if "as_of" in keys:
        days = [_whole_days(left, right, "day removed"), _whole_days(right, left, "day added")]
        left, right = _without_whole_days(left, right), _without_whole_days(right, left)
    keys = [*keys, NUMBER]
    rows = [
        _one_sided(left, right, keys, "removed", "before"),
        _one_sided(right, left, keys, "added", "after"),
        _changed(left, right, keys),
    ]
    told = [part.with_columns(frame=pl.lit(name)) for part in (*rows, *days)]
    return pl.concat([_as_declared(part) for part in told])


def _keys(name: str) -> list[str]:
    """The columns that tell the rows of a portfolio apart."""
    declared = ["symbol"] if name == "last_prices" else list(INPUTS[name].primary_key())
    left_out = {"as_of"} if name in SNAPSHOTS else set()
    return [column for column in declared if column not in left_out]


def _numbered(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """The rows in an order of their own, with a number that tells those of the same key apart."""
    ordered = rows.sort(rows.columns, nulls_last=True)
    return ordered.with_columns(pl.int_range(pl.len()).over(keys).cast(pl.String).alias(NUMBER))


def _is_whole_day(other: pl.DataFrame) -> pl.Expr:
    there = pl.col("as_of").is_in(other["as_of"].unique().implode(), nulls_equal=True)
    return ~there & (pl.len().over("as_of") > WHOLE_DAY)


def _whole_days(rows: pl.DataFrame, other: pl.DataFrame, change: str) -> pl.DataFrame:
    days = rows.filter(_is_whole_day(other)).group_by("as_of").agg(rows=pl.len()).sort("as_of")
    return days.select(row="as_of", change=pl.lit(change), rows="rows")


def _without_whole_days(rows: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(~_is_whole_day(other))


def _one_sided(rows: pl.DataFrame, other: pl.DataFrame, keys: list[str], change: str, side: str) -> pl.DataFrame:
    """Rows of a key that the other side does not have, with their cells in words."""
    alone = rows.join(other, on=keys, how="anti", nulls_equal=True, maintain_order="left")
    cells = [column for column in rows.columns if column not in (*keys, *RUN_KEYS)]
    words = [pl.format("{} {}", pl.lit(column), pl.col(column)) for column in cells]
    told = pl.concat_str(words, separator=", ", ignore_nulls=True) if words else pl.lit("")
    return alone.select(_row(keys), told.alias(side), change=pl.lit(change), rows=pl.lit(1))


def _changed(left: pl.DataFrame, right: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """One row per cell that differs in rows of the same key."""
    both = left.join(right, on=keys, how="inner", nulls_equal=True, suffix=" after", maintain_order="left")
    cells = [column for column in left.columns if column not in keys and column in right.columns]
    differ = [
        both.filter(pl.col(column).ne_missing(pl.col(f"{column} after"))).select(
            _row(keys),
            column=pl.lit(column),
            before=pl.col(column),
            after=pl.col(f"{column} after"),
            change=pl.lit("changed"),
            rows=pl.lit(1),
        )
        for column in cells
    ]
    return pl.concat([_as_declared(part) for part in differ]).sort("row", maintain_order=True)


def _row(keys: list[str]) -> pl.Expr:
    """A row's key in words; further rows of the same key bear their number."""
    named = [pl.col(key).fill_null("(none)") for key in keys if key not in ("portfolio_id", NUMBER)]
    again = pl.when(pl.col(NUMBER) != "0").then(pl.format("again ({})", NUMBER))
    return pl.concat_str(
        [*(named or [pl.col("portfolio_id").fill_null("(none)")]), again], separator=" ", ignore_nulls=True
    ).alias("row")


def _as_declared(rows: pl.DataFrame) -> pl.DataFrame:
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in INPUT_CHANGES.items() if name not in rows.columns]
    return rows.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in INPUT_CHANGES.items())
