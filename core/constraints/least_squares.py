"""The convex limits of a problem as matrices: the least-squares problem that `core.constraints.nearest` solves.

    minimise ½ Σ (w − wanted)²   where   lower ≤ w ≤ upper   and   Σ linear·w + Σ absolute·|w − centre| ≤ bound

`least_squares_of` merges the ranges of all `Each` forms into one box, remembering which limit set each end, and makes
one row of each `Total`. A size whose sign the box settles, |w − centre| with the centre not inside the box, becomes
linear; of two totals that are an equation together, one row is kept.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from core.constraints.forms import Each, Floats, Total, Truths
from core.constraints.problem import Problem

BY_ITSELF = -1  # the number of the limit behind an end of the box that comes with the name itself

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LeastSquares:
    """Matrices of one row per total and one column per name; `of_*` are numbers of limits of the problem.

    `equal`: totals that must equal their bound; `of_opposite` is then the limit of the opposite one.
    """

    wanted: Floats
    lower: Floats
    upper: Floats
    of_lower: Numbers
    of_upper: Numbers
    linear: Floats
    absolute: Floats
    centre: Floats
    bound: Floats
    equal: Truths
    of_total: Numbers
    of_opposite: Numbers

    def levels(self, weights: Floats) -> Floats:
        """The left side of every total."""
        levels: Floats = self.linear @ weights + (self.absolute * np.abs(weights - self.centre)).sum(axis=1)
        return levels

    def violation(self, weights: Floats) -> float:
        """By how much the worst bound is exceeded; not positive where all hold."""
        over = self.levels(weights) - self.bound
        ends = np.maximum(weights - self.upper, self.lower - weights)
        return float(max(np.max(np.where(self.equal, np.abs(over), over), initial=-np.inf), np.max(ends, initial=0.0)))


def least_squares_of(problem: Problem) -> LeastSquares:
    """The matrices of a problem whose limits are all convex."""
    lower, upper, of_lower, of_upper = _box(problem)
    numbered = [(number, form) for number, limit in enumerate(problem.limits) for form in limit.forms]
    totals = [(number, _folded(form, lower, upper)) for number, form in numbered if isinstance(form, Total)]
    kept = _without_opposites(totals)
    shape = (len(kept), len(lower))
    return LeastSquares(
        wanted=problem.names.wanted,
        lower=lower,
        upper=upper,
        of_lower=of_lower,
        of_upper=of_upper,
        linear=np.array([form.linear for _, form, _ in kept]).reshape(shape),
        absolute=np.array([form.absolute for _, form, _ in kept]).reshape(shape),
        centre=np.array([form.centre for _, form, _ in kept]).reshape(shape),
        bound=np.array([form.bound for _, form, _ in kept]),
        equal=np.array([opposite is not None for _, _, opposite in kept], dtype=bool),
        of_total=np.array([number for number, _, _ in kept], dtype=np.int64),
        of_opposite=np.array([number if other is None else other for number, _, other in kept], dtype=np.int64),
    )


def _box(problem: Problem) -> tuple[Floats, Floats, Numbers, Numbers]:
    """The range of each name, and the numbers of the limits that set its ends; ends that have crossed by less than the
    tolerance of the problem meet in the middle."""
    lower, upper = problem.lower.copy(), problem.upper.copy()
    of_lower, of_upper = (np.full(len(lower), BY_ITSELF) for _ in range(2))
    for number, limit in enumerate(problem.limits):
        for form in limit.forms:
            if isinstance(form, Each):
                of_lower = np.where(form.lower > lower, number, of_lower)
                of_upper = np.where(form.upper < upper, number, of_upper)
                lower, upper = np.maximum(lower, form.lower), np.minimum(upper, form.upper)
    crossed = lower > upper
    middle = (np.where(crossed, lower, 0.0) + np.where(crossed, upper, 0.0)) / 2.0
    return np.where(crossed, middle, lower), np.where(crossed, middle, upper), of_lower, of_upper


def _folded(total: Total, lower: Floats, upper: Floats) -> Total:
    """The total with sizes made linear where the box settles their sign."""
    above, below = total.centre <= lower, total.centre >= upper
    sign = np.where(above, 1.0, np.where(below, -1.0, 0.0)) * total.absolute
    return replace(
        total,
        bound=total.bound + float(sign @ total.centre),
        linear=total.linear + sign,
        absolute=np.where(above | below, 0.0, total.absolute),
    )


def _without_opposites(totals: list[tuple[int, Total]]) -> list[tuple[int, Total, int | None]]:
    """The totals, each with the number of the limit of its opposite if both together are an equation."""
    kept: list[tuple[int, Total, int | None]] = []
    linear_at: dict[tuple[bytes, float], int] = {}
    for number, form in totals:
        if form.absolute.any():
            kept.append((number, form, None))
            continue
        opposite = linear_at.get((((-form.linear) + 0.0).tobytes(), -form.bound + 0.0))
        if opposite is None:
            linear_at[(form.linear + 0.0).tobytes(), form.bound + 0.0] = len(kept)
            kept.append((number, form, None))
        else:
            kept[opposite] = (*kept[opposite][:2], number)
    return kept
