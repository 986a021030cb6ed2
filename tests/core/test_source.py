"""What a source accepts."""

import pytest
from pydantic import TypeAdapter, ValidationError

from core.errors import ConfigurationError
from core.source import Source


def test_an_unknown_table_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'prices'"):
        Source(queries={"price": "SELECT 1"})


@pytest.mark.parametrize("of", ["queries", "signal_queries"])
def test_an_empty_query_is_refused(of: str) -> None:
    with pytest.raises(ConfigurationError, match="the query of 'prices' is empty"):
        Source(**{of: {"prices": " \n"}})


def test_a_policy_reads_a_source_and_refuses_unknown_keys() -> None:
    read = TypeAdapter(Source).validate_python
    assert read({"queries": {"prices": "SELECT 1"}}) == Source(queries={"prices": "SELECT 1"})
    with pytest.raises(ValidationError, match="query"):
        read({"query": {"prices": "SELECT 1"}})
