"""Signals, as a policy configures them.

A signal is a row of the signals table (`TableSignal`), the answer to a query (`QuerySignal`; the store runs it and puts
its rows under the signal's name), a formula over past prices (a `PriceSignal`: momentum, volatility, 52-week position),
or a function of one's own (`FunctionSignal`). `required_observations` says how many prices they need, and `table_names`
which signals of the table they read. Their values are computed in `signal_values`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar, Literal

import polars as pl
from pydantic import ConfigDict

from core.errors import ConfigurationError, nearest_hint
from core.inputs.normalisers import NORMALISERS, Normaliser
from core.limits import require_at_least, require_positive

TRADING_DAYS = 252  # a year of daily observations


@dataclass(frozen=True, kw_only=True)
class Signal:
    """What every signal has: a name, its weight in the score, how it is made comparable, which end is the better."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    weight: float  # relative to the weights of the other signals
    normaliser: Normaliser = "rank"
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigurationError("a signal has no name: give it one, it heads a column of every explanation.")
        require_positive(f"weight of signal {self.name}", self.weight)
        if self.normaliser not in NORMALISERS:
            hint = nearest_hint(str(self.normaliser), NORMALISERS)
            raise ConfigurationError(f"normaliser of signal {self.name} is {self.normaliser!r}; {hint}")


@dataclass(frozen=True, kw_only=True)
class TableSignal(Signal):
    """A signal of the signals table; `source` is its name there, if not the same."""

    kind: Literal["table"] = "table"
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class QuerySignal(Signal):
    """A query that returns as_of, symbol and value; its rows count like those of the signals table."""

    kind: Literal["query"] = "query"
    sql: str


@dataclass(frozen=True, kw_only=True)
class PriceSignal(Signal, ABC):
    """A formula over the last prices of each symbol; missing where they are too few, or one is bad or jumps."""

    @property
    @abstractmethod
    def observations(self) -> int:
        """How many prices back the window begins."""

    @property
    def skipped(self) -> int:
        """How many of the last prices the window leaves out."""
        return 0

    @abstractmethod
    def formula(self, close: pl.Expr) -> pl.Expr:
        """The value, from the closes of the window of one symbol, the oldest first."""


@dataclass(frozen=True, kw_only=True)
class MomentumSignal(PriceSignal):
    """close[-1-skip] / close[-1-lookback] - 1, the return of a year but its last month (Jegadeesh and Titman, 1993)."""

    kind: Literal["momentum"] = "momentum"
    lookback: int = 252  # observations
    skip: int = 21  # observations

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(f"skip of signal {self.name}", self.skip, 0)
        require_at_least(f"lookback of signal {self.name}", self.lookback, self.skip + 1)

    @property
    def observations(self) -> int:
        """One price more than returns."""
        return self.lookback + 1

    @property
    def skipped(self) -> int:
        """The last month, in which prices tend to turn."""
        return self.skip

    def formula(self, close: pl.Expr) -> pl.Expr:
        """The value over one window."""
        return close.last() / close.first() - 1


@dataclass(frozen=True, kw_only=True)
class VolatilitySignal(PriceSignal):
    """Standard deviation of the last `lookback` daily log returns, per year (times √252)."""

    kind: Literal["volatility"] = "volatility"
    lookback: int = 63  # returns, so one more price
    higher_is_better: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(f"lookback of signal {self.name}", self.lookback, 2)

    @property
    def observations(self) -> int:
        """One price more than returns."""
        return self.lookback + 1

    def formula(self, close: pl.Expr) -> pl.Expr:
        """The value over one window."""
        return close.log().diff().std() * sqrt(TRADING_DAYS)


@dataclass(frozen=True, kw_only=True)
class Week52PositionSignal(PriceSignal):
    """(close - low) / (high - low) of the last `lookback` closes; missing where they are all the same."""

    kind: Literal["week_52_position"] = "week_52_position"
    lookback: int = TRADING_DAYS  # observations

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(f"lookback of signal {self.name}", self.lookback, 2)

    @property
    def observations(self) -> int:
        """As many as the lookback."""
        return self.lookback

    def formula(self, close: pl.Expr) -> pl.Expr:
        """The value over one window."""
        low, high = close.min(), close.max()
        return pl.when(low < high).then((close.last() - low) / (high - low))


@dataclass(frozen=True, kw_only=True)
class FunctionSignal(Signal):
    """A function of one's own, named `package.module:function`.

    It is called with one frame (as_of, symbol, close), sorted by symbol and date: the last `lookback` closes of every
    symbol that has as many, all good, with no jump among them. It returns a frame (symbol, value) with at most one row
    per symbol it was given; a missing row or a null is a missing signal, any other value must be a finite number.
    """

    kind: Literal["function"] = "function"
    function: str
    lookback: int = TRADING_DAYS  # observations

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(f"lookback of signal {self.name}", self.lookback, 1)
        module, _, function = self.function.partition(":")
        if not module or not function.isidentifier():
            raise ConfigurationError(
                f"function of signal {self.name} is {self.function!r}: name it as package.module:function."
            )


SignalConfig = TableSignal | QuerySignal | MomentumSignal | VolatilitySignal | Week52PositionSignal | FunctionSignal
"""Every kind of signal; `kind` tells them apart."""


def required_observations(signals: Sequence[Signal]) -> int:
    """How many prices per symbol the signals need; two at least, for the gate looks at the change of the last one."""
    prices = [signal.observations for signal in signals if isinstance(signal, PriceSignal)]
    functions = [signal.lookback for signal in signals if isinstance(signal, FunctionSignal)]
    return max([2, *prices, *functions])


def table_names(signals: Sequence[Signal]) -> tuple[str, ...]:
    """The names under which the signals' rows stand in the signals frame, queries included."""
    named = [signal.source or signal.name for signal in signals if isinstance(signal, TableSignal)]
    return tuple(sorted({*named, *(signal.name for signal in signals if isinstance(signal, QuerySignal))}))
