import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.actions import action_rows, numbered
from core.limits import RebalancingLimits
from core.results.targets import bucket_statistics, targets, trade_action
from core.schemas import Actions, Targets, empty
from tests.core.decisions.build import AS_OF, rows


def nav(amount=1000.0, cash=800.0):
    return pl.DataFrame({"portfolio_id": ["portfolio"], "as_of": [AS_OF], "nav": [amount], "cash": [cash]})


def made(names, weights, close=10.0, actions=None):
    weights = pl.Series(weights, dtype=pl.Float64)
    frame = rows(*names).with_columns(target_weight=weights, wanted_weight=weights, close=pl.lit(close))
    return targets(frame, nav(), empty(Actions) if actions is None else actions)


@pytest.mark.parametrize(
    ("current", "target", "action"),
    [
        (0.0, 0.1, "open"),
        (0.1, 0.0, "close"),
        (0.1, 1e-10, "close"),
        (0.1, -0.1, "open"),
        (0.1, 0.105, "hold"),
        (0.1, 0.1051, "increase"),
        (0.1, 0.095, "hold"),
        (0.1, 0.0949, "decrease"),
        (-0.1, -0.12, "increase"),
        (-0.1, -0.08, "decrease"),
        (0.0, 0.0, "hold"),
    ],
)
def test_action_compares_target_with_current(current, target, action):
    frame = pl.DataFrame({"current": [current], "target": [target]})
    assert frame.select(trade_action(pl.col("current"), pl.col("target"))).item() == action


def test_a_target_says_what_to_trade():
    row = made(["A1 .9 held"], [0.15]).row(1, named=True)
    assert row["symbol"] == "A1"
    assert row["trade_weight"] == pytest.approx(0.10)
    assert row["trade_notional"] == pytest.approx(100)
    assert row["trade_quantity"] == pytest.approx(10)


def test_cash_is_what_the_names_leave():
    cash = made(["A1 .9 held", "A2 .9"], [0.15, 0.35]).row(0, named=True)
    assert (cash["symbol"], cash["is_cash"]) == ("$CASH", True)
    assert cash["current_weight"] == pytest.approx(0.95)
    assert cash["target_weight"] == pytest.approx(0.5)
    assert cash["trade_notional"] == pytest.approx(-450)
    assert cash["current_quantity"] == 800.0


def test_an_empty_portfolio_has_its_cash_row():
    frame = rows("A1 .9").with_columns(target_weight=0.0, wanted_weight=0.0)
    (cash,) = targets(frame, nav(), empty(Actions)).iter_rows(named=True)
    assert (cash["target_weight"], cash["action"]) == (1.0, "hold")


def test_a_held_name_that_is_rejected_is_closed_with_the_reason():
    rejected = action_rows(
        rows("A1 .5 held"), "screening", "min_score_threshold", "reject", before=pl.lit(0.5), limit=0.6
    )
    closed = made(["A1 .5 held"], [0.0], actions=numbered([rejected])).row(1, named=True)
    assert closed["action"] == "close"
    assert closed["reason"] == "A1 rejected: score 0.5000 below the holding threshold 0.6000"


def test_a_candidate_that_was_not_chosen_has_no_target():
    assert made(["A1 .9", "A2 .5"], [0.5, 0.0])["symbol"].to_list() == ["$CASH", "A1"]


@given(st.lists(st.floats(-0.3, 0.3), min_size=1, max_size=6))
def test_weights_with_cash_are_the_whole_and_trades_lead_there(weights):
    table = made([f"A{i} .9 held" for i in range(len(weights))], weights)
    Targets.validate(table)
    assert table["target_weight"].sum() == pytest.approx(1.0)
    assert table["trade_weight"].sum() == pytest.approx(0.0, abs=1e-12)
    moved = table["current_weight"] + table["trade_weight"] - table["target_weight"]
    assert moved.abs().max() < 1e-12


def test_bucket_statistics_count_what_is_held_in_the_end():
    table = made(["A1 .9 held", "A2 .7", "B1 .8 held"], [0.25, -0.25, 0.0])
    limits = RebalancingLimits(enable_bucket_diversification=True)
    (line,) = bucket_statistics(table, limits).iter_rows(named=True)
    assert (line["bucket"], line["asset_count"], line["gross_weight"]) == ("A", 2, 0.5)
    assert (line["avg_score"], line["max_positions"], line["max_allocation"]) == (pytest.approx(0.8), 4, 0.4)


def test_bucket_statistics_without_diversification_have_no_limits():
    (line,) = bucket_statistics(made(["A1 .9"], [0.25]), RebalancingLimits()).iter_rows(named=True)
    assert line["max_positions"] is line["max_allocation"] is None


def test_the_date_of_a_run_is_on_every_row():
    assert made(["A1 .9"], [0.5])["as_of"].unique().to_list() == [dt.date(2026, 1, 5)]
