"""The groups of a panel that the chain left in breach, solved, and what became of them as tables.

`solve_groups` solves all of them together where their limits allow (`core.constraints.together`). Each group that has
no answer then, or one that meets no limit on counts and sizes, goes to `core.constraints.exact.solve` by itself.
Gathered are: the weights; one action per name and limit that changed it, made when first asked for; one row per soft
limit that gave way; one row per solved group with its distance to the wanted weights; and for each group that cannot be
solved the conflict and the ways out. Tables have ROW, a row of the panel that they concern, in place of the group.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import polars as pl

from core.constraints.attribution import attributed
from core.constraints.base import WeightConstraint
from core.constraints.chain_actions import ACTION_COLUMNS, ROUNDING, VERB
from core.constraints.conflict_text import conflict_text, set_text
from core.constraints.exact import Exact, solve
from core.constraints.forms import Each, Floats, Limit
from core.constraints.infeasible import Conflict, conflict_around
from core.constraints.least_squares import BY_ITSELF, least_squares_of
from core.constraints.nearest import nearest
from core.constraints.panel import BUCKET, GROUP, ROW, SYMBOL, WEIGHT, Panel
from core.constraints.problem import Problem, convex_part, problem_of
from core.constraints.sources import is_separable
from core.constraints.together import CLOSING_KIND, Together, solve_together
from core.errors import UnsolvedError

CLARABEL, NEWTON = "clarabel", "newton"  # the solvers

INFEASIBLE_COLUMNS = pl.Schema({"conflict": pl.String})
WAY_OUT_COLUMNS = pl.Schema(
    {"constraint": pl.String, "scope": pl.String, "limit": pl.Float64, "alone": pl.Float64, "jointly": pl.Float64}
)
RELAXATION_COLUMNS = pl.Schema(
    {"constraint": pl.String, "scope": pl.String, "limit": pl.Float64, "used": pl.Float64, "reason": pl.String}
)
SOLVED_COLUMNS = pl.Schema({"distance": pl.Float64, "gap": pl.Float64, "solver": pl.String})
ROOM_COLUMNS = pl.Schema({"source": pl.Int64, "scope": pl.String, "room": pl.Float64})


TABLES = {
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
    relaxations: pl.DataFrame
    solved: pl.DataFrame
    infeasible: pl.DataFrame
    ways_out: pl.DataFrame
    room: pl.DataFrame  # what soft limits of each group were given
    actions_told: Callable[[], pl.DataFrame] = field(repr=False)

    @cached_property
    def actions(self) -> pl.DataFrame:
        """What each limit changed; made when first asked for."""
        return self.actions_told()


def solve_groups(
    panel: Panel, constraints: Sequence[WeightConstraint], weight: pl.Series, groups: Sequence[int]
) -> SolvedGroups:
    """Solve some groups of a panel; `weight` are the weights of all rows after the chain."""
    found: dict[str, list[pl.DataFrame]] = {name: [empty_table(columns)] for name, columns in TABLES.items()}
    if not groups:
        return SolvedGroups(weight, **_tables(found), actions_told=lambda: empty_table(ACTION_COLUMNS))
    rows = panel.rows.with_row_index(ROW).filter(pl.col(GROUP).is_in(list(groups)), pl.col(WEIGHT).is_not_null())
    together = _admitted(panel, constraints, solve_together(rows, constraints))
    weights = weight.to_numpy().copy()
    here = together.solved_rows
    weights[together.rows.frame[ROW].to_numpy()[here]] = together.weights[here]
    found["solved"].append(_solved_together(together))
    stories: list[Callable[[], Iterator[pl.DataFrame]]] = []
    for own in together.rows.frame.filter(~here).partition_by(GROUP, maintain_order=True):
        problem = problem_of(own, constraints)
        answer = _answer(problem)
        weights[own[ROW]] = answer.weights if isinstance(answer, Exact) else np.nan
        if isinstance(answer, Exact):
            stories.append(partial(_actions, own, answer.limits, answer.changes))
        told = _solution(problem, answer) if isinstance(answer, Exact) else _no_solution(answer)
        for name, table in told.items():
            located = table.with_columns(pl.lit(own[ROW][0], pl.UInt32).alias(ROW))
            found[name].append(located.select(ROW, *TABLES[name]).cast(TABLES[name]))

    def actions() -> pl.DataFrame:
        told = [*(table for story in stories for table in story()), *_explained(together, constraints)]
        return _by_group(panel, pl.concat([empty_table(ACTION_COLUMNS), together.actions, *told]))

    return SolvedGroups(pl.Series(WEIGHT, weights).fill_nan(None), **_tables(found), actions_told=actions)


def _solved_together(together: Together) -> pl.DataFrame:
    """One row per group that was solved with others."""
    solved, group = together.solved, together.rows.group_of_name
    first = together.rows.frame[ROW].gather(np.searchsorted(group, np.flatnonzero(solved)))
    distance = pl.Series(together.distances[solved])
    return pl.DataFrame({ROW: first, "distance": distance}).with_columns(gap=pl.lit(0.0), solver=pl.lit(NEWTON))


def _tables(found: dict[str, list[pl.DataFrame]]) -> dict[str, pl.DataFrame]:
    return {name: pl.concat(tables).sort(ROW, maintain_order=True) for name, tables in found.items()}


def _by_group(panel: Panel, actions: pl.DataFrame) -> pl.DataFrame:
    """Actions group by group, otherwise in the order in which they were told."""
    groups = panel.rows[GROUP].gather(actions[ROW])
    return actions.with_columns(groups).sort(GROUP, maintain_order=True).drop(GROUP)


def _admitted(panel: Panel, constraints: Sequence[WeightConstraint], together: Together) -> Together:
    """Without the groups whose weights are not finite, or breach a limit that was left out, as it counts names or asks
    for size."""
    rows = together.rows
    wrong = (~np.isfinite(together.weights)).astype(np.float64)
    judged = replace(panel, rows=rows.frame.drop(ROW).with_columns(pl.Series(WEIGHT, together.weights)))
    for constraint in constraints:
        if not is_separable(constraint):
            wrong[constraint.breaches_of(judged)[ROW]] = 1.0
    return together.without(rows.total(wrong) > 0.0)


def _explained(together: Together, constraints: Sequence[WeightConstraint]) -> Iterator[pl.DataFrame]:
    """The actions of groups whose weights are known, but not yet what to put them down to."""
    rows = together.rows
    chosen = together.unexplained[rows.group_of_name]
    weighed = rows.frame.with_columns(pl.Series("solved", together.weights)).filter(chosen)
    for own in weighed.partition_by(GROUP, maintain_order=True):
        problem = convex_part(problem_of(own, constraints))
        squares = least_squares_of(problem)
        solution = nearest(squares, own["solved"].to_numpy())
        yield from _actions(own, problem.limits, attributed(squares, solution))


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


def _solution(problem: Problem, exact: Exact) -> dict[str, pl.DataFrame]:
    gave = [(limit, room) for limit, room in zip(problem.limits, exact.room.tolist(), strict=True) if room > 0]
    around = conflict_around(problem) if gave else ()
    relaxations = [
        (limit.kind, limit.scope, limit.value, limit.relaxed(room).value, _why(limit, around, problem.reaches))
        for limit, room in gave
    ]
    return {
        "solved": pl.DataFrame({"distance": [exact.distance], "gap": [exact.gap], "solver": [CLARABEL]}),
        "relaxations": pl.DataFrame(relaxations, schema=RELAXATION_COLUMNS, orient="row"),
        "room": pl.DataFrame(
            [(limit.source, limit.scope, room) for limit, room in gave], schema=ROOM_COLUMNS, orient="row"
        ),
    }


def _actions(own: pl.DataFrame, limits: Sequence[Limit], changes: Mapping[int, Floats]) -> Iterator[pl.DataFrame]:
    """One row per name and limit that changed its weight, limit by limit, from the wanted weight on."""
    before = own[WEIGHT].to_numpy()
    buckets = own[BUCKET] if BUCKET in own.columns else pl.Series([None] * len(own), dtype=pl.String)
    for number in sorted(changes, key=lambda number: _turn(limits, number)):
        amounts = np.where(np.abs(changes[number]) > ROUNDING, changes[number], 0.0)
        limit = None if number == BY_ITSELF else limits[number]
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
