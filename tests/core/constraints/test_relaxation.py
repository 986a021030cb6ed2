"""Soft limits and drifted books: who gives way, how far, and what is never worse than today."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from core.constraints import (
    ConstraintSet,
    LongOnlyConstraint,
    MarketNeutralConstraint,
    MaxBucketWeightConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    MaxPositionsConstraint,
    MinBucketWeightConstraint,
    MinPositionWeightConstraint,
    NameLimit,
    NameLimitsConstraint,
    NetExposureConstraint,
    TurnoverConstraint,
    WeightConstraint,
)
from core.constraints.exact import Exact, solve
from core.constraints.infeasible import Conflict
from tests.core.constraints.convex_oracle import Case, Elastic, excesses, least_rooms, rules_of
from tests.core.constraints.frames import listed, weights_of
from tests.core.constraints.random_cases import (
    CONVEX,
    DISCRETE,
    frame_of,
    in_modes,
    problem_of_case,
    random_case,
)
from tests.effort import examples

EDGE = 1e-9


def soft(constraint: WeightConstraint, priority: int, room: float) -> WeightConstraint:
    return replace(constraint, mode="soft", priority=priority, max_relaxation=room)


def rooms_of(case: Case) -> dict[tuple[str, str], float]:
    answer = solve(problem_of_case(case))
    assert isinstance(answer, Exact)
    given = zip(answer.limits, answer.room.tolist(), strict=True)
    return {(limit.kind, limit.scope): room for limit, room in given if room > 0}


HALVES = np.array([0.5, 0.5])
NET, CAP = NetExposureConstraint(minimum=0.9), MaxPositionConstraint(0.4)


def test_nothing_gives_way_where_all_can_hold() -> None:
    case = Case(HALVES, (soft(MaxPositionConstraint(0.45), 1, 0.1), soft(NET, 2, 0.1)))
    assert rooms_of(case) == {}


def test_the_lowest_priority_gives_way_first() -> None:
    # Two names at 40 % make 80 %, but the net should be 90 %: 5 % of each name, or 10 % of the net, is missing.
    assert rooms_of(Case(HALVES, (soft(CAP, 1, 0.1), soft(NET, 2, 0.2)))) == {("max_position", ""): pytest.approx(0.05)}
    assert rooms_of(Case(HALVES, (soft(CAP, 2, 0.1), soft(NET, 1, 0.2)))) == {
        ("net_exposure", "minimum"): pytest.approx(0.1)
    }


def test_what_the_lowest_may_not_give_the_next_one_does() -> None:
    case = Case(HALVES, (soft(CAP, 1, 0.02), soft(NET, 2, 0.2)))
    assert rooms_of(case) == {
        ("max_position", ""): pytest.approx(0.02),
        ("net_exposure", "minimum"): pytest.approx(0.06),
    }


def test_of_equal_priority_the_least_total_in_units_of_the_limits_is_given() -> None:
    # The cap would give 0.05 of 0.4, an eighth; the net 0.1 of 0.9, a ninth, which is less.
    case = Case(HALVES, (soft(CAP, 1, 0.1), soft(NET, 1, 0.2)))
    assert rooms_of(case) == {("net_exposure", "minimum"): pytest.approx(0.1)}


def test_where_all_that_may_be_given_is_too_little_it_is_a_conflict() -> None:
    case = Case(HALVES, (soft(CAP, 1, 0.01), soft(NET, 2, 0.05)))
    assert isinstance(solve(problem_of_case(case)), Conflict)


def test_a_count_gives_whole_names() -> None:
    case = Case(
        np.full(4, 0.25),
        (soft(MaxPositionsConstraint(2), 1, 2), MaxPositionConstraint(0.3), NetExposureConstraint(minimum=0.8)),
    )
    assert rooms_of(case) == {("max_positions", ""): 1.0}


def test_each_relaxation_is_a_row_with_both_values_and_a_reason() -> None:
    case = Case(HALVES, (soft(CAP, 1, 0.1), NET))
    constrained = ConstraintSet(case.constraints).apply(frame_of(case, day=5))
    (row,) = constrained.relaxations.to_dicts()
    assert (row["end_time"], row["constraint"], row["scope"]) == (5, "max_position", "")
    assert (row["limit"], row["used"]) == (0.4, pytest.approx(0.45))
    assert "Max position 40 % × 2 names = 80 %, but net exposure at least 90 %" in row["reason"]
    assert listed(constrained.weights) == pytest.approx([0.45, 0.45])
    assert constrained.breaches.is_empty()


def test_the_action_of_a_relaxed_limit_has_the_value_that_was_used() -> None:
    case = Case(np.array([0.6, 0.4]), (soft(CAP, 1, 0.1), NET))
    constrained = ConstraintSet(case.constraints).apply(frame_of(case))
    caps = constrained.actions.filter(pl.col("rule") == "max_position")
    assert caps["limit"].to_list() == pytest.approx([0.45] * caps.height)


def test_a_soft_limit_is_not_used_beyond_what_it_was_given() -> None:
    for seed in (21, 22):
        state = {"held": 0, "gave": 0, "conflict": 0}
        for number in range(examples(24)):
            rng = np.random.default_rng([seed, number])
            case = in_modes(random_case(rng, CONVEX if seed == 21 else (*CONVEX, *DISCRETE), 6), rng, 0.1, 0.75)
            answer, elastic = solve(problem_of_case(case)), Elastic(case)
            possible = elastic.is_feasible([rule.most for rule in elastic.rules])
            assert isinstance(answer, Exact) == possible, (seed, number)
            if isinstance(answer, Conflict):
                state["conflict"] += 1
                continue
            needed = not elastic.is_feasible()
            assert needed == bool(answer.room.any()), (seed, number)
            state["gave" if needed else "held"] += 1
            given = {(limit.kind, limit.scope): room for limit, room in zip(answer.limits, answer.room, strict=True)}
            for rule in elastic.rules:
                assert given[rule.key] <= rule.most + 1e-12
                assert excesses(case, answer.weights)[rule.key] <= given[rule.key] + EDGE
        assert min(state.values()) > 0


def test_priorities_are_settled_as_linear_programs_one_after_another_settle_them() -> None:
    compared = 0
    for number in range(examples(60)):
        rng = np.random.default_rng([23, number])
        case = in_modes(random_case(rng, CONVEX, 6), rng, 0.1, 0.75)
        answer = solve(problem_of_case(case))
        if isinstance(answer, Conflict) or not answer.room.any():
            continue
        ours = {(limit.kind, limit.scope): room for limit, room in zip(answer.limits, answer.room, strict=True)}
        theirs = least_rooms(case)
        assert theirs is not None
        for priority in {each.priority for each in case.constraints if each.mode == "soft"}:
            here = [rule for rule in rules_of(case) if rule.constraint and rule.constraint.priority == priority]
            total, expected = (sum(rooms[rule.key] / rule.unit for rule in here) for rooms in (ours, theirs))
            assert total == pytest.approx(expected, abs=1e-6), (number, priority)
        compared += 1
    assert compared >= 5


# drifted books

DRIFTED = [0.5, 0.3, -0.3]  # gross 1.1, net 0.5
KINDS = [
    (MaxPositionConstraint(0.4), [0.6, 0.3, -0.3], "A"),
    (MaxGrossExposureConstraint(1.0), [0.6, 0.4, -0.3], ""),
    (MarketNeutralConstraint(), [0.6, 0.3, -0.3], ""),
    (NetExposureConstraint(None, 0.4), [0.6, 0.3, -0.3], "maximum"),
    (NetExposureConstraint(0.6, None), [0.4, 0.3, -0.3], "minimum"),
    (LongOnlyConstraint(), [0.5, 0.3, -0.4], "C"),
    (MaxBucketWeightConstraint({"x": 0.6}), [0.6, 0.3, -0.3], "x"),
    (MinBucketWeightConstraint({"y": 0.4}), [0.5, 0.3, -0.2], "y"),
    (NameLimitsConstraint({"A": NameLimit(None, 0.4)}), [0.6, 0.3, -0.3], "A maximum"),
    (NameLimitsConstraint({"C": NameLimit(-0.2, None)}), [0.5, 0.3, -0.4], "C minimum"),
    (MinPositionWeightConstraint(0.35), [0.5, 0.25, -0.3], "B"),
]


@pytest.mark.parametrize(("constraint", "worse", "scope"), KINDS)
def test_a_breach_of_today_may_stay_but_not_grow(constraint: WeightConstraint, worse: list[float], scope: str) -> None:
    limited = replace(constraint, mode="no_worse")
    columns = {"bucket": ["x", "x", "y"], "current_weight": DRIFTED}
    assert not constraint.breaches(weights_of(DRIFTED, **columns)).is_empty()
    assert limited.breaches(weights_of(DRIFTED, **columns)).is_empty()
    assert listed(ConstraintSet([limited]).apply(weights_of(DRIFTED, **columns)).weights) == DRIFTED
    assert scope in limited.breaches(weights_of(worse, **columns))["scope"].to_list()


@pytest.mark.parametrize(("constraint", "worse", "scope"), KINDS)
def test_weights_that_would_make_a_breach_grow_end_at_todays_level(
    constraint: WeightConstraint, worse: list[float], scope: str
) -> None:
    limited = replace(constraint, mode="no_worse")
    current = np.array(DRIFTED)
    case = Case(np.array(worse), (limited,), current, ["x", "x", "y"])
    names = {"A": "N000", "B": "N001", "C": "N002"}
    if isinstance(limited, NameLimitsConstraint):
        case = replace(case, constraints=(replace(limited, names={names[s]: own for s, own in limited.names.items()}),))
    answer = solve(problem_of_case(case))
    assert isinstance(answer, Exact)
    assert max(excesses(case, answer.weights).values()) == pytest.approx(0.0, abs=EDGE), scope


def test_a_breach_of_today_that_shrinks_need_not_vanish() -> None:
    case = Case(
        np.array([0.45, 0.3]),
        (MaxPositionConstraint(0.4, mode="no_worse"), NetExposureConstraint(0.8)),
        np.array([0.5, 0.3]),
    )
    answer = solve(problem_of_case(case))
    assert isinstance(answer, Exact)
    assert answer.weights == pytest.approx([0.475, 0.325])


def test_more_names_than_allowed_may_stay_but_not_become_more() -> None:
    limited = MaxPositionsConstraint(2, mode="no_worse")
    case = Case(np.array([0.3, 0.3, 0.3, 0.1]), (limited,), np.array([0.4, 0.3, 0.3, 0.0]))
    answer = solve(problem_of_case(case))
    assert isinstance(answer, Exact)
    assert np.sum(np.abs(answer.weights) > EDGE) == 3


def test_todays_turnover_is_no_excuse() -> None:
    case = Case(np.array([0.6, 0.4]), (TurnoverConstraint(0.1),), np.array([0.4, 0.6]))
    answer = solve(problem_of_case(case))
    assert isinstance(answer, Exact)
    assert answer.weights == pytest.approx([0.5, 0.5])
