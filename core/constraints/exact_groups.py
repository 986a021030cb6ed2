"""The groups of a panel that the chain left in breach, solved one by one, and what became of them as tables.

`solve_groups` gives each group to `core.constraints.exact.solve` and gathers: the weights; one action per name and
limit that changed it; one row per soft limit that gave way; one row per solved group with its distance to the wanted
weights; and for each group that cannot be solved the conflict and the ways out. Tables have ROW, a row of the panel
that they concern, in place of the group.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from core.constraints.base import WeightConstraint
from core.constraints.chain_actions import ACTION_COLUMNS, ROUNDING, VERB
from core.constraints.conflict_text import conflict_text, set_text
from core.constraints.exact import Exact, solve
from core.constraints.forms import Each, Limit
from core.constraints.infeasible import Conflict, conflict_around
from core.constraints.least_squares import BY_ITSELF
from core.constraints.panel import BUCKET, GROUP, ROW, SYMBOL, WEIGHT, Panel
from core.constraints.problem import Problem, problem_of
from core.errors import UnsolvedError

CLOSING_KIND = "closing"  # the rule by which a held name that is wanted at 0 ends between 0 and its current weight

INFEASIBLE_COLUMNS = pl.Schema({"conflict": pl.String})
WAY_OUT_COLUMNS = pl.Schema(
    {"constraint": pl.String, "scope": pl.String, "limit": pl.Float64, "alone": pl.Float64, "jointly": pl.Float64}
)
RELAXATION_COLUMNS = pl.Schema(
    {"constraint": pl.String, "scope": pl.String, "limit": pl.Float64, "used": pl.Float64, "reason": pl.String}
)
SOLVED_COLUMNS = pl.Schema({"distance": pl.Float64, "gap": pl.Float64})
ROOM_COLUMNS = pl.Schema({"source": pl.Int64, "scope": pl.String, "room": pl.Float64})


TABLES = {
    "actions": ACTION_COLUMNS,
    "relaxations": RELAXATION_COLUMNS,
    "solved": SOLVED_COLUMNS,
    "infeasible": INFEASIBLE_COLUMNS,
    "ways_out": WAY_OUT_COLUMNS,
    "room": ROOM_COLUMNS,
}


@dataclass(frozen=True)
class SolvedGroups:
    """What became of the groups that were solved; `weight` is that of all rows of the panel, the others included.

    The tables have ROW and the columns of `TABLES`.
    """

    weight: pl.Series
    actions: pl.DataFrame
    relaxations: pl.DataFrame
    solved: pl.DataFrame
    infeasible: pl.DataFrame
    ways_out: pl.DataFrame
    room: pl.DataFrame  # what soft limits of each group were given


def solve_groups(
    panel: Panel, constraints: Sequence[WeightConstraint], weight: pl.Series, groups: Sequence[int]
) -> SolvedGroups:
    """Solve some groups of a panel; `weight` are the weights of all rows after the chain."""
    found: dict[str, list[pl.DataFrame]] = {name: [empty_table(columns)] for name, columns in TABLES.items()}
    if not groups:
        return SolvedGroups(weight, **{name: pl.concat(tables) for name, tables in found.items()})
    rows = panel.rows.with_row_index(ROW).filter(pl.col(GROUP).is_in(list(groups)), pl.col(WEIGHT).is_not_null())
    weights = weight.to_numpy().copy()
    for members in rows.partition_by(GROUP, maintain_order=True):
        own = members.sort(SYMBOL)
        problem = problem_of(own, constraints)
        answer = _answer(problem)
        weights[own[ROW]] = answer.weights if isinstance(answer, Exact) else np.nan
        told = _solution(own, problem, answer) if isinstance(answer, Exact) else _no_solution(answer)
        for name, table in told.items():
            located = table if ROW in table.columns else table.with_columns(pl.lit(own[ROW][0], pl.UInt32).alias(ROW))
            found[name].append(located.select(ROW, *TABLES[name]).cast(TABLES[name]))
    return SolvedGroups(pl.Series(WEIGHT, weights).fill_nan(None), **{name: pl.concat(t) for name, t in found.items()})


def empty_table(columns: pl.Schema) -> pl.DataFrame:
    """A table of a panel without rows."""
    return pl.DataFrame(schema={ROW: pl.UInt32, **columns})


def _answer(problem: Problem) -> Exact | Conflict | UnsolvedError:
    try:
        answer = solve(problem)
    except UnsolvedError as error:  # of this group: the others have weights, and this one is told like a conflict
        return error
    if isinstance(answer, Exact) and not np.isfinite(answer.weights).all():
        return UnsolvedError("The solver returned weights that are not finite.")
    return answer


def _no_solution(answer: Conflict | UnsolvedError) -> dict[str, pl.DataFrame]:
    if isinstance(answer, UnsolvedError):
        return {"infeasible": pl.DataFrame({"conflict": [str(answer)]})}
    ways_out = [
        (way.limit.kind, way.limit.scope, way.limit.value, way.alone, way.jointly) for way in answer.ways_out
    ]  # fmt: skip
    return {
        "infeasible": pl.DataFrame({"conflict": [conflict_text(answer)]}),
        "ways_out": pl.DataFrame(ways_out, schema=WAY_OUT_COLUMNS, orient="row"),
    }


def _solution(own: pl.DataFrame, problem: Problem, exact: Exact) -> dict[str, pl.DataFrame]:
    gave = [(limit, room) for limit, room in zip(problem.limits, exact.room.tolist(), strict=True) if room > 0]
    around = conflict_around(problem) if gave else ()
    relaxations = [
        (limit.kind, limit.scope, limit.value, limit.relaxed(room).value, _why(limit, around, problem.reaches))
        for limit, room in gave
    ]
    return {
        "actions": pl.concat([empty_table(ACTION_COLUMNS), *_actions(own, exact)]),
        "solved": pl.DataFrame({"distance": [exact.distance], "gap": [exact.gap]}),
        "relaxations": pl.DataFrame(relaxations, schema=RELAXATION_COLUMNS, orient="row"),
        "room": pl.DataFrame(
            [(limit.source, limit.scope, room) for limit, room in gave], schema=ROOM_COLUMNS, orient="row"
        ),
    }


def _actions(own: pl.DataFrame, exact: Exact) -> Iterator[pl.DataFrame]:
    """One row per name and limit that changed its weight, limit by limit, from the wanted weight on."""
    before = own[WEIGHT].to_numpy()
    buckets = own[BUCKET] if BUCKET in own.columns else pl.Series([None] * len(own), dtype=pl.String)
    for number in sorted(exact.changes, key=lambda number: _turn(exact.limits, number)):
        amounts = np.where(np.abs(exact.changes[number]) > ROUNDING, exact.changes[number], 0.0)
        limit = None if number == BY_ITSELF else exact.limits[number]
        named = own.select(ROW, pl.col(SYMBOL).cast(pl.String)).with_columns(
            rule=pl.lit(CLOSING_KIND if limit is None else limit.kind),
            bucket=buckets,
            before=before,
            after=before + amounts,
            limit=pl.Series(
                [None if limit is None else limit.in_force_at(at) for at in range(len(own))], dtype=pl.Float64
            ),
            detail=pl.lit(None, pl.String),
        )
        changed = named.filter(pl.Series(amounts != 0.0)).with_columns(verb=VERB)
        yield changed.select(ROW, *ACTION_COLUMNS).cast(ACTION_COLUMNS)
        before = before + amounts


def _turn(limits: Sequence[Limit], number: int) -> tuple[int, int]:
    """Where a limit stands in the story of a weight: those of the whole group first, those of single names last."""
    if number == BY_ITSELF:
        return 3, number
    limit = limits[number]
    by_name = all(isinstance(form, Each) for form in limit.forms)
    return 2 if by_name else 1 if limit.scope else 0, number


def _why(limit: Limit, around: Sequence[Limit], reaches: Sequence[float]) -> str:
    if any(other is limit for other in around):
        return f"not all can hold: {set_text(around, reaches)}"
    return "one of several limits that cannot all hold; those of a higher priority have been kept"
