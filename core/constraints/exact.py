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
from core.constraints.least_squares import LeastSquares, least_squares_of
from core.constraints.linear_program import ElasticProgram
from core.constraints.nearest import Solution, nearest
from core.constraints.patterns import largest, placed_choice, settled
from core.constraints.problem import Problem, convex_part
from core.constraints.relaxation import granted
from core.limits import TOLERANCE

LEEWAY = 3e-10  # limits are met to 1e-9; so much of that may help to find weights where they can only just be met
FEW = 30  # up to so many names, a choice is searched for even where a simple one will do


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


Answer = tuple[Floats, dict[int, Floats]]
"""The nearest weights of a convex problem, and what changed them."""


def solve(problem: Problem) -> Exact | Conflict:
    """The nearest weights that meet all limits to 1e-9, or what conflicts."""
    room, in_force = np.zeros(len(problem.limits)), problem
    convex, answers = _answers(problem)
    if not answers and (given := granted(problem)) is not None:
        room, in_force = given, problem.with_limits(_relaxed(problem, given))
        convex, answers = _answers(in_force)
    if convex is None or not answers:
        return conflict_of(problem)
    weights, changes = min(answers, key=lambda answer: _distance(problem, answer[0]))
    distance = _distance(problem, weights)
    gap = max(distance - _distance(problem, convex[0]), 0.0)
    return Exact(weights, changes, in_force.limits, room, distance, gap)


def _relaxed(problem: Problem, room: Floats) -> list[Limit]:
    return [limit.relaxed(gives) if gives else limit for limit, gives in zip(problem.limits, room, strict=True)]


def _answers(problem: Problem) -> tuple[Answer | None, list[Answer]]:
    """The answer without counts, floors and sizes, and those under one or more choices of names and sides, see
    `core.constraints.patterns`; none: there are no weights."""
    convex = _answer(convex_part(problem))
    if convex is None:
        return None, []
    aim = convex[0]
    discrete = [limit for limit in problem.limits if limit.discrete]
    if all(limit.excess(aim) <= TOLERANCE for limit in discrete):
        return convex, [convex]
    starts = (aim, problem.names.wanted, problem.names.current)
    tried = [_answer(settled(problem, largest(problem, start))) for start in starts]
    answers = [answer for answer in tried if answer is not None]
    if answers and len(problem.names) > FEW:
        return convex, answers
    return convex, [*answers, *_searched(problem, aim)]


def _searched(problem: Problem, aim: Floats) -> list[Answer]:
    program = ElasticProgram(problem, aim)
    violation = program.least_violation()
    if violation > TOLERANCE:
        return []
    choice = settled(problem, placed_choice(problem, program.nearest_in_total(violation)))
    return [_nearest_answer(choice, ElasticProgram(choice).least_violation())]


def _answer(problem: Problem) -> Answer | None:
    """That of a convex problem; None where its limits cannot all hold."""
    violation = ElasticProgram(problem).least_violation()
    return None if violation > TOLERANCE else _nearest_answer(problem, violation)


def _nearest_answer(problem: Problem, violation: float) -> Answer:
    """That of a convex problem whose limits hold but for a violation.

    Limits that can only just hold are loosened by less than the tolerance, if without that no weights are found.
    """
    squares, solution = _nearest(problem, violation)
    if squares.violation(solution.weights) > LEEWAY:
        squares, solution = _nearest(problem, violation + LEEWAY)
    return solution.weights, attributed(squares, solution)


def _nearest(problem: Problem, violation: float) -> tuple[LeastSquares, Solution]:
    squares = least_squares_of(problem.with_limits([_loosened(limit, violation) for limit in problem.limits]))
    return squares, nearest(squares)


def _loosened(limit: Limit, violation: float) -> Limit:
    """A convex limit with the violation that even the best weights cannot avoid; what is fixed stays where it is."""
    if violation <= 0.0 or limit.value is None:
        return limit
    return replace(
        limit, forms=tuple(form.loosened(violation) for form in limit.forms if isinstance(form, Each | Total))
    )


def _distance(problem: Problem, weights: Floats) -> float:
    return float(np.linalg.norm(weights - problem.names.wanted))
