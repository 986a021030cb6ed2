"""Tasks of a batch in shards: which there are, and one of them from the database to its published targets.

`rebalance_shard` does for its portfolios what the chain of tasks does for all, in one task of seconds, and may run
anywhere: it takes the guard itself, so that what it holds is freed by the death of its process, and run again it finds
what it had published. What it returns stays small, however large the batch (`core.results.report.shortened`).
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task
from sqlalchemy.engine import Engine

from core import batch, store, stored
from core.batch import Occasion
from core.errors import StoreError
from core.models import Inputs, Shard, sharded
from core.results.report import BatchReport, joined, shortened
from core.timing import stopwatch
from core.wording import in_short
from tasks.artifacts import ROWS
from tasks.guard import one_at_a_time
from tasks.retries import on_outage, retried
from tasks.settings import settings

AGAIN = [2.0, 10.0, 60.0]  # seconds; within a minute, the database notices that a worker's machine is gone


class LeftBehindError(StoreError):
    """An earlier attempt of a shard holds its portfolios still: its worker was lost, but is not known to be dead."""


@retried
def split(occasion: Occasion, portfolios: Sequence[str] | None, count: int) -> list[Shard]:
    """Split the requested portfolios, or all active ones, into shards."""
    database = store.engine_from_url(settings().database_url)
    store.require_current(database)
    return sharded(store.portfolio_ids(database, occasion.policy.reads, portfolios), count)


@retried
def compare_inputs(occasion: Occasion, ended: BatchReport) -> BatchReport:
    """Warn where shared inputs were changed between one shard and another: each reads its own snapshot."""
    changed = batch.changed_meanwhile(store.engine_from_url(settings().database_url), occasion.batch_id)
    return replace(ended, findings=pl.concat([changed, ended.findings]))


def may_be_repeated(_task: Task[Any, Any], _task_run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed shard may be tried again: after an outage, or where an earlier attempt is not quite over."""
    try:
        state.result()
    except LeftBehindError:
        return True
    except Exception:
        return on_outage(_task, _task_run, state)
    return False


@task(
    task_run_name="{shard.name}",
    retries=len(AGAIN),
    retry_delay_seconds=AGAIN,
    retry_condition_fn=may_be_repeated,
    cache_policy=NO_CACHE,
)
def rebalance_shard(
    occasion: Occasion,
    shard: Shard,
    portfolios: Sequence[str] | None,
    fresh: bool,
    dry_run: bool,
    shown: Collection[str] | None,
) -> BatchReport:
    """Read, decide and publish the portfolios of a shard, each all of it or nothing.

    `portfolios`: those that were requested of the batch. `shown`: those whose rows are returned; None for all.
    """
    database, root = store.engine_from_url(settings().database_url), settings().targets
    policy, as_of, batch_id = occasion.policy, occasion.as_of, occasion.batch_id
    try:
        with stopwatch() as seconds:
            parts = stored.read(database, root, policy, as_of, portfolios, fresh=fresh, batch_id=batch_id, shard=shard)
            done = _planned(database, occasion, parts) if dry_run else _published(database, occasion, shard, parts)
    finally:
        database.dispose()  # a worker lives on, and its connections would
    timed = replace(done, seconds=seconds)
    return timed if shown is None else shortened(timed, shown, ROWS)


def _planned(database: Engine, occasion: Occasion, parts: Sequence[Inputs]) -> BatchReport:
    root = settings().targets
    made = [batch.rebalanced(database, root, occasion, part, clock=_now, dry_run=True) for part in parts]
    return joined(batch.opened(occasion, dry_run=True), made)


def _published(database: Engine, occasion: Occasion, shard: Shard, parts: Sequence[Inputs]) -> BatchReport:
    named = replace(occasion, holder=f"{occasion.holder}, {shard.name}")
    with one_at_a_time(named, parts) as at_work:
        if at_work.left_behind:
            told = in_short(at_work.left_behind)
            raise LeftBehindError(f"an earlier attempt of {shard.name} is still at work on {told}. Run again.")
        opened = replace(batch.opened(occasion), outcomes=at_work.busy)
        publish = partial(batch.rebalanced, clock=_now, dry_run=False, before_publishing=at_work.require_held)
        return joined(opened, [publish(database, settings().targets, occasion, part) for part in at_work.own(parts)])


def _now() -> datetime:
    return datetime.now(UTC)
