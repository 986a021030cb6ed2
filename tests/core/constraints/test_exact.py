"""The exact solution against an independent formulation, on random groups of every kind."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from core.constraints import (
    ConstrainedWeights,
    ConstraintSet,
    LongOnlyConstraint,
    MarketNeutralConstraint,
    MaxBucketWeightConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    MinPositionWeightConstraint,
    NameLimit,
    NameLimitsConstraint,
    NetExposureConstraint,
    TurnoverConstraint,
    WeightConstraint,
)
from core.constraints.exact import Exact, solve
from core.constraints.infeasible import Conflict
from tests.core.constraints.convex_oracle import (
    Case,
    Floats,
    excesses,
    is_feasible,
    least_violation,
    nearest_weights,
    rules_of,
)
from tests.core.constraints.frames import listed, weights_of
from tests.core.constraints.random_cases import (
    CONVEX,
    frame_of,
    in_modes,
    problem_of_case,
    random_cases,
)
from tests.effort import examples

EDGE = 1e-9  # feasible up to this


def solved(case: Case) -> Exact:
    answer = solve(problem_of_case(case))
    assert isinstance(answer, Exact)
    return answer


def cases(seed: int, usual: int, **options: int) -> list[Case]:
    """Random convex cases, a third of them with limits that are no_worse."""
    found = random_cases(seed, examples(usual), **options)
    return [
        in_modes(case, np.random.default_rng(at), hard=0.3) if at % 3 == 0 else case for at, case in enumerate(found)
    ]


def feasible(cases: Sequence[Case]) -> list[tuple[Case, Exact]]:
    answered = [(case, solve(problem_of_case(case))) for case in cases]
    return [(case, answer) for case, answer in answered if isinstance(answer, Exact)]


def require_every_limit(case: Case, weights: Floats) -> None:
    low, high = case.range
    assert max(excesses(case, weights).values(), default=0.0) <= EDGE
    assert np.all((weights >= low - EDGE) & (weights <= high + EDGE))
    assert weights[case.fixed] == pytest.approx(case.wanted[case.fixed], abs=EDGE)


# examples


def test_a_cap_and_a_net_of_zero_hold_together() -> None:
    weights = weights_of([0.3, 0.3, -0.3, -0.3, -0.3])
    constrained = ConstraintSet([MaxPositionConstraint(0.3), MarketNeutralConstraint()]).apply(weights)
    assert listed(constrained.weights) == pytest.approx([0.3, 0.3, -0.2, -0.2, -0.2], abs=1e-12)
    assert constrained.solved["distance"].to_list() == pytest.approx([0.03**0.5])
    assert constrained.solved["gap"].to_list() == [0.0]


def test_the_amounts_of_a_solved_group_tell_which_limit_did_what() -> None:
    # The net of −0.3 wants +0.1 of each of five names, two of which are at the cap already: the cap takes it back.
    weights = weights_of([0.3, 0.3, -0.3, -0.3, -0.3])
    actions = ConstraintSet([MaxPositionConstraint(0.3), MarketNeutralConstraint()]).apply(weights).actions
    amounts = actions.with_columns(amount=pl.col("after") - pl.col("before"))
    neutral, cap = (amounts.filter(pl.col("rule") == rule) for rule in ("market_neutral", "max_position"))
    assert neutral["amount"].to_list() == pytest.approx([0.1] * 5)
    assert cap["symbol"].to_list() == ["A", "B"]
    assert cap["amount"].to_list() == pytest.approx([-0.1, -0.1])


def test_a_held_name_wanted_at_zero_ends_between_zero_and_its_current_weight() -> None:
    case = Case(np.array([0.0, 0.5]), (NetExposureConstraint(0.9), MaxPositionConstraint(0.6)), np.array([0.4, 0.5]))
    assert solved(case).weights == pytest.approx([0.3, 0.6])
    assert solved(replace(case, current=np.array([0.31, 0.5]))).weights == pytest.approx([0.3, 0.6])
    assert isinstance(solve(problem_of_case(replace(case, current=np.array([0.2, 0.5])))), Conflict)


def test_a_name_neither_held_nor_wanted_stays_at_zero() -> None:
    case = Case(np.array([0.0, 0.2, 0.2]), (NetExposureConstraint(0.6),), np.array([0.0, 0.1, 0.0]))
    assert solved(case).weights == pytest.approx([0.0, 0.3, 0.3])


def test_a_name_whose_turnover_pays_for_nothing_stays_where_it_is() -> None:
    # The budget of 0.15 buys trades of 0.3: the two large ones share them, the third stays at today's weight.
    case = Case(np.array([0.5, 0.4, 0.11]), (TurnoverConstraint(0.15),), np.array([0.3, 0.2, 0.1]))
    assert solved(case).weights == pytest.approx([0.45, 0.35, 0.1])


def test_a_frozen_name_counts_and_the_others_make_room() -> None:
    case = Case(np.array([0.5, 0.3, 0.3]), (MaxGrossExposureConstraint(0.9),), None, (), np.array([True, False, False]))
    assert solved(case).weights == pytest.approx([0.5, 0.2, 0.2])


@pytest.mark.parametrize("missed", [0.0, 1e-13, 1e-12, 3e-12, 1e-11, 1e-10, 5e-10, -1e-12, -1e-10, -1e-8, -1e-5])
@pytest.mark.parametrize("count", [2, 3, 5, 12, 20])
def test_caps_that_add_up_to_the_total_or_nearly_give_weights(count: int, missed: float) -> None:
    for seed in range(examples(1)):
        wanted = np.random.default_rng([count, seed]).dirichlet(np.ones(count))
        case = Case(wanted, (MaxPositionConstraint((1 - missed) / count), NetExposureConstraint(1.0)))
        require_every_limit(case, solved(case).weights)


@pytest.mark.parametrize("missed", [1e-4, 1e-5, 1e-7])
def test_caps_that_miss_the_total_are_a_conflict(missed: float) -> None:
    case = Case(np.full(12, 1 / 12), (MaxPositionConstraint((1 - missed) / 12), NetExposureConstraint(1.0)))
    assert isinstance(solve(problem_of_case(case)), Conflict)


@pytest.mark.parametrize("off", [0.0, 1e-12, 1e-10, 1e-8, -1e-12, -1e-10])
def test_bucket_limits_that_add_up_to_the_total_or_nearly_give_weights(off: float) -> None:
    buckets = ["x", "x", "y", "y", "z"]
    limits = MaxBucketWeightConstraint({"x": 0.4, "y": 0.35, "z": 0.25 + off})
    for seed in range(examples(3)):
        wanted = np.random.default_rng(seed).dirichlet(np.ones(5))
        case = Case(wanted, (limits, NetExposureConstraint(1.0, 1.0), LongOnlyConstraint()), None, buckets)
        require_every_limit(case, solved(case).weights)


# properties


def test_weights_exist_where_an_elastic_program_finds_some_and_are_the_nearest() -> None:
    agreed = {True: 0, False: 0}
    for number, case in enumerate(cases(1, 40)):
        answer, violation = solve(problem_of_case(case)), least_violation(case)
        assert isinstance(answer, Exact) == (violation <= EDGE), (number, violation)
        agreed[isinstance(answer, Exact)] += 1
        if isinstance(answer, Conflict):
            continue
        require_every_limit(case, answer.weights)
        nearest = nearest_weights(case)
        assert answer.distance <= np.linalg.norm(nearest - case.wanted) + 1e-8, number
        assert answer.weights == pytest.approx(nearest, abs=2e-6), number
    assert min(agreed.values()) >= 5


def test_large_groups_agree_too() -> None:
    for case, answer in feasible(cases(7, 2, fewest=150, most_names=400)):
        require_every_limit(case, answer.weights)
        nearest = nearest_weights(case)
        assert answer.distance <= np.linalg.norm(nearest - case.wanted) + 1e-8
        assert answer.weights == pytest.approx(nearest, abs=2e-6)


def test_solving_again_changes_nothing() -> None:
    for case, answer in feasible(cases(2, 40)):
        again = solved(replace(case, wanted=np.where(case.fixed, case.wanted, answer.weights)))
        assert again.weights == pytest.approx(answer.weights, abs=2 * EDGE)


def test_the_order_of_constraints_changes_nothing() -> None:
    for case, answer in feasible(cases(3, 40)):
        turned = solved(replace(case, constraints=case.constraints[::-1]))
        assert turned.weights == pytest.approx(answer.weights, abs=1e-12)


def test_what_the_limits_changed_adds_up_for_every_name() -> None:
    for case, answer in feasible(cases(4, 50)):
        told = sum(answer.changes.values(), np.zeros(len(case)))
        assert told == pytest.approx(answer.weights - case.wanted, abs=EDGE)


def test_only_limits_that_bind_changed_anything() -> None:
    for case, answer in feasible(cases(5, 50)):
        levels = excesses(case, answer.weights)
        for number, amounts in answer.changes.items():
            if number >= 0 and np.abs(amounts).max() > 1e-9:
                limit = answer.limits[number]
                assert levels[limit.kind, limit.scope] >= -1e-7, limit


def test_no_limit_pulls_the_wrong_way() -> None:
    shrinking = {"max_gross_exposure", "max_bucket_weight", "max_position"}
    for _, answer in feasible(cases(6, 50)):
        for number, amounts in answer.changes.items():
            limit = answer.limits[number] if number >= 0 else None
            moved = np.abs(amounts) > 1e-9
            if limit is None or limit.kind == "market_neutral":
                continue
            if limit.kind in shrinking:
                assert np.all((amounts * answer.weights)[moved] <= 1e-9), limit
            elif limit.kind == "net_exposure":
                assert np.all(amounts[moved] * limit.direction < 0), limit
            elif limit.kind == "long_only":
                assert np.all(amounts[moved] > 0), limit


# as a panel


def panel_of(cases: Sequence[Case]) -> pl.DataFrame:
    """One day per case, under the constraints of the first."""
    frames = [frame_of(replace(case, frozen=case.fixed), day) for day, case in enumerate(cases)]
    return pl.concat(frames)


SETS: list[tuple[WeightConstraint, ...]] = [
    (MaxPositionConstraint(0.2), NetExposureConstraint(0.0, 0.3), MaxGrossExposureConstraint(1.0)),
    (
        MaxBucketWeightConstraint({"x": 0.3, "y": 0.4}),
        MaxPositionConstraint(0.15, mode="no_worse"),
        MarketNeutralConstraint(),
    ),
    (TurnoverConstraint(0.3), MaxPositionConstraint(0.25, redistribute=False), NetExposureConstraint(None, 0.8)),
    (
        MaxPositionConstraint(0.2, mode="soft", priority=1, max_relaxation=0.3),
        NetExposureConstraint(0.2, 0.4),
        MaxBucketWeightConstraint(0.35, mode="soft", priority=2, max_relaxation=0.1),
    ),
    (
        MarketNeutralConstraint(),
        NameLimitsConstraint({"N000": NameLimit(0.05, 0.1)}),
        MinPositionWeightConstraint(0.03),
    ),
]


@pytest.fixture(scope="module", params=range(len(SETS)))
def constraints(request: pytest.FixtureRequest) -> ConstraintSet:
    return ConstraintSet(SETS[request.param])


@pytest.fixture(scope="module")
def panel() -> pl.DataFrame:
    return panel_of(list(random_cases(8, 10, kinds=CONVEX, fewest=4, most_names=8)))


@pytest.fixture(scope="module")
def constrained(constraints: ConstraintSet, panel: pl.DataFrame) -> ConstrainedWeights:
    return constraints.apply(panel)


def test_rows_in_another_order_give_the_same_weights(
    constraints: ConstraintSet, panel: pl.DataFrame, constrained: ConstrainedWeights
) -> None:
    shuffled = constraints.apply(panel.sample(fraction=1.0, shuffle=True, seed=1)).weights
    both = constrained.weights.join(shuffled, on=["end_time", "symbol"], suffix="_2", validate="1:1")
    assert both["weight"].is_null().to_list() == both["weight_2"].is_null().to_list()
    assert (both["weight"] - both["weight_2"]).abs().max() <= 1e-12


def test_a_group_alone_gets_the_same_bits_as_in_a_panel(
    constraints: ConstraintSet, panel: pl.DataFrame, constrained: ConstrainedWeights
) -> None:
    alone = pl.concat([constraints.apply(group).weights for group in panel.partition_by("end_time")])
    assert constrained.weights.equals(alone)


def test_what_comes_out_meets_every_limit_in_force(
    constraints: ConstraintSet, panel: pl.DataFrame, constrained: ConstrainedWeights
) -> None:
    assert constrained.breaches.is_empty()
    refused = set(constrained.infeasible["end_time"])
    room = {
        (day, kind, scope): abs(used - limit) for day, kind, scope, limit, used, _ in constrained.relaxations.rows()
    }
    for (day,), rows in constrained.weights.partition_by("end_time", as_dict=True).items():
        if day in refused:
            assert rows["weight"].null_count() == rows.height
            continue
        case = _case_of(panel.filter(pl.col("end_time") == day), constraints.constraints)
        for (kind, scope), over in excesses(case, rows["weight"].to_numpy()).items():
            assert over <= room.get((day, kind, scope), 0.0) + EDGE, (day, kind, scope)


def _case_of(rows: pl.DataFrame, constraints: Sequence[WeightConstraint]) -> Case:
    weight, current, frozen = (rows[column].to_numpy() for column in ("weight", "current_weight", "frozen"))
    return Case(weight, constraints, current, rows["bucket"].to_list(), frozen)


def test_a_group_is_refused_where_no_weights_exist_and_only_there(
    constraints: ConstraintSet, panel: pl.DataFrame, constrained: ConstrainedWeights
) -> None:
    refused = set(constrained.infeasible["end_time"])
    for (day,), rows in panel.partition_by("end_time", as_dict=True).items():
        case = _case_of(rows, constraints.constraints)
        room = [rule.most for rule in rules_of(case)]
        assert is_feasible(case, None, room) == (day not in refused), day


def test_the_actions_of_a_solved_group_add_up(panel: pl.DataFrame, constrained: ConstrainedWeights) -> None:
    amounts = (
        constrained.actions.filter(pl.col("verb") != "unplaced")
        .group_by("end_time", "symbol")
        .agg(told=(pl.col("after") - pl.col("before")).sum())
    )
    final = constrained.weights.rename({"weight": "final"}).select("end_time", "symbol", "final")
    both = panel.join(final, on=["end_time", "symbol"]).join(amounts, on=["end_time", "symbol"], how="left")
    off = both.select(off=(pl.col("weight") + pl.col("told").fill_null(0.0) - pl.col("final")).abs())
    assert (off["off"].max() or 0.0) <= EDGE


def test_the_actions_of_a_name_are_chained_from_the_wanted_weight_on(
    panel: pl.DataFrame, constrained: ConstrainedWeights
) -> None:
    days = constrained.solved["end_time"].to_list()
    wanted = {(day, symbol): weight for day, symbol, weight in panel.select("end_time", "symbol", "weight").rows()}
    for day, _, _, symbol, _, before, after, _, _ in constrained.actions.filter(pl.col("end_time").is_in(days)).rows():
        assert before == pytest.approx(wanted[day, symbol], abs=1e-12)
        wanted[day, symbol] = after
