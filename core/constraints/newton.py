"""The nearest weights of many groups at once: a semismooth Newton method on the dual, in NumPy.

`core.constraints.dual` derives the dual function g of each group: concave, with a slope that is piecewise linear. Where
the slope is zero for the limits in play, the weights are the nearest.

**The step.** Newton's step solves H d = excess for the limits in play, where −H is the derivative of the slope
(`_step`, `_equations`). As a name is in one bucket, H is a diagonal of buckets bordered by three rows: net, gross and
turnover. The buckets are eliminated, and three equations per group are left. On the piece of g that has the solution,
one step lands on it: there, the step is the active set's equations, so the last digits need no care of their own.
Where H is singular (say no name of a bucket is free), a little is added to its diagonal, less after each full step.

**The search.** A step is taken if g rises by a part of what its slope promises (Armijo's rule), else it is shortened to
the top of the parabola through what is known. All groups move side by side, each with a length of its own: one round
evaluates each of them once. A group is `SOLVED` when no limit in play is off by more than `EXACT`; `INFEASIBLE` when g
is above the objective of any weights within their ranges, since by weak duality no weights then meet all limits; and
after `ROUNDS` it stays `OPEN`, for another solver.

Sources: Qi and Sun, A nonsmooth version of Newton's method (1993); Bertsekas, Projected Newton methods for optimization
problems with simple constraints (1982), for multipliers that must not change sign; Li, Sun and Toh, A highly efficient
semismooth Newton augmented Lagrangian method (2018), for the damped equations.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.constraints.dual import (
    OF_CELL,
    OF_ITSELF,
    WITH_CELL,
    Multipliers,
    Point,
    ceiling_of,
    corner_of,
    moments_of,
    point_at,
)
from core.constraints.forms import Floats, Truths
from core.constraints.separable import Numbers, Separable

OPEN, SOLVED, INFEASIBLE = 0, 1, 2

EXACT = 1e-13  # weight
ROUNDS = 80  # evaluations of a group; few need more than ten
RISE = 1e-4  # of what the slope promises, at least
BLUR = 1e-12  # relative to g: a promise below it is lost in rounding, and the excess judges instead
DAMPING, LEAST_DAMPING = 1e-6, 1e-13  # relative to the diagonal
PIECE = 40_000  # names that are worked on at a time: their arrays stay in the processor's cache

SUMS = np.arange(3)  # net, gross, turnover

States = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Found:
    """What became of each group: `state`, and where it is `SOLVED`, the weights of its names and the multipliers."""

    state: States
    weights: Floats
    multipliers: Multipliers


@dataclass
class _Search:
    """Groups on their way: their numbers, where they are, the step of each, how much of it is tried, and how much its
    equations are damped."""

    problem: Separable
    numbers: Numbers
    ceiling: Floats
    here: Point
    step: Multipliers
    length: Floats
    damping: Floats

    def only(self, groups: Truths) -> "_Search":
        """Some of them."""
        cells = groups[self.problem.group]
        parts = (part[groups] for part in (self.length, self.damping))
        here, step = self.here.only(groups, cells), self.step.only(groups, cells)
        problem = self.problem.only(groups)
        return _Search(problem, self.numbers[groups], self.ceiling[groups], here, step, *parts)

    def tried(self) -> Multipliers:
        """Those after a part of the step; none changes its sign, unless its limit is an equation."""
        problem, at = self.problem, self.here.at
        shared = at.shared + self.length[:, None] * self.step.shared
        keeps = (shared * self.here.sides > 0.0) | (problem.least == problem.greatest)
        of_cell = np.maximum(at.of_cell + self.length[problem.group] * self.step.of_cell, 0.0)
        return Multipliers(np.where(keeps, shared, 0.0), of_cell)

    def judge(self, there: Point, weights: Floats) -> None:
        """Go there, and find the next step, in the groups in which g rises enough; shorten the step in the others."""
        promised = self._promised(there.at)
        gained = there.value - self.here.value
        clear = promised > BLUR * np.abs(there.value)
        rises = np.where(clear, gained >= RISE * promised, (promised > 0.0) & (there.off < self.here.off))
        full = rises & (self.length == 1.0)
        self.damping = np.where(full, np.maximum(0.1 * self.damping, LEAST_DAMPING), self.damping)
        self.length = np.where(rises, 1.0, self.length * _shortened(promised, gained))
        cells = rises[self.problem.group]
        self.here = there.where(rises, cells, self.here)
        self.step = _step(self.problem, there, weights, self.damping).where(rises, cells, self.step)

    def _promised(self, there: Multipliers) -> Floats:
        """By how much g would rise along its slope."""
        excess, at = self.here.excess, self.here.at
        of_cells = self.problem.of_groups(excess.of_cell * (there.of_cell - at.of_cell))
        promised: Floats = (excess.shared * (there.shared - at.shared)).sum(axis=1) + of_cells
        return promised


def solved_together(problem: Separable) -> Found:
    """The nearest weights of every group, as far as they are found."""
    multipliers = Multipliers(np.zeros((problem.groups, 3)), np.zeros(len(problem.most)))
    found = Found(np.zeros(problem.groups, dtype=np.int8), np.zeros(len(problem.wanted)), multipliers)
    for groups in problem.pieces(PIECE):
        _solve(problem, groups, found)
    return found


def _solve(problem: Separable, groups: Truths, found: Found) -> None:
    """Find the weights of some groups side by side; those that have an answer leave, and the rounds get shorter."""
    own = problem.only(groups)
    zero = Multipliers(np.zeros((own.groups, 3)), np.zeros(len(own.most)))
    point, weights = point_at(own, zero)
    search = _Search(
        own, np.flatnonzero(groups), ceiling_of(own) * (1.0 + 1e-9) + 1e-12,
        point, zero, np.ones(own.groups), np.full(own.groups, DAMPING),
    )  # fmt: skip
    for turn in range(ROUNDS):
        state = np.where(point.off <= EXACT, SOLVED, np.where(point.value > search.ceiling, INFEASIBLE, OPEN))
        if state.any():
            _write(found, problem, search, state, point, weights)
            going = state == OPEN
            if not going.any():
                return
            cells = going[search.problem.group]
            point, weights = point.only(going, cells), weights[cells[search.problem.cell]]
            search = search.only(going)
        if turn == 0:
            search.here, search.step = point, _step(search.problem, point, weights, search.damping)
        else:
            search.judge(point, weights)
        point, weights = point_at(search.problem, search.tried())


def _write(found: Found, problem: Separable, search: _Search, state: States, point: Point, weights: Floats) -> None:
    """Keep what became of the groups that have an answer."""
    done = state != OPEN
    groups = np.zeros(problem.groups, dtype=bool)
    groups[search.numbers[done]] = True
    cells, own_cells = groups[problem.group], done[search.problem.group]
    found.state[groups] = state[done]
    found.weights[cells[problem.cell]] = weights[own_cells[search.problem.cell]]
    found.multipliers.shared[groups] = point.at.shared[done]
    found.multipliers.of_cell[cells] = point.at.of_cell[own_cells]


def _step(problem: Separable, here: Point, weights: Floats, damping: Floats) -> Multipliers:
    """Newton's step. A multiplier at 0 that it would give the wrong sign stays there, and the others are found again
    without it."""
    play, cell_play = here.sides != 0.0, here.excess.of_cell != 0.0
    moments = moments_of(problem, here.at, weights)
    at_zero = (here.at.shared == 0.0) & (problem.least < problem.greatest)
    while True:
        step = _equations(problem, here.excess, moments, damping, play, cell_play)
        wrong = play & at_zero & (step.shared * here.sides < 0.0)
        cell_wrong = cell_play & (here.at.of_cell == 0.0) & (step.of_cell < 0.0)
        if not wrong.any() and not cell_wrong.any():
            return step
        play, cell_play = play & ~wrong, cell_play & ~cell_wrong


def _equations(
    problem: Separable, excess: Multipliers, moments: Floats, damping: Floats, play: Truths, cell_play: Truths
) -> Multipliers:
    """The solution d of (H + damping) d = excess, for the limits in play; for the others 0.

    A cell in which no name is free has a diagonal of 1, falling with the damping: its step grows until some are.
    """
    group, own = problem.group, moments[:, OF_CELL]
    damped = damping[group]
    diagonal = np.where(own > 0.0, own * (1.0 + damped), np.minimum(damped / DAMPING, 1.0))
    border = moments[:, WITH_CELL] * (play[group] & cell_play[:, None])
    added = damping[:, None] * np.maximum(problem.of_groups(moments)[:, OF_ITSELF], 1.0)
    corner = corner_of(problem, moments, border, diagonal, play)
    corner[:, SUMS, SUMS] += np.where(play, added, 1.0)
    right = excess.shared * play - problem.of_groups(border * (excess.of_cell / diagonal)[:, None])
    shared = np.linalg.solve(corner, right[:, :, None])[:, :, 0].astype(np.float64, copy=False)
    of_cell = (excess.of_cell - (border * shared[group]).sum(axis=1)) / diagonal
    return Multipliers(shared, np.where(cell_play, of_cell, 0.0))


def _shortened(promised: Floats, gained: Floats) -> Floats:
    """The part of a step at which the parabola through what is known has its top, within reason."""
    short = promised - gained
    top = np.divide(0.5 * promised, short, out=np.full(len(short), 0.5), where=short > 0.0)
    within: Floats = np.clip(top, 0.05, 0.5)
    return within
