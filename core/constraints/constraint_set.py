"""All constraints at once: a chain of closed forms, every constraint checked again, and an exact solution where needed.

`ConstraintSet.apply` runs the chain (`_chain`) and checks the weights that come out against every constraint. Groups
that still breach one, because a step undid another, are solved exactly from the weights that were handed in
(`core.constraints.exact_groups`); of the others `actions_of` tells what each rule changed. Steps that place again what
they cut do not undo each other: in a row of fillings each one fills the weights that entered the first of them, under
the ceilings of all of them so far. And no filling lifts a name above the cap of a constraint that only clips, wherever
that one stands. At the end everything is checked once more: a group whose weights would still breach a limit has none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from core.constraints.base import BREACH_COLUMNS, WeightConstraint, require_free_names
from core.constraints.ceilings import Ceilings
from core.constraints.chain_actions import ACTION_COLUMNS, actions_of, step_column
from core.constraints.exact_groups import empty_table, solve_groups
from core.constraints.exposure import LongOnlyConstraint, MarketNeutralConstraint
from core.constraints.panel import GROUP, ROW, WEIGHT, Panel
from core.constraints.position import MaxPositionConstraint
from core.errors import ConfigurationError
from core.limits import TOLERANCE


@dataclass(frozen=True)
class ConstrainedWeights:
    """Weights under a set of constraints, with their story; the tables begin with the columns of the group.

    - `weights`: the rows that came in, with other weights; null in groups for which there are none.
    - `breaches`: one row per limit in force that is not met, see `WeightConstraint.breaches`: empty, but for what the
      weights handed in lack and a constraint does not make up for (`keeps_only`), and for groups that no answer fits.
    - `infeasible`: one row per group for which no weights meet all limits; `conflict` says which limits conflict, and
      what makes room.
    - `ways_out`: one row per limit of a conflict: constraint, scope, limit, and the values that suffice, `alone` (null:
      none does) and `jointly` with the others (null: it stays as it is).
    - `relaxations`: one row per soft limit that gave way: constraint, scope, limit (configured), used, reason.
    - `solved`: one row per group solved exactly: its Euclidean distance to the weights handed in, and `gap`, by how
      much the best weights could be nearer (0 but where names are counted or sizes asked for), and the `solver`:
      newton, or clarabel for what does not converge there or is not of its form.
    """

    weights: pl.DataFrame
    breaches: pl.DataFrame
    infeasible: pl.DataFrame
    ways_out: pl.DataFrame
    relaxations: pl.DataFrame
    solved: pl.DataFrame
    actions_told: Callable[[], pl.DataFrame] = field(repr=False)

    @cached_property
    def actions(self) -> pl.DataFrame:
        """What each rule changed, see `core.constraints.chain_actions`; in a group solved exactly, each limit.

        Made when first asked for: in a large panel, the story of every weight takes longer than the weights.
        """
        return self.actions_told()


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
        panel = Panel.of(weights, by, sorted({column for each in self.constraints for column in each.needed}))
        panel.require_distinct()
        require_free_names(panel.by, ACTION_COLUMNS)
        steps = panel.adjusted(self._chain, *map(step_column, range(len(self.constraints) + 1)))
        chained = panel.replaced(steps[WEIGHT])
        breaches = self._breaches(chained)
        wrong = _groups(panel, self._mendable(panel, breaches))
        exact = solve_groups(panel, self.constraints, steps[WEIGHT], wrong)
        if wrong:
            breaches = self._breaches(panel.replaced(exact.weight), exact.room)
        failed = _unsolved(panel, self._mendable(panel, breaches))
        tables = {
            "breaches": pl.concat([empty_table(BREACH_COLUMNS), *breaches]),
            "infeasible": pl.concat([exact.infeasible, failed]),
            **{name: getattr(exact, name) for name in ("ways_out", "relaxations", "solved")},
        }

        def actions() -> pl.DataFrame:
            chain_actions = actions_of(panel, self.constraints, steps, without=wrong)
            return panel.located(pl.concat([chain_actions, exact.actions]))

        return ConstrainedWeights(
            weights=panel.restored(_without(panel, exact.weight, failed)),
            actions_told=actions,
            **{name: panel.located(table) for name, table in tables.items()},
        )

    def _breaches(self, final: Panel, room: pl.DataFrame | None = None) -> list[pl.DataFrame]:
        """The breaches of each constraint, beyond the room that soft limits were given."""
        found = [constraint.breaches_of(final) for constraint in self.constraints]
        if room is None or room.is_empty():
            return found
        return [
            _beyond(final, breaches, room.filter(pl.col("source") == source)) for source, breaches in enumerate(found)
        ]

    def _mendable(self, handed_in: Panel, found: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
        """The breaches that other weights might not have: all but those that a constraint tells of the weights handed
        in, and does not make up for."""
        return [
            _worsened(breaches, constraint.breaches_of(handed_in)) if constraint.keeps_only else breaches
            for constraint, breaches in zip(self.constraints, found, strict=True)
        ]

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
        return Ceilings(lifts=tuple(cap.limit for cap in caps))


def _groups(panel: Panel, breaches: Sequence[pl.DataFrame]) -> list[int]:
    """The groups that any of the breaches concerns."""
    rows = pl.concat([empty_table(BREACH_COLUMNS)[ROW], *(each[ROW] for each in breaches)])
    return panel.rows[GROUP].gather(rows).unique().sort().to_list()


def _without(panel: Panel, weight: pl.Series, failed: pl.DataFrame) -> pl.Series:
    """The weights, but none in groups that failed."""
    if failed.is_empty():
        return weight
    wrong = panel.rows[GROUP].is_in(_groups(panel, [failed]))
    return weight.to_frame(WEIGHT).select(pl.when(~wrong).then(WEIGHT)).to_series()


def _unsolved(panel: Panel, breaches: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One row per group for which limits leave room, but no weights were found that meet them to the tolerance."""
    found = pl.concat([empty_table(BREACH_COLUMNS), *breaches])
    told = pl.format(
        "No weights were found that meet all limits to 1e-9, though there are some: {} is off by {}. Loosen a limit a "
        "little.", "constraint", "excess",
    )  # fmt: skip
    placed = found.with_columns(panel.rows[GROUP].gather(found[ROW]))
    return placed.unique(GROUP, keep="first", maintain_order=True).select(ROW, conflict=told)


def _worsened(breaches: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """The breaches that are worse than before."""
    known = before.select(ROW, "scope", had="excess")
    worse = pl.col("excess") > pl.col("had").fill_null(0.0) + TOLERANCE
    return breaches.join(known, on=[ROW, "scope"], how="left").filter(worse).select(breaches.columns)


def _beyond(panel: Panel, breaches: pl.DataFrame, room: pl.DataFrame) -> pl.DataFrame:
    """The breaches by more than the room that was given to the limit of their group: in its scope, or in all of it."""
    placed, room = (table.with_columns(panel.rows[GROUP].gather(table[ROW])) for table in (breaches, room))
    scoped = room.group_by(GROUP, "scope").agg(own=pl.col("room").max())
    whole = room.filter(pl.col("scope") == "").group_by(GROUP).agg(shared=pl.col("room").max())
    joined = placed.join(scoped, on=[GROUP, "scope"], how="left").join(whole, on=GROUP, how="left")
    given = pl.coalesce("own", "shared").fill_null(0.0)
    left = joined.with_columns(excess=pl.col("excess") - given)
    return left.filter(pl.col("excess") > TOLERANCE).select(breaches.columns)
