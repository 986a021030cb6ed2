from dataclasses import replace
from pathlib import Path

import pytest

from core import (
    PRESETS,
    ConfigurationError,
    Policy,
    load_policy,
)
from core.inputs import VolatilitySignal
from core.limits import RebalancingLimits
from core.policy import AsProposed, InverseVolatility, LongShort
from core.policy_file import parse_policy
from tasks.settings import POLICIES

SHIPPED = sorted(POLICIES.glob("*.yaml"))


def parsed(text):
    return parse_policy(text, "test.yaml")


def test_a_policy_needs_only_a_name():
    policy = parsed("name: plain")
    assert policy == Policy(name="plain")
    assert policy.limits == RebalancingLimits()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nam: x", "nam is unknown; known: approval, constraints, data_gate, "),
        ("nam: x", "Did you mean 'name'?"),
        ("name: x\nlimits: {max_totl_positions: 3}", "Did you mean 'max_total_positions'?"),
        ("name: x\ndata_gate: {max_jmp: 3}", "Did you mean 'max_jump'?"),
        ("name: x\nsource: {querys: {}}", "Did you mean 'queries'?"),
        ("name: x\nconstraints: [{kind: max_position, max_wieght: 0.1}]", "Did you mean 'max_weight'?"),
        ("name: x\nconstraints: [{kind: max_positon}]", "'max_position'"),
        ("name: x\nscoring: {signals: [{kind: momentum, name: m, weight: 1, lokback: 9}]}", "Did you mean 'lookback'?"),
        ("name: x\nscoring: {signal: []}", "Did you mean 'signals'?"),
        ("name: x\nscoring: {signals: []}", "scoring.signals"),
        ("name: x\nsizing: {kind: equal_wieght}", "'equal_weight'"),
        ("name: x\nlimits: {max_total_positions: 0}", "max_total_positions is 0"),
        ("name: x\nlimits: {max_total_positions: many}", "limits.max_total_positions"),
        ("name: x\nlimits: {target_total_allocation: 1.2}", "exceeds max_gross_exposure 1"),
        ("name: x\nlimits: {max_allocation_per_bucket: .nan}", "max_allocation_per_bucket is nan"),
        ("name: x\nconstraints: [{kind: max_position, max_weight: -1}]", "max_weight"),
        ("name: x\nconstraints: [{kind: long_only}, {kind: market_neutral}]", "long"),
        ("name: x\nconstraints: [{kind: turnover, max_turnovr: 0.1}]", "Did you mean 'max_turnover'?"),
        ("name: x\nconstraints: [{kind: net_exposure}]", "neither a minimum nor a maximum"),
        ("name: x\nconstraints: [{kind: long_only, mode: soft}]", "give it a priority and a max_relaxation"),
        ("name: x\nconstraints: [{kind: name_limits, names: {A: {maximun: 1}}}]", "Did you mean 'maximum'?"),
        (
            "name: x\nsizing: {kind: long_short, names_per_side: 6}",
            "max_total_positions is 10: raise it to at least 12",
        ),
        (
            "name: x\nlimits: {allow_forced_closures: false, max_total_positions: 2}\n"
            "sizing: {kind: long_short, names_per_side: 1}",
            "set limits.allow_forced_closures to true",
        ),
        ("name: x\nsizing: {kind: long_short, names_per_side: 0}", "names_per_side is 0"),
        ("name: x\ntime_zone: New York", "time_zone 'New York' is unknown"),
        ("name: x\nsource: {queries: {price: select 1}}", "Did you mean 'prices'?"),
        ("name: x\nname: y", "name is given twice"),
        ("name: x\nlimits: {max_new_positions: 1, max_new_positions: 2}", "max_new_positions is given twice"),
        ("name: x\nlimits: {max_new_positions: 1:30}", "1:30 can be read as more than one number"),
        ("name: x\nlimits: {max_single_position_pct: 0:0.30}", "0:0.30 can be read as more than one number"),
        ("name: x\nlimits: {max_new_positions: 010}", "010 can be read as more than one number"),
        ("name: x\ndata_gate: {max_jump: yes}", "data_gate.max_jump is true: give a number."),
        ("name: x\nlimits: {max_total_positions: on}", "limits.max_total_positions is true: give a number"),
        ("name: x\nconstraints: [{kind: turnover, max_turnover: true}]", "constraints.0.max_turnover is true"),
        ("name: x\nconstraints: [{kind: name_limits, names: {A: {minimum: no}}}]", "names.A.minimum is false"),
        (
            "name: x\nsizing: {kind: inverse_volatility, lookback: 10000000}",
            "15,000,011 days of prices: 36,600 at most",
        ),
        ("name: [", "no valid YAML"),
        ("", "is empty"),
        ("- name", "is empty or no mapping"),
        (
            "name: x\nscoring: {signals: [{kind: table, name: a, weight: 1}, {kind: table, name: a, weight: 1}]}",
            "two have the same name",
        ),
    ],
)
def test_what_is_not_right_is_refused_with_the_remedy(text, told):
    with pytest.raises(ConfigurationError) as refusal:
        parsed(text)
    assert told in str(refusal.value)
    assert "test.yaml" in str(refusal.value)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(ConfigurationError, match=r"nowhere.yaml cannot be read: No such file"):
        load_policy(Path("nowhere.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_policies_are_right_and_named_after_their_files(path):
    assert load_policy(path).name == path.stem


@pytest.mark.parametrize("name", PRESETS)
def test_shipped_presets_have_the_limits_of_the_presets(name):
    limits = load_policy(POLICIES / f"{name}.yaml").limits
    assert replace(limits, initial_new_positions=None) == PRESETS[name]


def test_the_document_reads_back_as_the_same_policy():
    for path in SHIPPED:
        policy = load_policy(path)
        assert parsed(policy.document) == policy
        assert parsed(policy.document).hash == policy.hash


def test_the_hash_follows_the_content_not_the_layout():
    assert parsed("name: x\ndescription: y").hash == parsed("# why\ndescription: 'y'\nname: x").hash
    assert parsed("name: x").hash != parsed("name: y").hash
    assert parsed("name: x").hash == parsed("name: x\nlimits: {max_new_positions: 3}").hash


def test_sizing_that_reads_a_signal_brings_it_along():
    calm = Policy(name="x", sizing=InverseVolatility(lookback=20))
    assert isinstance(calm.sizing_signal, VolatilitySignal)
    assert calm.all_signals[-1] == calm.sizing_signal
    assert calm.sizing_input == "volatility"
    proposed = Policy(name="x", sizing=AsProposed("technical"))
    assert proposed.all_signals == proposed.scoring.signals
    assert Policy(name="x").sizing_input is None


def test_enough_history_is_read_for_the_longest_window():
    text = "name: x\nscoring: {signals: [{kind: momentum, name: m, weight: 1}]}"
    assert parsed(text).history_days >= 253 * 7 / 5 + 10


def test_long_short_may_start_with_its_names():
    limits = RebalancingLimits(max_total_positions=4, max_new_positions=4, initial_new_positions=3)
    with pytest.raises(ValueError, match="initial_new_positions is 3: raise it to at least 4"):
        Policy(name="x", sizing=LongShort(2), limits=limits)
    assert Policy(name="x", sizing=LongShort(2), limits=replace(limits, initial_new_positions=None))


def test_a_query_replaces_a_table_and_another_is_a_signal():
    policy = parsed(
        "name: x\nsource: {queries: {prices: select 1}}\n"
        "scoring: {signals: [{kind: query, name: mood, weight: 1, sql: select 2}]}"
    )
    assert policy.reads.queries == {"prices": "select 1"}
    assert policy.reads.signal_queries == {"mood": "select 2"}
