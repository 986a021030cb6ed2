"""One group that the chain left in breach: the nearest weights that meet every limit, or why there are none.

`solve` asks, in this order: can all limits hold (an elastic linear program judges, never the status of a solver); if
not, how far do the soft ones have to give way (`core.constraints.relaxation`); which names have a weight at all, where
that is a question (`core.constraints.patterns`); and which weights are nearest then (`core.constraints.nearest`).
"""

from dataclasses import dataclass, field, replace

import numpy as np

from core.constraints.attribution import attributed
from core.constraints.forms import Each, Floats, Limit, Total
from core.constraints.infeasible import Conflict, conflict_of
from core.constraints.least_squares import least_squares_of
from core.constraints.linear_program import ElasticProgram
from core.constraints.nearest import nearest
from core.constraints.patterns import convex_part, settled
from core.constraints.problem import Problem
from core.constraints.relaxation import granted
from core.limits import TOLERANCE

LEEWAY = 3e-10  # limits are met to 1e-9; so much of that may help to find weights where they can only just be met


@dataclass(frozen=True)
class Exact:
    """The nearest weights of a problem.

    `changes`: what each limit changed, name by name, by the number of the limit in `limits`; `limits` are those in
    force, soft ones with the room they were given. `gap`: how much nearer the best weights could be at most.
    """

    weights: Floats = field(repr=False)
    changes: dict[int, Floats] = field(repr=False)
    limits: tuple[Limit, ...]
    room: Floats
    distance: float
    gap: float


def solve(problem: Problem) -> Exact | Conflict:
    """The nearest weights that meet all limits to 1e-9, or what conflicts."""
    program = ElasticProgram(problem)
    room = np.zeros(len(problem.limits))
    if program.least_violation() > TOLERANCE:
        given = granted(program)
        if given is None:
            return conflict_of(problem)
        room = given
    in_force = problem.with_limits(
        [limit.relaxed(gives) if gives else limit for limit, gives in zip(problem.limits, room, strict=True)]
    )
    return _solved(in_force, room)


def _solved(problem: Problem, room: Floats) -> Exact:
    """The nearest weights of a problem that has some."""
    convex = convex_part(problem)
    aim, changes = _weights(convex)
    if all(limit.excess(aim) <= TOLERANCE for limit in problem.limits):
        return Exact(aim, changes, problem.limits, room, _distance(problem, aim), 0.0)
    nearest_without = _distance(problem, aim)
    found = (_under_choice(problem, start) for start in (aim, problem.names.wanted))
    weights, changes = min(found, key=lambda answer: _distance(problem, answer[0]))
    distance = _distance(problem, weights)
    return Exact(weights, changes, problem.limits, room, distance, max(distance - nearest_without, 0.0))


def _under_choice(problem: Problem, start: Floats) -> tuple[Floats, dict[int, Floats]]:
    """The nearest weights under the choice of names and sides that is reached from `start` with the least change."""
    program = ElasticProgram(problem, start)
    return _weights(settled(problem, program.nearest_in_total(program.least_violation())))


def _weights(problem: Problem) -> tuple[Floats, dict[int, Floats]]:
    """The nearest weights of a convex problem, and what changed them.

    Limits that can only just hold are loosened by less than the tolerance, if without that no weights are found.
    """
    violation = ElasticProgram(problem).least_violation()
    for room in (violation, violation + LEEWAY):
        squares = least_squares_of(problem.with_limits([_loosened(limit, room) for limit in problem.limits]))
        solution = nearest(squares)
        if squares.violation(solution.weights) <= LEEWAY:
            break
    return solution.weights, attributed(squares, solution)


def _loosened(limit: Limit, violation: float) -> Limit:
    """A convex limit with the violation that even the best weights cannot avoid; what is fixed stays where it is."""
    if violation <= 0.0 or limit.value is None:
        return limit
    return replace(
        limit, forms=tuple(form.loosened(violation) for form in limit.forms if isinstance(form, Each | Total))
    )


def _distance(problem: Problem, weights: Floats) -> float:
    return float(np.linalg.norm(weights - problem.names.wanted))
