"""The story of one weight as a person reads it."""

import datetime as dt

import polars as pl

from core.results.story import explanation_table, story, with_changes
from core.schemas import Decisions, Explanations
from tests.core.store.samples import TODAY, decision, rows

RUN = {
    "run_id": "r1",
    "portfolio_id": "core",
    "as_of": TODAY,
    "status": "published",
    "policy_name": "calm",
    "reason": None,
}
TARGET = {
    "action": "open",
    "target_weight": 0.125,
    "trade_weight": 0.125,
    "trade_notional": 1250.0,
    "trade_quantity": 12.5,
    "close": 100.0,
}


def decided(wanted=0.5, target=0.125, **changes):
    return decision("AAA", wanted, target, "core", TODAY) | {"rejected_by": None} | changes


def changes(*steps):
    """Steps of AAA: rule, limit, before, after."""
    run = {"portfolio_id": "core", "as_of": TODAY, "symbol": "AAA"}
    told = [
        run | {"seq": place, "rule": rule, "limit": limit, "before": before, "change": after - before, "after": after}
        for place, (rule, limit, before, after) in enumerate(steps)
    ]
    return rows(Explanations, *told)


CUTS = changes(("max_position", 0.25, 0.5, 0.25), ("max_positions", 3.0, 0.25, 0.125))


def test_the_waterfall_shows_each_change_with_limit_subtotal_and_bar():
    told = story(RUN, decided(), CUTS, TARGET).terminal().splitlines()
    assert told[0] == "AAA in core on Friday, 2026-07-31"
    head, today, wanted, cut, count, end = told[8:14]
    assert head.split() == ["limit", "change", "subtotal", "0.00", "%", "50.00", "%"]
    assert today.split() == ["weight", "today", "0.00", "%"]
    assert wanted.endswith("   50.00 %   " + "█" * 32)
    assert cut.split() == ["max_position", "25.00", "%", "-25.00", "%", "25.00", "%", "█" * 16 + "░" * 16]
    assert count.split()[:5] == ["max_positions", "3", "-12.50", "%", "12.50"]
    assert end.endswith("   12.50 %   " + "█" * 8)


def test_the_numbers_of_the_waterfall_are_aligned():
    head, *lines = story(RUN, decided(), CUTS, TARGET).terminal().splitlines()[8:14]
    end = head.index("subtotal") + len("subtotal")
    assert [line[end - 7 : end] for line in lines] == [" 0.00 %", "50.00 %", "25.00 %", "12.50 %", "12.50 %"]


def test_what_is_to_be_traded_ends_the_story():
    told = story(RUN, decided(), CUTS, TARGET).terminal().splitlines()[-1]
    assert told == "target     open, from 0.00 % to 12.50 %: +12.50 %, 1,250.00 or 12.50 units at 100.00"
    weights_alone = TARGET | {"trade_quantity": None}
    assert story(RUN, decided(), CUTS, weights_alone).outcome == "open, from 0.00 % to 12.50 %: +12.50 %"


def test_what_is_added_has_a_mark_of_its_own():
    raised = story(RUN, decided(0.25, 0.5), changes(("min_bucket_weight", 0.5, 0.25, 0.5)), TARGET)
    assert "█" * 16 + "▓" * 16 in raised.terminal()


def test_a_short_weight_stands_left_of_zero():
    shifted = story(RUN, decided(-0.25, 0.25), changes(("market_neutral", None, -0.25, 0.25)), TARGET).terminal()
    assert "-25.00 %                 25.00 %" in shifted
    assert "░" * 16 + "▓" * 16 in shifted
    assert "   " + "█" * 16 + "\n" in shifted  # wanted
    assert " " * 16 + "█" * 16 in shifted  # target


def test_a_change_too_small_for_two_places_is_told_all_the_same():
    told = story(RUN, decided(0.5, 0.5), changes(("rounding", None, 0.5, 0.5 - 1e-10)), TARGET).terminal()
    assert "-1e-08 %" in told


def test_a_name_that_was_not_selected_has_a_reason_and_no_waterfall():
    why = "third of two in its bucket Energy"
    rejected = decided(0.0, 0.0, rejected_by="max_positions_per_bucket", why=why)
    found = story(RUN, rejected, changes(), None)
    assert "selection  not selected: third of two in its bucket Energy" in found.terminal()
    assert "subtotal" not in found.terminal() + found.markdown()
    assert found.outcome == "none, for it is neither held nor wanted"
    assert found.brief == "core: third of two in its bucket Energy"


def test_a_refused_run_says_so_and_shows_no_target():
    refused = RUN | {"status": "refused", "reason": "A and B conflict:\n- raise A to 8 %"}
    told = story(refused, decided(target=None), changes(), None).terminal()
    assert "target weight" not in told
    assert told.endswith("target     none, for the run was refused: A and B conflict:\n           - raise A to 8 %")


def test_a_name_without_a_score_says_so():
    found = story(RUN, decided(score=None, confidence=None, signals=""), CUTS, TARGET)
    assert (dict(found.facts)["score"], dict(found.facts)["signals"]) == ("none", "none")


def test_markdown_tells_the_same_in_a_table():
    told = story(RUN, decided(), CUTS, TARGET).markdown()
    assert told.startswith("### AAA in core on Friday, 2026-07-31\n")
    assert f"| max_position | 25.00 % | -25.00 % | 25.00 % | `{'█' * 16}{'░' * 16}` |" in told
    assert "| weight today |  |  | 0.00 % |  |" in told


def test_the_table_of_a_batch_has_a_line_per_name_with_its_changes_largest_first():
    names = rows(
        Decisions,
        decision("AAA", 0.0, 0.0, "core", TODAY),
        decision("BBB", 0.5, 0.125, "core", TODAY),
    )
    cuts = CUTS.with_columns(symbol=pl.lit("BBB"))
    first, second = explanation_table(with_changes(names, cuts))
    assert (first["symbol"], first["wanted"], first["target"]) == ("BBB", "50.00 %", "12.50 %")
    assert first["changed by"] == "max_position -25.0 %, max_positions -12.5 %"
    raised = with_changes(names, changes(("max_position", None, 0.0, 0.25)))
    assert raised.filter(symbol="AAA")["changes"].to_list() == [["max_position +25.0 %"]]
    assert (second["symbol"], second["changed by"]) == ("AAA", "–")


def test_the_table_of_a_refused_run_has_no_targets():
    names = rows(Decisions, decision("AAA", 0.5, None, "core", dt.date(2026, 7, 31)))
    (row,) = explanation_table(with_changes(names, CUTS.clear()))
    assert row["target"] == "–"
