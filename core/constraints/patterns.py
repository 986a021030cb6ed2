"""Counts, floors and sizes, settled: which names have a weight, on which side, and which represent their bucket.

Such limits are no convex set, and the weights nearest to the wanted ones under them would take a search of all
choices. The rule here is one that can be told. First the nearest weights without such limits
(`core.constraints.problem.convex_part`): if they meet them all the same, they are the answer. If not, **the largest
names are kept** (`largest`): as many as the counts allow, those of at least half their floor, one in each of the
buckets that are represented best; by the sizes of the nearest weights without such limits, of the wanted ones, and of
today's. Where none of these choices leaves weights that meet all limits, or the names are few, the choice is also that
of the weights that are reached from the first **with the least total change**, Σ|w − start|:
`ElasticProgram.nearest_in_total`, a mixed-integer linear program, finds one whenever there is one. `settled` turns
each limit into ranges and totals that hold for a choice alone; the nearest weights under it are then those of a convex
problem, and the nearest of all choices are taken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.constraints.forms import Count, Each, Floats, Floor, Form, Representation, Total, Truths, is_convex
from core.constraints.linear_program import Placed
from core.constraints.problem import Problem
from core.limits import TOLERANCE


@dataclass(frozen=True)
class Choice:
    """`has`: names that may have a weight; `sides`: 1 or −1; `anchors`: names that represent their bucket."""

    has: Truths
    sides: Floats
    anchors: Truths


def settled(problem: Problem, choice: Choice) -> Problem:
    """The problem with convex limits, under a choice."""
    return problem.with_limits([replace(limit, forms=tuple(_kept(limit.forms, choice))) for limit in problem.limits])


def placed_choice(problem: Problem, placed: Placed) -> Choice:
    """The choice of the weights that a program placed."""
    sides = _sides(problem, placed.weights, placed.sides)
    return Choice(_with_spare_slots(problem, placed.has), sides, placed.anchors)


def largest(problem: Problem, weights: Floats) -> Choice:
    """The choice of the largest names by given weights; frozen names stand before all others."""
    forms = [form for limit in problem.limits for form in limit.forms]
    floors = [form.least for form in forms if isinstance(form, Floor)]
    size = np.where(problem.frozen, np.inf, np.abs(weights))
    eligible = (size > TOLERANCE) & (size >= 0.5 * np.max([np.zeros(len(size)), *floors], axis=0))
    has = _with_slots(problem, np.zeros(len(size), dtype=bool), np.where(eligible, size, 0.0))
    sides = _sides(problem, weights, np.ones(len(size)))
    anchors = np.zeros(len(size), dtype=bool)
    for form in forms:
        if isinstance(form, Representation):
            anchors |= _anchors(form, np.where(has, size, 0.0))
    return Choice(has, sides, anchors)


def _anchors(form: Representation, size: Floats) -> Truths:
    """The largest name of each of the buckets that have the largest ones."""
    anchors, taken = np.zeros(len(size), dtype=bool), set[int]()
    for at in np.argsort(-size, kind="stable"):
        bucket = int(form.bucket[at])
        if bucket >= 0 and bucket not in taken and len(taken) < form.least:
            anchors[at] = True
            taken.add(bucket)
    return anchors


def _with_spare_slots(problem: Problem, chosen: Truths) -> Truths:
    """The chosen names and, as far as counts have room, the largest wanted ones: a slot that is free costs nothing.

    Where there are floors, a slot does cost: whoever has it must be large enough.
    """
    if any(isinstance(form, Floor) for limit in problem.limits for form in limit.forms):
        return chosen
    return _with_slots(problem, chosen, np.abs(problem.names.wanted) + 1.0)  # names at 0 may have one too


def _with_slots(problem: Problem, has: Truths, size: Floats) -> Truths:
    """Names that have a slot and, the largest first, those of any size that all counts still have room for."""
    counts = [form for limit in problem.limits for form in limit.forms if isinstance(form, Count)]
    has = has.copy()
    for at in np.argsort(-size, kind="stable"):
        room = (not form.members[at] or (has & form.members).sum() < form.most for form in counts)
        has[at] = has[at] or (size[at] > 0.0 and all(room))
    return has


def _sides(problem: Problem, weights: Floats, otherwise: Floats) -> Floats:
    """The side of each name: where its weight is, else where it is wanted, else where it is today."""
    sides = otherwise
    for known in (problem.names.current, problem.names.wanted, weights):
        sides = np.where(np.abs(known) > TOLERANCE, np.sign(known), sides)
    return sides


def _kept(forms: Sequence[Form], choice: Choice) -> Iterator[Form]:
    """Convex forms in place of the ones that are not."""
    for form in forms:
        match form:
            case Count() if form.members.sum() <= form.most:
                continue  # no choice of names exceeds it
            case Count():
                yield _range(form.members & ~choice.has, np.zeros(len(choice.has)), choice)
            case Floor():
                yield _range(form.least > 0, np.where(choice.has, form.least, 0.0), choice)
            case Representation():
                yield _range(choice.anchors, np.full(len(choice.has), form.size), choice)
            case Total() if not is_convex(form):
                asked = form.absolute < 0
                yield Each(
                    np.where(asked & (choice.sides > 0), 0.0, -np.inf),
                    np.where(asked & (choice.sides < 0), 0.0, np.inf),
                )
                yield replace(
                    form,
                    linear=form.linear + np.where(asked, form.absolute * choice.sides, 0.0),
                    absolute=np.where(asked, 0.0, form.absolute),
                )
            case _:
                yield form


def _range(members: Truths, size: Floats, choice: Choice) -> Each:
    """Members at least of a size on their side; those of size 0 at 0."""
    none = members & (size == 0.0)
    lower = np.where(members & (choice.sides > 0), size, -np.inf)
    upper = np.where(members & (choice.sides < 0), -size, np.inf)
    return Each(np.where(none, 0.0, lower), np.where(none, 0.0, upper))
