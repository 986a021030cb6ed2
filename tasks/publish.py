"""Tasks that tell: publish the targets as Parquet and SQL, and report the batch as artifacts."""

from datetime import UTC, datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from core import batch, store
from core.batch import Judged, Occasion
from core.engine import Plan
from core.results.summary import BatchReport, Outcome
from tasks.artifacts import create_artifacts
from tasks.retries import DELAYS, RETRIES, on_outage
from tasks.settings import settings


@task(retries=RETRIES, retry_delay_seconds=DELAYS, retry_condition_fn=on_outage, cache_policy=NO_CACHE)
def publish(plan: Plan, judged: Judged, occasion: Occasion) -> list[Outcome]:
    """Publish each portfolio, all of it or nothing; what was published before is recognised."""
    database = store.engine_from_url(settings().database_url)
    outcomes = []
    for record in batch.records(judged, plan, occasion):
        published = store.publish(database, settings().targets, record, datetime.now(UTC))
        outcomes.append(batch.outcome(record, published))
    return outcomes


@task(cache_policy=NO_CACHE)
def plan_only(plan: Plan, judged: Judged, occasion: Occasion) -> list[Outcome]:
    """Say what would become of each portfolio; nothing is published."""
    return [batch.outcome(record) for record in batch.records(judged, plan, occasion)]


@task(cache_policy=NO_CACHE)
def report(plan: Plan, judged: Judged, occasion: Occasion, outcomes: list[Outcome], dry_run: bool) -> BatchReport:
    """Create the artifacts: the summary, and tables of enforcement actions, targets and buckets."""
    told = batch.report(plan, judged, occasion, outcomes, dry_run=dry_run)
    create_artifacts(told)
    return told
