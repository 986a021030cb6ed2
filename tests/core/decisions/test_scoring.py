import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decisions.bucket_manager import BucketManager
from core.decisions.scoring import scored, with_sizing_input
from core.decisions.universe import UniverseBuilder
from core.errors import InputError
from core.inputs import TableSignal
from core.rebalancer import CoreRebalancerEngine, ScoringService, as_signal_values
from tests.core.decisions.build import AS_OF
from tests.effort import examples

PLAIN = (
    TableSignal(name="technical", weight=0.6, normaliser="none"),
    TableSignal(name="fundamental", weight=0.4, normaliser="none"),
)
RANKED = (TableSignal(name="technical", weight=1.0),)


def universe(names, held=(), not_tradable=()):
    positions = dict.fromkeys(held, 0.1) if not isinstance(held, dict) else held
    return UniverseBuilder(BucketManager({})).get_universe(AS_OF, positions, list(names), not_tradable)


def scores(names, values, signals=PLAIN, held=(), **options):
    rows = scored(universe(names, held), as_signal_values(values), signals, **options)
    return dict(rows.select("symbol", "score").iter_rows())


def test_score_is_the_weighted_mean_of_the_signals():
    assert scores(["A"], {"technical": {"A": 0.5}, "fundamental": {"A": 1.0}})["A"] == pytest.approx(0.7)


def test_a_missing_signal_drops_out_of_both_sums_and_lowers_confidence():
    rows = scored(
        universe(["A", "B"]), as_signal_values({"technical": {"A": 0.5, "B": 0.5}, "fundamental": {"A": 1}}), PLAIN
    )
    assert rows["score"].to_list() == pytest.approx([0.7, 0.5])
    assert rows["confidence"].to_list() == [0.8, 0.6]
    assert rows["reason"][1] == "technical 0.5 x 0.6, fundamental missing"


@pytest.mark.parametrize("name", ["tech{}", "{0}", "{", "a }{ b"])
def test_a_signal_may_have_any_name(name):
    signal = TableSignal(name=name, weight=0.6, normaliser="none")
    rows = scored(universe(["A"]), as_signal_values({name: {"A": 0.5}}), [signal])
    assert rows["reason"].to_list() == [f"{name} 0.5 x 0.6"]


def test_a_real_zero_is_a_score():
    assert scores(["A"], {"technical": {"A": 0.0}, "fundamental": {"A": 0.0}})["A"] == 0.0


def test_no_signal_at_all_is_no_score():
    rows = scored(universe(["A"]), as_signal_values({}), PLAIN)
    assert rows["score"].to_list() == rows["confidence"].to_list() == [None]


def test_a_held_asset_has_a_bonus_never_above_one():
    values = {"technical": {"A": 0.5, "B": 0.99, "C": 0.5}, "fundamental": {"A": 0.5, "B": 0.99, "C": 0.5}}
    assert scores(["A"], values, held=["B", "C"]) == pytest.approx({"A": 0.5, "B": 1.0, "C": 0.51})


@pytest.mark.parametrize(
    ("held", "current", "two_sided", "told"),
    [
        (False, 0.0, False, ""),
        (True, 0.1, False, ", x 1.02 as it is held"),
        (True, -0.1, False, ""),
        (False, 0.0, True, ", 1 less their mean as it is considered short"),
        (True, -0.1, True, ", 1 less their mean as it is considered short, x 1.02 as it is held"),
    ],
)
def test_the_reason_says_how_the_score_came_about(held, current, two_sided, told):
    names = universe(["A", "B"], held=["B"] * held).with_columns(
        current_weight=pl.when(symbol="B").then(current).otherwise("current_weight")
    )
    rows = scored(names, as_signal_values({"technical": {"A": 0.9, "B": 0.3}}), PLAIN[:1], two_sided=two_sided)
    (row,) = rows.filter(symbol="B").iter_rows(named=True)
    assert row["reason"] == f"technical 0.3 x 0.6{told}"
    mean = 0.7 if two_sided else 0.3
    assert row["score"] == pytest.approx(mean * 1.02 if "1.02" in told else mean)


def test_a_constant_cross_section_says_nothing():
    assert scores(["A", "B"], {"technical": {"A": 3.0, "B": 3.0}}, RANKED) == {"A": None, "B": None}


def test_names_that_cannot_be_bought_are_not_in_the_cross_section():
    values = as_signal_values({"technical": {"A": 1.0, "B": 2.0, "C": 3.0}})
    rows = scored(universe(["A", "B", "C"], not_tradable=["C"]), values, RANKED)
    assert rows["score"].to_list() == [0.5, 1.0, None]


@pytest.mark.parametrize("normaliser", ["rank", "minmax", "zscore", "none"])
def test_where_lower_is_better_the_order_is_turned(normaliser):
    signal = TableSignal(name="technical", weight=1.0, normaliser=normaliser, higher_is_better=False)
    found = scores(["A", "B"], {"technical": {"A": 0.25, "B": 0.75}}, (signal,))
    assert found["A"] > found["B"]
    assert all(0 <= score <= 1 for score in found.values())


def test_two_sided_scores_are_mirrored_for_the_lower_half():
    values = {"technical": {"A": 0.9, "B": 0.7, "C": 0.4, "D": 0.2}}
    rows = scored(universe("ABCD"), as_signal_values(values), (PLAIN[0],), two_sided=True)
    assert rows["side"].to_list() == [1, 1, -1, -1]
    assert rows["score"].to_list() == pytest.approx([0.9, 0.7, 0.6, 0.8])


def test_two_sided_bonus_is_for_the_side_a_name_is_held_on():
    values = {"technical": {"A": 0.9, "B": 0.2}}
    both_short = scored(
        universe("", held={"A": -0.1, "B": -0.1}), as_signal_values(values), (PLAIN[0],), two_sided=True
    )
    assert both_short["score"].to_list() == pytest.approx([0.9, 0.8 * 1.02])


def test_sizing_reads_the_raw_value_of_its_signal():
    values = as_signal_values({"technical": {"A": 0.5}, "vol": {"A": 7.0}})
    rows = with_sizing_input(scored(universe("AB"), values, RANKED), values, "volatility", "vol")
    assert rows["volatility"].to_list() == [7.0, None]


def test_a_volatility_that_is_not_positive_is_none():
    values = as_signal_values({"technical": {"A": 0.5}, "vol": {"A": 0.0, "B": 0.1}})
    rows = with_sizing_input(scored(universe("AB"), values, RANKED), values, "volatility", "vol")
    assert rows["volatility"].to_list() == [None, 0.1]


def test_the_face_scores_as_the_frame_does():
    values = {"technical": {"A": 0.5, "B": 0.25}, "fundamental": {"A": 1.0}}
    faces = ScoringService(PLAIN).score_assets(universe("AB"), values)
    assert {face.asset: face.combined_score for face in faces} == scores("AB", values)
    assert [list(face.missing_data_flags) for face in faces] == [[], ["fundamental"]]


def test_a_signal_that_is_not_given_at_all_is_missing_and_one_that_nothing_reads_is_refused():
    (face,) = ScoringService(PLAIN).score_assets(universe("A"), {"technical": {"A": 0.5}})
    assert list(face.missing_data_flags) == ["fundamental"]
    mistyped = {"technical": {"A": 0.5}, "fundmental": {"A": 1.0}}
    with pytest.raises(InputError, match=r"fundmental is none of those that are read; .*Did you mean 'fundamental'"):
        ScoringService(PLAIN).score_assets(universe("A"), mistyped)
    with pytest.raises(InputError, match="Did you mean 'fundamental'"):
        CoreRebalancerEngine().plan(dt.date(2026, 7, 31), {}, candidates=["A"], signal_values=mistyped)


VALUES = st.dictionaries(st.sampled_from("ABCDEF"), st.floats(-1e6, 1e6), min_size=0)


@settings(max_examples=examples(25), deadline=None)
@given(VALUES, VALUES, st.sampled_from(["rank", "minmax", "zscore"]), st.booleans())
def test_scores_are_between_zero_and_one_whatever_the_signals(technical, fundamental, normaliser, two_sided):
    signals = tuple(TableSignal(name=name, weight=1.0, normaliser=normaliser) for name in ("technical", "fundamental"))
    rows = scored(
        universe("ABCD", held=["E", "F"]),
        as_signal_values({"technical": technical, "fundamental": fundamental}),
        signals,
        two_sided=two_sided,
    )
    assert rows["score"].drop_nulls().is_between(0, 1).all()
    assert (rows["score"].is_null() == rows["confidence"].is_null()).all()


@settings(max_examples=examples(15), deadline=None)
@given(VALUES)
def test_portfolios_of_a_batch_are_scored_as_if_alone(technical):
    values = as_signal_values({"technical": technical})
    one, other = universe("ABCD"), universe("CDEF", held=["A"]).with_columns(portfolio_id=pl.lit("q"))
    batch = scored(pl.concat([one, other]), values, RANKED)
    alone = pl.concat([scored(one, values, RANKED), scored(other, values, RANKED)])
    assert batch.equals(alone)
