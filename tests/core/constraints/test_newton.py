"""All groups at once against one at a time, against Clarabel, and against arithmetic in the head."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest

from core.constraints import (
    ConstrainedWeights,
    ConstraintSet,
    MarketNeutralConstraint,
    MaxBucketWeightConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    MinPositionWeightConstraint,
    NameLimit,
    NameLimitsConstraint,
    NetExposureConstraint,
    TurnoverConstraint,
    newton,
)
from core.constraints.exact import Exact, solve
from core.constraints.newton import INFEASIBLE, OPEN, SOLVED, Found, solved_together
from core.constraints.panel import ROW, SYMBOL, Panel
from core.constraints.separable import Separable
from core.constraints.sources import rows_of, separable_of
from core.limits import TOLERANCE
from tests.core.constraints.convex_oracle import Case, Floats, least_violation, nearest_weights
from tests.core.constraints.frames import listed, weights_of
from tests.core.constraints.random_cases import frame_of, in_modes, problem_of_case, random_cases
from tests.effort import examples

CAP_AND_NEUTRAL = ConstraintSet([MaxPositionConstraint(0.3), MarketNeutralConstraint()])
BREACHING = weights_of([0.3, 0.3, -0.3, -0.3, -0.3])  # neutral after the cap breaks the cap


def separable(case: Case) -> Separable | None:
    """What all groups at once are asked for a case; None where they are not."""
    needed = sorted({column for each in case.constraints for column in each.needed})
    rows = Panel.of(frame_of(case), "end_time", needed).rows.with_row_index(ROW).sort(SYMBOL)
    problem, _, suits = separable_of(rows_of(rows), case.constraints)
    return problem if suits.all() else None


def joined(problems: Sequence[Separable]) -> Separable:
    """The groups of several problems as one."""
    groups = np.cumsum([0, *(each.groups for each in problems)])
    cells = np.cumsum([0, *(len(each.group) for each in problems)])
    return Separable(
        *(
            np.concatenate([getattr(each, part) for each in problems])
            for part in ("wanted", "current", "lower", "upper")
        ),
        cell=np.concatenate([each.cell + first for each, first in zip(problems, cells, strict=False)]),
        group=np.concatenate([each.group + first for each, first in zip(problems, groups, strict=False)]),
        most=np.concatenate([each.most for each in problems]),
        least=np.concatenate([each.least for each in problems]),
        greatest=np.concatenate([each.greatest for each in problems]),
    )


@cache
def random_problems(seed: int, count: int) -> list[tuple[Case, Separable]]:
    """Random convex cases, a third of them with limits that are no_worse."""
    cases = [
        in_modes(case, np.random.default_rng(at), hard=0.3) if at % 3 == 0 else case
        for at, case in enumerate(random_cases(seed, count))
    ]
    asked = [(case, separable(case)) for case in cases]
    return [(case, problem) for case, problem in asked if problem is not None]


def answers(problems: Sequence[Separable]) -> list[Found]:
    """What all of them together give each."""
    whole = joined(problems)
    found = solved_together(whole)
    names, groups = whole.group[whole.cell], np.arange(whole.groups)
    return [
        replace(found, state=found.state[groups == at], weights=found.weights[names == at]) for at in groups.tolist()
    ]


def solved_alone(case: Case) -> Found:
    problem = separable(case)
    assert problem is not None
    return solved_together(problem)


# examples


def test_a_cap_and_a_net_of_zero_hold_together_without_another_solver() -> None:
    constrained = CAP_AND_NEUTRAL.apply(BREACHING)
    assert listed(constrained.weights) == pytest.approx([0.3, 0.3, -0.2, -0.2, -0.2], abs=1e-13)
    assert constrained.solved["solver"].to_list() == ["newton"]


def test_turnover_holds_a_small_trade_at_todays_weight() -> None:
    # Trades of 0.2, 0.2 and 0.05 are half of 0.45, and may be half of 0.3: each gives up 0.05, the last one all it has.
    case = Case(np.array([0.5, 0.4, 0.15]), (TurnoverConstraint(0.15),), np.array([0.3, 0.2, 0.1]))
    assert solved_alone(case).weights == pytest.approx([0.45, 0.35, 0.1], abs=1e-13)


def test_gross_holds_a_small_weight_at_zero() -> None:
    case = Case(np.array([0.5, -0.3, 0.05]), (MaxGrossExposureConstraint(0.6),))
    assert solved_alone(case).weights == pytest.approx([0.4, -0.2, 0.0], abs=1e-13)


def test_caps_that_cannot_reach_the_net_are_certified() -> None:
    case = Case(np.full(4, 0.2), (MaxPositionConstraint(0.2), NetExposureConstraint(1.0)))
    assert solved_alone(case).state.tolist() == [INFEASIBLE]


# properties


def test_whether_there_are_weights_and_which_agrees_with_clarabel() -> None:
    asked = random_problems(11, examples(60))
    for (case, _), found in zip(asked, answers([problem for _, problem in asked]), strict=True):
        violation = least_violation(case)
        assert found.state[0] == SOLVED or violation > 0.0
        if found.state[0] == SOLVED:
            nearest = nearest_weights(case)
            assert violation <= TOLERANCE
            assert np.linalg.norm(found.weights - case.wanted) <= np.linalg.norm(nearest - case.wanted) + 1e-8
            assert found.weights == pytest.approx(nearest, abs=2e-6)
        if found.state[0] == INFEASIBLE:
            assert violation > TOLERANCE


def test_together_gives_what_one_at_a_time_gives() -> None:
    asked = random_problems(12, examples(250))
    seen = {True: 0, False: 0}
    for (case, _), found in zip(asked, answers([problem for _, problem in asked]), strict=True):
        alone = solve(problem_of_case(case))
        seen[isinstance(alone, Exact)] += 1
        assert isinstance(alone, Exact) == (found.state[0] == SOLVED), case
        if isinstance(alone, Exact):
            assert found.weights == pytest.approx(alone.weights, abs=1e-11), case
    assert min(seen.values()) >= 5


def test_a_group_alone_gets_the_same_bits_as_among_others() -> None:
    problems = [problem for _, problem in random_problems(12, examples(250))]
    for problem, among in zip(problems, answers(problems), strict=True):
        alone = solved_together(problem)
        assert alone.state.tolist() == among.state.tolist()
        assert np.array_equal(alone.weights, among.weights)


def test_pieces_of_any_size_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = joined([problem for _, problem in random_problems(12, examples(250))])
    at_once = solved_together(whole)
    monkeypatch.setattr(newton, "PIECE", 13)
    assert np.array_equal(solved_together(whole).weights, at_once.weights)


def test_the_limits_of_all_groups_are_those_of_each() -> None:
    for case, problem in random_problems(13, examples(150)):
        rng = np.random.default_rng(len(case))
        one = problem_of_case(case)
        for weights in (rng.normal(0.0, 0.3, len(case)), problem.wanted, problem.current):
            of_limits = [limit.excess(weights) for limit in one.limits]
            ends = [np.max(weights - one.upper, initial=-np.inf), np.max(one.lower - weights, initial=-np.inf)]
            worst = max(*of_limits, *ends, 0.0)
            assert max(_excess(problem, weights), 0.0) == pytest.approx(worst, abs=1e-12), case


def _excess(problem: Separable, weights: Floats) -> float:
    sums = [np.sum(weights), np.sum(np.abs(weights)), np.sum(np.abs(weights - problem.current)) / 2]
    gross = np.bincount(problem.cell, np.abs(weights), len(problem.most))
    parts = [
        weights - problem.upper,
        problem.lower - weights,
        gross - problem.most,
        sums - problem.greatest[0],
        problem.least[0] - sums,
    ]
    return float(max(np.max(part) for part in parts))


@pytest.mark.parametrize("missed", [0.0, 1e-13, 1e-11, 5e-10, 1e-8, 1e-6, 1e-4, -1e-12, -1e-8, -1e-5])
def test_at_the_edge_of_what_is_feasible_no_answer_is_wrong(missed: float) -> None:
    for seed in range(examples(4)):
        rng = np.random.default_rng([seed, 5])
        count = int(rng.integers(2, 30))
        wanted = rng.dirichlet(np.ones(count))
        case = Case(wanted, (MaxPositionConstraint((1 - missed) / count), NetExposureConstraint(1.0)))
        problem = separable(case)
        assert problem is not None
        found = solved_together(problem)
        if found.state[0] == SOLVED:
            assert _excess(problem, found.weights) <= TOLERANCE
        assert found.state[0] in ((SOLVED, OPEN) if missed <= 1e-12 else (OPEN, INFEASIBLE))


# as a panel


PANEL = [replace(case, frozen=case.fixed) for case in random_cases(14, 12, fewest=4, most_names=9)]
LIMITS = ConstraintSet(
    [
        MaxBucketWeightConstraint({"x": 0.3, "y": 0.4}),
        MaxPositionConstraint(0.2, mode="no_worse"),
        NetExposureConstraint(-0.05, 0.3),
        TurnoverConstraint(0.6),
        NameLimitsConstraint({"N000": NameLimit(-0.1, 0.1)}),
    ]
)


def panel() -> pl.DataFrame:
    return pl.concat([frame_of(case, day) for day, case in enumerate(PANEL)])


def one_at_a_time(limits: ConstraintSet, weights: pl.DataFrame) -> ConstrainedWeights:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(newton, "ROUNDS", 0)
        constrained = limits.apply(weights)
        assert set(constrained.solved["solver"]) <= {"clarabel"}
        return constrained


def test_groups_that_do_not_converge_go_to_clarabel_and_are_counted() -> None:
    together, apart = LIMITS.apply(panel()), one_at_a_time(LIMITS, panel())
    assert set(together.solved["solver"]) == {"newton"}
    assert together.solved.drop("solver", "distance").equals(apart.solved.drop("solver", "distance"))
    assert (together.weights["weight"] - apart.weights["weight"]).abs().max() <= 1e-12
    assert together.weights["weight"].is_null().equals(apart.weights["weight"].is_null())


def amounts_of(constrained: ConstrainedWeights) -> dict[tuple[object, ...], float]:
    amount = (pl.col("after") - pl.col("before")).sum()
    return {row[:-1]: row[-1] for row in constrained.actions.group_by("end_time", "rule", "symbol").agg(amount).rows()}


def test_the_story_of_a_weight_is_the_same_together_and_apart() -> None:
    together, apart = amounts_of(LIMITS.apply(panel())), amounts_of(one_at_a_time(LIMITS, panel()))
    assert together.keys() == apart.keys()
    for key, amount in together.items():
        assert amount == pytest.approx(apart[key], abs=1e-11), key


def test_limits_that_say_the_same_share_what_they_changed() -> None:
    # Two buckets of at most 45 % say the same as a net of 90 %, so their multipliers are not unique.
    caps = MaxBucketWeightConstraint(0.45), NetExposureConstraint(0.9, 0.9), MaxPositionConstraint(0.24, False)
    weights = weights_of([0.5, 0.4, 0.5, 0.4]).with_columns(bucket=pl.Series(["x", "x", "y", "y"]))
    constrained, apart = ConstraintSet(caps).apply(weights), amounts_of(one_at_a_time(ConstraintSet(caps), weights))
    assert constrained.solved["solver"].to_list() == ["newton"]
    amounts = amounts_of(constrained)
    assert amounts.keys() == apart.keys()
    assert list(amounts.values()) == pytest.approx([apart[key] for key in amounts], abs=1e-12)
    assert sum(amounts.values()) == pytest.approx(0.9 - 1.8, abs=1e-12)


def test_actions_of_a_panel_are_those_of_its_groups_one_after_another() -> None:
    weights = panel()
    alone = pl.concat([LIMITS.apply(group).actions for group in weights.partition_by("end_time")])
    solved = LIMITS.apply(weights).solved["end_time"]
    together = LIMITS.apply(weights).actions.filter(pl.col("end_time").is_in(solved.to_list()))
    assert together.equals(alone.filter(pl.col("end_time").is_in(solved.to_list())))


def test_a_floor_that_the_nearest_weights_meet_needs_no_choice_of_names() -> None:
    low, high = (ConstraintSet([*CAP_AND_NEUTRAL.constraints, MinPositionWeightConstraint(at)]) for at in (0.1, 0.25))
    assert low.apply(BREACHING).solved["solver"].to_list() == ["newton"]
    assert high.apply(BREACHING).solved["solver"].to_list() == ["clarabel"]
