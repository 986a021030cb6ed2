"""The engine as objects, with and without bucket diversification."""

import datetime as dt
import json
import logging
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import core.engine
from core import (
    PRESETS,
    AssetPriority,
    AssetScore,
    BucketManager,
    CoreRebalancerEngine,
    MarketNeutralConstraint,
    RebalancingLimits,
)
from core.errors import InfeasibleError, InputError
from core.policy import AsProposed, InverseVolatility, LongShort, ScoreWeighted
from tests.effort import examples

AS_OF = dt.date(2026, 1, 5)
BUCKETS = BucketManager({letter: [f"{letter}{i}" for i in range(9)] for letter in "ABCDE"})
PLAIN = RebalancingLimits(max_new_positions=10)
DIVERSE = replace(PLAIN, enable_bucket_diversification=True, max_positions_per_bucket=2, max_allocation_per_bucket=0.4)


def engine(**options):
    return CoreRebalancerEngine(BUCKETS, **options)


def new(symbol, score=0.8, weight=None):
    return AssetScore(symbol, score, AssetPriority.TRENDING, weight)


def held(symbol, score=0.8):
    return AssetScore(symbol, score, AssetPriority.PORTFOLIO)


def weights(targets):
    return {target.asset: target.target_allocation_pct for target in targets}


CROWD = [new("A1", 0.9), new("A2", 0.85), new("A3", 0.8), new("B1", 0.7)]


def test_without_bucket_diversification(monkeypatch):
    def never(*_args, **_kwargs):
        raise AssertionError("enforcement was called")

    plain = engine()
    monkeypatch.setattr(core.engine, "enforce_bucket_limits", never)
    monkeypatch.setattr(plain.bucket_enforcer, "apply_bucket_limits", never)
    targets = plain.rebalance(AS_OF, {}, CROWD, PLAIN)
    assert weights(targets) == pytest.approx({"A1": 0.2, "A2": 0.2, "A3": 0.2, "B1": 0.2})


def test_with_bucket_diversification():
    plan = engine().plan(AS_OF, {}, CROWD, DIVERSE)
    assert weights(plan.targets) == pytest.approx({"A1": 0.2, "A2": 0.2, "B1": 0.2})
    assert plan.enforcement_actions[0] == "A3 rejected: number 3 in bucket A, limit 2"
    assert plan.breaches.is_empty()
    assert plan.bucket_statistics["A"].total_allocation == pytest.approx(0.4)


def test_bucket_limit_holds_for_the_final_targets_and_what_was_cut_is_placed_elsewhere():
    names = [new(f"{letter}{i}", 0.8) for letter in "ABC" for i in (1, 2)]
    limits = replace(DIVERSE, max_allocation_per_bucket=0.3, target_total_allocation=0.9, max_single_position_pct=0.5)
    plan = engine(sizing=AsProposed()).plan(
        AS_OF,
        {},
        [replace(name, position_size_percentage=0.2 if name.asset[0] == "A" else 0.1) for name in names],
        limits,
    )
    gross = {bucket: found.total_allocation for bucket, found in plan.bucket_statistics.items()}
    assert gross == pytest.approx({"A": 0.3, "B": 0.3, "C": 0.3})
    assert plan.unmet == {}


def test_bucket_overflow_protection():
    current = {f"A{i}": 0.1 for i in range(5)}
    assets = [held(f"A{i}", 0.9 - i / 20) for i in range(5)]
    strict = engine().rebalance(AS_OF, current, assets, replace(DIVERSE, min_buckets_represented=1))
    assert [target.action for target in strict] == ["increase", "increase", "close", "close", "close"]
    overflow = replace(DIVERSE, min_buckets_represented=1, allow_bucket_overflow=True)
    assert "close" not in [target.action for target in engine().rebalance(AS_OF, current, assets, overflow)]


def test_configuration_variations():
    assets = [new(f"{letter}{i}", 0.95 - i / 100) for letter in "ABCD" for i in range(8)]
    kept = {}
    for name, preset in PRESETS.items():
        limits = replace(preset, max_new_positions=99, max_total_positions=99)
        plan = engine().plan(AS_OF, {}, assets, limits)
        kept[name] = {found.asset_count for found in plan.bucket_statistics.values()}
        assert plan.breaches.is_empty()
    assert kept == {"conservative": {3}, "aggressive": {6}, "protection": {2}}


def test_json_output_with_bucket_info():
    plan = engine().plan(AS_OF, {"A1": 0.1}, [held("A1", 0.9), *CROWD[1:]], DIVERSE)
    content = json.loads(plan.to_json())
    assert content["rebalancing_targets"][0] == {
        "asset": "A1",
        "target_allocation_pct": 0.2,
        "current_allocation_pct": 0.1,
        "action": "increase",
        "priority": "portfolio",
        "score": 0.9,
        "reason": "",
    }
    assert content["metadata"] == {
        "total_targets": 3,
        "actions_summary": {"increase": 1, "open": 2},
        "total_target_allocation": 0.6,
        "timestamp": "2026-01-05T00:00:00+00:00",
    }
    buckets = content["bucket_diversification"]
    assert buckets["bucket_statistics"]["A"] == {"asset_count": 2, "total_allocation": 0.4, "avg_score": 0.875}
    assert buckets["enforcement_actions"] == ["A3 rejected: number 3 in bucket A, limit 2"]
    assert buckets["violations_fixed"] == ["bucket A, max_positions_per_bucket: 1 name rejected"]


def test_the_timestamp_of_the_json_output_can_be_given():
    plan = engine().plan(AS_OF, {}, CROWD, PLAIN)
    moment = dt.datetime(2026, 1, 5, 8, 30, tzinfo=dt.UTC)
    content = json.loads(plan.to_json(moment))
    assert content["metadata"]["timestamp"] == "2026-01-05T08:30:00+00:00"
    assert "bucket_diversification" not in content


def test_backward_compatibility():
    """Bucket settings change nothing while bucket diversification is off."""
    tight = replace(PLAIN, max_positions_per_bucket=1, max_allocation_per_bucket=0.01, min_buckets_represented=9)
    assert engine().rebalance(AS_OF, {}, CROWD, tight) == engine().rebalance(AS_OF, {}, CROWD, PLAIN)


@pytest.mark.parametrize(("limits", "steps"), [(PLAIN, 4), (DIVERSE, 5)])
def test_steps_are_numbered_in_the_log(limits, steps, caplog):
    with caplog.at_level(logging.INFO, "core.engine"):
        engine().plan(AS_OF, {}, limits=limits, candidates=["A1"], signal_values={"technical": {"A1": 1.0}})
    told = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in told] == [f"Step {i}/{steps}" for i in range(1, steps + 1)]
    assert ("buckets" in " ".join(told)) == (steps == 5)


def test_an_unmet_requirement_is_in_the_plan_and_logged(caplog):
    names = [new("A1"), new("A2"), new("B1", 0.61)]
    plan = engine().plan(AS_OF, {}, names, DIVERSE)
    assert plan.unmet["min_buckets"] == {
        "required": 2,
        "reached": 1,
        "reason": "best candidate of B scores 0.6100, entry threshold 0.6500",
    }
    assert plan.breaches["constraint"].to_list() == ["min_buckets_represented"]
    engine().rebalance(AS_OF, {}, names, DIVERSE)
    assert "entry threshold 0.6500" in caplog.text


def test_a_held_name_that_is_not_scored_is_fixed_and_never_disappears():
    targets = engine().rebalance(AS_OF, {"A1": 0.17}, [new("B1")], PLAIN)
    (first, _) = targets
    assert (first.asset, first.target_allocation_pct, first.action) == ("A1", 0.17, "hold")
    assert first.reason == "A1 keeps 17.00%: no score"


def test_universe_and_scores_are_made_where_none_are_given():
    values = {"technical": {"A1": 3.0, "B1": 2.0, "C1": 1.0}, "fundamental": {"A1": 3.0, "B1": 2.0, "C1": 1.0}}
    plan = engine().plan(AS_OF, {"B1": 0.1}, limits=PLAIN, candidates=["A1", "C1"], signal_values=values)
    assert {target.asset: target.action for target in plan.targets} == {"A1": "open", "B1": "increase"}
    score = {target.asset: target.score for target in plan.targets}
    assert score == pytest.approx({"A1": 1.0, "B1": 2 / 3 * 1.02})


def test_parts_of_the_engine_agree_with_the_whole():
    one = engine()
    selected = one.selection_service.select_by_score(CROWD, {}, DIVERSE)
    assert [asset.asset for asset in selected] == ["A1", "A2", "B1"]
    parts = one.selection_service.create_rebalancing_targets(CROWD, {}, DIVERSE)
    assert parts == one.rebalance(AS_OF, {}, CROWD, DIVERSE)
    weighted = one.selection_service.create_rebalancing_targets(CROWD, {}, DIVERSE, ScoreWeighted())
    assert weighted == engine(sizing=ScoreWeighted()).rebalance(AS_OF, {}, CROWD, DIVERSE)


def test_steps_that_are_skipped_are_not_told(caplog):
    with caplog.at_level(logging.INFO, "core.engine"):
        engine().plan(AS_OF, {}, CROWD, DIVERSE)
    told = [record.getMessage() for record in caplog.records]
    assert told == ["Step 3/5: buckets", "Step 4/5: selection", "Step 5/5: targets"]


def test_nothing_to_choose_from_is_unmet_and_a_breach():
    plan = engine().plan(AS_OF, {}, [], DIVERSE)
    assert plan.unmet["min_buckets"]["reached"] == 0
    assert plan.breaches["constraint"].to_list() == ["min_buckets_represented"]


def test_a_new_name_without_the_number_that_sizing_reads_is_rejected_in_words():
    plan = engine(sizing=AsProposed()).plan(AS_OF, {}, [new("A1", weight=0.2), new("B1")], PLAIN)
    assert "B1 rejected: no proposed weight" in plan.enforcement_actions
    assert list(weights(plan.targets)) == ["A1"]


def test_a_list_of_assets_has_no_prices_for_inverse_volatility():
    with pytest.raises(InputError, match="inverse_volatility reads prices"):
        engine(sizing=InverseVolatility()).plan(AS_OF, {}, CROWD, PLAIN)


def test_a_long_short_book_is_made_from_a_list_too():
    limits = replace(PLAIN, max_new_positions=2)
    assets = [new("A1", 0.9), new("B1", 0.1), new("C1", 0.5)]
    targets = engine(sizing=LongShort(1), constraints=[MarketNeutralConstraint()]).rebalance(AS_OF, {}, assets, limits)
    assert weights(targets) == pytest.approx({"A1": 0.2, "B1": -0.2})


def test_a_long_short_book_that_a_fixed_name_keeps_off_balance_is_planned_and_says_so():
    names = [new(f"N{number}", score / 10) for number, score in enumerate((9, 8, 2, 1))]
    limits = replace(PLAIN, max_total_positions=10, max_new_positions=10, max_single_position_pct=1.0)
    plan = engine(sizing=LongShort(names_per_side=2)).plan(AS_OF, {"FIXED": 0.6}, names, limits)
    net = sum(target.target_allocation_pct for target in plan.targets)
    assert plan.unmet["long_short"]["reached"] == pytest.approx(net)
    assert plan.unmet["long_short"]["required"] == 0


def test_a_held_name_that_gets_no_weight_says_why():
    limits = replace(PLAIN, max_single_position_pct=0.97)
    targets = engine().rebalance(AS_OF, {"A1": 0.95, "B1": 0.03}, [held("B1", 0.9)], limits)
    (closed,) = [target for target in targets if target.action == "close"]
    assert closed.reason.startswith("B1 gets no weight")


def test_whole_numbers_are_numbers():
    targets = engine().rebalance(AS_OF, {}, [new("A1", 1), new("B1", 0.8)], PLAIN)
    assert len(targets) == 2


def test_weights_of_names_that_are_rejected_later_do_not_count():
    limits = replace(DIVERSE, max_positions_per_bucket=9, max_allocation_per_bucket=0.5, max_new_positions=4)
    pair = [new("A1", 0.95, 0.2), new("A2", 0.94, 0.2), new("B1", 0.93, 0.2), new("B2", 0.92, 0.2)]
    more = [new("A3", 0.8, 0.2), new("A4", 0.8, 0.2)]
    sizing = AsProposed()
    alone = engine(sizing=sizing).rebalance(AS_OF, {}, pair, limits)
    assert weights(engine(sizing=sizing).rebalance(AS_OF, {}, [*pair, *more], limits)) == weights(alone)


def test_a_breach_is_logged(caplog):
    engine().rebalance(AS_OF, {}, [], DIVERSE)
    assert "min_buckets_represented is 0, limit 2, off by 2" in caplog.text


def test_a_fixed_name_above_the_cap_is_a_conflict_with_the_change_that_makes_room():
    plan = engine().plan(AS_OF, {"A1": 0.5}, [], PLAIN)
    assert plan.targets == []
    assert plan.conflict.startswith("A1 fixed at 50 %, but max position 20 %: raise max position to 50 %")
    assert json.loads(plan.to_json(dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC))) == {"refused": plan.conflict}
    with pytest.raises(InfeasibleError, match="raise max position to 50 %"):
        engine().rebalance(AS_OF, {"A1": 0.5}, [], PLAIN)


def test_portfolio_priority_without_a_weight_is_contradictory():
    with pytest.raises(InputError, match="A1 has priority PORTFOLIO but no current weight"):
        engine().plan(AS_OF, {}, [held("A1")])
    assert engine().plan(AS_OF, {}, [replace(held("A1"), previous_allocation=0.1)]).targets[0].action == "increase"


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), "0.1"])
def test_current_weights_must_be_numbers(weight):
    with pytest.raises(InputError, match="current weight of A1"):
        engine().plan(AS_OF, {"A1": weight}, [])


def test_signals_must_be_finite():
    with pytest.raises(InputError, match="signal technical of A1 is nan"):
        engine().plan(AS_OF, {}, candidates=["A1"], signal_values={"technical": {"A1": float("nan")}})


ASSETS = st.lists(
    st.builds(
        new,
        st.sampled_from([f"{letter}{i}" for letter in "ABCx" for i in range(5)]),
        st.none() | st.floats(0, 1),
        st.none() | st.floats(-0.2, 0.4),
    ),
    unique_by=lambda asset: asset.asset,
    max_size=14,
)
POSITIONS = st.dictionaries(
    st.sampled_from([f"{letter}{i}" for letter in "ABCx" for i in range(5)]), st.floats(0.01, 0.2), max_size=5
)
LIMITS = st.builds(
    RebalancingLimits,
    max_total_positions=st.integers(1, 8),
    max_new_positions=st.integers(0, 4),
    max_single_position_pct=st.sampled_from([0.1, 0.25, 1.0]),
    target_total_allocation=st.sampled_from([0.5, 0.95]),
    enable_bucket_diversification=st.booleans(),
    max_positions_per_bucket=st.integers(1, 3),
    max_allocation_per_bucket=st.sampled_from([0.2, 0.4]),
    min_buckets_represented=st.integers(0, 3),
    allow_bucket_overflow=st.booleans(),
    allow_forced_closures=st.booleans(),
)
EXPECTED_BREACHES = {"min_buckets_represented"}  # what scarcity alone may leave unmet, where nothing is fixed


@settings(max_examples=examples(25), deadline=None)
@given(ASSETS, POSITIONS, LIMITS, st.sampled_from([None, ScoreWeighted()]))
def test_every_promise_holds_for_random_portfolios(assets, positions, limits, sizing):
    plan = engine(sizing=sizing).plan(AS_OF, positions, assets, limits)
    if plan.conflict is not None:
        assert plan.targets == []
        assert "keep" in set(plan.actions["verb"])  # only a fixed name can conflict with these limits
        return
    by_asset = {target.asset: target for target in plan.targets}
    fixed = {symbol for symbol in positions if by_asset[symbol].reason.startswith(f"{symbol} keeps")}
    for symbol in fixed:
        assert by_asset[symbol].target_allocation_pct == positions[symbol]
    assert positions.keys() <= by_asset.keys()
    assert all(target.target_allocation_pct >= 0 for target in plan.targets)
    if not fixed:
        assert set(plan.breaches["constraint"]) <= EXPECTED_BREACHES
    if "min_buckets_represented" in set(plan.breaches["constraint"]):
        assert "min_buckets" in plan.unmet or fixed or limits.max_single_position_pct < 1
    json.loads(plan.to_json())
