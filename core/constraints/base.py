"""What all constraints share: `apply` changes weights so that a limit holds, `breaches` lists where it does not.

A constraint is a frozen dataclass with a `kind`, a `statement`, a closed form (`adjusted`) over the rows of a panel,
and the levels that it limits (`levels`). Both faces take frames of weights, check them alike (`Panel.of`), and know
nothing of each other: `breaches` judges whatever weights it is given.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

import polars as pl

from core.constraints.ceilings import Ceilings
from core.constraints.panel import GROUP, ROW, Panel
from core.errors import InvalidWeightsError
from core.limits import TOLERANCE

BREACH_COLUMNS = pl.Schema(
    {"constraint": pl.String, "scope": pl.String, "limit": pl.Float64, "level": pl.Float64, "excess": pl.Float64}
)


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

    def apply(self, weights: pl.DataFrame, by: str | Sequence[str] = "end_time") -> pl.DataFrame:
        """The same rows, in the same order, with the weights that meet the limit."""
        panel = Panel.of(weights, by, self.needs)
        return panel.restored(panel.adjusted(self.adjusted)["weight"])

    def breaches(self, weights: pl.DataFrame, by: str | Sequence[str] = "end_time") -> pl.DataFrame:
        """One row per limit not met, by more than 1e-9; empty means that the constraint holds.

        Columns: those of `by`, then constraint (the kind), scope (the symbol or bucket; empty for the whole group),
        limit, level and excess, all three fractions of net asset value.
        """
        return self.breaches_of(Panel.of(weights, by, self.needs))

    def breaches_of(self, panel: Panel) -> pl.DataFrame:
        """`breaches` of weights that are already a panel."""
        require_free_names(panel.by, BREACH_COLUMNS)
        rows = panel.rows.lazy().with_row_index(ROW).filter(pl.col("weight").is_not_null())
        exceeded = self.levels(rows).filter(pl.col("excess") > TOLERANCE).with_columns(constraint=pl.lit(self.kind))
        return panel.located(exceeded.select(ROW, *BREACH_COLUMNS).cast(BREACH_COLUMNS).collect(engine="in-memory"))


def group_level(rows: pl.LazyFrame, level: pl.Expr) -> pl.LazyFrame:
    """One row per group: its first ROW and a level of the whole group; the scope is empty."""
    groups = rows.group_by(GROUP, maintain_order=True).agg(pl.col(ROW).first(), level=level)
    return groups.with_columns(scope=pl.lit(""))


def require_free_names(by: Sequence[str], columns: Iterable[str]) -> None:
    """Refuse group keys that bear the name of a column of the table they should stand in."""
    taken = sorted({*by} & {*columns})
    if taken:
        raise InvalidWeightsError(f"by has {taken}, which also name columns of the result. Rename them.")
