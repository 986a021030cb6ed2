"""`python -m deployments.parameters`: let the server refuse parameters that a flow does not have.

`prefect deploy` tells the server which parameters there are, and does not tell it that there are no others: a run that
is started through the API with another one crashes before it begins. `close` says so in the schema of each of
Evenkeel's deployments. A later `prefect deploy` takes it away again.
"""

from prefect import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

TAG = "evenkeel"  # of every deployment in prefect.yaml
NO_OTHERS = {"additionalProperties": False}  # JSON Schema


def close() -> list[str]:
    """Close the parameters of all deployments; returns the names of these."""
    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    with get_client(sync_client=True) as client:
        found = client.read_deployments(deployment_filter=ours)
        for deployment in found:
            schema = {**(deployment.parameter_openapi_schema or {}), **NO_OTHERS}
            client.update_deployment(deployment.id, DeploymentUpdate(parameter_openapi_schema=schema))
    return sorted(deployment.name for deployment in found)


def main() -> None:
    """Close the parameters of all deployments, and say of which."""
    print(f"Parameters that the flow does not have are refused: {', '.join(close()) or 'nothing is deployed yet'}")


if __name__ == "__main__":
    main()
