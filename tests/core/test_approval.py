"""When a person must agree, on two names; and what was shown, as a hash."""

from dataclasses import replace

import polars as pl
import pytest

from core.approval import ApprovalRules, Question, joint_hash, refusal_id, shown_hash, why_asked
from core.errors import ConfigurationError
from core.policy_file import parse_policy
from core.schemas import Findings, Relaxations, empty
from tests.core.store.samples import TODAY, finding, relaxation, rows, target_rows

NOTHING_GAVE_WAY, NO_FINDINGS = empty(Relaxations), empty(Findings)
TARGETS = target_rows("core", TODAY, {"AAA": 0.4, "BBB": -0.2})  # opened from nothing: turnover 30 %


def why(rules, targets=TARGETS, relaxations=NOTHING_GAVE_WAY, findings=NO_FINDINGS):
    return why_asked(rules, targets, relaxations, findings)


def test_a_turnover_above_the_limit_asks_and_one_at_it_does_not():
    assert why(ApprovalRules(max_turnover=0.3)) == []
    assert why(ApprovalRules(max_turnover=0.3 - 1e-6)) == ["turnover of 30.00 % is above 30.00 %"]
    assert why(ApprovalRules(max_turnover=0.25)) == ["turnover of 30.00 % is above 25.00 %"]


def test_a_turnover_within_the_tolerance_of_the_limit_does_not_ask():
    assert why(ApprovalRules(max_turnover=0.3 - 1e-10)) == []


def test_a_limit_of_zero_asks_for_any_trade_and_not_without_one():
    still = TARGETS.with_columns(current_weight="target_weight")
    assert why(ApprovalRules(max_turnover=0.0), still) == []
    assert why(ApprovalRules(max_turnover=0.0)) != []


def test_a_soft_limit_that_gave_way_asks_only_where_the_rules_say_so():
    assert why(ApprovalRules(warnings=True), relaxations=relaxation()) == []
    (told,) = why(ApprovalRules(relaxations=True), relaxations=relaxation())
    assert told == "the soft limit max_position gave way, from 35.00 % to 40.00 %"


def test_a_limit_of_counts_is_told_as_a_count():
    counted = relaxation().with_columns(constraint=pl.lit("max_positions"), limit=pl.lit(8.0), used=pl.lit(9.0))
    (told,) = why(ApprovalRules(relaxations=True), relaxations=counted)
    assert told == "the soft limit max_positions gave way, from 8 to 9"


def test_a_warning_of_the_data_gate_asks_once_and_other_findings_do_not():
    assert why(ApprovalRules(warnings=True), findings=finding()) == ["the data gate warns: AAA jumps"]
    excluded = finding().with_columns(severity=pl.lit("exclude").cast(finding()["severity"].dtype))
    assert why(ApprovalRules(warnings=True), findings=excluded) == []


def test_many_reasons_of_a_kind_are_told_in_part():
    warned = [
        {"severity": "warn", "code": "jump", "frame": "prices", "message": f"A{i}", "remedy": ""} for i in range(9)
    ]
    told = why(ApprovalRules(warnings=True), findings=rows(Findings, *warned))
    assert (len(told), told[-1]) == (5, "and 5 more warnings of the data gate")
    told = why(ApprovalRules(warnings=True), findings=rows(Findings, *warned[:5]))
    assert told[-1] == "and 1 more warning of the data gate"


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("{}", "asks for nothing: set max_turnover"),
        ("{timeout_hours: 4}", "asks for nothing"),
        ("{max_turnover: -0.1}", "max_turnover is -0.1"),
        ("{max_turnover: .nan}", "max_turnover is nan"),
        ("{max_turnover: much}", "approval.max_turnover"),
        ("{relaxations: true, timeout_hours: 0}", "timeout_hours is 0.0"),
        ("{relaxations: true, timeout_hours: 1000}", "timeout_hours is 1000.0: make it at most 168"),
        ("{max_turnovr: 0.3}", "Did you mean 'max_turnover'?"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused_with_the_remedy(section, told):
    with pytest.raises(ConfigurationError) as refusal:
        parse_policy(f"name: x\napproval: {section}", "test.yaml")
    assert told in str(refusal.value)


def test_a_policy_asks_nobody_unless_it_says_so():
    assert parse_policy("name: x", "test.yaml").approval is None
    asks = parse_policy("name: x\napproval: {max_turnover: 0.3}", "test.yaml")
    assert asks.approval == ApprovalRules(max_turnover=0.3, timeout_hours=4.0)
    assert parse_policy(asks.document, "test.yaml") == asks


def test_what_is_shown_has_another_hash_where_one_bit_of_a_weight_or_the_run_is_another():
    nudged = TARGETS.with_columns(target_weight=pl.col("target_weight") * (1 + 2**-52))
    hashes = {shown_hash("r1", TARGETS), shown_hash("r2", TARGETS), shown_hash("r1", nudged)}
    assert len(hashes) == 3
    assert shown_hash("r1", TARGETS.reverse()) == shown_hash("r1", TARGETS)


def test_a_form_has_the_hash_of_all_that_it_shows():
    one = Question("core", "r1", ["why"], "h1", TARGETS)
    two = replace(one, portfolio_id="other")
    assert joint_hash([one]) == "h1"
    assert joint_hash([one, two]) == joint_hash([two, one])
    assert joint_hash([one, two]) != joint_hash([one, replace(two, shown_hash="h2")])


def test_a_refusal_for_want_of_approval_is_not_the_run_itself():
    assert len({"r1", refusal_id("r1", "q1"), refusal_id("r1", "q2"), refusal_id("r2", "q1")}) == 4


def test_a_turnover_that_is_a_percentage_is_refused():
    with pytest.raises(ConfigurationError, match=r"max_turnover is 25, which is 2,500 % .*; 25 % is 0.25"):
        ApprovalRules(max_turnover=25.0)
    assert ApprovalRules(max_turnover=2.0).max_turnover == 2.0
