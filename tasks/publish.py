"""Tasks that tell: publish the targets as Parquet and SQL, and report the batch as artifacts."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE
from sqlalchemy.engine import Engine

from core import batch, store
from core.batch import Judged, Occasion
from core.compare import diff_of
from core.engine import Plan
from core.results.chart import charts
from core.results.report import SHOWN, BatchReport
from tasks.artifacts import create_artifacts, create_diff, pictured
from tasks.guard import AtWork
from tasks.labels import label_outcomes
from tasks.retries import retried
from tasks.settings import settings

logger = logging.getLogger("core.publish")


@retried
def remove_leftovers(as_of: date) -> list[str]:
    """Remove the files that runs which were killed have left behind."""
    removed = batch.tidied(store.engine_from_url(settings().database_url), settings().targets, as_of)
    for path in removed:
        logger.warning("removed %s, which a killed run had left behind and no run names", path)
    return removed


@retried
def publish(plan: Plan, judged: Judged, occasion: Occasion, at_work: AtWork) -> BatchReport:
    """Publish each portfolio, all of it or nothing; what was published before is recognised."""
    at_work.require_held()
    database = store.engine_from_url(settings().database_url)
    return batch.published(database, settings().targets, plan, judged, occasion, lambda: datetime.now(UTC))


@task(cache_policy=NO_CACHE)
def plan_only(plan: Plan, judged: Judged, occasion: Occasion) -> BatchReport:
    """Say what would become of each portfolio; nothing is published."""
    return batch.planned(plan, judged, occasion)


@retried
def compare(told: BatchReport) -> None:
    """Create an artifact for each run that took the place of another, the first ones: what changed, and why."""
    database, root = store.engine_from_url(settings().database_url), settings().targets
    for outcome in told.superseding[:SHOWN]:
        create_diff(diff_of(database, root, str(outcome.supersedes), str(outcome.run_id)))


@retried
def report(told: BatchReport) -> dict[str, str]:
    """Create the artifacts: pictures of the weights, and tables of what was decided; returns the pictures."""
    database = store.engine_from_url(settings().database_url)
    drawn = pictured(told)
    shown = told if told.counted is None or told.dry_run else _with_rows(database, told, drawn)
    pictures = dict(charts(shown, drawn, store.last_targets(database, told.as_of, drawn)))
    create_artifacts(told, pictures)
    label_outcomes(told)
    return pictures


def _with_rows(database: Engine, told: BatchReport, portfolios: Sequence[str]) -> BatchReport:
    """The report with the stored rows of these portfolios, of which a large batch in shards does not carry any."""
    run_ids = [str(outcome.run_id) for outcome in told.outcomes if outcome.portfolio_id in portfolios]
    stored = {
        name: pl.concat([getattr(told, name).clear(), *(store.run_rows(database, name, run_id) for run_id in run_ids)])
        for name in ("targets", "bucket_statistics")
    }
    return replace(told, **stored)
