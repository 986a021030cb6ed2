"""Conflicts against brute force: every subset of the limits of small groups, every change that is said to suffice."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest

from core.constraints import (
    ConstraintSet,
    FrozenNamesConstraint,
    MarketNeutralConstraint,
    MaxBucketWeightConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    MaxPositionsConstraint,
    MinBucketsConstraint,
    MinBucketWeightConstraint,
    MinPositionWeightConstraint,
    NameLimit,
    NameLimitsConstraint,
    NetExposureConstraint,
    TurnoverConstraint,
    WeightConstraint,
    infeasible,
)
from core.constraints.conflict_text import conflict_text
from core.constraints.exact import solve
from core.constraints.infeasible import Conflict, WayOut, conflict_of
from tests.core.constraints.convex_oracle import Case, Elastic, is_feasible, rules_of
from tests.core.constraints.random_cases import (
    CONVEX,
    DISCRETE,
    frame_of,
    in_modes,
    problem_of_case,
    random_case,
)
from tests.effort import examples

STEP = 1e-4  # what ways out are rounded to; of small numbers to a hundredth of their first digit
Key = tuple[str, str]

NUMBERS = {
    "max_gross_exposure": "max_exposure",
    "turnover": "max_turnover",
    "max_position": "max_weight",
    "max_positions": "max_positions",
    "min_buckets_represented": "min_buckets",
    "min_position_weight": "min_weight",
}
"""The attribute that has the number of a kind, where it has one."""


def conflict(case: Case) -> Conflict:
    return conflict_of(problem_of_case(case))


def sets_of(found: Conflict) -> set[frozenset[Key]]:
    return {frozenset((limit.kind, limit.scope) for limit in limits) for limits in found.sets}


def changed(case: Case, changes: Mapping[Key, float]) -> Case:
    """The case with other numbers for some limits, each bucket, name and bound by itself."""
    for (kind, scope), value in changes.items():
        constraints = [_with(case, c, scope, value) if c.kind == kind else c for c in case.constraints]
        case = replace(case, constraints=tuple(c for c in constraints if c is not None))
    return case


def _with(case: Case, c: WeightConstraint, scope: str, value: float) -> WeightConstraint | None:
    """The constraint with another number; None where the number says nothing any more."""
    match c.kind:
        case "max_bucket_weight":
            return replace(c, max_weight={**_by_bucket(case, c.max_weight), scope: value})
        case "min_bucket_weight":
            limits = {**_by_bucket(case, c.min_weight), scope: value}
            kept = {bucket: limit for bucket, limit in limits.items() if limit > 0}
            return replace(c, min_weight=kept) if kept else None
        case "net_exposure":
            return replace(c, **{scope: value})
        case "name_limits":
            symbol, bound = scope.split()
            return replace(c, names={**c.names, symbol: replace(c.names[symbol], **{bound: value})})
        case "market_neutral":
            return NetExposureConstraint(-value, value, mode=c.mode)
        case "long_only":
            return NameLimitsConstraint({symbol: NameLimit(value) for symbol in case.symbols}, mode=c.mode)
    name = NUMBERS[c.kind]
    counted = c.kind in ("max_positions", "min_buckets_represented")
    return replace(c, **{name: int(value) if counted else value}) if value > 0 else None


def _by_bucket(case: Case, limit: float | Mapping[str, float]) -> Mapping[str, float]:
    return limit if isinstance(limit, Mapping) else dict.fromkeys(case.of_bucket, limit)


def minimal_sets(case: Case) -> set[frozenset[Key]]:
    """By trying every subset of the limits, small ones first."""
    elastic = Elastic(case)
    rules, found = elastic.rules, list[frozenset[int]]()
    for size in range(1, len(rules) + 1):
        for subset in map(frozenset, combinations(range(len(rules)), size)):
            left_out = [0.0 if at in subset else np.inf for at in range(len(rules))]
            if not any(known <= subset for known in found) and not elastic.is_feasible(left_out):
                found.append(subset)
    return {frozenset(rules[at].key for at in subset) for subset in found}


def random_conflicts(seed: int, usual: int, kinds: Sequence[str], most_names: int) -> list[tuple[Case, Conflict]]:
    found = []
    for number in range(examples(usual)):
        rng = np.random.default_rng([seed, number])
        case = in_modes(random_case(rng, kinds, most_names), rng, hard=0.7)
        answer = solve(problem_of_case(case)) if len(rules_of(case)) <= 6 else None
        if isinstance(answer, Conflict):
            found.append((case, answer))
    return found


@cache
def conflicts() -> list[tuple[Case, Conflict]]:
    some_discrete = random_conflicts(12, 40, (*CONVEX, *DISCRETE, *DISCRETE), 5)
    return random_conflicts(11, 60, CONVEX, 6) + some_discrete


def numbered(found: Conflict) -> Iterator[tuple[Key, WayOut]]:
    for way in found.ways_out:
        yield (way.limit.kind, way.limit.scope), way


def per_bucket(case: Case, key: Key) -> bool:
    """Counts per bucket cannot be changed one by one in a constraint."""
    return any(getattr(c, "per_bucket", False) for c in case.constraints if c.kind == key[0])


# examples


TWELVE = Case(np.full(12, 1 / 12), (MaxPositionConstraint(0.05), NetExposureConstraint(minimum=0.95)))


def test_a_cap_that_leaves_no_room_for_the_net_is_told_with_its_ways_out() -> None:
    told = conflict_text(conflict(TWELVE))
    assert (
        "Max position 5 % × 12 names = 60 %, but net exposure at least 95 %: raise max position to 7.92 %, "
        "or hold 19 names, or lower net exposure to 60 %"
    ) in told


def test_an_infeasible_group_has_null_weights_and_its_conflict_as_text_and_rows() -> None:
    constrained = ConstraintSet(TWELVE.constraints).apply(frame_of(TWELVE, day=3))
    assert constrained.weights["weight"].null_count() == 12
    assert constrained.infeasible["end_time"].to_list() == [3]
    assert "raise max position to 7.92 %" in constrained.infeasible["conflict"][0]
    ways = {row["constraint"]: row for row in constrained.ways_out.to_dicts()}
    assert ways["max_position"]["alone"] == pytest.approx(0.0792)
    assert ways["net_exposure"]["alone"] == pytest.approx(0.60)
    assert constrained.breaches.is_empty()


def test_two_conflicts_that_share_nothing_are_both_found() -> None:
    case = Case(
        np.array([0.5, 0.2]),
        (NameLimitsConstraint({"N000": NameLimit(0.4), "N001": NameLimit(0.3)}), TurnoverConstraint(0.2),
         MaxPositionConstraint(0.2)),
        np.array([0.4, 0.3]),
    )  # fmt: skip
    found = conflict(case)
    assert sets_of(found) == {
        frozenset({("max_position", ""), ("name_limits", "N000 minimum")}),
        frozenset({("max_position", ""), ("name_limits", "N001 minimum")}),
    }
    assert {key: way.alone for key, way in numbered(found)} == {
        ("max_position", ""): pytest.approx(0.4),
        ("name_limits", "N000 minimum"): None,
        ("name_limits", "N001 minimum"): None,
    }


def test_each_bucket_counts_by_itself_in_a_conflict() -> None:
    case = Case(
        np.array([0.5, 0.5]),
        (MaxBucketWeightConstraint({"x": 0.3, "y": 0.9}), NameLimitsConstraint({"N000": NameLimit(0.4)})),
        None,
        ["x", "y"],
    )
    assert sets_of(conflict(case)) == {frozenset({("max_bucket_weight", "x"), ("name_limits", "N000 minimum")})}


def test_a_value_whose_way_out_is_zero_is_zero() -> None:
    case = Case(np.array([0.5, 0.3]), (NameLimitsConstraint({"N000": NameLimit(None, 0.0)}), NetExposureConstraint(0.4),
                                       MaxPositionConstraint(0.1)))  # fmt: skip
    way = dict(numbered(conflict(case)))["net_exposure", "minimum"]
    assert way.alone == pytest.approx(0.1, abs=1e-12)
    lone = Case(np.array([0.0]), (NetExposureConstraint(0.4),), np.array([0.0]))
    assert dict(numbered(conflict(lone)))["net_exposure", "minimum"].alone == 0.0


def test_a_count_is_raised_by_whole_names() -> None:
    case = Case(
        np.full(4, 0.25), (MaxPositionsConstraint(2), MaxPositionConstraint(0.3), NetExposureConstraint(minimum=0.8))
    )
    ways = dict(numbered(conflict(case)))
    assert ways["max_positions", ""].alone == 3
    assert ways["max_position", ""].alone == pytest.approx(0.4)
    assert "raise positions to 3" in conflict_text(conflict(case))


def test_a_bucket_that_has_no_names_cannot_be_filled() -> None:
    case = Case(np.array([0.5]), (MinBucketWeightConstraint({"y": 0.2}),), None, ["x"])
    found = conflict(case)
    assert sets_of(found) == {frozenset({("min_bucket_weight", "y")})}
    assert "cannot be met with 1 name" in conflict_text(found)


def test_a_frozen_name_has_no_number_and_is_let_go_only_where_nothing_else_helps() -> None:
    case = Case(np.array([0.5, 0.2]), (MaxPositionConstraint(0.3),), None, (), np.array([True, False]))
    found = conflict(case)
    assert sets_of(found) == {frozenset({("frozen", "N000"), ("max_position", "")})}
    assert {key: (way.alone, way.jointly) for key, way in numbered(found)} == {("max_position", ""): (0.5, 0.5)}


def test_a_frozen_conflict_without_numbers_tells_what_has_to_be_let_go() -> None:
    # Two rules without a number: a name is fixed at 50 %, and must not be traded from 40 %.
    case = Case(np.array([0.5]), (FrozenNamesConstraint(("N000",)),), np.array([0.4]), (), np.array([True]))
    found = conflict(case)
    assert len(found.released) == 1
    assert "let go" in conflict_text(found)


def test_a_floor_that_more_names_than_the_gross_can_pay_is_a_conflict() -> None:
    case = Case(
        np.array([0.3, 0.3]),
        (
            MinPositionWeightConstraint(0.4),
            NameLimitsConstraint({"N000": NameLimit(0.1, 0.3)}),
            MarketNeutralConstraint(),
        ),
    )
    ways = dict(numbered(conflict(case)))
    assert sets_of(conflict(case)) == {frozenset({("min_position_weight", ""), ("name_limits", "N000 minimum"),
                                                  ("name_limits", "N000 maximum")})}  # fmt: skip
    assert ways["min_position_weight", ""].alone == pytest.approx(0.3)
    assert ways["name_limits", "N000 maximum"].alone == pytest.approx(0.4)


# properties


def test_the_random_conflicts_are_many() -> None:
    assert len(conflicts()) >= 8


def test_every_irreducible_set_is_found_and_nothing_else() -> None:
    for case, found in conflicts():
        sets, expected = sets_of(found), minimal_sets(case)
        assert sets == expected if found.complete else sets < expected, case


def test_a_value_that_is_said_to_suffice_alone_does() -> None:
    for case, found in conflicts():
        for key, way in numbered(found):
            if way.alone is not None and not per_bucket(case, key):
                assert is_feasible(changed(case, {key: way.alone})), (case, key, way)


def test_a_step_less_than_what_suffices_alone_does_not() -> None:
    for case, found in conflicts():
        for key, way in numbered(found):
            if not way.alone or per_bucket(case, key):
                continue
            step = 1.0 if way.limit.counted else min(STEP, 10.0 ** (np.floor(np.log10(abs(way.alone))) - 2))
            less = way.alone - 1.02 * way.limit.direction * step
            if way.limit.direction * (less - (way.limit.value or 0.0)) > 0:
                assert not is_feasible(changed(case, {key: less})), (case, key, way)


def test_where_no_value_is_told_none_suffices() -> None:
    for case, found in conflicts():
        elastic = Elastic(case)
        for key, way in numbered(found):
            if way.alone is None:
                without = [np.inf if rule.key == key else 0.0 for rule in elastic.rules]
                assert not elastic.is_feasible(without), (case, key)


def test_the_joint_change_suffices() -> None:
    for case, found in conflicts():
        jointly = {key: way.jointly for key, way in numbered(found) if way.jointly is not None}
        gone = {(limit.kind, limit.scope) for limit in found.released}
        if not any(per_bucket(case, key) for key in jointly):
            after = changed(case, jointly)
            assert is_feasible(after, [rule for rule in rules_of(after) if rule.key not in gone]), (case, jointly)


def test_no_text_has_a_number_that_is_none() -> None:
    for _, found in conflicts():
        assert not any(word in conflict_text(found) for word in ("nan", "inf ", "None", "e-"))


def test_a_number_of_buckets_is_lowered_by_whole_buckets() -> None:
    case = Case(
        np.array([0.3, 0.3]),
        (MinBucketsConstraint(2, 0.2), NameLimitsConstraint({"N001": NameLimit(0.0, 0.1)})),
        None,
        ["x", "y"],
    )
    ways = dict(numbered(conflict(case)))
    assert ways["min_buckets_represented", ""].alone == 1
    assert ways["name_limits", "N001 maximum"].alone == pytest.approx(0.2)


def test_where_another_limit_keeps_the_total_down_no_number_of_names_is_offered() -> None:
    limits = (MaxPositionConstraint(0.05), NetExposureConstraint(0.9), MaxGrossExposureConstraint(0.5))
    conflict = conflict_of(problem_of_case(Case(np.full(2, 0.05), limits)))
    assert len(conflict.sets) == 2
    assert conflict.names_needed is None


def test_a_value_that_never_suffices_is_moved_two_steps_further_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infeasible, "feasible", lambda _: False)
    (cap, *_) = problem_of_case(TWELVE).limits
    assert cap.kind == "max_position"
    assert infeasible._sufficient(problem_of_case(TWELVE), {0: 0.0791}) == {0: pytest.approx(0.0793, abs=STEP)}
