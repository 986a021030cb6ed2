"""The constraint on single positions."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl
from pydantic import ConfigDict

from core.constraints.base import WeightConstraint
from core.constraints.ceilings import Ceilings, clipped
from core.constraints.forms import Each, Limit, Names
from core.constraints.panel import CURRENT, ROW, SYMBOL, WEIGHT
from core.limits import require_positive

_weight, _size = pl.col(WEIGHT), pl.col(WEIGHT).abs()


@dataclass(frozen=True)
class MaxPositionConstraint(WeightConstraint):
    """|w| ≤ max_weight for every name.

    With `redistribute`, what is cut goes to the other names of the same book (long or short) in proportion to their
    weights, until nobody is above the cap: w = min(max_weight, s·|w|) per book, by exact water-filling
    (`core.constraints.filling`). What finds no room stays unplaced: cash for a long book, a change of net for a short
    one. Without it, plain clipping. Frozen names are not cut, and what is cut does not go to them.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    max_weight: float  # fraction of net asset value, > 0
    redistribute: bool = True
    kind: Literal["max_position"] = field(default="max_position", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("max_weight", self.max_weight)

    @property
    def statement(self) -> str:
        """The limit in words."""
        return f"no position above {100 * self.max_weight:.4g} % of net asset value"

    @property
    def limit(self) -> pl.Expr:
        """The same for every row; a larger position of today may stay, on its side, where the limit is no_worse."""
        return self.in_force(pl.lit(float(self.max_weight)), pl.col(CURRENT) * pl.col(WEIGHT).sign())

    def limits(self, names: Names) -> list[Limit]:
        """One for all names."""
        cap = self.max_weight * names.ones
        return [Limit(self.kind, "", "max position", self.max_weight, (Each(-cap, cap),))]

    @property
    def ceilings(self) -> Ceilings | None:
        """The cap, where what is cut is placed again."""
        return Ceilings(positions=(self.limit,)) if self.redistribute else None

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:
        """Fill each book under the cap, or clip."""
        if self.ceilings is not None:
            return self.ceilings.filled(rows, fixed)
        if self.mode == "no_worse":
            return rows.with_columns(clipped(_weight, self.limit))
        return rows.with_columns(_weight.map_batches(self._clipped, return_dtype=pl.Float64))

    def _clipped(self, weight: pl.Series) -> pl.Series:
        """Under one cap for all names; by NumPy, where none is null, as that is twice as fast."""
        if weight.null_count():
            return weight.clip(-self.max_weight, self.max_weight)
        return pl.Series(weight.name, np.clip(weight.to_numpy(), -self.max_weight, self.max_weight))

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per name: the size of its position."""
        return rows.select(ROW, scope=SYMBOL, level=_size, limit=self.limit, excess=_size - self.limit)
