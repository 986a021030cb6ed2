import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decisions.sizing import sized
from core.limits import RebalancingLimits
from core.policy import AsProposed, EqualWeight, InverseVolatility, LongShort, ScoreWeighted
from tests.core.decisions.build import rows
from tests.effort import examples

HALF = RebalancingLimits(target_total_allocation=0.5)


def wanted(names, sizing, **columns):
    frame = rows(*names).with_columns(**{name: pl.Series(numbers) for name, numbers in columns.items()})
    found = sized(frame, sizing, HALF)
    return dict(found.select("symbol", "wanted_weight").iter_rows())


def test_equal_weights_share_the_total():
    assert wanted(["A1 .9", "A2 .6"], EqualWeight()) == {"A1": 0.25, "A2": 0.25}


def test_score_weights_are_in_proportion_to_the_scores():
    assert wanted(["A1 .9", "A2 .6"], ScoreWeighted()) == pytest.approx({"A1": 0.3, "A2": 0.2})


def test_inverse_volatility_gives_the_calmer_name_more():
    found = wanted(["A1 .9", "A2 .6"], InverseVolatility(), volatility=[0.1, 0.4])
    assert found == pytest.approx({"A1": 0.4, "A2": 0.1})


def test_proposed_weights_are_scaled_to_the_total_with_their_signs():
    found = wanted(["A1 .9", "A2 .6"], AsProposed(), proposed_weight=[0.6, -0.4])
    assert found == pytest.approx({"A1": 0.3, "A2": -0.2})


def test_long_short_gives_both_sides_half_of_the_gross():
    found = wanted(["A1 .9", "A2 .8", "B1 .7"], LongShort(1), side=pl.Series([1, 1, -1], dtype=pl.Int8))
    assert found == pytest.approx({"A1": 0.125, "A2": 0.125, "B1": -0.25})


def test_fixed_names_keep_their_weight_and_the_others_share_the_rest():
    assert wanted(["A1 .9 fixed", "A2 .6", "A3 .6"], EqualWeight()) == pytest.approx(
        {"A1": 0.05, "A2": 0.225, "A3": 0.225}
    )


def test_fixed_names_beyond_the_total_leave_nothing():
    frame = rows("A1 .9 fixed", "A2 .8", weight=0.6)
    assert sized(frame, EqualWeight(), HALF)["wanted_weight"].to_list() == [0.6, 0.0]


def test_rejected_names_want_nothing():
    assert wanted(["A1 .9", "A2 .6"], EqualWeight(), rejected_by=[None, "no_score"]) == {"A1": 0.5, "A2": 0.0}


def test_scores_of_zero_want_nothing_rather_than_a_guess():
    assert wanted(["A1 0", "A2 0"], ScoreWeighted()) == {"A1": 0.0, "A2": 0.0}


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=8), st.sampled_from([EqualWeight(), ScoreWeighted()]))
def test_weights_sum_to_the_total(scores, sizing):
    found = wanted([f"A{i} {score}" for i, score in enumerate(scores)], sizing)
    assert sum(found.values()) == pytest.approx(0.5)
    assert min(found.values()) >= 0
