"""What the server refuses before a run starts: the schema of the flow's parameters, as it is deployed."""

import pytest
from prefect.utilities.schema_tools.validation import is_valid_schema, validate

from flows.backfill import backfill
from flows.daily_rebalance import daily_rebalance
from tasks.settings import policy_names


def refusals(flow, **parameters):
    schema = flow.parameters.model_dump()
    is_valid_schema(schema)
    return validate(parameters, schema, raise_on_error=False)


def test_the_policy_is_a_choice_of_those_at_hand():
    assert daily_rebalance.parameters.properties["policy"]["enum"] == policy_names()


@pytest.mark.parametrize(
    "parameters",
    [
        {"policy": "consrvative"},
        {"as_of": "2026-13-45"},
        {"as_of": "tomorrow"},
        {"portfolios": ["balanced", "balanced"]},
        {"portfolios": [""]},
        {"portfolios": []},
        {"portfolios": "balanced"},
        {"dry_run": "maybe"},
        {"shards": 0},
        {"shards": "many"},
    ],
)
def test_a_bad_value_is_refused(parameters):
    assert refusals(daily_rebalance, **parameters)


def test_an_untouched_form_is_taken():
    untouched = {
        "policy": "conservative",
        "as_of": None,
        "portfolios": None,
        "dry_run": False,
        "fresh": False,
        "shards": 1,
    }
    assert not refusals(daily_rebalance, **untouched)


def test_a_backfill_needs_its_range():
    assert refusals(backfill, first="2026-11-16")
    assert not refusals(backfill, first="2026-11-16", last="2026-11-20")


def test_each_field_is_explained():
    for flow in (daily_rebalance, backfill):
        assert all(field.get("description") for field in flow.parameters.properties.values())
