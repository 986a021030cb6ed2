"""What a summary counts over all rows of a batch, so that it can be told without them.

`totals_of` counts the rows of a batch, or of a shard of it; `together` adds up those of several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from core.actions import sentences
from core.limits import TOLERANCE

DEED = ("rule", "verb")


@dataclass(frozen=True)
class Totals:
    """Over all portfolios of a batch.

    `figures`: one row per portfolio with targets: portfolio_id, names, opened, closed, turnover, gross, net, cash.
    `enforced`: one row per rule and what it did: rule, verb, times, portfolios, example. `rows`: how many rows each
    frame has.
    """

    figures: pl.DataFrame = field(repr=False)
    enforced: pl.DataFrame = field(repr=False)
    rows: Mapping[str, int]


def totals_of(frames: Mapping[str, pl.DataFrame]) -> Totals:
    """The totals of frames by name, `targets` and `actions` among them."""
    rows = {name: frame.height for name, frame in frames.items()}
    return Totals(figures_of(frames["targets"]), _enforced(frames["actions"]), rows)


def together(parts: Sequence[Totals]) -> Totals:
    """The totals of parts that have no portfolio in common."""
    enforced = pl.concat([part.enforced for part in parts])
    sums = enforced.group_by(DEED, maintain_order=True).agg(
        pl.col("times", "portfolios").sum(), pl.col("example").first()
    )
    rows = {name: sum(part.rows[name] for part in parts) for name in parts[0].rows}
    return Totals(pl.concat([part.figures for part in parts]), sums, rows)


def figures_of(target_rows: pl.DataFrame) -> pl.DataFrame:
    """One row per portfolio: names, opened, closed, turnover, gross, net, cash."""
    names = ~pl.col("is_cash")
    target, current = pl.col("target_weight").filter(names), pl.col("current_weight").filter(names)
    action = pl.col("action").cast(pl.String).filter(names)
    return target_rows.group_by("portfolio_id").agg(
        names=(target.abs() > TOLERANCE).sum(),
        opened=(action == "open").sum(),
        closed=(action == "close").sum(),
        turnover=(target - current).abs().sum() / 2,
        gross=target.abs().sum(),
        net=target.sum(),
        cash=pl.col("target_weight").filter("is_cash").sum(),
    )


def _enforced(actions: pl.DataFrame) -> pl.DataFrame:
    """How often each rule did what, in how many portfolios, and the first case as a sentence."""
    counted = actions.group_by(DEED, maintain_order=True).agg(
        times=pl.len(), portfolios=pl.col("portfolio_id").n_unique()
    )
    first = sentences(actions.unique(DEED, keep="first", maintain_order=True))
    words = counted.with_columns(pl.col(DEED).cast(pl.String), pl.col("times", "portfolios").cast(pl.Int64))
    return words.with_columns(example=pl.Series(first, dtype=pl.String))
