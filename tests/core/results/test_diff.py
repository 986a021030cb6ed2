"""What changed between two runs: policies by key, and each move of a target by rule."""

from dataclasses import replace

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core.policy import Policy
from core.results.diff import NAMES, UNTOLD, WANTED, StoredRun, difference, parts_apart, policy_changes
from tests.core.results.stored_runs import facts, run
from tests.core.store.samples import TODAY, decision
from tests.core.store.samples import record as run_record

# policy and program


def test_policy_keys_are_dotted_and_constraints_matched_by_kind():
    before = {"limits": {"max": 1}, "constraints": [{"kind": "long_only"}, {"kind": "turnover", "max_turnover": 0.1}]}
    after = {"limits": {"max": 2}, "constraints": [{"kind": "turnover", "max_turnover": 0.2}, {"kind": "long_only"}]}
    assert policy_changes(before, after).rows() == [
        ("limits.max", "1", "2"),
        ("constraints (in this order)", "long_only, turnover", "turnover, long_only"),
        ("constraints.turnover.max_turnover", "0.1", "0.2"),
    ]


def test_a_key_that_only_one_policy_has_is_empty_in_the_other():
    assert policy_changes({"a": 1}, {"a": 1, "b": {"c": None}}).rows() == [("b.c", None, "null")]
    assert policy_changes({"a": [], "b": {}}, {"a": [1, 2]}).rows() == [("a", None, "[1, 2]")]


def test_two_constraints_of_a_kind_are_numbered():
    two = [{"kind": "net_exposure", "maximum": bound} for bound in (0.5, 0.9)]
    after = [two[0], {"kind": "net_exposure", "maximum": 0.8}]
    (change,) = policy_changes({"constraints": two}, {"constraints": after}).rows()
    assert change == ("constraints.net_exposure[2].maximum", "0.9", "0.8")


def test_a_whole_policy_does_not_differ_from_itself():
    document = yaml.safe_load(Policy(name="x").document)
    assert policy_changes(document, document).is_empty()


def test_of_two_environments_only_what_differs_is_told():
    assert parts_apart("Python 3, polars 2.0, Linux", "Python 3, polars 2.1, Linux") == ("polars 2.0", "polars 2.1")
    after = run("b", program_version="2", environment="Python 3, polars 3")
    assert difference(run(), after).program.rows() == [
        ("program version", "1", "2"),
        ("environment", "polars 2", "polars 3"),
    ]


# targets


def test_a_move_is_split_into_the_wanted_weight_and_each_rule():
    before = run("a", {"AAA": (0.5, 0.35)}, [("AAA", "cap", 0.4, -0.1), ("AAA", "bucket", 0.35, -0.05)])
    after = run("b", {"AAA": (0.4, 0.3)}, [("AAA", "cap", 0.3, -0.1)])
    found = difference(before, after)
    moved = found.targets.filter(symbol="AAA").row(0, named=True)
    assert (moved["outcome"], moved["change"]) == ("moved", pytest.approx(-0.05))
    causes = found.causes.filter(symbol="AAA").select("rule", "limit_before", "limit_after", pl.col("change").round(9))
    assert causes.rows() == [(WANTED, None, None, -0.1), ("bucket", 0.35, None, 0.05)]


def test_a_rule_that_did_more_is_told_with_its_limits():
    before = run("a", {"AAA": (0.5, 0.4)}, [("AAA", "max_position", 0.4, -0.1)])
    after = run("b", {"AAA": (0.5, 0.3)}, [("AAA", "max_position", 0.3, -0.2)])
    (cause,) = difference(before, after).causes.filter(symbol="AAA").rows(named=True)
    assert (cause["limit_before"], cause["limit_after"], cause["before"], cause["after"]) == (0.4, 0.3, -0.1, -0.2)


def test_names_that_enter_and_leave_say_why():
    left = decision("AAA", 0.0, 0.0, "core", TODAY) | {"why": "score 0.4 below", "score": 0.4}
    came = decision("BBB", 0.5, 0.5, "core", TODAY) | {"why": "selected", "score": 0.9}
    after = run("b", {"BBB": (0.5, 0.5)}, decisions=[left, came])
    found = difference(run("a", {"AAA": (0.5, 0.5)}), after)
    assert found.targets.select("symbol", "outcome", "why_before", "why_after").rows() == [
        ("AAA", "left", "selected as a new name with score 0.7", "score 0.4 below"),
        ("BBB", "entered", None, "selected"),
    ]


def test_cash_is_what_the_names_leave_and_stands_last():
    found = difference(run("a", {"AAA": (0.5, 0.5)}), run("b", {"AAA": (0.9, 0.9)}))
    assert found.targets["symbol"].to_list() == ["AAA", "$CASH"]
    (cause,) = found.causes.filter(symbol="$CASH").rows(named=True)
    assert (cause["rule"], cause["change"]) == (NAMES, pytest.approx(-0.4))


def test_amounts_add_up_where_an_older_program_kept_no_explanations():
    before = run("a", {"AAA": (0.5, 0.4)}, decisions=[])
    wanted = pl.when(pl.col("symbol") == "AAA").then(0.5).otherwise("wanted_weight")
    before = replace(before, targets=before.targets.with_columns(wanted_weight=wanted))
    after = run("b", {"AAA": (0.5, 0.3)}, [("AAA", "cap", 0.3, -0.2)])
    causes = difference(before, after).causes.filter(symbol="AAA").select("rule", pl.col("change").round(9)).rows()
    assert causes == [("cap", -0.2), (UNTOLD, 0.1)]


def test_noise_below_the_tolerance_is_no_move():
    assert difference(run("a", {"AAA": (0.5, 0.5)}), run("b", {"AAA": (0.5, 0.5 + 1e-10)})).is_empty


def test_a_refused_run_has_no_moves_and_says_so():
    found = difference(run("a", {"AAA": (0.5, 0.5)}), run("b", status="refused", reason="no cash row."))
    assert found.targets.is_empty()
    assert found.causes.is_empty()
    assert list(found.notes) == ["Run b was refused, so it has no targets: no cash row."]


weight = st.floats(-0.3, 0.3).map(lambda number: round(number, 6))
chain = st.lists(st.tuples(st.sampled_from(["cap", "bucket", "turnover"]), weight), max_size=4)
book = st.dictionaries(st.sampled_from("ABCD"), st.tuples(weight, chain), max_size=4)


def made(run_id, names):
    changes = [(symbol, rule, None, amount) for symbol, (_, steps) in names.items() for rule, amount in steps]
    ends = {symbol: (wanted, wanted + sum(amount for _, amount in steps)) for symbol, (wanted, steps) in names.items()}
    return run(run_id, ends, changes), {symbol: target for symbol, (_, target) in ends.items()}


@given(book, book)
def test_the_causes_of_every_move_add_up_to_it(old, new):
    (before, held), (after, wanted) = made("a", old), made("b", new)
    found = difference(before, after)
    sums = dict(found.causes.group_by("symbol").agg(pl.col("change").sum()).iter_rows())
    moved = {symbol: wanted.get(symbol, 0.0) - held.get(symbol, 0.0) for symbol in {*held, *wanted}}
    expected = {symbol: change for symbol, change in moved.items() if abs(change) > 1e-9}
    assert set(found.targets["symbol"]) - {"$CASH"} == set(expected)
    for symbol, change in expected.items():
        assert abs(sums[symbol] - change) <= 1e-12
    assert UNTOLD not in found.causes["rule"]


def test_runs_as_they_are_stored_are_compared():
    stored = run_record()
    before = StoredRun(facts(), {}, stored.inputs, stored.targets, stored.decisions, stored.explanations)
    assert difference(before, before).is_empty
