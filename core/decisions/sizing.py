"""Sizing: the wanted weights of the chosen names.

Each method gives a share to every movable name (`_shares`); the shares of a run, or of a side of a long-short run, are
scaled so that with the fixed names they sum to the wanted gross. Fixed names keep their weight, rejected names get 0.
"""

import polars as pl

from core.arithmetic import ordered_sum, ratio
from core.decisions.ranking import ALIVE
from core.limits import TOLERANCE, RebalancingLimits
from core.policy import AsProposed, EqualWeight, InverseVolatility, LongShort, ScoreWeighted, Sizing
from core.schemas import KEYS, RUN_KEYS, Sized

MOVABLE = ALIVE & ~pl.col("fixed")


def sized(rows: pl.DataFrame, sizing: Sizing, limits: RebalancingLimits) -> pl.DataFrame:
    """Rows of `Decided` with `wanted_weight`; schema `Sized`. The wanted gross is `target_total_allocation`."""
    group = (*RUN_KEYS, "side") if isinstance(sizing, LongShort) else RUN_KEYS
    total = limits.target_total_allocation / (2 if isinstance(sizing, LongShort) else 1)
    share = pl.when(MOVABLE).then(_shares(sizing)).otherwise(0.0)
    fixed = ordered_sum(pl.when(ALIVE & pl.col("fixed")).then(pl.col("current_weight").abs())).over(group)
    shares = ordered_sum(share.abs()).over(group)
    room = pl.max_horizontal(total - fixed, 0.0)
    movable_weight = pl.when(shares > TOLERANCE).then(share * ratio(room, shares)).otherwise(0.0)
    wanted = (
        pl.when(~ALIVE).then(0.0).when("fixed").then("current_weight").otherwise(movable_weight)
    )  # fmt: skip
    return Sized.cast(rows.sort(KEYS).with_columns(wanted_weight=wanted).select(Sized.column_names()))


def _shares(sizing: Sizing) -> pl.Expr:
    """Signed shares, of any scale, of the names that may move."""
    match sizing:
        case EqualWeight():
            return pl.lit(1.0)
        case ScoreWeighted():
            return pl.col("score")
        case InverseVolatility():
            return 1.0 / pl.col("volatility")
        case AsProposed():
            return pl.col("proposed_weight")
        case LongShort():
            return pl.col("side").cast(pl.Float64)
