"""A conflict of limits as text for people: what conflicts, and what to do, with units."""

from collections.abc import Sequence

from core.constraints.forms import Limit
from core.constraints.infeasible import Conflict, WayOut, asks_of_many


def conflict_text(conflict: Conflict) -> str:
    """What conflicts, and what makes room.

    For example: `Max position 5 % × 12 names = 60 %, but net exposure at least 95 %: raise max position to 7.92 %, or
    hold 19 names, or lower net exposure to 60 %. Least change in all: net exposure to 60 %.`
    """
    told = [set_text(limits, conflict.names) for limits in conflict.sets]
    options = [*(_changed(way) for way in conflict.ways_out if way.alone is not None)]
    if conflict.names_needed is not None:
        options.insert(min(1, len(options)), f"hold {conflict.names_needed} names")
    if len(told) == 1 and options:
        sentences = [f"{told[0]}: {', or '.join(options)}."]
    else:
        sentences = [f"{text}." for text in told]
        sentences += [f"One change that suffices: {', or '.join(options)}."] if options else []
    sentences += [] if conflict.complete else ["There are more such conflicts."]
    return " ".join([*sentences, *_of_no_use(conflict), *_joint(conflict)])


def set_text(limits: Sequence[Limit], names: int) -> str:
    """The limits of one conflict among so many names: what keeps weights down, but what keeps them up."""
    ordered = sorted(limits, key=lambda limit: (limit.direction < 0, limit.value is not None))
    counted = [int(limit.value or 0) for limit in limits if limit.kind == "max_positions" and not limit.scope]
    added_up = min([names, *counted]) if any(map(asks_of_many, limits)) else 0
    told = [_told(limit, added_up) for limit in ordered]
    if len(told) == 1:
        return _capital(f"{told[0]} cannot be met with {names} names")
    return _capital(f"{', '.join(told[:-1])}, but {told[-1]}")


def _told(limit: Limit, names: int) -> str:
    if limit.value is None:
        return limit.noun
    at_most = f"{limit.noun} {limit.bound}{_number(limit, limit.value)}"
    if limit.kind == "max_position" and names:
        return f"{at_most} × {names} names = {_percent(limit.value * names)}"
    return at_most


def _changed(way: WayOut) -> str:
    limit, verb = way.limit, "raise" if way.limit.direction > 0 else "lower"
    sign = "±" if limit.bound.endswith("±") else ""
    return f"{'widen' if sign else verb} {limit.noun} to {sign}{_number(limit, way.alone or 0.0)}"


def _of_no_use(conflict: Conflict) -> list[str]:
    useless = [f"{way.limit.noun} ({_told(way.limit, 0)})" for way in conflict.ways_out if way.alone is None]
    return [f"No change of one of these alone suffices: {', '.join(useless)}."] if useless else []


def _joint(conflict: Conflict) -> list[str]:
    changed = [way for way in conflict.ways_out if way.jointly is not None]
    if not conflict.released and [way.alone for way in changed] == [way.jointly for way in changed[:1]]:
        return []  # one of the changes that suffice alone
    changes = [f"{limit.noun} let go" for limit in conflict.released]
    changes += [
        f"{way.limit.noun} to {'±' if way.limit.bound.endswith('±') else ''}{_number(way.limit, way.jointly)}"
        for way in conflict.ways_out
        if way.jointly is not None
    ]
    return [f"Least change in all: {', '.join(changes)}."] if changes else []


def _number(limit: Limit, value: float) -> str:
    return f"{value:.0f}" if limit.counted else _percent(value)


def _percent(fraction: float) -> str:
    """`7.92 %`, `60 %`: at most ten places, none that are zero."""
    return f"{round(100 * fraction, 10) + 0.0:.10f}".rstrip("0").rstrip(".") + " %"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
