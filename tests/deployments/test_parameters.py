"""Which parameters a server takes for a run of a deployment."""

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError

from deployments import parameters
from flows.daily_rebalance import daily_rebalance

GIVEN = {"as_of": "2026-11-20", "portfolios": ["balanced"]}


@pytest.fixture
def deployment(prefect_server):
    """A deployment as `prefect deploy` makes it."""
    with get_client(sync_client=True) as client:
        made = client.create_deployment(
            client.create_flow(daily_rebalance),
            "closed",
            tags=[parameters.TAG],
            parameter_openapi_schema=daily_rebalance.parameters.model_dump(),
        )
        yield made
        client.delete_deployment(made)


def started(deployment, **given):
    with get_client(sync_client=True) as client:
        return client.create_flow_run_from_deployment(deployment, parameters=given).parameters


def test_a_parameter_that_the_flow_does_not_have_is_refused_before_a_run_starts(deployment):
    assert parameters.close() == ["closed"]
    assert parameters.close() == ["closed"]
    with pytest.raises(PrefectHTTPStatusError, match="'nosuch' was unexpected"):
        started(deployment, **GIVEN, nosuch=1)
    assert started(deployment, **GIVEN) == GIVEN


def test_nothing_else_of_a_deployment_changes(deployment):
    with get_client(sync_client=True) as client:
        before = client.read_deployment(deployment)
        parameters.close()
        after = client.read_deployment(deployment)
    assert after.parameter_openapi_schema == before.parameter_openapi_schema | {"additionalProperties": False}
    changing = {"parameter_openapi_schema", "updated"}
    assert after.model_dump(exclude=changing) == before.model_dump(exclude=changing)


def test_where_nothing_is_deployed_it_says_so(prefect_server, capsys):
    parameters.main()
    assert "nothing is deployed yet" in capsys.readouterr().out
