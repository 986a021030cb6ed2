"""Counts, floors and bucket minima: found whenever there are some, and how far from the best."""

from dataclasses import replace

import numpy as np
import pytest

from core.constraints import (
    ConstraintSet,
    MaxBucketWeightConstraint,
    MaxPositionConstraint,
    MaxPositionsConstraint,
    MinBucketsConstraint,
    MinBucketWeightConstraint,
    MinPositionWeightConstraint,
    NetExposureConstraint,
)
from core.constraints.exact import Exact, solve
from core.constraints.infeasible import Conflict
from tests.core.constraints.convex_oracle import Case, best_weights, excesses, is_feasible
from tests.core.constraints.frames import listed, weights_of
from tests.core.constraints.random_cases import CONVEX, DISCRETE, problem_of_case, random_case
from tests.effort import examples

EDGE = 1e-9
KINDS = (*CONVEX, *DISCRETE, *DISCRETE)


def exact(case: Case) -> Exact:
    answer = solve(problem_of_case(case))
    assert isinstance(answer, Exact)
    return answer


def discrete_cases(seed: int, usual: int, most_names: int) -> list[Case]:
    found = []
    for number in range(examples(usual)):
        case = random_case(np.random.default_rng([seed, number]), KINDS, most_names)
        if any(each.kind in (*DISCRETE, "min_buckets_represented") for each in case.constraints):
            found.append(case)
    return found


def test_the_largest_names_stay_where_they_are_counted() -> None:
    case = Case(np.array([0.4, 0.3, 0.2, 0.1]), (MaxPositionsConstraint(2), MaxPositionConstraint(0.35)))
    assert exact(case).weights == pytest.approx([0.35, 0.3, 0, 0])


def test_a_total_that_the_largest_cannot_hold_is_held_by_as_many_as_are_allowed() -> None:
    case = Case(
        np.array([0.4, 0.3, 0.2, 0.1]),
        (MaxPositionsConstraint(3), MaxPositionConstraint(0.3), NetExposureConstraint(minimum=0.9)),
    )
    assert exact(case).weights == pytest.approx([0.3, 0.3, 0.3, 0])


def test_a_name_below_the_floor_goes_to_the_nearer_end() -> None:
    case = Case(np.array([0.5, 0.08, 0.02]), (MinPositionWeightConstraint(0.1), MaxPositionConstraint(0.4)))
    assert exact(case).weights == pytest.approx([0.4, 0.1, 0])


def test_a_floor_keeps_each_name_on_its_side() -> None:
    case = Case(np.array([0.5, -0.08]), (MinPositionWeightConstraint(0.1), MaxPositionConstraint(0.4)))
    assert exact(case).weights == pytest.approx([0.4, -0.1])


def test_a_bucket_is_raised_to_its_minimum_on_the_side_where_it_is_wanted() -> None:
    case = Case(
        np.array([0.5, -0.1]), (MinBucketWeightConstraint({"y": 0.2}), MaxPositionConstraint(0.4)), None, ["x", "y"]
    )
    assert exact(case).weights == pytest.approx([0.4, -0.2])


def test_a_bucket_stays_represented_where_a_count_would_drop_it() -> None:
    # Two of three names may stay; the two largest are both in x, and two buckets are represented.
    case = Case(
        np.array([0.4, 0.3, 0.2]),
        (MaxPositionsConstraint(2), MinBucketsConstraint(2, 0.1), MaxPositionConstraint(0.35)), None, ["x", "x", "y"],
    )  # fmt: skip
    assert exact(case).weights == pytest.approx([0.35, 0, 0.2])


def test_counts_in_each_bucket_are_kept_by_the_set() -> None:
    weights = weights_of([0.4, 0.3, 0.2, 0.1], bucket=["x", "x", "y", "y"])
    limits = [MaxPositionsConstraint(1, per_bucket=True), MaxBucketWeightConstraint(0.3), NetExposureConstraint(0.5)]
    constrained = ConstraintSet(limits).apply(weights)
    assert listed(constrained.weights) == pytest.approx([0.3, 0, 0.3, 0]) or constrained.solved.height == 1
    assert constrained.breaches.is_empty()


def test_a_long_and_a_short_name_of_one_bucket_both_count_for_its_minimum() -> None:
    case = Case(
        np.array([0.1, -0.1, 0.3]),
        (MinBucketWeightConstraint({"x": 0.4}), NetExposureConstraint(0.3, 0.3)), None, ["x", "x", "y"],
    )  # fmt: skip
    assert exact(case).weights == pytest.approx([0.2, -0.2, 0.3])


def test_the_gap_bounds_how_much_nearer_the_best_weights_are() -> None:
    gaps, distances = [], []
    for number, case in enumerate(discrete_cases(31, 30, 6)):
        answer = solve(problem_of_case(case))
        best = best_weights(case) if isinstance(answer, Exact) else None
        if best is None:
            continue
        least = float(np.linalg.norm(best - case.wanted))
        assert max(excesses(case, np.where(np.abs(best) < 1e-7, 0.0, best)).values()) <= 1e-6, number
        assert answer.distance >= least - 1e-6, number
        assert answer.gap >= answer.distance - least - 1e-6, number
        gaps.append(answer.distance - least)
        distances.append(answer.distance)
    # The rule is not the optimum; it finds it nearly always, and is never absurdly far from it.
    assert len(gaps) >= 10
    assert np.mean(np.array(gaps) < 1e-6) >= 0.9
    assert np.all(np.array(gaps) <= 0.5 * np.array(distances) + 1e-6)


def test_twelve_names_agree_with_a_search_of_all_supports_too() -> None:
    for case in discrete_cases(32, 3, 12):
        answer = solve(problem_of_case(replace(case, frozen=None)))
        best = best_weights(replace(case, frozen=None)) if isinstance(answer, Exact) else None
        if best is not None:
            assert answer.gap >= answer.distance - np.linalg.norm(best - case.wanted) - 1e-6


def test_weights_are_found_whenever_an_integer_program_finds_some() -> None:
    agreed = {True: 0, False: 0}
    for number, case in enumerate(discrete_cases(33, 30, 7)):
        answer = solve(problem_of_case(case))
        assert isinstance(answer, Exact) == is_feasible(case), number
        agreed[isinstance(answer, Exact)] += 1
        if isinstance(answer, Exact):
            assert max(excesses(case, answer.weights).values()) <= EDGE, number
            told = sum(answer.changes.values(), np.zeros(len(case)))
            assert told == pytest.approx(answer.weights - case.wanted, abs=EDGE), number
    assert min(agreed.values()) >= 3


def test_a_conflict_is_never_told_where_only_the_choice_of_names_was_wrong() -> None:
    # The two largest names sit in one bucket with a limit: other names have to be chosen for the total to fit.
    case = Case(
        np.array([0.4, 0.35, 0.1, 0.1]),
        (MaxPositionsConstraint(2), MaxBucketWeightConstraint({"x": 0.3}), NetExposureConstraint(minimum=0.8)),
        None, ["x", "x", "y", "z"],
    )  # fmt: skip
    answer = solve(problem_of_case(case))
    assert not isinstance(answer, Conflict)
    assert max(excesses(case, answer.weights).values()) <= EDGE
