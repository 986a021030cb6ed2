"""A conflict of limits as text for people: what conflicts, and what to do, with units."""

from collections.abc import Sequence

from core.constraints.forms import Limit
from core.constraints.infeasible import Conflict, WayOut, asks_of_many
from core.wording import counted


def conflict_text(conflict: Conflict) -> str:
    """What conflicts, and what makes room.

    For example: `Max position 5 % × 12 names = 60 %, but net exposure at least 95 %: raise max position to 7.92 %, or
    hold 19 names, or lower net exposure to 60 %.`
    """
    told = [set_text(limits, conflict.reaches) for limits in conflict.sets]
    options = [_changed(way) for way in conflict.ways_out if way.alone is not None]
    if conflict.names_needed is not None:
        options.insert(min(1, len(options)), f"hold {counted(conflict.names_needed, 'name')}")
    if len(told) == 1 and options:
        sentences = [f"{told[0]}: {', or '.join(options)}."]
    else:
        sentences = [
            f"Conflict {number}: {text}." if len(told) > 1 else f"{text}." for number, text in enumerate(told, 1)
        ]
        sentences += [f"One change that suffices: {', or '.join(options)}."] if options else []
    sentences += [] if conflict.complete else ["There are more such conflicts."]
    return " ".join([*sentences, *_of_no_use(conflict), *_joint(conflict)])


def set_text(limits: Sequence[Limit], reaches: Sequence[float]) -> str:
    """The limits of one conflict: what keeps weights down, but what keeps them up. `reaches`: see `Problem`."""
    ordered = sorted(limits, key=lambda limit: (limit.direction < 0, limit.value is not None))
    told = [_told(limit, reaches if any(map(asks_of_many, limits)) else ()) for limit in ordered]
    if len(told) == 1:
        return _capital(f"{told[0]} cannot be met with {counted(len(reaches), 'name')}")
    return _capital(f"{', '.join(told[:-1])}, but {told[-1]}")


def _told(limit: Limit, reaches: Sequence[float]) -> str:
    if limit.value is None:
        return limit.noun
    said = f"{limit.noun} {limit.bound}{_number(limit, limit.value)}"
    if limit.kind != "max_position" or limit.mode == "no_worse" or not reaches:
        return said
    smaller = sum(reach < limit.value for reach in reaches)
    closing = f", {smaller} of them to be closed" if smaller else ""
    total = round(sum(min(reach, limit.value) for reach in reaches), 6)
    return f"{said} × {counted(len(reaches), 'name')}{closing} = {_percent(total)}"


def _changed(way: WayOut) -> str:
    limit, verb = way.limit, "raise" if way.limit.direction > 0 else "lower"
    if limit.kind == "market_neutral":
        return f"allow a net exposure of ±{_number(limit, way.alone or 0.0)} in place of market_neutral"
    return f"{verb} {limit.noun} to {_number(limit, way.alone or 0.0)}"


def _of_no_use(conflict: Conflict) -> list[str]:
    useless = [way.limit.noun for way in conflict.ways_out if way.alone is None]
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
