"""Several constraints at once: a chain of closed forms, then every constraint checked again.

`ConstraintSet.apply` runs the chain (`_chain`), keeps the weights after each step (`step_column`), tells from them what
each rule changed (`actions_of`), and checks the last ones against every constraint; whatever undid a limit on the way
shows in the breaches. Steps that place again what they cut do not undo each other, though: in a row of fillings each
one fills the weights that entered the first of them, under the ceilings of all of them so far. And no filling lifts a
name above the cap of a constraint that only clips, wherever that one stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import polars as pl

from core.constraints.base import BREACH_COLUMNS, WeightConstraint
from core.constraints.ceilings import Ceilings
from core.constraints.chain_actions import actions_of, step_column
from core.constraints.checks import require_distinct
from core.constraints.exposure import LongOnlyConstraint, MarketNeutralConstraint
from core.constraints.panel import ROW, WEIGHT, Panel
from core.constraints.position import MaxPositionConstraint
from core.errors import ConfigurationError


@dataclass(frozen=True)
class ConstrainedWeights:
    """Weights after a chain of constraints, with their story.

    - `weights`: the rows that came in, with other weights.
    - `actions`: what each rule changed, see `core.constraints.chain_actions`.
    - `breaches`: one row per limit that is still not met, see `WeightConstraint.breaches`; empty: all limits hold.
    - `infeasible`: one row per group for which no weights meet all limits: the keys of the group, and `conflict`.
      Always empty as long as groups that still breach are not solved exactly.
    """

    weights: pl.DataFrame
    actions: pl.DataFrame
    breaches: pl.DataFrame
    infeasible: pl.DataFrame


@dataclass(frozen=True)
class ConstraintSet:
    """A chain of constraints, applied in order. Of two limits on one thing, the tighter holds.

    Raises `ConfigurationError` for a chain that contradicts itself: long-only and market-neutral.
    """

    constraints: Sequence[WeightConstraint]

    def __post_init__(self) -> None:
        object.__setattr__(self, "constraints", tuple(self.constraints))
        kinds = {type(constraint) for constraint in self.constraints}
        if {LongOnlyConstraint, MarketNeutralConstraint} <= kinds:
            raise ConfigurationError(
                "long_only and market_neutral contradict each other: without short positions the net is 0 only where "
                "nothing is held. Remove one of them."
            )

    def apply(self, weights: pl.DataFrame, by: str | Sequence[str] = "end_time") -> ConstrainedWeights:
        """Constrain each group by itself; frames and errors are those of `WeightConstraint`.

        A symbol that stands twice in a group is an `InvalidWeightsError` too.
        """
        panel = Panel.of(weights, by, sorted({column for each in self.constraints for column in each.needs}))
        require_distinct(weights, panel.by)
        steps = panel.adjusted(self._chain, *map(step_column, range(len(self.constraints) + 1)))
        final = panel.replaced(steps[WEIGHT])
        # Groups with a row in these breaches are the ones that an exact solver would take over.
        breaches = [panel.located(_empty(BREACH_COLUMNS)), *(each.breaches_of(final) for each in self.constraints)]
        return ConstrainedWeights(
            weights=panel.restored(steps[WEIGHT]),
            actions=actions_of(panel, self.constraints, steps),
            breaches=pl.concat(breaches),
            infeasible=panel.located(_empty(pl.Schema({"conflict": pl.String}))),
        )

    def _chain(self, rows: pl.LazyFrame, fixed: pl.Expr) -> pl.LazyFrame:
        """The closed forms one after another; the weights after each of them stay in a column of their own."""
        rows = rows.with_columns(pl.col(WEIGHT).alias(step_column(0)))
        joint, entered = None, step_column(0)
        for number, constraint in enumerate(self.constraints, start=1):
            if constraint.ceilings is None:
                joint, entered = None, step_column(number)
                rows = constraint.adjusted(rows, fixed)
            else:
                joint = (joint or self._lift_limit()) & constraint.ceilings
                rows = joint.filled(rows.with_columns(pl.col(entered).alias(WEIGHT)), fixed)
            rows = rows.with_columns(pl.col(WEIGHT).alias(step_column(number)))
        return rows

    def _lift_limit(self) -> Ceilings:
        """The caps that only clip: no filling lifts a name above them."""
        caps = (each for each in self.constraints if isinstance(each, MaxPositionConstraint) and not each.redistribute)
        return Ceilings(lift=min((cap.max_weight for cap in caps), default=inf))


def _empty(columns: pl.Schema) -> pl.DataFrame:
    return pl.DataFrame(schema={ROW: pl.UInt32, **columns})
