from copy import deepcopy
from dataclasses import replace
from itertools import product

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decisions.bucket_limits_enforcer import BucketLimitsEnforcer, enforce_bucket_limits
from core.errors import ConfigurationError
from core.limits import PRESETS, BucketLimitsConfig
from tests.core.decisions.build import LETTERS, asset, rows
from tests.effort import examples

ENFORCER = BucketLimitsEnforcer(LETTERS)
LOOSE = BucketLimitsConfig(max_positions_per_bucket=9, max_allocation_per_bucket=1.0, min_buckets_represented=0)


def applied(assets, **changes):
    return ENFORCER.apply_bucket_limits(assets, replace(LOOSE, **changes))


def symbols(assets):
    return [found.asset for found in assets]


def weights(result):
    return {found.asset: found.position_size_percentage for found in result.selected_assets}


def five_held():
    return [asset(f"A{i}", 0.9 - i / 10, held=True, weight=0.1) for i in range(5)]


def test_basic_enforcement():
    assets = [asset("A1", 0.9, weight=0.1), asset("B1", 0.8, weight=0.1)]
    result = applied(assets)
    assert result.selected_assets == assets
    assert result.rejected_assets == result.enforcement_actions == result.violations_fixed == []
    assert result.unmet == {}
    assert result.bucket_statistics["A"].total_allocation == 0.1


def test_position_limits():
    result = applied([asset("A1", 0.7), asset("A2", 0.9), asset("A3", 0.8)], max_positions_per_bucket=2)
    assert symbols(result.selected_assets) == ["A2", "A3"]
    assert symbols(result.rejected_assets) == ["A1"]
    assert result.enforcement_actions == ["A1 rejected: number 3 in bucket A, limit 2"]
    assert result.violations_fixed == ["bucket A, max_positions_per_bucket: 1 name rejected"]


def test_ties_go_by_name():
    assert symbols(applied([asset("A2"), asset("A1")], max_positions_per_bucket=1).selected_assets) == ["A1"]


def test_unknown_is_limited_like_any_other_bucket():
    assert symbols(applied([asset("x", 0.9), asset("y")], max_positions_per_bucket=1).selected_assets) == ["x"]


def test_portfolio_asset_priority():
    result = applied([asset("A1", 0.9), asset("A2", 0.6, held=True)], max_positions_per_bucket=1)
    assert symbols(result.selected_assets) == ["A2"]


def test_five_held_names_against_a_limit_of_two():
    assert symbols(applied(five_held(), max_positions_per_bucket=2).selected_assets) == ["A0", "A1"]
    overflow = applied(five_held(), max_positions_per_bucket=2, allow_bucket_overflow=True)
    assert symbols(overflow.selected_assets) == ["A0", "A1", "A2", "A3", "A4"]


def test_with_overflow_new_names_fill_only_what_is_left_of_the_limit():
    assets = [asset("A1", 0.6, held=True), asset("A2", 0.9), asset("A3", 0.8)]
    assert symbols(applied(assets, max_positions_per_bucket=2, allow_bucket_overflow=True).selected_assets) == [
        "A1",
        "A2",
    ]


def test_a_new_asset_without_a_score_takes_no_slot():
    result = applied([asset("A1", None), asset("A2", 0.1), asset("A3", float("nan"))], max_positions_per_bucket=1)
    assert symbols(result.selected_assets) == ["A2"]
    assert result.enforcement_actions == ["A1 rejected: no score", "A3 rejected: no score"]
    assert result.violations_fixed == []


def test_a_held_asset_without_a_score_is_first_in_line_and_keeps_its_weight():
    assets = [asset("A1", None, held=True, weight=0.3), asset("A2", 0.9, held=True, weight=0.3)]
    result = applied(assets, max_positions_per_bucket=1)
    assert symbols(result.selected_assets) == ["A1"]
    both = applied(assets, max_allocation_per_bucket=0.4)
    assert weights(both) == {"A1": 0.3, "A2": pytest.approx(0.1)}


def test_allocation_limits():
    result = applied([asset("A1", 0.9, weight=0.4), asset("A2", weight=0.1), asset("B1", weight=0.4)],
                     max_allocation_per_bucket=0.4)  # fmt: skip
    assert weights(result) == {"A1": pytest.approx(0.32), "A2": pytest.approx(0.08), "B1": 0.4}
    assert result.enforcement_actions == ["bucket A scaled from 50.00% to 40.00%, limit 40.00%"]
    assert result.violations_fixed == ["bucket A, max_allocation_per_bucket: weights scaled to the limit"]


def test_allocation_is_gross_and_signs_stay():
    result = applied([asset("A1", weight=0.4), asset("A2", weight=-0.4)], max_allocation_per_bucket=0.4)
    assert weights(result) == {"A1": pytest.approx(0.2), "A2": pytest.approx(-0.2)}


def test_weights_of_rejected_and_missing_weights_do_not_count():
    assets = [asset("A1", 0.9, weight=0.4), asset("A2", 0.8), asset("A3", 0.7, weight=0.4)]
    result = applied(assets, max_positions_per_bucket=2, max_allocation_per_bucket=0.4)
    assert weights(result) == {"A1": 0.4, "A2": None}


def test_fixed_names_alone_above_the_limit_are_unmet():
    result = applied([asset("A1", None, held=True, weight=0.5), asset("A2", weight=0.1)], max_allocation_per_bucket=0.4)
    assert weights(result) == {"A1": 0.5, "A2": 0.0}
    assert result.unmet["max_allocation A"]["reached"] == 0.5


def test_min_bucket_representation():
    result = applied([asset("A1"), asset("A2")], min_buckets_represented=3)
    unmet = result.unmet["min_buckets"]
    assert (unmet["required"], unmet["reached"]) == (3, 1)
    assert "no other bucket" in unmet["reason"]
    assert symbols(result.selected_assets) == ["A1", "A2"]  # nothing is invented


def test_each_rule_can_be_switched_off():
    crowd = [asset("A1", 0.9, weight=0.9), asset("A2", weight=0.9)]
    tight = {"max_positions_per_bucket": 1, "max_allocation_per_bucket": 0.4, "min_buckets_represented": 2}
    off = {"enforce_position_limits": False, "enforce_allocation_limits": False, "enforce_min_buckets": False}
    assert applied(crowd, **tight, **off).selected_assets == crowd
    assert applied(crowd, **tight, **off).unmet == {}
    assert len(applied(crowd, **tight, **off | {"enforce_position_limits": True}).selected_assets) == 1
    assert weights(applied(crowd, **tight, **off | {"enforce_allocation_limits": True}))["A1"] == pytest.approx(0.2)
    assert "min_buckets" in applied(crowd, **tight, **off | {"enforce_min_buckets": True}).unmet


def test_enforcement_summary():
    result = applied([asset("A1", 0.9, weight=0.3), asset("A2", 0.8, weight=0.3), asset("B1", 0.7, weight=0.1)],
                     max_positions_per_bucket=1)  # fmt: skip
    assert ENFORCER.get_enforcement_summary(result) == {
        "total_selected": 2,
        "total_rejected": 1,
        "buckets_represented": 2,
        "selected_by_bucket": {"A": ["A1"], "B": ["B1"]},
        "enforcement_actions_count": 1,
        "violations_fixed_count": 1,
        "bucket_statistics": {
            "A": {"asset_count": 1, "total_allocation": 0.3, "avg_score": 0.9},
            "B": {"asset_count": 1, "total_allocation": 0.1, "avg_score": 0.7},
        },
    }


def test_edge_cases():
    nothing = applied([], min_buckets_represented=1)
    assert nothing.selected_assets == nothing.rejected_assets == []
    assert nothing.unmet["min_buckets"]["reached"] == 0
    alone = applied([asset("A1", 0.0, weight=0.0)])
    assert weights(alone) == {"A1": 0.0}  # a real 0.0 is a score


def test_inputs_are_never_changed():
    assets = [asset("A1", weight=0.9), asset("A2", weight=0.9)]
    before = deepcopy(assets)
    applied(assets, max_positions_per_bucket=1, max_allocation_per_bucket=0.1)
    assert assets == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_positions_per_bucket": 0},
        {"max_positions_per_bucket": 1.5},
        {"min_buckets_represented": -1},
        {"max_allocation_per_bucket": 0.0},
        {"max_allocation_per_bucket": float("nan")},
        {"max_allocation_per_bucket": float("inf")},
        {"min_position_weight": -0.1},
    ],
)
def test_limits_that_cannot_be_meant_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))) as refusal:
        BucketLimitsConfig(**wrong)
    assert isinstance(refusal.value, ConfigurationError)


@pytest.mark.parametrize(
    ("preset", "positions", "allocation", "buckets", "overflow"),
    [("conservative", 3, 0.35, 3, False), ("aggressive", 6, 0.60, 2, True), ("protection", 2, 0.30, 2, True)],
)
def test_presets_are_as_specified(preset, positions, allocation, buckets, overflow):
    limits = PRESETS[preset].bucket_limits
    assert PRESETS[preset].enable_bucket_diversification
    assert (limits.max_positions_per_bucket, limits.max_allocation_per_bucket) == (positions, allocation)
    assert (limits.min_buckets_represented, limits.allow_bucket_overflow) == (buckets, overflow)


# Properties, and an oracle in plain loops over objects.

ASSETS = st.lists(
    st.builds(
        asset,
        st.sampled_from([f"{letter}{i}" for letter, i in product("ABx", range(4))]),
        st.none() | st.integers(0, 8).map(lambda eighths: eighths / 8),
        held=st.booleans(),
        weight=st.none() | st.integers(-8, 8).map(lambda eighths: eighths / 8),
    ),
    unique_by=lambda found: found.asset,
    max_size=9,
)
CONFIGS = st.builds(
    BucketLimitsConfig,
    max_positions_per_bucket=st.integers(1, 4),
    max_allocation_per_bucket=st.sampled_from([0.1, 0.4, 1.0]),
    min_buckets_represented=st.integers(0, 3),
    enforce_position_limits=st.booleans(),
    enforce_allocation_limits=st.booleans(),
    allow_bucket_overflow=st.booleans(),
)


def by_loops(assets, config):
    """Selected symbols with their weights, by walking through each bucket."""
    selected = {}
    for letter in "ABx":
        inside = [a for a in assets if a.asset[0] == letter and (a.combined_score is not None or is_held(a))]
        inside.sort(key=lambda a: (not is_fixed(a), not is_held(a), -(a.combined_score or 0), a.asset))
        held = [a for a in inside if is_held(a)]
        room = max(config.max_positions_per_bucket, len(held) if config.allow_bucket_overflow else 0)
        if config.enforce_position_limits:
            inside = [a for place, a in enumerate(inside) if place < room or is_fixed(a)]
        fixed = sum(abs(a.position_size_percentage or 0) for a in inside if is_fixed(a))
        moving = sum(abs(a.position_size_percentage or 0) for a in inside if not is_fixed(a))
        limit = config.max_allocation_per_bucket if config.enforce_allocation_limits else float("inf")
        factor = max(limit - fixed, 0) / moving if moving and fixed + moving > limit + 1e-9 else 1.0
        for a in inside:
            weight = a.position_size_percentage
            selected[a.asset] = weight if weight is None or is_fixed(a) else weight * factor
    return selected


def is_held(found):
    return found.priority.value == "portfolio"


def is_fixed(found):
    return is_held(found) and found.combined_score is None


@settings(max_examples=examples(50), deadline=None)
@given(ASSETS, CONFIGS)
def test_enforcement_agrees_with_loops_over_objects(assets, config):
    assert weights(ENFORCER.apply_bucket_limits(assets, config)) == pytest.approx(by_loops(assets, config))


@settings(max_examples=examples(20), deadline=None)
@given(ASSETS, CONFIGS, st.randoms(use_true_random=False))
def test_order_of_the_list_does_not_matter(assets, config, random):
    shuffled = random.sample(assets, len(assets))
    assert weights(ENFORCER.apply_bucket_limits(assets, config)) == weights(
        ENFORCER.apply_bucket_limits(shuffled, config)
    )


@settings(max_examples=examples(20), deadline=None)
@given(ASSETS, CONFIGS)
def test_every_asset_is_selected_or_rejected_and_every_rejection_is_an_action(assets, config):
    result = ENFORCER.apply_bucket_limits(assets, config)
    assert sorted(symbols(result.selected_assets) + symbols(result.rejected_assets)) == sorted(symbols(assets))
    assert set(result.actions.filter(verb="reject")["symbol"]) == set(symbols(result.rejected_assets))
    assert len(result.enforcement_actions) == result.actions.height


def test_runs_of_a_batch_are_enforced_apart():
    one = rows("A1 .9", "A2 .8")
    batch = pl.concat([rows("A1 .9", "A2 .8", portfolio_id=portfolio) for portfolio in ("p", "q")])
    config = replace(LOOSE, max_positions_per_bucket=1)
    alone = enforce_bucket_limits(one, config).rows["rejected_by"].to_list()
    assert enforce_bucket_limits(batch, config).rows["rejected_by"].to_list() == alone * 2
