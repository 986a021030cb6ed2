"""No weights meet all limits of a group: which ones conflict, and the smallest changes that make room.

- `_conflicts`: every irreducible set of conflicting limits. `_narrowed` finds one: an elastic filter collects limits
  that have to give way, one program after another, until they alone conflict; a deletion filter drops each that the
  conflict can do without. Further sets are looked for where one limit of each known set is taken out (`_next_sets`).
- `_alone`: the least value of one limit that suffices when no other changes, if any does.
- `_jointly`: the least changes of all limits together, in units of their values.
- `_names_needed`: how many names would do, where a cap on positions is part of a conflict.

Soft limits count with all the room that they may be given. Values are rounded to the feasible side, and tried.
Source: Chinneck, Feasibility and Infeasibility in Optimization (2008), chapters 6 and 7.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, isfinite, log10

import numpy as np

from core.constraints.forms import Floats, Limit, Total
from core.constraints.linear_program import EXACT, INFINITE, ElasticProgram, Placed
from core.constraints.problem import Problem
from core.limits import TOLERANCE

MOST_SETS = 10  # so many conflicting sets are told; there could be very many
MOST_NAMES = 1000  # so many more names are considered at most
FIRM = 1e3  # how much dearer a change is that no number of the policy expresses
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

    `names`: how many names may have one; `names_needed`: how many would do, if that could help.
    """

    sets: tuple[tuple[Limit, ...], ...]
    ways_out: tuple[WayOut, ...]
    released: tuple[Limit, ...]  # limits without a number that the joint change needs gone
    names: int
    names_needed: int | None
    complete: bool  # whether these are all sets


def conflict_of(problem: Problem) -> Conflict:
    """What conflicts in a problem that has no weights, and what to do."""
    configured = problem.limits
    problem = problem.with_limits([_at_most_relaxed(limit) for limit in problem.limits])
    program = ElasticProgram(problem)
    sets, complete = _conflicts(program)
    involved = sorted({number for found in sets for number in found})
    jointly = _jointly(problem, program)
    numbered = [number for number in sorted({*involved, *jointly}) if problem.limits[number].value is not None]
    return Conflict(
        sets=tuple(tuple(problem.limits[number] for number in sorted(found)) for found in sets),
        ways_out=tuple(
            _way_out(configured[number], _alone(problem, program, number), jointly.get(number)) for number in numbered
        ),
        released=tuple(problem.limits[number] for number in jointly if problem.limits[number].value is None),
        names=problem.usable,
        names_needed=_names_needed(problem, [problem.limits[number] for number in involved]),
        complete=complete,
    )  # fmt: skip


def _way_out(limit: Limit, alone: float | None, jointly: float | None) -> WayOut:
    """The values as a policy would say them: without the room that a soft limit has on top."""
    room = limit.direction * limit.max_relaxation
    return WayOut(limit, *(None if value is None else round(value - room, 12) for value in (alone, jointly)))


def _at_most_relaxed(limit: Limit) -> Limit:
    if limit.mode != "soft":
        return limit
    return replace(limit.relaxed(limit.max_relaxation), bound=f"with all its room {limit.bound}")


def conflict_around(problem: Problem) -> tuple[Limit, ...]:
    """One irreducible set of limits that conflict as they are configured, soft ones without any room."""
    program = ElasticProgram(problem)
    return tuple(problem.limits[number] for number in sorted(_narrowed(program, frozenset())))


# conflicts


def _conflicts(program: ElasticProgram) -> tuple[list[frozenset[int]], bool]:
    """The irreducible sets of conflicting limits, by their numbers, and whether they are all."""
    found: list[frozenset[int]] = []
    waiting, seen = [frozenset[int]()], {frozenset[int]()}
    while waiting:
        without = waiting.pop(0)
        unhit = next((known for known in found if not known & without), None)
        if unhit is None and not _feasible(program, without):
            if len(found) == MOST_SETS:
                return found, False
            unhit = _narrowed(program, without)
            found.append(unhit)
        if unhit is not None:
            fresh = [without | {number} for number in sorted(unhit) if without | {number} not in seen]
            waiting += fresh
            seen.update(fresh)
    return found, True


def _feasible(program: ElasticProgram, without: frozenset[int]) -> bool:
    """Whether all limits but some can hold."""
    return program.least_violation(_room_for(program, without)) <= TOLERANCE


def _least_room(program: ElasticProgram, costs: Floats, free: frozenset[int]) -> Placed | None:
    """The weights that need the least room of the limits that are free; None: no room of theirs suffices."""
    room = _room_for(program, free)
    violation = program.least_violation(room)
    return program.least_room(costs, room, violation) if violation <= TOLERANCE else None


def _room_for(program: ElasticProgram, free: frozenset[int]) -> Floats:
    room = np.zeros(len(program.problem.limits))
    room[list(free)] = INFINITE
    return room


def _narrowed(program: ElasticProgram, without: frozenset[int]) -> frozenset[int]:
    """One irreducible set among the limits that are not taken out."""
    everything = frozenset(range(len(program.problem.limits)))
    kept = _collected(program, everything, without)
    for number in sorted(kept):
        if not _feasible(program, everything - kept | {number}):
            kept -= {number}
    return kept


def _collected(program: ElasticProgram, everything: frozenset[int], without: frozenset[int]) -> frozenset[int]:
    """Limits that conflict, most of them needed: those that have to give way, made firm, until nothing gives."""
    costs = np.array([1.0 / limit.unit for limit in program.problem.limits])
    firm: frozenset[int] = frozenset()
    while True:
        costs_left = np.where([number in without for number in sorted(everything)], 0.0, costs)
        placed = _least_room(program, costs_left, everything - firm)
        if placed is None:
            return firm
        free = everything - firm - without
        firm |= frozenset(number for number in free if placed.room[number] > EXACT) or free


# ways out


def _alone(problem: Problem, program: ElasticProgram, number: int) -> float | None:
    """The value of one limit that suffices, rounded to the feasible side."""
    limit = problem.limits[number]
    cost = np.zeros(len(problem.limits))
    cost[number] = 1.0
    placed = _least_room(program, cost, frozenset({number}))
    if placed is None:
        return None
    enough = _widened(limit) + limit.direction * float(placed.room[number])
    return _sufficient(problem, {number: enough if limit.today is None else _least(problem, number, enough)})[number]


def _least(problem: Problem, number: int, enough: float) -> float:
    """The least value that suffices of a limit that today's weights widen, by halving the interval up to `enough`."""
    limits = list(problem.limits)
    too_tight = limits[number].value or 0.0
    while abs(enough - too_tight) > STEP / 10:
        middle = (too_tight + enough) / 2.0
        tried = [*limits[:number], limits[number].with_value(middle), *limits[number + 1 :]]
        if ElasticProgram(problem.with_limits(tried)).least_violation() <= TOLERANCE:
            enough = middle
        else:
            too_tight = middle
    return enough


def _jointly(problem: Problem, program: ElasticProgram) -> dict[int, float]:
    """The values of the least joint change, by the number of the limit; nan for a limit that has to go."""
    limits = problem.limits
    costs = np.array([FIRM if limit.value is None else 1.0 / limit.unit for limit in limits])
    placed = program.least_room(costs, np.full(len(limits), INFINITE), violation=0.0)
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
        if ElasticProgram(tried).least_violation() <= TOLERANCE:
            return rounded
    return rounded


def _rounded(limit: Limit, value: float, further: int) -> float:
    """A value rounded away from the conflict, by so many steps further."""
    if limit.counted:
        return float(ceil(value - EXACT) if limit.direction > 0 else floor(value + EXACT))
    value = 0.0 if abs(value) <= 10 * TOLERANCE else value
    step = min(STEP, 10.0 ** (floor(log10(abs(value))) - 2)) if value else STEP
    steps = ceil(value / step - 1e-5) if limit.direction > 0 else floor(value / step + 1e-5)
    return round((steps + limit.direction * further) * step, 12)


def _names_needed(problem: Problem, involved: Sequence[Limit]) -> int | None:
    """How many names would do where a cap on positions conflicts with a least total; None: no number of them."""
    kinds = {limit.kind for limit in involved if not limit.scope}
    if "max_position" not in kinds or "max_positions" in kinds or not any(map(asks_of_many, involved)):
        return None
    few, many = 0, 1
    while not _feasible_with(problem, many):
        few, many = many, 2 * many
        if many > MOST_NAMES:
            return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if _feasible_with(problem, middle) else (middle, many)
    return problem.usable + many


def asks_of_many(limit: Limit) -> bool:
    """Whether a limit asks for a least total of many names, to which more names could add."""
    totals = [form for form in limit.forms if isinstance(form, Total)]
    return limit.direction < 0 and any(np.sum((form.linear != 0) | (form.absolute != 0)) > 1 for form in totals)


def _feasible_with(problem: Problem, more: int) -> bool:
    grown = problem.with_more_names(more)
    relaxed = grown.with_limits([_at_most_relaxed(limit) for limit in grown.limits])
    return ElasticProgram(relaxed).least_violation() <= TOLERANCE
