"""`python -m deployments.server start ...`: what `prefect server start ...` does, with schedules that work.

The server of Prefect 3.8 hands each scheduled run to SQLAlchemy with its state beside its columns, which SQLAlchemy 2.0
passed over and 2.1 refuses ("Can't evaluate bulk DML statement"): no scheduled run is ever made, and only the server's
log tells. `let_schedules_be_inserted` says that a state is no column of a run; Prefect inserts it by itself afterwards.
"""

import runpy
import sys
from collections.abc import MutableMapping
from typing import Any


def let_schedules_be_inserted() -> None:
    """Let runs be inserted together with their states, as SQLAlchemy 2.0 did. For this process; harmless elsewhere."""
    from prefect.server.database.orm_models import FlowRun

    state: Any = vars(FlowRun)["state"]
    if getattr(state, "bulk_dml_setter", None) is None:
        state.bulk_dml_setter = _not_a_column


def _not_a_column(_of: type, _row: MutableMapping[str, Any], _state: object) -> None:
    """Nothing of it goes into the row."""


if __name__ == "__main__":
    let_schedules_be_inserted()
    sys.argv = ["prefect", "server", *sys.argv[1:]]
    runpy.run_module("prefect", run_name="__main__")
