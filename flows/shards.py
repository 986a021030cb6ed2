"""A batch in shards: each is a task of the task runner that the environment names; the flow asks, waits and tells."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from prefect.futures import PrefectFuture, as_completed

from core import batch
from core.batch import Occasion
from core.models import Shard
from core.results.report import BatchReport, Outcome, joined
from core.wording import in_short
from tasks.approval import hear
from tasks.artifacts import Progress, told_in_full
from tasks.labels import label
from tasks.publish import remove_leftovers
from tasks.runners import task_runner
from tasks.shards import compare_inputs, rebalance_shard, split

logger = logging.getLogger("core.shards")


def in_shards(
    occasion: Occasion, portfolios: Sequence[str] | None, count: int, *, fresh: bool, dry_run: bool
) -> BatchReport:
    """Decide and publish a batch in shards. One that fails does not stop the others; its portfolios are `failed`."""
    shards = split(occasion, portfolios, count)
    ids = [portfolio_id for shard in shards for portfolio_id in shard.portfolio_ids]
    occasion = label(occasion, ids, dry_run=dry_run)
    nothing = opened = batch.opened(occasion, dry_run=dry_run)
    if not dry_run:
        hear(occasion)
        opened = replace(nothing, removed=remove_leftovers(occasion.as_of))
    given = {"portfolios": portfolios, "fresh": fresh, "dry_run": dry_run, "shown": told_in_full(ids)}
    with task_runner() as runner:
        started = {
            runner.submit(rebalance_shard, {"occasion": occasion, "shard": shard, **given}): shard for shard in shards
        }
        ended = dict(_ended(started, nothing))
    told = joined(opened, [ended[shard.number] for shard in shards])
    return told if dry_run else compare_inputs(occasion, told)


def _ended(
    started: Mapping[PrefectFuture[BatchReport], Shard], nothing: BatchReport
) -> Iterator[tuple[int, BatchReport]]:
    """The number of each shard and what became of it, as they end."""
    progress = Progress("shards-progress", len(started), "shards")
    for done, future in enumerate(as_completed([*started]), start=1):
        shard = started[future]
        try:
            yield shard.number, future.result()
        except Exception as error:
            logger.exception("%s failed", shard.name)
            yield shard.number, replace(nothing, outcomes=_failed(shard, error))
        progress.tell(done, f"{shard.name} the last of them")


def _failed(shard: Shard, error: Exception) -> list[Outcome]:
    """The outcomes of a shard that did not come to its end; some of its portfolios may have been published before."""
    reason = (
        f"{shard.name} ({in_short(shard.portfolio_ids)}) failed: {error} What it had "
        "published before stands; run again for the rest."
    )
    return [Outcome(portfolio_id, "failed", reason) for portfolio_id in shard.portfolio_ids]
