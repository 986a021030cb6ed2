"""Constraints on the exposure of a whole group: its gross, its net, its short side."""

from dataclasses import dataclass, field
from typing import Literal

import polars as pl
from pydantic import ConfigDict

from core.constraints.base import WeightConstraint, group_level
from core.constraints.panel import GROUP, ROW, SYMBOL, WEIGHT
from core.limits import require_positive

SMALLEST = 1e-300  # a divisor in place of 0

_weight = pl.col(WEIGHT)


@dataclass(frozen=True)
class MaxGrossExposureConstraint(WeightConstraint):
    """Σ|w| ≤ max_exposure. Above it, every weight is scaled by max_exposure / Σ|w|.

    Where F is the gross of frozen names and M that of the others, the factor of the others is
    min(1, max(0, max_exposure − F) / M).
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    max_exposure: float  # fraction of net asset value, > 0
    kind: Literal["max_gross_exposure"] = field(default="max_gross_exposure", kw_only=True)

    def __post_init__(self) -> None:
        require_positive("max_exposure", self.max_exposure)

    @property
    def statement(self) -> str:
        """The limit in words."""
        return f"gross exposure at most {self.max_exposure:.4g} times net asset value"

    @property
    def limit(self) -> pl.Expr:
        """The same for every row."""
        return pl.lit(float(self.max_exposure))

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:
        """Scale what may move into what the frozen names leave."""
        left = (self.max_exposure - fixed.abs().sum()).clip(lower_bound=0.0)
        factor = left / pl.max_horizontal(_weight.abs().sum(), left, pl.lit(SMALLEST))
        return rows.with_columns(_weight * factor.over(GROUP))

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per group: its gross."""
        gross = group_level(rows, _weight.abs().sum())
        return gross.with_columns(limit=self.limit, excess=pl.col("level") - self.max_exposure)


@dataclass(frozen=True)
class MarketNeutralConstraint(WeightConstraint):
    """Σw = 0. Each weight minus the group's mean over all its names: w − Σw / n.

    The nearest neutral weights in Euclidean distance. Frozen names count in the sum, and only the others in n.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: Literal["market_neutral"] = field(default="market_neutral", kw_only=True)

    @property
    def statement(self) -> str:
        """The limit in words."""
        return "long and short positions of equal size: net exposure 0"

    @property
    def limit(self) -> pl.Expr:
        """0 for every row."""
        return pl.lit(0.0)

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:
        """Shift what may move by the same amount."""
        shift = (_weight.sum() + fixed.sum()) / _weight.count()
        return rows.with_columns(_weight - shift.over(GROUP))

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per group: its net."""
        return group_level(rows, _weight.sum()).with_columns(limit=self.limit, excess=pl.col("level").abs())


@dataclass(frozen=True)
class LongOnlyConstraint(WeightConstraint):
    """w ≥ 0. Negative weights become 0."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: Literal["long_only"] = field(default="long_only", kw_only=True)

    @property
    def statement(self) -> str:
        """The limit in words."""
        return "no short positions"

    @property
    def limit(self) -> pl.Expr:
        """0 for every row."""
        return pl.lit(0.0)

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:  # noqa: ARG002
        """Cut each short position to 0."""
        return rows.with_columns(_weight.clip(lower_bound=0.0))

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per name: its weight."""
        return rows.select(ROW, scope=SYMBOL, level=_weight, limit=self.limit, excess=-_weight)
