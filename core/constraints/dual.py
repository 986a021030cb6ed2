"""The dual function of many separable problems: what follows from multipliers.

For one group, of the wanted weights a and today's weights c, the problem of `core.constraints.separable` is

    minimise ½ Σ (w − a)²   where   lower ≤ w ≤ upper,   least ≤ Σw ≤ greatest,   Σ|w| ≤ gross,
                                    ½ Σ|w − c| ≤ turnover,   and in every bucket   Σ|w| ≤ most.

Give each limit on a sum a multiplier: ν for the net (positive where its upper bound pulls, negative where the lower one
does), γ for the gross, τ for the turnover, β for each bucket. The Lagrangian then falls apart into names,

    ½ (w − a)² + ν w + (γ + β) |w| + ½ τ |w − c|   over   lower ≤ w ≤ upper,

and each has a minimum in closed form (`_weights_at`): the pull a − ν, shrunk towards 0 by γ + β and towards c by ½τ,
stopping at these two kinks, then clipped to its range. The sum of the minima, less each multiplier times its bound, is
the dual function g. It is concave, below the objective of all weights that meet the limits, and its slope in each
multiplier is by how much that sum exceeds its bound. Where no sum in play is off its bound, the conditions of Karush,
Kuhn and Tucker hold: the weights are the nearest.

The slope is piecewise linear. Its derivative is −Σ s sᵀ over the names that are free (neither at an end of their range
nor at a kink), s what each sum gains with the name: 1 for the net, its side of zero for gross and bucket, half its side
of c for the turnover. `moments_of` sums the products, bucket by bucket.

Sums run over the names of a cell, then over the cells of a group, in order, so that no bit of a group's answer depends
on the groups beside it.
"""

from dataclasses import dataclass

import numpy as np

from core.constraints.forms import Floats, Truths
from core.constraints.separable import GROSS, NET, TURNOVER, Separable


@dataclass(frozen=True)
class Multipliers:
    """`shared`: per group those of net, gross and turnover. `of_cell`: per cell that of its gross."""

    shared: Floats
    of_cell: Floats

    def only(self, groups: Truths, cells: Truths) -> "Multipliers":
        """Those of some groups."""
        return Multipliers(self.shared[groups], self.of_cell[cells])

    def where(self, groups: Truths, cells: Truths, other: "Multipliers") -> "Multipliers":
        """These in some groups, others elsewhere."""
        if groups.all():
            return self
        shared = np.where(groups[:, None], self.shared, other.shared)
        return Multipliers(shared, np.where(cells, self.of_cell, other.of_cell))


@dataclass(frozen=True)
class Point:
    """Multipliers, and what follows from them.

    `excess`: by how much the sums exceed the bounds in play, in the shape of the multipliers; 0 for others. A limit is
    in play where it has a multiplier, or is exceeded; `sides` says which of the two bounds of net, gross and
    turnover is: 1 the upper, −1 the lower, 0 none. Per group: `value`, that of g, and `off`, the largest excess.
    """

    at: Multipliers
    sides: Floats
    excess: Multipliers
    value: Floats
    off: Floats

    def only(self, groups: Truths, cells: Truths) -> "Point":
        """The point of some groups."""
        return Point(
            self.at.only(groups, cells),
            self.sides[groups],
            self.excess.only(groups, cells),
            self.value[groups],
            self.off[groups],
        )

    def where(self, groups: Truths, cells: Truths, other: "Point") -> "Point":
        """This point in some groups, another elsewhere."""
        if groups.all():
            return self
        return Point(
            self.at.where(groups, cells, other.at),
            np.where(groups[:, None], self.sides, other.sides),
            self.excess.where(groups, cells, other.excess),
            np.where(groups, self.value, other.value),
            np.where(groups, self.off, other.off),
        )


def point_at(problem: Separable, at: Multipliers) -> tuple[Point, Floats]:
    """What follows from multipliers, and the weights."""
    weights = _weights_at(problem, at)
    levels, gross = sums_of(problem, weights)
    over, under = levels - problem.greatest, levels - problem.least
    sides = np.where(at.shared != 0.0, np.sign(at.shared), (over > 0.0) * 1.0 - (under < 0.0))
    shared = np.where(sides > 0.0, over, np.where(sides < 0.0, under, 0.0))
    of_cell = np.where((at.of_cell > 0.0) | (gross > problem.most), gross - problem.most, 0.0)
    cells = 0.5 * problem.of_cells((weights - problem.wanted) ** 2) + at.of_cell * of_cell
    value: Floats = problem.of_groups(cells) + (at.shared * shared).sum(axis=1)
    off = np.maximum(np.abs(shared).max(axis=1), problem.worst_of_groups(np.abs(of_cell)))
    return Point(at, sides, Multipliers(shared, of_cell), value, off), weights


def _weights_at(problem: Separable, at: Multipliers) -> Floats:
    """The weights under multipliers.

    With b = γ + β and t = ½τ, from above: what is left of the pull beyond both kinks, the higher kink, what is left
    between them, the lower kink, what is left below both; then the range.
    """
    cell, group = problem.cell, problem.group
    zero, today = at.shared[group, GROSS] + at.of_cell, 0.5 * at.shared[group, TURNOVER]
    pull = problem.wanted - at.shared[group, NET][cell]
    both, between = (zero + today)[cell], problem.side_today * (zero - today)[cell]
    weights = np.maximum(pull - both, problem.upper_kink)
    weights = np.maximum(np.minimum(weights, pull - between), problem.lower_kink)
    weights = np.minimum(weights, pull + both)
    within: Floats = np.minimum(np.maximum(weights, problem.lower), problem.upper)
    return within


def sums_of(problem: Separable, weights: Floats) -> tuple[Floats, Floats]:
    """Net, gross and turnover per group; and the gross per cell."""
    gross = problem.of_cells(np.abs(weights))
    turnover = 0.5 * problem.of_cells(np.abs(weights - problem.current))
    return problem.of_groups(np.stack([problem.of_cells(weights), gross, turnover], axis=1)), gross


def moments_of(problem: Separable, at: Multipliers, weights: Floats) -> Floats:
    """Per cell the sums of 1, z, z², k, zk and k² over the names that are free: z the side of zero that a name is on, k
    half the side of today's weight. See `ROWS`."""
    bends = (at.shared[problem.group, GROSS] + at.of_cell > 0.0)[problem.cell]
    bends_today = (at.shared[problem.group, TURNOVER] > 0.0)[problem.cell]
    z, k = np.sign(weights), 0.5 * np.sign(weights - problem.current)
    free = (problem.lower < weights) & (weights < problem.upper)
    free &= ~((z == 0.0) & bends | (k == 0.0) & bends_today)
    z, k, one = z * free, k * free, free.astype(np.float64)
    return np.stack([problem.of_cells(each) for each in (one, z, z * z, k, z * k, k * k)], axis=1)


ROWS, COLUMNS = (
    np.array([NET, NET, GROSS, NET, GROSS, TURNOVER]),
    np.array([NET, GROSS, GROSS, TURNOVER, TURNOVER, TURNOVER]),
)
"""Of which two sums each moment has the products of slopes; those of a cell are the slopes of the gross."""

AS_MATRIX = np.array([[0, 1, 3], [1, 2, 4], [3, 4, 5]])  # the moments as the symmetric matrix of the three sums
OF_ITSELF = [0, 2, 5]  # the moments of net, gross and turnover with themselves
WITH_CELL = [1, 2, 4]  # and with the cell
OF_CELL = 2  # the moment of the cell with itself


def corner_of(problem: Separable, moments: Floats, border: Floats, diagonal: Floats, among: Truths) -> Floats:
    """What is left of H for net, gross and turnover once the cells are eliminated: a 3 × 3 matrix per group, 0 but
    `among` some sums. `border` is H between the three sums and a cell, `diagonal` that of the cell with itself."""
    left = moments - border[:, ROWS] * border[:, COLUMNS] / diagonal[:, None]
    corner: Floats = (problem.of_groups(left) * among[:, ROWS] * among[:, COLUMNS])[:, AS_MATRIX]
    return corner


def ceiling_of(problem: Separable) -> Floats:
    """The largest objective of weights within their ranges, and within the bounds on gross and turnover, per group."""
    group = problem.group[problem.cell]
    gross, trade = problem.greatest[group, GROSS], 2.0 * problem.greatest[group, TURNOVER]
    upper = np.minimum(problem.upper, np.minimum(gross, problem.current + trade))
    lower = np.maximum(problem.lower, np.maximum(-gross, problem.current - trade))
    furthest = np.maximum((upper - problem.wanted) ** 2, (lower - problem.wanted) ** 2)
    return 0.5 * problem.of_groups(problem.of_cells(furthest))
