"""Tasks that read: the policy, one snapshot of the inputs, and what the data gate says to them."""

from collections.abc import Sequence
from datetime import date

from prefect import task
from prefect.cache_policies import NO_CACHE

from core import batch, store, stored
from core.batch import Judged, Occasion
from core.models import Inputs
from core.policy import Policy
from tasks.retries import retried
from tasks.settings import named_policy, settings


@task(cache_policy=NO_CACHE)
def read_policy(name: str) -> Policy:
    """Read a policy; a document that is not right ends the run before anything else is read."""
    return named_policy(name)


@retried
def load_inputs(
    policy: Policy, as_of: date, portfolios: Sequence[str] | None, fresh: bool, batch_id: str
) -> list[Inputs]:
    """Read positions and everything else that the batch needs, in one part for each set of inputs."""
    database = store.engine_from_url(settings().database_url)
    store.require_current(database)
    return stored.read(database, settings().targets, policy, as_of, portfolios, fresh=fresh, batch_id=batch_id)


@task(cache_policy=NO_CACHE)
def judge_inputs(inputs: Inputs, policy: Policy) -> Judged:
    """Let the data gate judge the inputs, and compute the signals."""
    return batch.judged(inputs, policy)


@retried
def missed_sessions(occasion: Occasion) -> list[date]:
    """The sessions before this one that nobody ran."""
    return batch.missed(store.engine_from_url(settings().database_url), occasion)


@retried
def sessions_to_run(
    policy: Policy, first: date, last: date, portfolios: Sequence[str] | None, again: bool
) -> list[date]:
    """The sessions of a range that are still to be run, in order."""
    database = store.engine_from_url(settings().database_url)
    store.require_current(database)
    return batch.to_backfill(database, policy, first, last, portfolios, again=again)
