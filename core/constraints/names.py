"""Constraints on names one by one: bounds of their own, and weights that must not move."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import ConfigDict

from core.constraints.base import Mode, WeightConstraint
from core.constraints.exposure import MAXIMUM, MINIMUM, range_in_words
from core.constraints.forms import Each, Form, Limit, Names, Total
from core.constraints.panel import CURRENT, GROUP, ROW, SYMBOL, WEIGHT
from core.errors import ConfigurationError
from core.limits import TOLERANCE, require_range

_weight, _current = pl.col(WEIGHT), pl.col(CURRENT)


@dataclass(frozen=True)
class NameLimit:
    """The range of one name's weight, signed; one of the two bounds may be left out."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    minimum: float | None = None  # signed fractions of net asset value
    maximum: float | None = None

    def __post_init__(self) -> None:
        require_range("a name", self.minimum, self.maximum)


@dataclass(frozen=True)
class NameLimitsConstraint(WeightConstraint):
    """minimum ≤ w ≤ maximum for the names that the map has; each is clipped to its range, the nearest weight in it.

    The weight is signed: a short position of at most 5 % is a minimum of −0.05. A name that is not in a group weighs
    0 there, so that a minimum above 0 is not met. Where current weights are given, a name at 0 is not wanted, and stays
    at 0.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    names: Mapping[str, NameLimit]  # by symbol
    kind: Literal["name_limits"] = field(default="name_limits", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "names", dict(self.names))  # of our own: a limit does not change later
        if not self.names:
            raise ConfigurationError("names of name_limits is empty: give at least one symbol its limits.")

    @property
    def statement(self) -> str:
        """The limit in words."""
        named = ", ".join(f"{symbol} {range_in_words(own.minimum, own.maximum)}" for symbol, own in self.names.items())
        return f"positions in their own range of net asset value: {named}"

    @property
    def limit(self) -> pl.Expr:
        """The bound that the row's weight is beyond or nearest to; null where the name has none."""
        low, high = self._range
        nearest = pl.when(_weight - high >= low - _weight).then(high).otherwise(low)
        return pl.coalesce(nearest, high)

    @property
    def _range(self) -> tuple[pl.Expr, pl.Expr]:
        """The bounds in force of a row's name, null where it has none."""
        low, high = (
            pl.col(SYMBOL).replace_strict(self._bounds(bound), default=None, return_dtype=pl.Float64)
            for bound in (MINIMUM, MAXIMUM)
        )
        return self.in_force_below(low, _current), self.in_force(high, _current)

    def _bounds(self, bound: str) -> dict[str, float]:
        """The symbols that have one of the two bounds, with it."""
        given = {symbol: getattr(limit, bound) for symbol, limit in sorted(self.names.items())}
        return {symbol: float(limit) for symbol, limit in given.items() if limit is not None}

    def limits(self, names: Names) -> list[Limit]:
        """One for each symbol and bound; the scope has both."""
        sides: tuple[tuple[str, Literal[1, -1], str], ...] = ((MINIMUM, -1, "at least "), (MAXIMUM, 1, "at most "))
        return [
            Limit(
                self.kind, _scope(symbol, bound), f"weight of {symbol}", limit,
                (_bounded(names, symbol, limit, side),), side, words,
            )
            for bound, side, words in sides
            for symbol, limit in self._bounds(bound).items()
        ]  # fmt: skip

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:  # noqa: ARG002
        """Clip each name to its range."""
        clipped = _weight.clip(*self._range)
        if CURRENT in rows.collect_schema():
            clipped = pl.when(_weight.abs() > TOLERANCE).then(clipped).otherwise(_weight)
        return rows.with_columns(clipped)

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per group, symbol and bound: the symbol's weight, 0 where it is not in the group."""
        (low, high), found = self._range, self._found(rows)
        below = found.select(ROW, scope=_scope_of(MINIMUM), level=_weight, limit=low, excess=low - _weight)
        above = found.select(ROW, scope=_scope_of(MAXIMUM), level=_weight, limit=high, excess=_weight - high)
        return pl.concat([below, above]).drop_nulls("limit")

    def _found(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per group and symbol of the map: the weights of the symbol."""
        read = [WEIGHT, *([CURRENT] if self.mode == "no_worse" else [])]
        symbols = pl.LazyFrame({SYMBOL: sorted(self.names)})
        asked = rows.group_by(GROUP, maintain_order=True).agg(pl.col(ROW).first()).join(symbols, how="cross")
        found = asked.join(rows.select(GROUP, SYMBOL, *read), on=[GROUP, SYMBOL], how="left", maintain_order="left")
        return found.with_columns(pl.col(read).fill_null(0.0))


@dataclass(frozen=True)
class FrozenNamesConstraint(WeightConstraint):
    """w = c for the symbols listed, where c is the current weight: they are not traded.

    Needs the column `current_weight`. Other constraints of a chain may move the names again, and the exact solution
    then puts them back; the column `frozen` of weights keeps names from moving in closed form too.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    needs: ClassVar[tuple[str, ...]] = (CURRENT,)
    modes: ClassVar[tuple[Mode, ...]] = ("hard",)

    symbols: tuple[str, ...]
    kind: Literal["frozen_names"] = field(default="frozen_names", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.symbols, str) or not self.symbols:
            raise ConfigurationError(f"symbols of frozen_names is {self.symbols!r}: it must be a list of symbols.")
        object.__setattr__(self, "symbols", tuple(sorted({*self.symbols})))

    @property
    def statement(self) -> str:
        """The limit in words."""
        return f"no trade in {', '.join(self.symbols)}"

    @property
    def limit(self) -> pl.Expr:
        """The current weight of a frozen name; null for the others."""
        return pl.when(pl.col(SYMBOL).is_in(self.symbols)).then(_current)

    def limits(self, names: Names) -> list[Limit]:
        """One for each of the symbols that is in the group; no number can be changed."""
        return [
            Limit(self.kind, symbol, _said(names, symbol), None, (_pinned(names, symbol),))
            for symbol in self.symbols
            if names.listed([symbol]).any()
        ]

    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:  # noqa: ARG002
        """Put each of the names at its current weight."""
        moves = self.limit.is_not_null() & _weight.is_not_null()
        return rows.with_columns(pl.when(moves).then(self.limit).otherwise(_weight).alias(WEIGHT))

    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per group and symbol: its weight."""
        listed = rows.filter(pl.col(SYMBOL).is_in(self.symbols))
        return listed.select(ROW, scope=SYMBOL, level=_weight, limit=_current, excess=(_weight - _current).abs())


def _scope(symbol: str, bound: str) -> str:
    return f"{symbol} {bound}"


def _scope_of(bound: str) -> pl.Expr:
    return pl.concat_str(SYMBOL, pl.lit(f" {bound}"))


def _bounded(names: Names, symbol: str, limit: float, side: Literal[1, -1]) -> Form:
    """A bound of one name, from above (1) or below (−1); a name that is not in the group weighs 0."""
    here = names.listed([symbol])
    if not here.any():
        return Total.of(side * limit, linear=names.zeros)
    upper, lower = (limit, -np.inf) if side > 0 else (np.inf, limit)
    return Each(np.where(here, lower, -np.inf), np.where(here, upper, np.inf))


def _pinned(names: Names, symbol: str) -> Each:
    here = names.listed([symbol])
    return Each(np.where(here, names.current, -np.inf), np.where(here, names.current, np.inf))


def _said(names: Names, symbol: str) -> str:
    weight = float(names.current[names.listed([symbol])].sum())
    return f"{symbol} frozen at {100 * weight:.4g} %"
