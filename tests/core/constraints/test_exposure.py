import polars as pl
import pytest
from hypothesis import given

from core.constraints import (
    ConstraintSet,
    LongOnlyConstraint,
    MarketNeutralConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    MinGrossExposureConstraint,
    NetExposureConstraint,
)
from core.errors import ConfigurationError
from tests.core.constraints.family import names_of
from tests.core.constraints.frames import limits, listed, panels, weights_of


def gross(column: str = "weight") -> pl.Expr:
    return pl.col(column).abs().sum()


def test_max_gross_exposure_scales_weights() -> None:
    scaled = MaxGrossExposureConstraint(1.0).apply(weights_of([0.6, 0.4, -0.3]))
    assert listed(scaled) == pytest.approx([0.6 / 1.3, 0.4 / 1.3, -0.3 / 1.3])


def test_gross_within_the_limit_changes_nothing() -> None:
    weights = weights_of([0.6, 0.2, -0.1])
    assert MaxGrossExposureConstraint(1.0).apply(weights).equals(weights)


def test_frozen_names_leave_the_rest_of_the_gross_to_the_others() -> None:
    weights = weights_of([0.6, 0.4, -0.4], frozen=[True, False, None])
    assert listed(MaxGrossExposureConstraint(1.0).apply(weights)) == pytest.approx([0.6, 0.2, -0.2])


def test_where_frozen_names_alone_exceed_the_gross_the_others_go_to_zero() -> None:
    cut = MaxGrossExposureConstraint(1.0).apply(weights_of([-1.5, 0.4], frozen=[True, False]))
    assert listed(cut) == [-1.5, 0.0]
    assert MaxGrossExposureConstraint(1.0).breaches(cut)["excess"].to_list() == [0.5]


def test_gross_breach_tells_limit_level_and_excess() -> None:
    breaches = MaxGrossExposureConstraint(0.5).breaches(weights_of([0.5, -0.25, None]))
    assert breaches.drop("end_time").rows() == [("max_gross_exposure", "", 0.5, 0.75, 0.25)]


@given(panels(), limits)
def test_gross_never_exceeds_what_the_limit_and_the_frozen_names_allow(weights: pl.DataFrame, limit: float) -> None:
    kept = pl.lit(0.0) if "frozen" not in weights.columns else pl.col("weight").abs().filter(pl.col("frozen")).sum()
    scaled = MaxGrossExposureConstraint(limit).apply(weights)
    levels = scaled.group_by("end_time").agg(level=gross(), allowed=pl.max_horizontal(pl.lit(limit), kept))
    assert levels.filter(pl.col("level") > pl.col("allowed") + 1e-9).is_empty()


def test_gross_below_the_least_is_scaled_up_and_frozen_names_count() -> None:
    least = MinGrossExposureConstraint(0.9)
    assert listed(least.apply(weights_of([0.3, 0.2, -0.1]))) == pytest.approx([0.45, 0.3, -0.15])
    frozen = weights_of([0.3, 0.2, -0.1], frozen=[True, False, False])
    assert listed(least.apply(frozen)) == pytest.approx([0.3, 0.4, -0.2])


def test_gross_above_the_least_stays_and_where_there_is_nothing_to_scale_it_is_a_breach() -> None:
    least = MinGrossExposureConstraint(0.5)
    assert listed(least.apply(weights_of([0.4, -0.3]))) == [0.4, -0.3]
    (breach,) = least.breaches(least.apply(weights_of([0.0, 0.0]))).rows(named=True)
    assert (breach["limit"], breach["level"], breach["excess"]) == (0.5, 0.0, 0.5)


def test_a_gross_below_the_least_today_may_stay_where_it_must_be_no_worse() -> None:
    weights = weights_of([0.2, 0.1], current_weight=[0.2, 0.1])
    least = MinGrossExposureConstraint(0.9, mode="no_worse")
    assert least.breaches(weights).is_empty()
    assert listed(least.apply(weights)) == pytest.approx([0.2, 0.1])


def test_market_neutral_makes_zero_sum() -> None:
    neutral = MarketNeutralConstraint().apply(weights_of([0.5, 0.3, 0.2]))
    assert listed(neutral) == pytest.approx([1 / 6, -1 / 30, -2 / 15])
    assert neutral["weight"].sum() == pytest.approx(0.0, abs=1e-15)


def test_a_name_at_zero_counts_in_the_mean_and_a_missing_one_does_not() -> None:
    assert listed(MarketNeutralConstraint().apply(weights_of([0.4, 0.0, None]))) == [0.2, -0.2, None]


def test_frozen_names_stay_and_the_others_take_the_whole_shift() -> None:
    weights = weights_of([0.4, 0.2, 0.2], frozen=[True, False, False])
    assert listed(MarketNeutralConstraint().apply(weights)) == pytest.approx([0.4, -0.2, -0.2])


def test_a_group_that_is_all_frozen_stays_and_breaches() -> None:
    weights = weights_of([0.4, 0.2], frozen=[True, True])
    assert MarketNeutralConstraint().apply(weights).equals(weights)
    breach = MarketNeutralConstraint().breaches(weights).row(0, named=True)
    assert (breach["scope"], breach["limit"]) == ("", 0.0)
    assert (breach["level"], breach["excess"]) == pytest.approx((0.6, 0.6))


@given(panels())
def test_every_group_with_a_movable_name_ends_neutral(weights: pl.DataFrame) -> None:
    neutral = MarketNeutralConstraint().apply(weights)
    movable = pl.col("weight").is_not_null()
    if "frozen" in weights.columns:
        movable &= ~pl.col("frozen").fill_null(False)
    nets = neutral.group_by("end_time").agg(net=pl.col("weight").sum(), can=movable.any())
    assert nets.filter(pl.col("can") & (pl.col("net").abs() > 1e-9)).is_empty()


def test_long_only_cuts_short_positions_to_zero() -> None:
    assert listed(LongOnlyConstraint().apply(weights_of([0.5, -0.2, None]))) == [0.5, 0.0, None]


def test_a_frozen_short_position_stays_and_breaches_long_only() -> None:
    weights = LongOnlyConstraint().apply(weights_of([0.5, -0.25, -0.1], frozen=[False, True, False]))
    assert listed(weights) == [0.5, -0.25, 0.0]
    assert LongOnlyConstraint().breaches(weights).drop("end_time").rows() == [("long_only", "B", 0.0, -0.25, 0.25)]


@pytest.mark.parametrize("limit", [0, -1.0, float("nan"), float("inf"), True, "1"])
def test_a_limit_that_cannot_be_meant_is_refused_by_name(limit: float) -> None:
    with pytest.raises(ValueError, match="max_exposure"):
        MaxGrossExposureConstraint(limit)


def test_net_exposure_is_shifted_into_its_range() -> None:
    weights = weights_of([0.5, 0.25])
    assert listed(NetExposureConstraint(maximum=0.5).apply(weights)) == [0.375, 0.125]
    assert listed(NetExposureConstraint(minimum=1.0).apply(weights)) == [0.625, 0.375]
    assert NetExposureConstraint(0.5, 1.0).apply(weights).equals(weights)


def test_frozen_names_count_in_the_net_and_the_others_take_the_shift() -> None:
    weights = weights_of([0.5, 0.25, 0.25], frozen=[True, False, False])
    assert listed(NetExposureConstraint(maximum=0.5).apply(weights)) == [0.5, 0.0, 0.0]


def test_with_current_weights_a_name_at_zero_is_not_shifted() -> None:
    weights = weights_of([0.5, 0.0], current_weight=[0.5, 0.0])
    assert listed(NetExposureConstraint(maximum=0.25).apply(weights)) == [0.25, 0.0]


def test_a_net_outside_its_range_is_a_breach_of_one_bound() -> None:
    constraint = NetExposureConstraint(-0.25, 0.5)
    high, low = constraint.breaches(weights_of([0.75])), constraint.breaches(weights_of([-0.5]))
    assert high.drop("end_time").rows() == [("net_exposure", "maximum", 0.5, 0.75, 0.25)]
    assert low.drop("end_time").rows() == [("net_exposure", "minimum", -0.25, -0.5, 0.25)]


def test_todays_net_may_stay_where_the_range_is_no_worse() -> None:
    constraint = NetExposureConstraint(0.2, 0.5, mode="no_worse")
    assert listed(constraint.apply(weights_of([1.0], current_weight=[0.75]))) == [0.75]
    assert listed(constraint.apply(weights_of([0.05], current_weight=[0.1]))) == [0.1]


def test_the_solver_has_one_limit_per_bound_of_the_net() -> None:
    names = names_of(weights_of([0.5, 0.25], bucket=list("xy")))
    low, high = NetExposureConstraint(1.0, 2.0).limits(names)
    assert (low.scope, low.noun + " " + low.bound, low.direction) == ("minimum", "net exposure at least ", -1)
    assert (low.excess(names.wanted), high.excess(names.wanted)) == (0.25, -1.25)
    assert [limit.scope for limit in NetExposureConstraint(maximum=2.0).limits(names)] == ["maximum"]


def test_a_range_of_the_net_that_cannot_be_meant_is_refused() -> None:
    for bounds in ((), (0.5, 0.25), (float("nan"), None), (None, True)):
        with pytest.raises(ConfigurationError, match="net_exposure"):
            NetExposureConstraint(*bounds)


def test_statements_speak_plainly() -> None:
    assert MaxGrossExposureConstraint(1.5).statement == "gross exposure at most 1.5 times net asset value"
    assert MarketNeutralConstraint().statement == "long and short positions of equal size: net exposure 0"
    assert LongOnlyConstraint().statement == "no short positions"
    assert NetExposureConstraint(0.2, 0.5).statement == "net exposure from 20 % to 50 % of net asset value"
    assert NetExposureConstraint(maximum=0.5).statement == "net exposure at most 50 % of net asset value"
    assert NetExposureConstraint(minimum=-0.1).statement == "net exposure at least -10 % of net asset value"


def test_a_least_gross_holds_beside_a_cap_that_undoes_its_scaling() -> None:
    # The cap takes 0.05 of A; of the 0.1 that the gross lacks then, B and C get as much each.
    limits = [MinGrossExposureConstraint(0.95), MaxPositionConstraint(0.4, redistribute=False)]
    constrained = ConstraintSet(limits).apply(weights_of([0.45, 0.3, -0.15]))
    assert listed(constrained.weights) == pytest.approx([0.4, 0.35, -0.2])
    assert constrained.solved.height == 1
