"""The weights nearest to the wanted ones under all limits at once, exactly.

`nearest` starts from the interior-point solution (`core.constraints.interior_point`), good to some eight digits. From
there it finds what binds: names held at an end of their range or at a kink (w = centre), and totals at their bound. If
exactly that binds, the weights are the solution of linear equations (`_solved`): with G the slopes of the binding
totals at the names that are free,

    w = wanted − Gᵀλ   and   (G Gᵀ) λ = G·wanted − bound.

`_mended` compares what comes out with what was assumed and mends it (a name beyond its range is held, one that is
pulled away from where it is held is let go, a total with a negative multiplier does not bind, one above its bound does)
until both agree. Then the conditions of Karush, Kuhn and Tucker hold, and the weights are the nearest.

Source: Boyd and Vandenberghe, Convex Optimization (2004), section 5.5.3; Nocedal and Wright, Numerical Optimization
(2006), section 16.5 (active sets, here with a warm start).
"""

from dataclasses import dataclass

import numpy as np

from core.constraints.forms import Floats, Truths
from core.constraints.interior_point import approximate
from core.constraints.least_squares import LeastSquares

ROUNDING = 1e-12  # weights and pulls closer than this are equal
CONTRADICTION = 1e-10  # limits may contradict each other by so much and still be met to the tolerance
NEAR = 1e-6  # what an approximate solution may be off, in units of 1/n
ROUNDS = 500


@dataclass(frozen=True)
class Binding:
    """What is taken to bind.

    `held`: names held at a weight, `at` (0 for the others). `signs`: per total and name the sign of w − centre,
    0 where the name is held at that kink. `active`: totals that equal their bound.
    """

    held: Truths
    at: Floats
    signs: Floats
    active: Truths

    @property
    def key(self) -> bytes:
        """The same for what binds in the same way."""
        return b"".join(part.tobytes() for part in (self.held, self.at, self.signs, self.active))


@dataclass(frozen=True)
class Solution:
    """The nearest weights, what binds, and the multiplier of every total; None where they are not unique."""

    weights: Floats
    binding: Binding
    multipliers: Floats | None


def nearest(problem: LeastSquares, start: Floats | None = None) -> Solution:
    """The nearest weights of a problem that has some; `start`: weights that are nearly so, if they are known."""
    start = approximate(problem) if start is None else start
    first = binding = _binding_at(problem, start)
    seen: set[bytes] = set()
    for _ in range(ROUNDS):
        weights, multipliers = _solved(problem, binding)
        mended = _mended(problem, binding, weights, multipliers, one_by_one=binding.key in seen)
        if mended is None:
            break
        seen.add(binding.key)
        binding = mended
    if mended is None and problem.violation(weights) <= CONTRADICTION:
        return Solution(weights, binding, multipliers)
    return _snapped(problem, start, first)


def _snapped(problem: LeastSquares, start: Floats, binding: Binding) -> Solution:
    """The approximate weights, moved to where exactly that binds which seems to: for a corner in which more binds than
    there are names, or limits that contradict each other by a rounding."""
    weights, _ = _solved(problem, binding)
    moved = np.abs(weights - start).max(initial=0.0)
    if moved <= NEAR and problem.violation(weights) <= max(CONTRADICTION, problem.violation(start)):
        return Solution(weights, binding, None)
    return Solution(start, binding, None)


def slopes(problem: LeastSquares, binding: Binding) -> Floats:
    """By how much each total grows with each name, without what bends there."""
    return problem.linear + problem.absolute * binding.signs


def _binding_at(problem: LeastSquares, weights: Floats) -> Binding:
    """What binds at weights, as far as their accuracy tells."""
    near = NEAR / max(len(weights), 1)
    at = np.where(weights >= problem.upper - near, problem.upper, weights)
    at = np.where(weights <= problem.lower + near, problem.lower, at)
    held = at != weights
    held |= (at == problem.upper) | (at == problem.lower)
    for absolute, centre in zip(problem.absolute, problem.centre, strict=True):
        kinked = (absolute > 0) & ~held & (np.abs(weights - centre) <= near)
        at, held = np.where(kinked, centre, at), held | kinked
    signs = _signs(problem, at)
    steepness = np.abs(problem.linear).sum(axis=1) + problem.absolute.sum(axis=1)
    active = problem.equal | (problem.levels(weights) >= problem.bound - near * np.maximum(steepness, 1.0))
    return Binding(held, np.where(held, at, 0.0), signs, active)


def _signs(problem: LeastSquares, weights: Floats) -> Floats:
    off = weights - problem.centre
    return np.where(problem.absolute > 0, np.where(np.abs(off) > ROUNDING, np.sign(off), 0.0), 0.0)


def _solved(problem: LeastSquares, binding: Binding) -> tuple[Floats, Floats]:
    """The weights and multipliers if exactly that binds."""
    active, free = binding.active, ~binding.held
    weights = np.where(free, problem.wanted, binding.at)
    multipliers = np.zeros(len(problem.bound))
    if not active.any():
        return weights, multipliers
    steep = slopes(problem, binding)[active]
    constant = (problem.absolute * binding.signs * problem.centre).sum(axis=1)[active]
    steps = steep[:, free]
    for _ in range(2):  # the second round takes back what rounding left
        excess = steep @ weights - constant - problem.bound[active]
        change = np.linalg.lstsq(steps @ steps.T, excess, rcond=ROUNDING)[0]
        multipliers[active] += change
        weights[free] -= steps.T @ change
    return weights, multipliers


def pulls(problem: LeastSquares, binding: Binding, weights: Floats, multipliers: Floats) -> tuple[Floats, Floats]:
    """Where each name would go if it were let go, and how far the kinks that it sits at hold it back."""
    pull = problem.wanted - weights - multipliers @ slopes(problem, binding)
    bends = (problem.absolute > 0) & (binding.signs == 0)
    return pull, multipliers @ (problem.absolute * bends)


def _mended(
    problem: LeastSquares, binding: Binding, weights: Floats, multipliers: Floats, *, one_by_one: bool
) -> Binding | None:
    """What binds, corrected by what came out of it; None where nothing is to be corrected.

    All corrections at once, or only the first: slower, but it ends where the former goes round in circles.
    """
    pull, grip = pulls(problem, binding, weights, multipliers)
    let_go = _let_go(problem, binding, pull, grip)
    stops = _stops(problem, binding, weights, multipliers)
    caught = ~binding.held & (np.abs(weights - stops) > ROUNDING)
    over = ~binding.active & (problem.levels(weights) > problem.bound + ROUNDING)
    slack = binding.active & ~problem.equal & (multipliers < -ROUNDING)
    if not any(wrong.any() for wrong in (let_go, caught, over, slack)):
        return None
    if one_by_one:
        let_go, caught, over, slack = _first(let_go, caught, over, slack)
    held = (binding.held | caught) & ~let_go
    at = np.where(held, np.where(caught, stops, binding.at), 0.0)
    leaving = np.where(let_go, np.sign(pull), 0.0)
    signs = _mended_signs(problem, binding, np.where(held, at, weights), held, leaving)
    return Binding(held, at, signs, (binding.active | over) & ~slack)


def _let_go(problem: LeastSquares, binding: Binding, pull: Floats, grip: Floats) -> Truths:
    """Held names that are pulled away from where they are held."""
    upper, lower = (binding.held & (binding.at == end) for end in (problem.upper, problem.lower))
    outward: Floats = np.where(upper, -pull, np.where(lower, pull, np.abs(pull) - grip))
    let_go: Truths = binding.held & ~(upper & lower) & (outward > ROUNDING)
    return let_go


def _stops(problem: LeastSquares, binding: Binding, weights: Floats, multipliers: Floats) -> Floats:
    """Where free names that went too far have to stop: at the end of their range, or at a kink of a binding total."""
    stops = np.clip(weights, problem.lower, problem.upper)
    for at in np.flatnonzero(binding.active & (multipliers > 0) & problem.absolute.any(axis=1)):
        off = (weights - problem.centre[at]) * binding.signs[at]
        stops = np.where((problem.absolute[at] > 0) & (off < -ROUNDING), problem.centre[at], stops)
    return stops


def _mended_signs(problem: LeastSquares, binding: Binding, here: Floats, held: Truths, leaving: Floats) -> Floats:
    """On which side of each centre every name is: where it is held; where it is pulled; where it was assumed to be.

    `leaving`: the way that a name goes which is let go; 0 for the others.
    """
    fresh = _signs(problem, here)
    towards = np.where(leaving != 0.0, leaving, np.where(problem.wanted >= problem.centre, 1.0, -1.0))
    free = np.where(fresh == 0, towards, fresh)
    assumed = binding.active[:, None] & ~binding.held & (binding.signs != 0)
    free = np.where(assumed, binding.signs, free)
    return np.where(problem.absolute > 0, np.where(held, fresh, free), 0.0)


def _first(*wrong: Truths) -> list[Truths]:
    """The same, without all but the first that is true."""
    everything = np.concatenate(wrong)
    first = np.zeros(len(everything), dtype=bool)
    first[everything.argmax()] = True
    return np.split(first, np.cumsum([len(part) for part in wrong])[:-1])
