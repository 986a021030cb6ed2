"""Which limit changed which weight by how much, in a group that was solved exactly.

At the nearest weights the change of each name is the sum of what binds there: w − wanted = −Σ λ·slope over the binding
totals, less the pull at the end of a range or at a kink. `attributed` gives the first to the limits of the totals, the
second to the limit that set the end, the third to the totals that bend at the kink, by their multipliers. Where
multipliers are not unique, `_least_norm` takes those of the least Euclidean norm, of totals and ends together.
"""

import clarabel
import numpy as np
from scipy import sparse

from core.constraints.forms import Floats, Truths
from core.constraints.interior_point import settings
from core.constraints.least_squares import LeastSquares, Numbers
from core.constraints.nearest import Binding, Solution, pulls, slopes

SAME = 1e-10  # a total this close to its bound binds


def attributed(problem: LeastSquares, solution: Solution) -> dict[int, Floats]:
    """What each limit changed, in weight, name by name, by the number of the limit.

    The amounts of a name add up to its change, but for rounding.
    """
    weights, binding = solution.weights, solution.binding
    multipliers = _multipliers(problem, solution)
    changed: dict[int, Floats] = {}
    fixed = problem.lower == problem.upper
    pull, grip = pulls(problem, binding, weights, multipliers)
    bent = np.divide(pull, grip, out=np.zeros_like(pull), where=grip > 0)
    steep = slopes(problem, binding)
    for at in np.flatnonzero(multipliers):
        slope = steep[at] + np.where(binding.signs[at] == 0, problem.absolute[at] * bent, 0.0)
        limit = problem.of_total[at] if multipliers[at] > 0 else problem.of_opposite[at]
        _add(changed, int(limit), np.where(fixed, 0.0, -multipliers[at] * slope))
    at_end = np.where(fixed, weights - problem.wanted, np.where(binding.held & (grip == 0), -pull, 0.0))
    for limit, here in ((problem.of_upper, at_end < 0), (problem.of_lower, at_end > 0)):
        for number in np.unique(limit[here]):
            _add(changed, int(number), np.where(here & (limit == number), at_end, 0.0))
    return changed


def _add(changed: dict[int, Floats], limit: int, amounts: Floats) -> None:
    changed[limit] = changed.get(limit, np.zeros(len(amounts))) + amounts


def _multipliers(problem: LeastSquares, solution: Solution) -> Floats:
    """Those of the solution if there are no others, else those of least norm."""
    binding = solution.binding
    tight = problem.equal | (np.abs(problem.levels(solution.weights) - problem.bound) <= SAME)
    steps = slopes(problem, binding)[tight][:, ~binding.held]
    unique = not tight.any() or np.linalg.matrix_rank(steps, tol=SAME) == len(steps)
    if unique and solution.multipliers is not None:
        return solution.multipliers
    multipliers = np.zeros(len(problem.bound))
    multipliers[tight] = _least_norm(problem, solution, tight)
    left = solution.weights - problem.wanted + multipliers @ slopes(problem, binding)
    multipliers[tight] -= np.linalg.lstsq(steps.T, left[~binding.held], rcond=SAME)[0]
    return multipliers


def _least_norm(problem: LeastSquares, solution: Solution, tight: Truths) -> Floats:
    """The multipliers of the tight totals that explain the weights with the least norm of all that are allowed.

    Columns: the multipliers, then one pull per held name, outward at the end of a range, within the grip at a kink.
    """
    binding, change = solution.binding, problem.wanted - solution.weights
    movable = problem.lower < problem.upper
    held = np.flatnonzero(binding.held & movable)
    steep = slopes(problem, binding)[tight]
    count, pulled = len(steep), len(held)
    of_held = sparse.csc_matrix((np.ones(pulled), (held, np.arange(pulled))), shape=(len(change), pulled))
    explained = sparse.hstack([sparse.csc_matrix(steep.T), of_held], format="csr")[movable]
    signed = sparse.hstack([-sparse.identity(count), sparse.csc_matrix((count, pulled))], format="csr")
    ends = _within_reach(problem, binding, held, tight)
    rows = sparse.vstack([explained, signed[~problem.equal[tight]], ends], format="csc")
    right = np.concatenate([change[movable], np.zeros(rows.shape[0] - int(movable.sum()))])
    cones = [clarabel.ZeroConeT(int(movable.sum())), clarabel.NonnegativeConeT(len(right) - int(movable.sum()))]
    columns = count + pulled
    square = sparse.identity(columns, format="csc")
    largest = np.abs(change).max(initial=0.0)
    scale = 1.0 / largest if largest > 0 else 1.0
    found = clarabel.DefaultSolver(square, np.zeros(columns), rows, right * scale, cones, settings()).solve()
    return np.array(found.x[:count]) / scale


def _within_reach(problem: LeastSquares, binding: Binding, held: Numbers, tight: Truths) -> sparse.csr_matrix:
    """Rows that are not positive where every pull is one that can hold a name: outward, or within the grip."""
    count, pulled = int(tight.sum()), len(held)
    one = sparse.identity(pulled, format="csr")
    upper, lower = (binding.at[held] == end[held] for end in (problem.upper, problem.lower))
    kinked = ~upper & ~lower
    grip = (problem.absolute * ((problem.absolute > 0) & (binding.signs == 0)))[tight][:, held].T
    reach = sparse.csr_matrix(grip)
    none = sparse.csr_matrix((pulled, count))
    rows: sparse.csr_matrix = sparse.vstack(
        [
            sparse.hstack([none, -one], format="csr")[upper],
            sparse.hstack([none, one], format="csr")[lower],
            sparse.hstack([-reach, one], format="csr")[kinked],
            sparse.hstack([-reach, -one], format="csr")[kinked],
        ],
        format="csr",
    )
    return rows
