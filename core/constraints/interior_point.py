"""The least-squares problem handed to Clarabel, an interior-point solver for conic programs, in units of 1/n.

The solver minimises ½ x'Px + q'x over A x + s = b, with s = 0 for the first rows and s ≥ 0 for the others. A size
|w − centre| becomes a column of its own that is at least w − centre and centre − w; totals with one centre share it.
"""

import clarabel
import numpy as np
from scipy import sparse

from core.constraints.forms import Floats
from core.constraints.least_squares import LeastSquares


def approximate(problem: LeastSquares) -> Floats:
    """The nearest weights to some eight digits; near the edge of what is feasible to fewer."""
    n = len(problem.wanted)
    scale = float(max(n, 1))
    centres, of_centre = _centres(problem)
    sizes = sparse.csc_matrix((n, n * len(centres)))
    one = sparse.identity(n, format="csc")
    parts, bounds = [], []
    for side, end in ((1.0, problem.upper), (-1.0, -problem.lower)):
        limited = np.isfinite(end)
        parts.append(sparse.hstack([side * one[limited], sizes[limited]]))
        bounds.append(end[limited])
    for number, centre in enumerate(centres):
        column = sparse.hstack([one if at == number else 0.0 * one for at in range(len(centres))])
        for side in (1.0, -1.0):
            parts.append(sparse.hstack([side * one, -column]))
            bounds.append(side * centre)
    totals = np.hstack([problem.linear, *(problem.absolute * (of_centre == at)[:, None] for at in range(len(centres)))])
    equal = problem.equal
    rows = sparse.vstack([sparse.csc_matrix(totals[equal]), *parts, sparse.csc_matrix(totals[~equal])], format="csc")
    right = np.concatenate([problem.bound[equal], *bounds, problem.bound[~equal]]) * scale
    columns = n * (1 + len(centres))
    square = sparse.diags(np.concatenate([np.ones(n), np.zeros(columns - n)]), format="csc")
    towards = np.concatenate([-problem.wanted * scale, np.zeros(columns - n)])
    cones = [clarabel.ZeroConeT(int(equal.sum())), clarabel.NonnegativeConeT(len(right) - int(equal.sum()))]
    solution = clarabel.DefaultSolver(square, towards, rows, right, cones, settings()).solve()
    return np.clip(np.array(solution.x[:n]) / scale, problem.lower, problem.upper)


def _centres(problem: LeastSquares) -> tuple[list[Floats], Floats]:
    """The distinct centres of the totals that have sizes, and which of them each total has; −1: none."""
    centres: list[Floats] = []
    numbers: dict[bytes, int] = {}
    of_total = np.full(len(problem.bound), -1)
    for at, centre in enumerate(problem.centre):
        if problem.absolute[at].any():
            number = numbers.setdefault(centre.tobytes(), len(numbers))
            centres += [centre] if number == len(centres) else []
            of_total[at] = number
    return centres, of_total


def settings() -> clarabel.DefaultSettings:
    """As exact as it gets, and silent."""
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-12
    settings.max_iter = 200
    return settings
