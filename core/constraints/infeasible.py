"""No weights meet all limits of a group: which ones conflict, and the smallest changes that make room.

- `_conflicts`: the irreducible sets of conflicting limits, the first `MOST_SETS` of them. `_narrowed` finds one: an
  elastic filter collects limits that have to give way, one program after another, until they alone conflict; a deletion
  filter drops each that the conflict can do without. Further sets are looked for where one limit of each known set is
  taken out.
- `_alone`: the least value of one limit that suffices when no other changes, if any does.
- `_jointly`: the least changes of all limits together, in units of their values.
- `_names_needed`: how many names would do, where a cap on positions is part of a conflict.

Soft limits count with all the room that they may be given. Values are rounded to the feasible side, and tried.
Source: Chinneck, Feasibility and Infeasibility in Optimization (2008), chapters 6 and 7.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, isfinite, log10

import numpy as np

from core.constraints.forms import Floats, Limit, Total
from core.constraints.linear_program import EXACT, INFINITE, ElasticProgram, Placed, feasible
from core.constraints.problem import Problem, convex_part
from core.limits import TOLERANCE

MOST_SETS = 4  # so many conflicting sets are looked for and told; there could be very many, and each takes its time
MOST_NAMES = 1000  # so many more names are considered at most,
MOST_TRIED = 20  # and so many where each of them is a choice
FIRM = 1e3  # how much dearer a change is that no number of the policy expresses
NEARLY = 0.02  # a value beyond a step by so little of it is tried at the step
STEP = 1e-4  # values are rounded to a hundredth of a percent


@dataclass(frozen=True)
class WayOut:
    """One limit of a conflict with its number: what it would have to be, alone or jointly with the others."""

    limit: Limit
    alone: float | None  # None: no change of this limit alone suffices
    jointly: float | None  # None: it stays


@dataclass(frozen=True)
class Conflict:
    """Why a problem has no weights.

    `reaches`: see `Problem.reaches`; `names_needed`: how many names would do, if more of them could help.
    """

    sets: tuple[tuple[Limit, ...], ...]
    ways_out: tuple[WayOut, ...]
    released: tuple[Limit, ...]  # limits without a number that the joint change needs gone
    reaches: tuple[float, ...]
    names_needed: int | None
    complete: bool  # whether these are all sets


def conflict_of(problem: Problem) -> Conflict:
    """What conflicts in a problem that has no weights, and what to do."""
    configured = problem.limits
    problem = _at_most_relaxed(problem)
    question = _Question(problem)
    sets, complete = _conflicts(question)
    involved = sorted({number for found in sets for number in found})
    alone = {number: _alone(question, number) for number in involved if problem.limits[number].value is not None}
    jointly = _jointly(question, alone)
    numbered = sorted({*alone, *(number for number in jointly if problem.limits[number].value is not None)})
    return Conflict(
        sets=tuple(tuple(problem.limits[number] for number in sorted(found)) for found in sets),
        ways_out=tuple(_way_out(configured[number], alone.get(number), jointly.get(number)) for number in numbered),
        released=tuple(problem.limits[number] for number in jointly if problem.limits[number].value is None),
        reaches=problem.reaches,
        names_needed=_names_needed(problem, [problem.limits[number] for number in involved]),
        complete=complete,
    )


class _Question:
    """Which limits of a problem can hold together; asked many times.

    Where all limits are convex, one program answers, with room for the limits that are taken out. Where names are
    counted, room would leave the program loose, and it is made anew without those limits.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.everything = frozenset(range(len(problem.limits)))
        self.convex = not any(limit.discrete for limit in problem.limits)
        self._elastic = ElasticProgram(problem, most=self.room(self.everything)) if self.convex else None

    def room(self, free: frozenset[int]) -> Floats:
        """Any room for the limits that are free, none for the others."""
        room = np.zeros(len(self.problem.limits))
        room[list(free)] = INFINITE
        return room

    def feasible(self, without: frozenset[int]) -> bool:
        """Whether all limits but some can hold."""
        if self._elastic is not None:
            return self._elastic.least_violation(self.room(without)) <= TOLERANCE
        kept = [limit for number, limit in enumerate(self.problem.limits) if number not in without]
        return feasible(self.problem.with_limits(kept))

    def least_room(self, costs: Floats, free: frozenset[int]) -> Placed | None:
        """The weights that need the least room of convex limits that are free; None: no room of theirs suffices."""
        program = self._elastic or ElasticProgram(self.problem, most=self.room(self.everything))
        violation = program.least_violation(self.room(free))
        return program.least_room(costs, self.room(free), violation) if violation <= TOLERANCE else None


def _way_out(limit: Limit, alone: float | None, jointly: float | None) -> WayOut:
    """The values as a policy would say them: without the room that a soft limit has on top."""
    room = limit.direction * limit.max_relaxation
    return WayOut(limit, *(None if value is None else round(value - room, 12) for value in (alone, jointly)))


def _at_most_relaxed(problem: Problem) -> Problem:
    """The problem with all the room that its soft limits may be given."""
    return problem.with_limits(
        [
            replace(limit.relaxed(limit.max_relaxation), bound=f"with all its room {limit.bound}")
            if limit.mode == "soft"
            else limit
            for limit in problem.limits
        ]
    )


def conflict_around(problem: Problem) -> tuple[Limit, ...]:
    """One irreducible set of limits that conflict as they are configured, soft ones without any room."""
    return tuple(problem.limits[number] for number in sorted(_narrowed(_Question(problem), frozenset())))


# conflicts


def _conflicts(question: _Question) -> tuple[list[frozenset[int]], bool]:
    """The irreducible sets of conflicting limits, by their numbers, and whether they are all."""
    found: list[frozenset[int]] = []
    waiting, seen = [frozenset[int]()], {frozenset[int]()}
    while waiting:
        without = waiting.pop(0)
        unhit = next((known for known in found if not known & without), None)
        if unhit is None and not question.feasible(without):
            if len(found) == MOST_SETS:
                return found, False
            unhit = _narrowed(question, without)
            found.append(unhit)
        if unhit is not None:
            fresh = [without | {number} for number in sorted(unhit) if without | {number} not in seen]
            waiting += fresh
            seen.update(fresh)
    return found, True


def _narrowed(question: _Question, without: frozenset[int]) -> frozenset[int]:
    """One irreducible set among the limits that are not taken out; one of convex limits alone, if there is one."""
    if not question.convex:
        convex = _Question(convex_part(question.problem))
        if not convex.feasible(without):
            return _narrowed(convex, without)
    kept = _collected(question, without) if question.convex else question.everything - without
    for number in sorted(kept):
        if not question.feasible(question.everything - kept | {number}):
            kept -= {number}
    return kept


def _collected(question: _Question, without: frozenset[int]) -> frozenset[int]:
    """Limits that conflict, most of them needed: those that have to give way, made firm, until nothing gives."""
    costs = np.array([1.0 / limit.unit for limit in question.problem.limits])
    costs[list(without)] = 0.0
    firm: frozenset[int] = frozenset()
    while (placed := question.least_room(costs, question.everything - firm)) is not None:
        free = question.everything - firm - without
        firm |= frozenset(number for number in free if placed.room[number] > EXACT) or free
    return firm


# ways out


def _alone(question: _Question, number: int) -> float | None:
    """The value of one limit that suffices, rounded to the feasible side; None: no value does."""
    problem, limit = question.problem, question.problem.limits[number]
    if not question.feasible(frozenset({number})):
        return None
    if question.convex and limit.today is None:
        placed = question.least_room(np.eye(len(problem.limits))[number], frozenset({number}))
        room = 0.0 if placed is None else float(placed.room[number])
        enough = (limit.value or 0.0) + limit.direction * room
    else:
        enough = _least(problem, number)
    return _sufficient(problem, {number: enough})[number]


def _least(problem: Problem, number: int) -> float:
    """The least value of a limit that suffices, by halving the interval up to one at which it limits nothing."""
    limit = problem.limits[number]
    too_tight = limit.value or 0.0
    step = 1.0 if limit.counted else STEP / 100
    enough = _widened(limit) + limit.direction * (len(problem.names) if limit.counted else 2 * problem.reach)
    while abs(enough - too_tight) > step:
        middle = float(round((too_tight + enough) / 2.0)) if limit.counted else (too_tight + enough) / 2.0
        tried = [*problem.limits[:number], limit.with_value(middle), *problem.limits[number + 1 :]]
        if feasible(problem.with_limits(tried)):
            enough = middle
        else:
            too_tight = middle
    return enough


def _jointly(question: _Question, alone: Mapping[int, float | None]) -> dict[int, float]:
    """The values of the least joint change, by the number of the limit; nan for a limit that has to go."""
    problem, limits = question.problem, question.problem.limits
    costs = np.array([FIRM if limit.value is None else 1.0 / limit.unit for limit in limits])
    changes = [
        abs(value - _widened(limits[number])) * costs[number] for number, value in alone.items() if value is not None
    ]
    most = np.full(len(limits), INFINITE) if question.convex else min(changes, default=INFINITE) / costs
    placed = ElasticProgram(problem, most=most).least_room(costs, most, TOLERANCE / 10)
    given = [number for number in range(len(limits)) if placed.room[number] > EXACT]
    values = {
        number: _widened(limits[number]) + limits[number].direction * float(placed.room[number])
        for number in given
        if limits[number].value is not None
    }
    gone = {number: np.nan for number in given if limits[number].value is None}
    return gone | _sufficient(problem, values, frozenset(gone))


def _widened(limit: Limit) -> float:
    """The value of a limit, or what today's weights widen it to."""
    if limit.today is None or limit.value is None:
        return limit.value or 0.0
    ends = [limit.in_force_at(name) or 0.0 for name in range(len(limit.today))]
    finite = [end for end in ends if isfinite(end)] or [limit.value]
    return max(finite) if limit.direction > 0 else min(finite)


def _sufficient(problem: Problem, values: dict[int, float], gone: frozenset[int] = frozenset()) -> dict[int, float]:
    """The values rounded to the feasible side; a step further where a rounded value does not suffice."""
    for further in range(3):
        rounded = {
            number: _rounded(problem.limits[number], value, further) for number, value in values.items()
        }  # fmt: skip
        tried = problem.with_limits(
            [
                limit.with_value(rounded[number]) if number in rounded else limit
                for number, limit in enumerate(problem.limits)
                if number not in gone
            ]
        )
        if feasible(tried):
            return rounded
    return rounded


def _rounded(limit: Limit, value: float, further: int) -> float:
    """A value rounded away from the conflict, by so many steps further."""
    if limit.counted:
        return float(ceil(value - EXACT) if limit.direction > 0 else floor(value + EXACT))
    step = min(STEP, 10.0 ** (floor(log10(abs(value))) - 2)) if abs(value) > STEP / 100 else STEP
    steps = ceil(value / step - NEARLY) if limit.direction > 0 else floor(value / step + NEARLY)
    return round((steps + limit.direction * further) * step, 12)


def _names_needed(problem: Problem, involved: Sequence[Limit]) -> int | None:
    """How many names would do where a cap on positions conflicts with a least total; None: no number of them.

    The least number without counts, floors and sizes is looked for, and then tried with all limits.
    """
    kinds = {limit.kind for limit in involved}
    if "max_position" not in kinds or not any(map(asks_of_many, involved)):
        return None
    few, many = 0, 1
    while not _feasible_with(problem, many, convex_part):
        few, many = many, 2 * many
        if many > MOST_NAMES:
            return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if _feasible_with(problem, middle, convex_part) else (middle, many)
    discrete = any(limit.discrete for limit in problem.limits)
    if discrete and (many > MOST_TRIED or not _feasible_with(problem, many)):
        return None
    return len(problem.reaches) + many


def asks_of_many(limit: Limit) -> bool:
    """Whether a limit asks for a least total of many names, to which more names could add."""
    totals = [form for form in limit.forms if isinstance(form, Total)]
    return limit.direction < 0 and any(np.sum((form.linear != 0) | (form.absolute != 0)) > 1 for form in totals)


def _feasible_with(problem: Problem, more: int, part: Callable[[Problem], Problem] = lambda whole: whole) -> bool:
    """Whether so many names more, or a part of the limits with them, leave no conflict."""
    grown = problem.with_more_names(more)
    return feasible(part(_at_most_relaxed(grown)))
