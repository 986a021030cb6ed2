"""What the server refuses before a run starts: the schema of the flow's parameters, as it is deployed."""

import datetime as dt
import re

import pytest
from prefect.exceptions import ParameterTypeError
from prefect.utilities.schema_tools.validation import is_valid_schema, validate

from flows.backfill import backfill
from flows.daily_rebalance import daily_rebalance
from flows.watchdog import watchdog
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
        {"as_of": "2026-11-31"},
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


def test_of_all_days_that_a_month_could_have_only_those_of_the_calendar_are_taken():
    days = [f"{year}-{month:02}-{day:02}" for year in (2026, 2028) for month in range(14) for day in range(33)]
    pattern = backfill.parameters.properties["first"]["pattern"]
    taken = {day for day in days if re.search(pattern, day)}
    assert taken - {"2026-02-29"} == {day for day in days if is_date(day)}  # the run itself refuses that one


def is_date(text):
    try:
        return dt.date.fromisoformat(text) is not None
    except ValueError:
        return False


def test_a_date_is_written_in_plain_digits_and_nothing_else():
    for text in ("2026-11-2", "20261120", "２０２６-11-20", "2026-11-20T00:00", " 2026-11-20"):
        assert refusals(backfill, first=text, last="2026-11-20")


def test_a_29_february_that_is_none_is_refused_when_the_run_starts():
    with pytest.raises((ParameterTypeError, ValueError), match="valid date"):
        backfill.validate_parameters({"first": "2026-02-29", "last": "2026-03-02"})


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
    for flow in (daily_rebalance, backfill, watchdog):
        assert all(field.get("description") for field in flow.parameters.properties.values())
