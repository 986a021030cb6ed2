"""What becomes of groups that cannot be solved, whatever the solver says; and the reasons of relaxations."""

from typing import Any

import polars as pl
import pytest

from core.constraints import (
    ConstraintSet,
    MarketNeutralConstraint,
    MaxPositionConstraint,
    NetExposureConstraint,
    newton,
)
from core.constraints import exact_groups as solver
from core.errors import UnsolvedError
from tests.core.constraints.frames import DAY, listed, weights_of

NEXT_DAY = DAY.replace(day=DAY.day + 1)
BREACHING = weights_of([0.3, 0.3, -0.3, -0.3, -0.3])  # neutral after the cap breaks the cap
WEIGHTS = pl.concat([BREACHING, weights_of([0.2, -0.2], NEXT_DAY)])
LIMITS = ConstraintSet([MaxPositionConstraint(0.3), MarketNeutralConstraint()])


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No group is solved together with others."""
    monkeypatch.setattr(newton, "ROUNDS", 0)


@pytest.mark.usefixtures("one_by_one")
def test_a_group_that_the_solver_gives_up_on_has_no_weights_and_the_others_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def given_up(_: Any) -> None:
        raise UnsolvedError("The solver gave up.")

    monkeypatch.setattr(solver, "solve", given_up)
    constrained = LIMITS.apply(WEIGHTS)
    assert listed(constrained.weights) == [None, None, None, None, None, 0.2, -0.2]
    assert constrained.infeasible.rows() == [(DAY, "The solver gave up.")]


@pytest.mark.usefixtures("one_by_one")
def test_weights_of_a_solver_that_breach_a_limit_are_never_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    solve = solver.solve

    def off(problem: Any) -> Any:
        answer = solve(problem)
        assert isinstance(answer, solver.Exact)
        return solver.Exact(answer.weights + 1e-6, {}, answer.limits, answer.room, 0.0, 0.0)

    monkeypatch.setattr(solver, "solve", off)
    constrained = LIMITS.apply(WEIGHTS)
    assert listed(constrained.weights) == [None, None, None, None, None, 0.2, -0.2]
    (conflict,) = constrained.infeasible["conflict"]
    assert conflict.startswith("No weights were found that meet all limits to 1e-9, though there are some")
    assert set(constrained.breaches["constraint"]) == {"max_position", "market_neutral"}


def test_a_soft_limit_that_gives_way_for_a_conflict_says_which() -> None:
    cap = MaxPositionConstraint(0.2, mode="soft", priority=1, max_relaxation=0.2)
    constrained = ConstraintSet([cap, NetExposureConstraint(0.5)]).apply(weights_of([0.3, 0.2]))
    (relaxation,) = constrained.relaxations.rows(named=True)
    assert (relaxation["limit"], relaxation["used"]) == (0.2, pytest.approx(0.25))
    assert relaxation["reason"] == (
        "not all can hold: Max position 20 % × 2 names = 40 %, but net exposure at least 50 %"
    )  # fmt: skip


def test_a_soft_limit_of_another_conflict_than_the_one_that_is_told_says_so() -> None:
    cap = MaxPositionConstraint(0.2, mode="soft", priority=1, max_relaxation=0.2)
    gross = MaxPositionConstraint(0.1, mode="soft", priority=1, max_relaxation=0.2)
    constrained = ConstraintSet([cap, gross, NetExposureConstraint(0.5)]).apply(weights_of([0.3, 0.2]))
    reasons = constrained.relaxations["reason"].to_list()
    assert len(reasons) == 2
    assert "one of several limits that cannot all hold; those of a higher priority have been kept" in reasons
