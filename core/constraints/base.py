"""What all constraints share: `apply` changes weights so that a limit holds, `breaches` lists where it does not.

A constraint is a frozen dataclass with a `kind`, a `statement`, a closed form (`adjusted`) over the rows of a panel,
the levels that it limits (`levels`), and its linear form for the exact solver (`limits`). `apply` and `breaches` take
frames of weights, check them alike (`Panel.of`), and know nothing of each other: `breaches` judges whatever weights it
is given.

A limit is `hard`; or `no_worse`: in force is the larger of the limit and today's level (`in_force`), so that a breach
by drift may stay or shrink, never grow; or `soft`: where not all limits of a set can hold, it may give way by up to
`max_relaxation`, those of the lowest priority first (`core.constraints.relaxation`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import polars as pl

from core.constraints.ceilings import Ceilings
from core.constraints.forms import Limit, Names
from core.constraints.panel import CURRENT, GROUP, ROW, Panel
from core.errors import ConfigurationError, InvalidWeightsError
from core.limits import TOLERANCE, require_positive

BREACH_COLUMNS = pl.Schema(
    {"constraint": pl.String, "scope": pl.String, "limit": pl.Float64, "level": pl.Float64, "excess": pl.Float64}
)


Mode = Literal["hard", "no_worse", "soft"]


@dataclass(frozen=True)
class WeightConstraint(ABC):
    """A limit on the weights of each group by itself.

    Frames of weights have the columns of `by` (a date; a portfolio and a date), `symbol` and `weight` (signed fraction
    of net asset value; any numeric type, Float64 when it comes back), one row per group and symbol; `bucket` where a
    constraint needs it; and, if wanted, `frozen`: where true, a weight counts for every limit but never changes (null
    is not frozen). Frozen names alone can exceed a limit; the others then do what they can, and `breaches` tells the
    rest. Other columns are nobody's business, whatever their names.

    A null weight stays null and takes no part: it is no name, also where names are counted. Errors are
    `InvalidWeightsError`, and name rows: a column missing or of another type, a null group key, symbol or bucket, a
    weight that is NaN, infinite or beyond 1e100.
    """

    kind: str
    needs: ClassVar[tuple[str, ...]] = ()  # columns of weights that must be there beyond the keys, symbol and weight
    modes: ClassVar[tuple[Mode, ...]] = ("hard", "no_worse", "soft")
    keeps_only: ClassVar[bool] = False  # what the weights handed in lack is told as a breach, and not made up for

    mode: Mode = field(default="hard", kw_only=True)
    priority: int | None = field(default=None, kw_only=True)  # of a soft limit: the lowest gives way first
    max_relaxation: float | None = field(default=None, kw_only=True)  # of a soft limit, in the unit of the limit

    def __post_init__(self) -> None:
        if self.mode not in self.modes:
            raise ConfigurationError(f"{self.kind} cannot be {self.mode}: its mode is {' or '.join(self.modes)}.")
        given = [name for name in ("priority", "max_relaxation") if getattr(self, name) is not None]
        if self.mode == "soft" and len(given) < 2:
            raise ConfigurationError(f"{self.kind} is soft: give it a priority and a max_relaxation.")
        if self.mode != "soft" and given:
            raise ConfigurationError(f"{self.kind} is {self.mode}: {given[0]} is for soft limits. Remove it.")
        if self.max_relaxation is not None:
            require_positive("max_relaxation", self.max_relaxation)

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that weights must have beyond the keys, symbol and weight, in this mode."""
        return (*self.needs, CURRENT) if self.mode == "no_worse" and CURRENT not in self.needs else self.needs

    @property
    @abstractmethod
    def statement(self) -> str:
        """The limit in words, for people."""

    @property
    @abstractmethod
    def limit(self) -> pl.Expr:
        """The limit in force, per row of a panel; null where none is."""

    @property
    def ceilings(self) -> Ceilings | None:
        """What a filling may not exceed, for a constraint that re-places what it cuts; other constraints have none."""
        return None

    @abstractmethod
    def adjusted(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:
        """The closed form: rows of a panel with the weights that meet the limit.

        Weights that may not move are null in WEIGHT, and are what `fixed` yields.
        """

    @abstractmethod
    def levels(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row per level that is limited: ROW (a row of the panel it concerns), scope, limit, level, excess."""

    @abstractmethod
    def limits(self, names: Names) -> list[Limit]:
        """The linear form: the limits set on the names of one group, in the mode `hard`."""

    def limits_in_force(self, names: Names) -> list[Limit]:
        """The limits in the mode of this constraint."""
        if self.mode == "no_worse":
            return [limit.no_worse(names.current) for limit in self.limits(names)]
        priority, room = self.priority or 0, self.max_relaxation or 0.0
        return [replace(limit, mode=self.mode, priority=priority, max_relaxation=room) for limit in self.limits(names)]

    def in_force(self, limit: pl.Expr, today: pl.Expr) -> pl.Expr:
        """An upper limit in force, where `today` is the level of today's weights."""
        return _where_limited(limit, pl.max_horizontal(limit, today)) if self.mode == "no_worse" else limit

    def in_force_below(self, limit: pl.Expr, today: pl.Expr) -> pl.Expr:
        """A lower limit in force, where `today` is the level of today's weights."""
        return _where_limited(limit, pl.min_horizontal(limit, today)) if self.mode == "no_worse" else limit

    def apply(self, weights: pl.DataFrame, by: str | Sequence[str] = "end_time") -> pl.DataFrame:
        """The same rows, in the same order, with the weights that meet the limit."""
        panel = Panel.of(weights, by, self.needed)
        return panel.restored(panel.adjusted(self.adjusted)["weight"])

    def breaches(self, weights: pl.DataFrame, by: str | Sequence[str] = "end_time") -> pl.DataFrame:
        """One row per limit not met, by more than 1e-9; empty means that the constraint holds.

        Columns: those of `by`, then constraint (the kind), scope (the symbol or bucket; empty for the whole group),
        limit, level and excess, all three fractions of net asset value.
        """
        panel = Panel.of(weights, by, self.needed)
        return panel.located(self.breaches_of(panel))

    def breaches_of(self, panel: Panel) -> pl.DataFrame:
        """`breaches` of weights that are already a panel, with ROW, a row of the panel, in place of the group."""
        require_free_names(panel.by, BREACH_COLUMNS)
        return panel.found(self._judged, pl.col("excess") > TOLERANCE)

    def _judged(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        levels = self.levels(rows).with_columns(constraint=pl.lit(self.kind))
        return levels.select(ROW, *BREACH_COLUMNS).cast(BREACH_COLUMNS)


def _where_limited(limit: pl.Expr, in_force: pl.Expr) -> pl.Expr:
    return pl.when(limit.is_not_null()).then(in_force)


def group_level(rows: pl.LazyFrame, level: pl.Expr, **others: pl.Expr) -> pl.LazyFrame:
    """One row per group: its first ROW, a level of the whole group and other aggregates; the scope is empty."""
    groups = rows.group_by(GROUP, maintain_order=True).agg(pl.col(ROW).first(), level=level, **others)
    return groups.with_columns(scope=pl.lit(""))


def require_free_names(by: Sequence[str], columns: Iterable[str]) -> None:
    """Refuse group keys that bear the name of a column of the table they should stand in."""
    taken = sorted({*by} & {*columns})
    if taken:
        raise InvalidWeightsError(f"by has {taken}, which also name columns of the result. Rename them.")
