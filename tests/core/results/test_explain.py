"""Why a weight is what it is: the amounts add up, and each decision has a reason with its distance."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.actions import action_rows, numbered
from core.decisions.bucket_limits_enforcer import enforce_bucket_limits
from core.decisions.screening import screened
from core.decisions.selection import chosen, chosen_per_side
from core.limits import BucketLimitsConfig, RebalancingLimits
from core.results.explain import decisions, explanations, unexplained
from core.schemas import Actions, Decisions, Explanations, empty
from tests.core.decisions.build import AS_OF, rows

LIMITS = RebalancingLimits()


def placed(weights, portfolio_id="p"):
    """Rows whose names were wanted at and ended at the weights given."""
    names = rows(*(f"{symbol} .8" for symbol in weights), portfolio_id=portfolio_id).with_columns(fixed=False)
    wanted, target = zip(*(weights[symbol] for symbol in names["symbol"]), strict=True)
    numbers = {"wanted_weight": wanted, "target_weight": target}
    return names.with_columns(pl.Series(name, column, dtype=pl.Float64) for name, column in numbers.items())


def change(symbol, rule, before, after, *, verb="cut", limit=None, portfolio_id="p", step="constraints"):
    row = {"portfolio_id": portfolio_id, "as_of": AS_OF, "seq": 0, "step": step, "rule": rule, "verb": verb}
    numbers = {"before": before, "after": after, "limit": limit}
    said = row | {"symbol": symbol, "bucket": None, "detail": None} | numbers
    return pl.DataFrame([said], schema=empty(Actions).schema)


def told(explained):
    return [tuple(row) for row in explained.select("symbol", "rule", "limit", "before", "change", "after").iter_rows()]


def test_each_change_begins_where_the_one_before_it_ended():
    actions = numbered(
        [
            change("A1", "max_position", 0.5, 0.25, limit=0.25),
            change("B1", "max_position", 0.25, 0.5, verb="raise", limit=0.25),
            change("A1", "max_bucket_weight", 0.25, 0.125, limit=0.125),
        ]
    )
    found = explanations(placed({"A1": (0.5, 0.125), "B1": (0.25, 0.5)}), actions)
    assert told(found) == [
        ("A1", "max_position", 0.25, 0.5, -0.25, 0.25),
        ("A1", "max_bucket_weight", 0.125, 0.25, -0.125, 0.125),
        ("B1", "max_position", 0.25, 0.25, 0.25, 0.5),
    ]
    assert found["seq"].to_list() == [0, 1, 2]
    assert found.schema == empty(Explanations).schema


def test_a_name_that_nothing_changed_has_no_rows():
    assert explanations(placed({"A1": (0.5, 0.5)}), empty(Actions)).is_empty()


def test_an_action_that_changed_nothing_is_no_row():
    assert explanations(placed({"A1": (0.5, 0.5)}), change("A1", "max_position", 0.5, 0.5)).is_empty()


def test_what_is_no_change_of_a_weight_is_left_out():
    actions = numbered(
        [
            change("A1", "no_room", 0.5, 0.0, verb="reject"),
            change(None, "max_position", 0.5, 0.25, verb="unplaced"),
            change("A1", "max_allocation_per_bucket", 0.5, 0.25, step="buckets", verb="cut"),
        ]
    )
    assert explanations(placed({"A1": (0.5, 0.5)}), actions).is_empty()


def test_a_rest_within_the_tolerance_is_told_as_rounding():
    (row,) = told(explanations(placed({"A1": (1e-9, 0.0)}), empty(Actions)))
    assert row == ("A1", "rounding", None, 1e-9, -1e-9, 0.0)


def test_a_larger_rest_is_a_breach_not_rounding():
    found = explanations(placed({"A1": (0.5, 0.25)}), change("A1", "max_position", 0.5, 0.375))
    assert told(found)[-1] == ("A1", "unexplained", None, 0.375, -0.125, 0.25)
    (breach,) = unexplained(found).iter_rows(named=True)
    assert (breach["constraint"], breach["scope"], breach["excess"]) == ("unexplained_change", "A1", 0.125)
    assert unexplained(found.clear()).is_empty()


def test_a_run_without_target_weights_has_no_rows():
    infeasible = placed({"A1": (0.5, None)})
    assert explanations(infeasible, change("A1", "max_position", 0.5, 0.25)).is_empty()
    assert decisions(infeasible, empty(Actions))["target_weight"].to_list() == [None]


def test_portfolios_are_numbered_by_themselves():
    actions = numbered([change("A1", "max_position", 0.5, 0.25, portfolio_id=name) for name in ("q", "p")])
    both = pl.concat([placed({"A1": (0.5, 0.25)}, name) for name in ("q", "p")])
    found = explanations(both, actions)
    assert found.select("portfolio_id", "seq").rows() == [("p", 0), ("q", 0)]


WEIGHTS = st.floats(-2, 2)
CHANGES = st.tuples(
    st.sampled_from(["A1", "B1", "C1"]), st.sampled_from(["max_position", "turnover"]), WEIGHTS, WEIGHTS
)


@given(st.lists(st.tuples(WEIGHTS, WEIGHTS), min_size=3, max_size=3), st.lists(CHANGES, max_size=12))
def test_the_amounts_of_a_name_add_up_whatever_the_actions(weights, changes):
    by_symbol = dict(zip(["A1", "B1", "C1"], weights, strict=True))
    actions = numbered([change(*made) for made in changes])
    found = explanations(placed(by_symbol), actions)
    for symbol, (wanted, target) in by_symbol.items():
        own = found.filter(symbol=symbol)
        assert wanted + own["change"].sum() == pytest.approx(target, abs=1e-12)
        assert ((own["before"] + own["change"] - own["after"]).abs().max() or 0.0) <= 1e-12


# decisions


def reasons(step):
    weights = step.rows.with_columns(wanted_weight=0.0, target_weight=0.0)
    found = decisions(weights, step.actions)
    return dict(found.select("symbol", "why").iter_rows())


def test_a_score_below_a_threshold_is_told_with_the_distance():
    told_by = reasons(screened(rows("A1 .61", "B1 .5 held"), LIMITS))
    assert told_by["A1"] == "score 0.61 below the entry threshold 0.65 by 0.04"
    assert told_by["B1"] == "score 0.5 below the holding threshold 0.6 by 0.1"


def test_a_near_miss_is_told_in_full():
    (why,) = reasons(screened(rows("A1 .64999"), LIMITS)).values()
    assert why == "score 0.64999 below the entry threshold 0.65 by 0.00001"


def test_a_name_beyond_the_slots_of_its_bucket_is_told_its_place():
    limits = BucketLimitsConfig(max_positions_per_bucket=2)
    told_by = reasons(enforce_bucket_limits(rows("A1 .9", "A2 .8", "A3 .7"), limits))
    assert told_by["A3"] == "third of two in its bucket A"
    assert told_by["A1"] == "selected as a new name with score 0.9"


def test_a_place_above_ten_is_told_in_digits():
    names = [f"A{i} .{90 - i}" for i in range(10)] + [f"B{i} .{80 - i}" for i in range(10)] + ["C1 .7", "C2 .69"]
    limits = RebalancingLimits(max_total_positions=50, max_new_positions=9)
    told_by = reasons(chosen(screened(rows(*names), limits).rows, limits))
    assert told_by["A9"] == "tenth of nine new positions"
    assert [told_by[symbol] for symbol in ("B0", "B1", "B2", "C1", "C2")] == [
        "11th of 9 new positions",
        "12th of 9 new positions",
        "13th of 9 new positions",
        "21st of 9 new positions",
        "22nd of 9 new positions",
    ]


def test_names_beyond_all_positions_are_told_so():
    limits = RebalancingLimits(max_total_positions=1, max_new_positions=3)
    told_by = reasons(chosen(rows("A1 .9 held", "B1 .8 held", "C1 .7"), limits))
    assert told_by["A1"] == "kept with score 0.9"
    assert told_by["B1"] == "second of one position"


def test_a_slot_that_goes_to_another_bucket_is_told_on_both_sides():
    limits = RebalancingLimits(
        max_total_positions=2, max_new_positions=2, enable_bucket_diversification=True, min_buckets_represented=2
    )
    told_by = reasons(chosen(rows("A1 .9", "A2 .8", "B1 .7"), limits))
    assert told_by["B1"] == "selected, for bucket B has no other name"
    gave_way = reasons(chosen(rows("A1 .9 held", "A2 .8 held", "B1 .7"), limits))
    assert gave_way["A2"] == "its slot goes to a bucket that nothing else represents"


def test_the_side_of_a_long_short_book_is_told():
    told_by = reasons(chosen_per_side(rows("A1 .9", "A2 .8"), 1))
    assert told_by["A2"] == "second of one on its side"


def test_a_name_that_the_data_gate_excludes_is_told_why():
    excluded = rows("A1 .9").with_columns(excluded=pl.lit("no price since 2026-01-01"))
    assert reasons(screened(excluded, LIMITS))["A1"] == "excluded by the data gate: no price since 2026-01-01"


@pytest.mark.parametrize(
    ("name", "column", "why"),
    [
        ("A1 .9", {"tradable": False}, "not tradable"),
        ("A1 -", {}, "no signal at all, so no score"),
        ("A1 .9 held", {"tradable": False}, "kept at its weight: not tradable"),
    ],
)
def test_a_name_that_may_not_compete_is_told_why(name, column, why):
    changed = rows(name).with_columns(**{key: pl.lit(content) for key, content in column.items()})
    assert reasons(screened(changed, LIMITS))["A1"] == why


@pytest.mark.parametrize("needed", ["volatility", "proposed_weight"])
def test_a_name_without_what_sizing_reads_is_told_so(needed):
    why = reasons(screened(rows("A1 .9"), LIMITS, needed))["A1"]
    assert needed.split("_")[0] in why


def test_a_selected_name_without_room_is_told_so():
    step = screened(rows("A1 .9"), LIMITS)
    no_room = action_rows(step.rows, "constraints", "no_room", "reject", before=pl.lit(0.1), after=pl.lit(0.0))
    weights = step.rows.with_columns(wanted_weight=0.1, target_weight=0.0)
    assert decisions(weights, no_room)["why"].item().startswith("selected, but its share is 0")


def test_a_rule_that_nobody_foresaw_is_named():
    marked = rows("A1 .9", "B1 .8", portfolio_id="p").with_columns(
        rejected_by=pl.lit("new_rule"), wanted_weight=0.0, target_weight=0.0
    )
    action = change("A1", "new_rule", None, None, verb="reject")
    assert decisions(marked, action)["why"].to_list() == ["rejected by new_rule"] * 2


def test_decisions_keep_every_name_once_and_in_order():
    weights = pl.concat([placed({"B1": (0.1, 0.1), "A1": (0.2, 0.1)}, name) for name in ("q", "p")])
    found = decisions(weights, empty(Actions))
    assert found.select("portfolio_id", "symbol").rows() == [("p", "A1"), ("p", "B1"), ("q", "A1"), ("q", "B1")]
    assert found.schema == empty(Decisions).schema
    assert Decisions.is_valid(found)
    assert found["as_of"].unique().to_list() == [dt.date(2026, 1, 5)]
