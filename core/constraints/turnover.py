"""The constraint on turnover."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import polars as pl
from pydantic import ConfigDict

from core.constraints.base import Mode, WeightConstraint, group_level
from core.constraints.exposure import SMALLEST
from core.constraints.forms import Limit, Names, Total
from core.constraints.panel import CURRENT, FROZEN, GROUP, WEIGHT
from core.limits import require_positive

_weight, _current = pl.col(WEIGHT), pl.col(CURRENT)


@dataclass(frozen=True)
class TurnoverConstraint(WeightConstraint):
    """½ Σ|w − c| ≤ max_turnover, where c are the current weights.

    Above it, every trade is scaled by one factor: w = c + θ(w − c), the point of the straight way from the current
    weights to the wanted ones at which the turnover is used up. Where F is the turnover of frozen names and M that of
    the others, θ = min(1, max(0, max_turnover − F) / M). Needs the column `current_weight`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    needs: ClassVar[tuple[str, ...]] = (CURRENT,)
    modes: ClassVar[tuple[Mode, ...]] = ("hard", "soft")  # today's weights have no turnover: nothing can be no worse

    max_turnover: float  # fraction of net asset value, > 0
    kind: Literal["turnover"] = field(default="turnover", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("max_turnover", self.max_turnover)

    @property
    def statement(self) -> str:
        """The limit in words."""
        return f"turnover at most {100 * self.max_turnover:.4g} % of net asset value"

    @property
    def limit(self) -> pl.Expr:
        """The same for every row."""
        return pl.lit(float(self.max_turnover))

    def limits(self, names: Names) -> list[Limit]:
        """One for the group."""
        form = Total.of(self.max_turnover, absolute=0.5 * names.ones, centre=names.current)
        return [Limit(self.kind, "", "turnover", self.max_turnover, (form,), bound="at most ")]

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:
        """Go as far towards the wanted weights as the turnover allows."""
        taken = _turnover(fixed) if FROZEN in rows.collect_schema() else pl.lit(0.0)
        left, asked = (self.limit - taken).clip(lower_bound=0.0), _turnover(_weight)
        theta = (left / pl.max_horizontal(asked, left, pl.lit(SMALLEST))).over(GROUP)
        way = _current + theta * (_weight - _current)
        return rows.with_columns(pl.when(theta < 1.0).then(way).otherwise(_weight).alias(WEIGHT))

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per group: its turnover."""
        turnover = group_level(rows, _turnover(_weight), limit=self.limit)
        return turnover.with_columns(excess=pl.col("level") - pl.col("limit"))


def _turnover(weights: pl.Expr) -> pl.Expr:
    """Per group, as an aggregate; null weights take no part."""
    return 0.5 * (weights - _current).abs().sum()
