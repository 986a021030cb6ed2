"""The bucket rules hold for the final targets, also those of an exact solution.

Random universes go through the engine under policies whose closed forms undo each other. What comes out is judged by
sums over the target rows in plain Python, which share nothing with the constraints or their checks.
"""

from collections import defaultdict
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from core import (
    AssetPriority,
    AssetScore,
    MarketNeutralConstraint,
    MaxBucketWeightConstraint,
    MaxPositionsConstraint,
    MinBucketWeightConstraint,
    MinGrossExposureConstraint,
    MinPositionWeightConstraint,
    NetExposureConstraint,
    Policy,
    RebalancingLimits,
    TurnoverConstraint,
)
from core.decisions.listing import as_rows
from core.engine import planned, screened_names
from core.policy import AsProposed, EqualWeight, ScoreWeighted
from core.schemas import KEYS, RUN_KEYS
from tests.core.decisions.build import AS_OF, LETTERS
from tests.effort import examples

TOLERANCE = 1e-9
SYMBOLS = [f"{letter}{number}" for letter in "ABCDx" for number in range(4)]  # those of x are in no bucket
NAV = pl.DataFrame(
    {"portfolio_id": ["portfolio"], "as_of": [AS_OF], "nav": [None], "cash": [None]},
    schema_overrides={"nav": pl.Float64, "cash": pl.Float64},
)


def plan_of(names, policy):
    """The plan of the engine; `names`: symbol -> (score, proposed weight, current weight)."""
    assets = [
        AssetScore(symbol, score, AssetPriority.PORTFOLIO if current else AssetPriority.TRENDING, proposed)
        for symbol, (score, proposed, current) in names.items()
    ]
    held = {symbol: current for symbol, (_, _, current) in names.items() if current}
    return planned(screened_names(as_rows(assets, LETTERS, AS_OF, held), policy), NAV, policy)


def is_solved(plan, policy):
    """Whether the weights that the constraints were handed needed an exact solution."""
    names = plan.rows.filter(pl.col("rejected_by").is_null() | pl.col("held"))
    wanted = names.select(*KEYS, "bucket", "current_weight", weight="wanted_weight", frozen="fixed")
    return not policy.constraint_set().apply(wanted, by=RUN_KEYS).solved.is_empty()


def bucket_of(symbol):
    return "Unknown" if symbol[0] == "x" else symbol[0]


def targets(plan, weight="target_weight"):
    """Symbol -> weight, without cash."""
    return dict(plan.targets.filter(~pl.col("is_cash")).select("symbol", weight).iter_rows())


def gross_by_bucket(weights):
    gross = defaultdict(float)
    for symbol, weight in weights.items():
        gross[bucket_of(symbol)] += abs(weight)
    return gross


def represented(weights, least=0.001):
    return len({bucket_of(s) for s, weight in weights.items() if abs(weight) >= least - TOLERANCE} - {"Unknown"})


# random universes and policies

fractions = st.integers(1, 8).map(lambda twentieths: twentieths / 20)


@st.composite
def universes(draw, *, drifted=False):
    """Names long and short or long alone, some of them held; drifted: nearly all, and some are large."""
    symbols = draw(st.lists(st.sampled_from(SYMBOLS), unique=True, min_size=5, max_size=12))
    side = st.sampled_from([1, -1] if draw(st.booleans()) else [1])
    current = st.sampled_from([0.0, 0.05, 0.1, 0.2] if drifted else [0.0, 0.0, 0.05, 0.1])
    names = {}
    for symbol in sorted(symbols):
        sign, score = draw(side), draw(st.sampled_from([0.5, 0.6, 0.7, 0.8, 0.9]))
        unscored = draw(st.integers(0, 15)) == 0
        names[symbol] = (None if unscored else score, sign * draw(fractions), sign * draw(current))
    return names


limits_drawn = st.builds(
    RebalancingLimits,
    enable_bucket_diversification=st.just(True),
    max_total_positions=st.integers(5, 10),
    max_new_positions=st.integers(4, 10),
    max_positions_per_bucket=st.integers(2, 4),
    max_allocation_per_bucket=st.sampled_from([0.2, 0.25, 0.3, 0.4]),
    min_buckets_represented=st.integers(1, 3),
    max_single_position_pct=st.sampled_from([0.1, 0.15, 0.25]),
    target_total_allocation=st.sampled_from([0.6, 0.9]),
    min_score_threshold=st.just(0.5),
    min_score_new_position=st.just(0.6),
    min_position_weight=st.sampled_from([0.001, 0.02]),
)
undoing = st.lists(
    st.one_of(
        st.just(MarketNeutralConstraint()),
        st.builds(NetExposureConstraint, st.sampled_from([-0.1, 0.1, 0.3]), st.sampled_from([0.35, 0.5])),
        st.builds(TurnoverConstraint, st.sampled_from([0.15, 0.25, 0.4])),
        st.builds(MinPositionWeightConstraint, st.sampled_from([0.03, 0.06])),
        st.builds(MaxPositionsConstraint, st.integers(3, 6)),
        st.builds(MinGrossExposureConstraint, st.sampled_from([0.5, 0.7])),
        st.builds(MinBucketWeightConstraint, st.sampled_from([0.05, 0.1])),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda constraint: constraint.kind,
)


@st.composite
def policies(draw, *first):
    sizing = draw(st.sampled_from([AsProposed(), AsProposed(), EqualWeight(), ScoreWeighted()]))
    constraints = (*first, *draw(undoing))
    return Policy(name="test", limits=draw(limits_drawn), sizing=sizing, constraints=constraints)


few = settings(
    max_examples=examples(4), deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)  # of those that the test asks for: each is a whole run


def assert_bucket_rules(plan, limits):
    """The allocation limit holds; as many buckets as were wanted are represented, up to the minimum; too few of them
    are a breach."""
    final, wanted = targets(plan), targets(plan, "wanted_weight")
    required, least = limits.min_buckets_represented, limits.min_position_weight
    reached = represented(final, least)
    assert max(gross_by_bucket(final).values(), default=0.0) <= limits.max_allocation_per_bucket + TOLERANCE
    assert reached >= min(required, represented(wanted, least))
    assert (reached < required) == ("min_buckets_represented" in {*plan.breaches["constraint"]})


@few
@given(universes(), policies())
def test_bucket_rules_hold_for_the_final_targets(names, policy):
    plan = plan_of(names, policy)
    assume(plan.infeasible.is_empty())
    assert_bucket_rules(plan, policy.limits)


@few
@given(universes(), policies())
def test_bucket_rules_hold_after_an_exact_solution(names, policy):
    plan = plan_of(names, policy)
    assume(plan.infeasible.is_empty() and is_solved(plan, policy))
    assert_bucket_rules(plan, policy.limits)


@few
@given(universes(drifted=True), st.data())
def test_a_bucket_that_may_be_no_worse_never_grows_beyond_its_limit_and_today(names, drawn):
    limit = drawn.draw(st.sampled_from([0.1, 0.2, 0.3]))
    no_worse = MaxBucketWeightConstraint(limit, mode="no_worse")
    plan = plan_of(names, drawn.draw(policies(no_worse)))
    assume(plan.infeasible.is_empty())
    today = gross_by_bucket(targets(plan, "current_weight"))
    for bucket, gross in gross_by_bucket(targets(plan)).items():
        assert gross <= max(limit, today[bucket]) + TOLERANCE


# by hand

LIMITS = RebalancingLimits(
    enable_bucket_diversification=True,
    max_new_positions=9,
    max_allocation_per_bucket=0.3,
    max_single_position_pct=0.5,
    target_total_allocation=0.9,
)


def test_allocation_limit_holds_after_an_exact_solution():
    """A is cut from 60 % to 25 %, by 17.5 % each; the shorts, at 30 % together, give up 2.5 % each."""
    limits = replace(LIMITS, max_allocation_per_bucket=0.25)
    policy = Policy(name="test", limits=limits, sizing=AsProposed(), constraints=[MarketNeutralConstraint()])
    wanted = {"A1": 0.4, "A2": 0.2, "B1": -0.2, "C1": -0.1}
    plan = plan_of({symbol: (0.9, weight, 0.0) for symbol, weight in wanted.items()}, policy)
    assert is_solved(plan, policy)
    assert targets(plan) == pytest.approx({"A1": 0.225, "A2": 0.025, "B1": -0.175, "C1": -0.075})


def test_a_bucket_is_represented_after_an_exact_solution_although_its_name_is_the_smallest():
    """Of 0.4, 0.3, 0.2 two may stay: the largest two are of one bucket, so the second gives way to the third."""
    limits = replace(LIMITS, max_allocation_per_bucket=0.8)
    policy = Policy(name="test", limits=limits, sizing=AsProposed(), constraints=[MaxPositionsConstraint(2)])
    plan = plan_of({"A1": (0.9, 0.4, 0.0), "A2": (0.9, 0.3, 0.0), "B1": (0.9, 0.2, 0.0)}, policy)
    assert is_solved(plan, policy)
    assert targets(plan) == pytest.approx({"A1": 0.4, "B1": 0.2})


def test_a_bucket_above_its_limit_by_drift_may_stay_and_not_grow():
    """A is at 50 % today, wanted at 70 %, and 40 % is the limit; B, at 10 %, may grow to 40 %."""
    no_worse = MaxBucketWeightConstraint(0.4, mode="no_worse")
    limits = replace(LIMITS, max_allocation_per_bucket=0.8, max_single_position_pct=0.9)
    policy = Policy(name="test", limits=limits, sizing=AsProposed(), constraints=[no_worse])
    plan = plan_of({"A1": (0.9, 0.7, 0.5), "B1": (0.9, 0.2, 0.1)}, policy)
    assert targets(plan) == pytest.approx({"A1": 0.5, "B1": 0.4})
