"""Where the shards of a batch run: on threads of the flow's own process, or on the workers of a Dask cluster."""

import os
from typing import Any

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from core.errors import ConfigurationError, nearest_hint

WORKERS = 2  # on one machine; Polars uses all its cores in each, and each holds a shard in memory


def task_runner() -> TaskRunner[Any]:
    """What `EVENKEEL_TASK_RUNNER` names, with so many workers as `EVENKEEL_WORKERS` says.

    `threads`, the default, or `dask`: the cluster whose scheduler has the address `EVENKEEL_DASK_ADDRESS`; without one,
    a cluster of processes on this machine, which ends with the run. Raises `ConfigurationError` for anything else.
    """
    name = os.environ.get("EVENKEEL_TASK_RUNNER") or "threads"
    if name not in RUNNERS:
        raise ConfigurationError(f"EVENKEEL_TASK_RUNNER is {name!r}; {nearest_hint(name, RUNNERS)}")
    return RUNNERS[name]()


def _threads() -> TaskRunner[Any]:
    return ThreadPoolTaskRunner(max_workers=_workers())


def _dask() -> TaskRunner[Any]:
    try:  # here, as it takes a second, which threads need not pay
        from prefect_dask.task_runners import DaskTaskRunner
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "EVENKEEL_TASK_RUNNER is 'dask', which needs the package prefect-dask: install the extra `dask`, here and "
            "on all workers (docs/scaling.md), or unset EVENKEEL_TASK_RUNNER."
        ) from error
    address = os.environ.get("EVENKEEL_DASK_ADDRESS")
    if address:
        return DaskTaskRunner(address=address)
    return DaskTaskRunner(cluster_kwargs={"n_workers": _workers(), "threads_per_worker": 1, "dashboard_address": None})


def _workers() -> int:
    said = os.environ.get("EVENKEEL_WORKERS") or str(WORKERS)
    if not said.isdecimal() or int(said) < 1:
        raise ConfigurationError(f"EVENKEEL_WORKERS is {said!r}: give the number of shards to run at once, 1 or more.")
    return int(said)


RUNNERS = {"threads": _threads, "dask": _dask}
