from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.constraints import (
    ConstraintSet,
    LongOnlyConstraint,
    MarketNeutralConstraint,
    MaxBucketWeightConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    WeightConstraint,
)
from core.errors import ConfigurationError, InvalidWeightsError
from tests.core.constraints.frames import DAY, bucket_limits, limits, listed, panels, weights_of
from tests.core.constraints.oracle import two_level

ceilings = st.lists(
    st.one_of(st.builds(MaxPositionConstraint, limits), st.builds(MaxBucketWeightConstraint, bucket_limits)), max_size=4
)
others = st.one_of(
    st.builds(MaxGrossExposureConstraint, limits),
    st.builds(MaxPositionConstraint, limits, st.just(False)),
    st.just(MarketNeutralConstraint()),
)
chains = st.lists(
    st.one_of(
        st.builds(MaxPositionConstraint, limits, st.booleans()),
        st.builds(MaxBucketWeightConstraint, bucket_limits),
        others,
    ),
    max_size=5,
)


def test_a_chain_is_applied_in_order() -> None:
    chain = ConstraintSet([LongOnlyConstraint(), MaxGrossExposureConstraint(1.0)])
    assert listed(chain.apply(weights_of([1.5, 0.5, -1.0])).weights) == [0.75, 0.25, 0.0]


def test_an_empty_chain_changes_nothing() -> None:
    weights = weights_of([0.5, -1.0, None])
    constrained = ConstraintSet([]).apply(weights)
    assert constrained.weights.equals(weights)
    assert constrained.actions.is_empty()
    assert constrained.breaches.is_empty()


def test_where_a_later_step_undoes_a_limit_the_group_is_solved_from_the_weights_handed_in() -> None:
    chain = ConstraintSet([MaxPositionConstraint(0.3), MarketNeutralConstraint()])
    constrained = chain.apply(weights_of([0.3, 0.3, -0.3, -0.3, -0.3]))
    assert listed(constrained.weights) == pytest.approx([0.3, 0.3, -0.2, -0.2, -0.2], abs=1e-9)
    assert constrained.breaches.is_empty()
    assert constrained.infeasible.schema == {"end_time": pl.Date, "conflict": pl.String}
    assert constrained.solved["distance"].to_list() == pytest.approx([0.03**0.5])


def test_long_only_and_market_neutral_contradict_each_other() -> None:
    with pytest.raises(ConfigurationError, match="long_only and market_neutral contradict each other"):
        ConstraintSet([LongOnlyConstraint(), MarketNeutralConstraint()])


def test_of_two_limits_on_one_thing_the_tighter_holds() -> None:
    weights = weights_of([1.2, 0.6, 0.2])
    for pair in ((0.5, 1.0), (1.0, 0.5)):
        chain = ConstraintSet([MaxGrossExposureConstraint(limit) for limit in pair])
        assert chain.apply(weights).weights["weight"].sum() == pytest.approx(0.5)


@pytest.mark.parametrize("reverse", [False, True])
def test_position_and_bucket_limits_are_filled_jointly_in_either_order(reverse: bool) -> None:
    chain: list[WeightConstraint] = [MaxPositionConstraint(0.25), MaxBucketWeightConstraint(0.4)]
    constrained = ConstraintSet(chain[::-1] if reverse else chain).apply(
        weights_of([0.6, 0.2, 0.1, 0.1], bucket=list("xxyz"))
    )
    assert listed(constrained.weights) == pytest.approx([0.25, 0.15, 0.25, 0.25])
    assert constrained.breaches.is_empty()


@given(panels(), ceilings)
def test_fillings_in_a_row_agree_with_filling_by_hand_under_all_their_limits(
    weights: pl.DataFrame, chain: Sequence[WeightConstraint]
) -> None:
    caps = [each.max_weight for each in chain if isinstance(each, MaxPositionConstraint)]
    maps = [each.max_weight for each in chain if isinstance(each, MaxBucketWeightConstraint)]
    named = [limit if isinstance(limit, dict) else dict.fromkeys("xyz", limit) for limit in maps]
    buckets = {bucket for limit in named for bucket in limit}
    tightest = {bucket: min(limit[bucket] for limit in named if bucket in limit) for bucket in buckets}
    constrained = ConstraintSet(chain).apply(weights)
    filled = constrained.weights.with_columns(wanted=weights["weight"])
    for group in filled.join(constrained.infeasible, on="end_time", how="anti").partition_by("end_time"):
        frozen = group["frozen"].to_list() if "frozen" in group.columns else [False] * group.height
        exact = two_level(
            group["wanted"].to_list(), group["bucket"].to_list(), frozen, min(caps, default=None), tightest
        )
        assert listed(group) == pytest.approx(exact, abs=1e-11)


@given(panels(frozen=False), ceilings)
def test_fillings_in_a_row_end_without_a_breach_and_in_either_order_alike(
    weights: pl.DataFrame, chain: list[WeightConstraint]
) -> None:
    forward, backward = ConstraintSet(chain).apply(weights), ConstraintSet(chain[::-1]).apply(weights)
    assert forward.breaches.is_empty()
    assert listed(forward.weights) == pytest.approx(listed(backward.weights), abs=1e-12)


def test_no_filling_lifts_a_name_above_a_cap_that_only_clips() -> None:
    weights = weights_of([0.6, 0.2, 0.2], bucket=list("xyz"))
    clip, bucket = MaxPositionConstraint(0.22, redistribute=False), MaxBucketWeightConstraint(0.5)
    constrained = ConstraintSet([bucket, clip]).apply(weights)
    assert listed(constrained.weights) == pytest.approx([0.22, 0.22, 0.22])
    filled = constrained.actions.filter(pl.col("symbol").is_not_null(), rule="max_bucket_weight")
    assert filled["after"].to_list() == pytest.approx([0.5, 0.22, 0.22])


def test_a_filling_does_not_do_the_work_of_a_cap_that_only_clips() -> None:
    weights = weights_of([0.6, 0.2, 0.2], bucket=list("xyz"))
    clip, bucket = MaxPositionConstraint(0.5, redistribute=False), MaxBucketWeightConstraint(0.9)
    constrained = ConstraintSet([bucket, clip]).apply(weights)
    assert constrained.actions.select("rule", "symbol", "after").rows() == [("max_position", "A", 0.5)]


def test_a_filling_after_another_step_starts_from_its_weights() -> None:
    chain = [MaxPositionConstraint(0.5), MaxGrossExposureConstraint(0.5), MaxBucketWeightConstraint(0.3)]
    constrained = ConstraintSet(chain).apply(weights_of([0.6, 0.4], bucket=list("xy")))
    assert constrained.actions.filter(rule="max_bucket_weight").is_empty()
    assert listed(constrained.weights) == pytest.approx([0.25, 0.25])


def test_actions_tell_rule_verb_amounts_and_limit() -> None:
    weights = weights_of([0.75, 0.25, -0.25], bucket=list("xyz"))
    chain = ConstraintSet([MaxPositionConstraint(0.5), MarketNeutralConstraint()])
    actions = chain.apply(weights).actions
    assert actions.columns == ["end_time", "rule", "verb", "symbol", "bucket", "before", "after", "limit", "detail"]
    assert actions.drop("end_time").rows() == [
        ("max_position", "cut", "A", "x", 0.75, 0.5, 0.5, None),
        ("max_position", "raise", "B", "y", 0.25, 0.5, 0.5, None),
        ("market_neutral", "cut", "A", "x", 0.5, 0.25, 0.0, None),
        ("market_neutral", "cut", "B", "y", 0.5, 0.25, 0.0, None),
        ("market_neutral", "raise", "C", "z", -0.25, -0.5, 0.0, None),
    ]


def test_a_change_by_rounding_alone_is_no_action() -> None:
    weights = weights_of([0.1, 0.2, -0.3])
    assert weights["weight"].sum() != 0.0
    assert ConstraintSet([MarketNeutralConstraint()]).apply(weights).actions.is_empty()


def test_a_change_of_sign_is_a_shift_and_a_missing_bucket_is_null() -> None:
    actions = ConstraintSet([MarketNeutralConstraint()]).apply(weights_of([0.75, 0.25])).actions
    assert actions.select("verb", "symbol", "bucket").rows() == [("cut", "A", None), ("shift", "B", None)]


def test_what_a_filling_could_not_place_is_an_action_of_its_book() -> None:
    chain = ConstraintSet([MaxPositionConstraint(0.25)])
    unplaced = chain.apply(weights_of([0.5, 0.25, -0.75])).actions.filter(verb="unplaced")
    assert unplaced.select("symbol", "before", "after", "detail").rows() == [
        (None, 0.75, 0.5, "long book: 0.25 stays cash"),
        (None, 0.75, 0.25, "short book: net changes by 0.5"),
    ]


def test_the_limit_of_a_bucket_action_is_that_of_its_bucket() -> None:
    chain = ConstraintSet([MaxBucketWeightConstraint({"x": 0.5})])
    actions = chain.apply(weights_of([0.75, 0.25], bucket=list("xy"))).actions
    assert actions.select("symbol", "limit").rows() == [("A", 0.5), ("B", None)]


@given(panels(), chains)
def test_changes_add_up_from_the_wanted_weight_to_the_final_one(
    weights: pl.DataFrame, chain: list[WeightConstraint]
) -> None:
    constrained = ConstraintSet(chain).apply(weights)
    keys = ["end_time", "symbol"]
    changes = (
        constrained.actions.filter(pl.col("symbol").is_not_null())
        .group_by(keys)
        .agg(change=(pl.col("after") - pl.col("before")).sum())
    )
    told = weights.join(changes, on=keys, how="left").with_columns(pl.col("change").fill_null(0.0))
    final = constrained.weights.select(*keys, final="weight").join(constrained.infeasible, on="end_time", how="anti")
    compared = final.join(told, on=keys).drop_nulls("weight")
    off = compared.with_columns(off=(pl.col("weight") + pl.col("change") - pl.col("final")).abs())
    solved = off.join(constrained.solved, on="end_time", how="semi")
    assert off.join(solved, on=keys, how="anti").filter(pl.col("off") > 1e-12).is_empty()
    assert solved.filter(pl.col("off") > 1e-9).is_empty()


@given(panels(), chains)
def test_a_chain_gives_each_group_the_bits_that_it_gets_alone(
    weights: pl.DataFrame, chain: list[WeightConstraint]
) -> None:
    chained = ConstraintSet(chain)
    together = chained.apply(weights).weights.partition_by("end_time", maintain_order=True)
    alone = [chained.apply(group).weights for group in weights.partition_by("end_time", maintain_order=True)]
    assert all(one.equals(other) for one, other in zip(together, alone, strict=True))


@given(panels(), chains)
def test_frozen_names_never_move_in_a_chain(weights: pl.DataFrame, chain: list[WeightConstraint]) -> None:
    frozen = weights.with_columns(frozen=pl.col("weight").abs() > 0.2)
    constrained = ConstraintSet(chain).apply(frozen)
    after, before = (
        rows.join(constrained.infeasible, on="end_time", how="anti") for rows in (constrained.weights, frozen)
    )
    assert after.filter("frozen").equals(before.filter("frozen"))


@given(panels(), chains)
def test_breaches_are_those_that_each_constraint_finds_by_itself(
    weights: pl.DataFrame, chain: list[WeightConstraint]
) -> None:
    constrained = ConstraintSet(chain).apply(weights)
    found = [constraint.breaches(constrained.weights) for constraint in chain]
    assert constrained.breaches.equals(pl.concat([constrained.breaches.clear(), *found]))


def test_several_keys_stand_in_all_tables() -> None:
    weights = weights_of([0.75, 0.25]).with_columns(portfolio=pl.lit("one"))
    constrained = ConstraintSet([MaxPositionConstraint(0.25)]).apply(weights, by=["portfolio", "end_time"])
    for table in (constrained.actions, constrained.breaches, constrained.infeasible):
        assert table.columns[:2] == ["portfolio", "end_time"]
    assert constrained.actions.select("portfolio", "end_time").unique().rows() == [("one", DAY)]


def test_keys_that_bear_the_name_of_an_action_column_are_refused() -> None:
    with pytest.raises(InvalidWeightsError, match=r"by has \['bucket'\]"):
        ConstraintSet([]).apply(weights_of([0.5], bucket=["x"]), by="bucket")


def test_constraints_are_kept_as_a_tuple() -> None:
    assert ConstraintSet([LongOnlyConstraint()]).constraints == (LongOnlyConstraint(),)
