"""Constraints on the exposure of a whole group: its gross, its net, its short side."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl
from pydantic import ConfigDict

from core.constraints.base import WeightConstraint, group_level
from core.constraints.forms import Each, Limit, Names, Total
from core.constraints.panel import CURRENT, GROUP, ROW, SYMBOL, WEIGHT
from core.limits import TOLERANCE, require_positive, require_range

SMALLEST = 1e-300  # a divisor in place of 0
MINIMUM, MAXIMUM = "minimum", "maximum"  # the scopes of the two bounds of a range

_weight, _current = pl.col(WEIGHT), pl.col(CURRENT)


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
        super().__post_init__()
        require_positive("max_exposure", self.max_exposure)

    @property
    def statement(self) -> str:
        """The limit in words."""
        return f"gross exposure at most {self.max_exposure:.4g} times net asset value"

    @property
    def limit(self) -> pl.Expr:
        """That of the row's group."""
        return self._limit if self.mode != "no_worse" else self._limit.over(GROUP)

    @property
    def _limit(self) -> pl.Expr:
        """Per group, as an aggregate."""
        return self.in_force(pl.lit(float(self.max_exposure)), _current.abs().sum())

    def limits(self, names: Names) -> list[Limit]:
        """One for the group."""
        form = Total.of(self.max_exposure, absolute=names.ones)
        return [Limit(self.kind, "", "gross exposure", self.max_exposure, (form,), bound="at most ")]

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:
        """Scale what may move into what the frozen names leave."""
        left = (self._limit - fixed.abs().sum()).clip(lower_bound=0.0)
        factor = left / pl.max_horizontal(_weight.abs().sum(), left, pl.lit(SMALLEST))
        return rows.with_columns(_weight * factor.over(GROUP))

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per group: its gross."""
        gross = group_level(rows, _weight.abs().sum(), limit=self._limit)
        return gross.with_columns(excess=pl.col("level") - pl.col("limit"))


@dataclass(frozen=True)
class MinGrossExposureConstraint(WeightConstraint):
    """Σ|w| ≥ min_exposure. Below it, every weight is scaled by min_exposure / Σ|w|, as far as there is any.

    Where F is the gross of frozen names and M that of the others, the factor of the others is
    max(1, (min_exposure − F) / M).
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    min_exposure: float  # fraction of net asset value, > 0
    kind: Literal["min_gross_exposure"] = field(default="min_gross_exposure", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("min_exposure", self.min_exposure)

    @property
    def statement(self) -> str:
        """The limit in words."""
        return f"gross exposure at least {self.min_exposure:.4g} times net asset value"

    @property
    def limit(self) -> pl.Expr:
        """That of the row's group."""
        return self._limit if self.mode != "no_worse" else self._limit.over(GROUP)

    @property
    def _limit(self) -> pl.Expr:
        """Per group, as an aggregate."""
        return self.in_force_below(pl.lit(float(self.min_exposure)), _current.abs().sum())

    def limits(self, names: Names) -> list[Limit]:
        """One for the group."""
        form = Total.of(-self.min_exposure, absolute=-names.ones)
        return [Limit(self.kind, "", "gross exposure", self.min_exposure, (form,), -1, "at least ")]

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:
        """Scale what may move up to what the frozen names lack."""
        movable = _weight.abs().sum()
        factor = pl.when(movable > TOLERANCE).then((self._limit - fixed.abs().sum()) / movable).otherwise(1.0)
        return rows.with_columns(_weight * factor.clip(lower_bound=1.0).over(GROUP))

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per group: its gross."""
        gross = group_level(rows, _weight.abs().sum(), limit=self._limit)
        return gross.with_columns(excess=pl.col("limit") - pl.col("level"))


@dataclass(frozen=True)
class MarketNeutralConstraint(WeightConstraint):
    """Σw = 0. Each weight minus the group's mean over all its names: w − Σw / n.

    The nearest neutral weights in Euclidean distance. Frozen names count in the sum, and only the others in n. Where
    current weights are given, a name at 0 is not wanted: it is no part of n, and stays at 0.
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

    def limits(self, names: Names) -> list[Limit]:
        """One for the group, from both sides."""
        forms = (Total.of(0.0, linear=names.ones), Total.of(0.0, linear=-names.ones))
        return [Limit(self.kind, "", "net exposure", 0.0, forms, bound="within ±")]

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:
        """Shift what may move by the same amount."""
        net = _weight.sum() + fixed.sum()
        return shifted(rows, net - net.clip(*self._range))

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per group: its net."""
        low, high = self._range
        return net_levels(rows, low, high)

    @property
    def _range(self) -> tuple[pl.Expr, pl.Expr]:
        """The net in force, from and to, per group, as aggregates."""
        today, zero = _current.sum(), pl.lit(0.0)
        return self.in_force_below(zero, today), self.in_force(zero, today)


@dataclass(frozen=True)
class NetExposureConstraint(WeightConstraint):
    """minimum ≤ Σw ≤ maximum; one of the two may be left out.

    Outside, every weight is shifted by the same amount, w − (Σw − nearest bound) / n: the nearest weights in Euclidean
    distance, by projection on a half-space. Frozen names count in the sum, and only the others in n. Where current
    weights are given, a name at 0 is not wanted: it is no part of n, and stays at 0.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    minimum: float | None = None  # signed fractions of net asset value
    maximum: float | None = None
    kind: Literal["net_exposure"] = field(default="net_exposure", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self.kind, self.minimum, self.maximum)

    @property
    def statement(self) -> str:
        """The limit in words."""
        return f"net exposure {range_in_words(self.minimum, self.maximum)} of net asset value"

    @property
    def limit(self) -> pl.Expr:
        """The bound that the net of the row's group exceeds or is nearest to."""
        low, high = self._range
        net = _weight.sum()
        return pl.when(net - high >= low - net).then(high).otherwise(low).over(GROUP)

    def limits(self, names: Names) -> list[Limit]:
        """One per bound, with the bound as its scope."""
        found = []
        if self.minimum is not None:
            form = Total.of(-self.minimum, linear=-names.ones)
            found.append(Limit(self.kind, MINIMUM, "net exposure", self.minimum, (form,), -1, "at least "))
        if self.maximum is not None:
            form = Total.of(self.maximum, linear=names.ones)
            found.append(Limit(self.kind, MAXIMUM, "net exposure", self.maximum, (form,), 1, "at most "))
        return found

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:
        """Shift what may move by the same amount into the range."""
        net = _weight.sum() + fixed.sum()
        return shifted(rows, net - net.clip(*self._range))

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per group and bound: its net."""
        low, high = self._range
        level, nets = pl.col("level"), group_level(rows, _weight.sum(), low=low, high=high)
        below = nets.with_columns(scope=pl.lit(MINIMUM), limit="low", excess=pl.col("low") - level)
        above = nets.with_columns(scope=pl.lit(MAXIMUM), limit="high", excess=level - pl.col("high"))
        return pl.concat([below, above]).filter(pl.col("limit").is_finite())

    @property
    def _range(self) -> tuple[pl.Expr, pl.Expr]:
        """The net in force, from and to, per group, as aggregates; infinite where there is no bound."""
        low = pl.lit(-np.inf if self.minimum is None else float(self.minimum))
        high = pl.lit(np.inf if self.maximum is None else float(self.maximum))
        today = _current.sum()
        return self.in_force_below(low, today), self.in_force(high, today)


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
        """0 for every row; a short position of today may stay where the limit is no_worse."""
        return self.in_force_below(pl.lit(0.0), _current)

    def limits(self, names: Names) -> list[Limit]:
        """One for all names."""
        form = Each(names.zeros, names.ones * np.inf)
        return [Limit(self.kind, "", "smallest weight", 0.0, (form,), -1, "at least ")]

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:  # noqa: ARG002
        """Cut each short position to 0."""
        return rows.with_columns(_weight.clip(lower_bound=self.limit))

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per name: its weight."""
        return rows.select(ROW, scope=SYMBOL, level=_weight, limit=self.limit, excess=self.limit - _weight)


def range_in_words(minimum: float | None, maximum: float | None) -> str:
    """`at least 20 %`, `at most 30 %`, or `from 20 % to 30 %`."""
    if minimum is not None and maximum is not None:
        return f"from {100 * minimum:.4g} % to {100 * maximum:.4g} %"
    return f"at most {100 * maximum:.4g} %" if maximum is not None else f"at least {100 * (minimum or 0.0):.4g} %"


def shifted(rows: pl.LazyFrame, excess: pl.Expr) -> pl.LazyFrame:
    """Rows with every name that may move lower by the same amount, so that the net of the group falls by `excess`.

    `excess` is an aggregate per group. Where current weights are given, a name at 0 is not wanted, and stays.
    """
    moves = _weight.is_not_null() if CURRENT not in rows.collect_schema() else _weight.abs() > TOLERANCE
    share = (excess / moves.sum().clip(lower_bound=1)).over(GROUP)
    return rows.with_columns(_weight - (share if CURRENT not in rows.collect_schema() else share * moves))


def net_levels(rows: pl.LazyFrame, low: pl.Expr, high: pl.Expr) -> pl.LazyFrame:
    """One row per group: its net, and the bound of its range that it exceeds or is nearest to."""
    level = pl.col("level")
    nets = group_level(rows, _weight.sum(), low=low, high=high)
    above = level - pl.col("high") >= pl.col("low") - level
    return nets.with_columns(
        limit=pl.when(above).then("high").otherwise("low"),
        excess=pl.max_horizontal(level - pl.col("high"), pl.col("low") - level),
    )
