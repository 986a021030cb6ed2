import polars as pl

from core.actions import sentences
from core.decisions.screening import screened
from core.limits import RebalancingLimits
from tests.core.decisions.build import kept, rejections, rows

LIMITS = RebalancingLimits(min_score_threshold=0.6, min_score_new_position=0.65)


def test_held_and_new_names_have_their_own_threshold():
    step = screened(rows("A1 .62 held", "A2 .62", "A3 .59 held", "A4 .65"), LIMITS)
    assert kept(step) == ["A1", "A4"]
    assert rejections(step) == {"A2": "min_score_new_position", "A3": "min_score_threshold"}
    assert sentences(step.actions) == [
        "A3 rejected: score 0.5900 below the holding threshold 0.6000",
        "A2 rejected: score 0.6200 below the entry threshold 0.6500",
    ]


def test_a_score_within_rounding_of_its_threshold_meets_it():
    assert kept(screened(rows(f"A1 {0.6 * 0.75 + 0.4 * 0.5 - 1e-16}"), LIMITS)) == ["A1"]


def test_candidates_without_score_or_not_tradable_are_rejected():
    step = screened(rows("A1 -", "A2 .9").with_columns(tradable=pl.col("symbol") != "A2"), LIMITS)
    assert rejections(step) == {"A1": "no_score", "A2": "not_tradable"}


def test_held_names_without_score_or_not_tradable_are_fixed():
    step = screened(rows("A1 - held", "A2 .1 held").with_columns(tradable=pl.col("symbol") != "A2"), LIMITS)
    assert kept(step) == ["A1", "A2"]
    assert step.rows["fixed"].all()
    assert sentences(step.actions) == ["A1 keeps 5.00%: no score", "A2 keeps 5.00%: not tradable"]


def test_what_the_data_gate_excludes_is_rejected_with_its_reason():
    step = screened(rows("A1 .9").with_columns(excluded=pl.lit("no price")), LIMITS)
    assert sentences(step.actions) == ["A1 rejected: excluded by the data gate, no price"]


def test_without_the_number_that_sizing_reads_a_new_name_is_rejected_and_a_held_one_fixed():
    step = screened(rows("A1 .9", "A2 .9 held"), LIMITS, "volatility")
    assert rejections(step) == {"A1": "no_volatility"}
    assert step.rows.filter(symbol="A2")["fixed"].item()


def test_a_name_that_would_change_its_side_enters_as_a_new_one():
    step = screened(rows("A1 .62 held").with_columns(side=pl.lit(-1, pl.Int8)), LIMITS)
    assert rejections(step) == {"A1": "min_score_new_position"}
