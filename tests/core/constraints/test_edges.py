"""What seldom happens: modes that cannot be meant, limits in force, solvers that give no answer."""

from dataclasses import replace
from typing import Any

import highspy
import numpy as np
import polars as pl
import pytest

from core.constraints import (
    ConstraintSet,
    MarketNeutralConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    MaxPositionsConstraint,
    MinBucketWeightConstraint,
    MinGrossExposureConstraint,
    MinPositionWeightConstraint,
    NetExposureConstraint,
    WeightConstraint,
    exact_groups,
    infeasible,
    linear_program,
)
from core.constraints.conflict_text import conflict_text
from core.constraints.exact import Exact, solve
from core.constraints.infeasible import conflict_of
from core.constraints.panel import Panel
from core.constraints.problem import Problem, problem_of
from core.errors import ConfigurationError, UnsolvedError
from tests.core.constraints.family import names_of
from tests.core.constraints.frames import listed, weights_of


def problem(weights: list[float], *limits: WeightConstraint) -> Problem:
    names = [f"S{number:02}" for number in range(len(weights))]
    frame = pl.DataFrame({"end_time": 1, "symbol": names, "weight": weights})
    return problem_of(Panel.of(frame, "end_time").rows, limits)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"priority": 1}, "is hard: priority is for soft limits"),
        ({"mode": "soft", "priority": 1}, "give it a priority and a max_relaxation"),
        ({"mode": "soft", "priority": 1, "max_relaxation": -0.1}, "max_relaxation is -0.1"),
    ],
)
def test_options_of_a_mode_that_cannot_be_meant_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        MaxPositionConstraint(0.1, **options)


@pytest.mark.parametrize(
    ("limit", "in_force"),
    [
        (MinBucketWeightConstraint(0.4, mode="no_worse"), [0.3, 0.3, 0.2]),
        (MaxPositionsConstraint(1, mode="no_worse"), [3.0, 3.0, 3.0]),
        (MinGrossExposureConstraint(0.9, mode="no_worse"), [0.5, 0.5, 0.5]),
    ],
)
def test_the_limit_in_force_of_each_row_is_todays_where_that_is_looser(
    limit: WeightConstraint, in_force: list[float]
) -> None:
    weights = weights_of([0.5, 0.3, 0.2], bucket=list("xxy"), current_weight=[0.1, 0.2, 0.2])
    rows = Panel.of(weights, "end_time").rows
    assert rows.select(limit.limit).to_series().to_list() == pytest.approx(in_force)
    assert limit.statement


@pytest.mark.parametrize(
    ("constraint", "value"),
    [
        (MaxGrossExposureConstraint(0.2, mode="no_worse"), 0.5),
        (MinPositionWeightConstraint(0.3, mode="no_worse"), 0.1),
        (MaxPositionConstraint(0.15, mode="no_worse"), 0.15),
        (MaxPositionsConstraint(1, mode="no_worse"), 1.0),
    ],
)
def test_a_limit_says_what_is_in_force_for_a_name(constraint: WeightConstraint, value: float) -> None:
    names = names_of(weights_of([0.5, 0.3, 0.2], bucket=list("xxy"), current_weight=[0.1, 0.2, 0.2]))
    (limit,) = constraint.limits_in_force(names)
    assert limit.in_force_at(0) == pytest.approx(value)


def test_weights_that_are_not_finite_are_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(problem: Problem) -> Exact:
        answer = solve(problem)
        assert isinstance(answer, Exact)
        return Exact(answer.weights * np.nan, {}, answer.limits, answer.room, 0.0, 0.0)

    together = exact_groups.solve_together
    monkeypatch.setattr(exact_groups, "solve", none)
    monkeypatch.setattr(
        exact_groups,
        "solve_together",
        lambda *asked: replace(found := together(*asked), weights=found.weights * np.nan),
    )
    limits = ConstraintSet([MaxPositionConstraint(0.3), MarketNeutralConstraint()])
    constrained = limits.apply(weights_of([0.3, 0.3, -0.3, -0.3, -0.3]))
    assert listed(constrained.weights) == [None] * 5
    assert constrained.infeasible["conflict"].to_list() == ["The solver returned weights that are not finite."]


def test_where_there_are_more_conflicts_than_are_told_the_text_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infeasible, "MOST_SETS", 1)
    found = conflict_of(
        problem([0.1, 0.1], MaxPositionConstraint(0.2), NetExposureConstraint(0.9), MaxGrossExposureConstraint(0.5))
    )
    assert not found.complete
    assert "There are more such conflicts." in conflict_text(found)


def test_a_solver_that_stops_for_another_reason_leaves_the_group_unsolved(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = highspy.HighsModelStatus.kOptimal
    monkeypatch.setattr(linear_program, "_ANSWERS", ())
    with pytest.raises(UnsolvedError, match=rf"could not settle .* \({stopped.name}\)"):
        solve(problem([0.5, 0.3], NetExposureConstraint(maximum=0.5)))


def test_a_solver_that_finds_nothing_where_there_is_something_leaves_the_group_unsolved() -> None:
    program = linear_program.ElasticProgram(problem([0.1], MaxPositionConstraint(0.2), NetExposureConstraint(0.9)))
    with pytest.raises(UnsolvedError, match="contradictory answers"):
        program.nearest_in_total(violation=0.0)


def test_of_many_names_the_largest_are_kept_without_a_search() -> None:
    sizes = [0.02 + 0.0001 * at for at in range(40)]
    answer = solve(problem(sizes, MaxPositionsConstraint(20), MaxPositionConstraint(0.0235)))
    assert isinstance(answer, Exact)
    assert np.flatnonzero(answer.weights).tolist() == list(range(20, 40))
