"""What closed form, levels and linear form of a constraint promise each other, whichever it is."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.constraints import WeightConstraint
from core.constraints.panel import ROW, Panel
from core.limits import TOLERANCE
from tests.core.constraints.family import always_met, cases, hard, names_of, no_worse
from tests.core.constraints.frames import listed


def worst_levels(constraint: WeightConstraint, group: pl.DataFrame) -> dict[str, float]:
    """The largest excess of each scope, and of all levels under the empty scope."""
    rows = Panel.of(group, "end_time", constraint.needed).rows.lazy().with_row_index(ROW)
    levels = constraint.levels(rows).drop_nulls("limit").collect(engine="in-memory")
    worst = dict(levels.group_by("scope").agg(pl.col("excess").max()).iter_rows())
    return worst | ({"": levels["excess"].max()} if levels.height else {})


@given(cases(nulls=False, frozen=False))
def test_a_limit_of_the_solver_is_exceeded_by_what_the_worst_level_of_its_scope_exceeds(
    case: tuple[pl.DataFrame, WeightConstraint],
) -> None:
    weights, constraint = case
    for group in weights.partition_by("end_time"):
        names, worst = names_of(group), {} if constraint.keeps_only else worst_levels(constraint, group)
        for limit in constraint.limits_in_force(names):
            excess = max(limit.excess(names.wanted), 0.0)
            assert excess == pytest.approx(max(worst.get(limit.scope, 0.0), 0.0), abs=1e-12)


@given(cases(nulls=False, frozen=False))
def test_every_scope_of_a_level_is_a_limit_of_the_solver(case: tuple[pl.DataFrame, WeightConstraint]) -> None:
    weights, constraint = case
    for group in weights.partition_by("end_time"):
        scopes = {limit.scope for limit in constraint.limits_in_force(names_of(group))}
        assert "" in scopes or set(worst_levels(constraint, group)) - {""} <= scopes


@given(cases(st.one_of(always_met, always_met.map(no_worse)), nulls=False, frozen=False))
def test_after_a_closed_form_no_limit_of_the_solver_is_exceeded(case: tuple[pl.DataFrame, WeightConstraint]) -> None:
    weights, constraint = case
    for group in constraint.apply(weights).partition_by("end_time"):
        names = names_of(group)
        assert all(limit.excess(names.wanted) <= TOLERANCE for limit in constraint.limits_in_force(names))


@given(cases(hard.filter(lambda constraint: "no_worse" in constraint.modes).map(no_worse), frozen=False))
def test_todays_weights_breach_nothing_that_is_no_worse_and_stay(case: tuple[pl.DataFrame, WeightConstraint]) -> None:
    weights, constraint = case
    today = weights.with_columns(weight="current_weight")
    assert constraint.breaches(today).is_empty()
    assert listed(constraint.apply(today)) == pytest.approx(listed(today), abs=1e-12)


@given(cases(hard, nulls=False))
def test_the_limit_of_a_row_is_one_of_those_that_the_solver_knows(case: tuple[pl.DataFrame, WeightConstraint]) -> None:
    weights, constraint = case
    for group in weights.partition_by("end_time"):
        rows = Panel.of(group, "end_time", constraint.needed).rows.lazy()
        limits = rows.with_columns(limit=constraint.limit).collect(engine="in-memory")["limit"]
        known = {limit.value for limit in constraint.limits(names_of(group))}
        today = set(group["current_weight"]) if None in known else set()
        if constraint.keeps_only:
            assert all(kept <= limit for kept in known for limit in limits)
        else:
            assert set(limits) - {None} <= known | today
