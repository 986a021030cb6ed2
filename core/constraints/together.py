"""Groups that are solved together, and the story of their weights.

`solve_together` takes all groups whose limits are separable to `core.constraints.newton`, and says which of them have
an answer. `Together.actions` tells what each limit changed, as `core.constraints.attribution` does for one group: at
the nearest weights,

    w − wanted = −ν − (γ + β)·(side of zero) − ½τ·(side of today's weight) − pull,

where each multiplier speaks for its limit, and the pull for the end of the range that a name is held at. At a kink, a
name is on no side, and gets the part of the way to either that holds it there. Multipliers that are not unique are left
to `attribution`, group by group (`_is_settled`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from core.constraints.base import WeightConstraint
from core.constraints.chain_actions import ACTION_COLUMNS, ROUNDING, VERB
from core.constraints.dual import OF_CELL, OF_ITSELF, WITH_CELL, Multipliers, corner_of, moments_of, sums_of
from core.constraints.forms import Floats, Truths
from core.constraints.newton import SOLVED, solved_together
from core.constraints.panel import BUCKET, ROW, SYMBOL, WEIGHT
from core.constraints.separable import GROSS, NET, TURNOVER, Separable
from core.constraints.sources import Bound, Range, Rows, Sources, is_separable, rows_of, separable_of

CLOSING_KIND = "closing"  # the rule by which a held name that is wanted at 0 ends between 0 and its current weight
SAME = 1e-10  # a sum this close to its bound is at it
INDEPENDENT = 1e-9  # of limits that bind, relative


@dataclass(frozen=True)
class Together:
    """Groups solved together: the rows of all of them, and per group whether it is `solved`; weights per row."""

    rows: Rows
    problem: Separable
    sources: Sources
    solved: Truths
    weights: Floats
    multipliers: Multipliers

    def without(self, groups: Truths) -> "Together":
        """The same, with some groups not solved."""
        return Together(self.rows, self.problem, self.sources, self.solved & ~groups, self.weights, self.multipliers)

    @property
    def solved_rows(self) -> Truths:
        """The rows of groups that are solved."""
        return self.solved[self.rows.group_of_name]

    @property
    def distances(self) -> Floats:
        """How far the weights of each group are from the wanted ones."""
        return np.sqrt(self.rows.total((self.weights - self.rows.wanted) ** 2))

    @cached_property
    def unexplained(self) -> Truths:
        """The solved groups whose multipliers are not the only ones that explain the weights."""
        weights = np.where(self.solved_rows, self.weights, 0.0)
        return self.solved & ~_is_settled(self.problem, self.multipliers, weights)

    @cached_property
    def actions(self) -> pl.DataFrame:
        """One row per name and limit that changed its weight, group by group, limit by limit, from the wanted weight
        on; ROW and the columns of `chain_actions`. Groups that are `unexplained` have none."""
        told = self.solved & ~self.unexplained
        changes = sorted(_changes(self.rows, self.problem, self.sources, self.multipliers, self.weights), key=_turn)
        before, tables = self.rows.frame[WEIGHT].to_numpy(), []
        for change in changes:
            amounts = np.where(np.abs(change.amounts) > ROUNDING, change.amounts, 0.0)
            after = before + amounts
            tables.append(self._told(change, (amounts != 0.0) & told[self.rows.group_of_name], before, after))
            before = after
        return pl.concat(tables).sort("group", maintain_order=True).drop("group").select(ROW, *ACTION_COLUMNS)

    def _told(self, change: "_Change", here: Truths, before: Floats, after: Floats) -> pl.DataFrame:
        places = np.flatnonzero(here)
        named = self.rows.frame[places]
        return named.select(
            pl.Series("group", self.rows.group_of_name[places]),
            ROW,
            pl.col(SYMBOL).cast(pl.String),
            rule=pl.lit(change.kind),
            bucket=pl.col(BUCKET) if BUCKET in named.columns else pl.lit(None, pl.String),
            before=pl.Series(before[places]),
            after=pl.Series(after[places]),
            limit=pl.Series(change.limit[places]).fill_nan(None),
            detail=pl.lit(None, pl.String),
        ).with_columns(verb=VERB).select("group", ROW, *ACTION_COLUMNS).cast(ACTION_COLUMNS)  # fmt: skip


def solve_together(frame: pl.DataFrame, constraints: Sequence[WeightConstraint]) -> Together:
    """Solve the groups of a panel's rows, which have no null weights, under those constraints that are separable."""
    rows = rows_of(frame)
    problem, sources, suits = separable_of(rows, [each for each in constraints if is_separable(each)])
    found = solved_together(problem)
    return Together(rows, problem, sources, suits & (found.state == SOLVED), found.weights, found.multipliers)


@dataclass(frozen=True)
class _Change:
    """What one limit changed, name by name, and the limit in force; `scoped`: it is on a part of the group."""

    kind: str
    amounts: Floats
    limit: Floats
    scoped: int


def _turn(change: _Change) -> tuple[int, str]:
    """Where a limit stands in the story of a weight, as in `exact_groups`."""
    return change.scoped, change.kind


def _changes(
    rows: Rows, problem: Separable, sources: Sources, multipliers: Multipliers, weights: Floats
) -> Iterator[_Change]:
    """What each limit changed."""
    fixed = problem.lower == problem.upper
    shared, of_cell = multipliers.shared[rows.group], multipliers.of_cell
    net, zero, today = (each[rows.cell] for each in (shared[:, NET], shared[:, GROSS] + of_cell, shared[:, TURNOVER]))
    z, bends = _side(weights, problem, np.zeros(len(weights)))
    k, bends_today = _side(weights, problem, problem.current)
    pull = problem.wanted - weights - net - zero * z - 0.5 * today * k
    grip = zero * bends + 0.5 * today * bends_today
    bent = np.divide(pull, grip, out=np.zeros(len(pull)), where=grip > 0.0)
    slopes = np.ones(len(weights)), z + bends * bent, 0.5 * (k + bends_today * bent)
    for sum_, slope in enumerate(slopes):
        below, above = sources.shared[sum_]
        multiplier = multipliers.shared[:, sum_]
        for bounds, speaks in ((below, multiplier < 0.0), (above, multiplier > 0.0)):
            for bound, here in _tightest(bounds, speaks):
                amounts = np.where(here, multiplier, 0.0)[rows.group_of_name] * -slope
                scoped = 1 if bound.kind == "net_exposure" else 0
                yield _Change(bound.kind, np.where(fixed, 0.0, amounts), bound.told[rows.group_of_name], scoped)
    for bound, here in _tightest(sources.cells, of_cell > 0.0):
        amounts = np.where(here, of_cell, 0.0)[rows.cell] * -slopes[GROSS]
        yield _Change(bound.kind, np.where(fixed, 0.0, amounts), bound.told[rows.cell], 1)
    held = (weights == problem.lower) | (weights == problem.upper)
    at_end = np.where(fixed, weights - problem.wanted, np.where(held & (grip == 0.0), -pull, 0.0))
    yield from _ends(rows, problem, sources, at_end)


def _side(weights: Floats, problem: Separable, kink: Floats) -> tuple[Floats, Floats]:
    """The side of a kink that each name is on, settled by its range where it can only be on one; and 1 for names at a
    kink that bends."""
    above, below = kink <= problem.lower, kink >= problem.upper
    side = np.where(above, 1.0, np.where(below, -1.0, np.sign(weights - kink)))
    return side, (side == 0.0).astype(np.float64)


def _tightest(bounds: Sequence[Bound], speaks: Truths) -> Iterator[tuple[Bound, Truths]]:
    """Each bound, and where it is the tightest and has a multiplier; of equal ones the first."""
    if bounds and speaks.any():
        first = np.argmin([bound.bound for bound in bounds], axis=0)
        yield from ((bound, speaks & (first == at)) for at, bound in enumerate(bounds))


def _ends(rows: Rows, problem: Separable, sources: Sources, at_end: Floats) -> Iterator[_Change]:
    """What the ends of ranges changed: each by the first that has it, that of the name itself before all limits."""
    lower, upper = rows.own_range
    untold = np.full(len(at_end), np.nan)
    own = Range(CLOSING_KIND, lower, upper, untold, untold)
    for each in (own, *sources.ranges):
        lifted = (at_end > 0.0) & (each.lower == problem.lower)
        cut = (at_end < 0.0) & (each.upper == problem.upper)
        scoped = 3 if each is own else 2
        yield _Change(
            each.kind, np.where(lifted | cut, at_end, 0.0), np.where(cut, each.at_upper, each.at_lower), scoped
        )
        at_end = np.where(lifted | cut, 0.0, at_end)


def _is_settled(problem: Separable, multipliers: Multipliers, weights: Floats) -> Truths:
    """The groups in which the slopes of all sums that are at their bound are independent, so that no other multipliers
    would do: no such cell without a free name, and what is left of the others not singular."""
    moments = moments_of(problem, multipliers, weights)
    levels, gross = sums_of(problem, weights)
    tight = (np.abs(levels - problem.greatest) <= SAME) | (np.abs(levels - problem.least) <= SAME)
    own, cell_tight = moments[:, OF_CELL], np.abs(gross - problem.most) <= SAME
    stuck = problem.of_groups((cell_tight & (own == 0.0)).astype(np.float64)) > 0.0
    border = moments[:, WITH_CELL] * (cell_tight & (own > 0.0))[:, None]
    corner = corner_of(problem, moments, border, np.maximum(own, 1.0), tight)
    size = np.sqrt(np.maximum(problem.of_groups(moments)[:, OF_ITSELF], 1.0))
    corner /= size[:, :, None] * size[:, None, :]
    corner[:, range(3), range(3)] += ~tight
    independent: Truths = ~stuck & (np.linalg.eigvalsh(corner).min(axis=1) > INDEPENDENT)
    return independent
