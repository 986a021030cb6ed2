"""Tasks that decide: one call into the engine each, free of side effects."""

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE

from core import engine
from core.batch import Judged
from core.engine import Plan
from core.models import Constrained, Step
from core.policy import Policy


@task(cache_policy=NO_CACHE)
def build_universe(judged: Judged, policy: Policy) -> pl.DataFrame:
    """Put together the assets that each portfolio considers."""
    return engine.considered_universe(judged.gated, policy)


@task(cache_policy=NO_CACHE)
def score(universe: pl.DataFrame, judged: Judged, policy: Policy) -> Step:
    """Score the universe, and screen out what may not compete."""
    return engine.scored_names(universe, judged.signal_values, policy)


@task(cache_policy=NO_CACHE)
def enforce_buckets(scored: Step, policy: Policy) -> Step:
    """Enforce bucket diversification, where the policy asks for it."""
    return engine.within_buckets(scored.rows, policy)


@task(cache_policy=NO_CACHE)
def select(enforced: Step, policy: Policy) -> Step:
    """Select the names to hold."""
    return engine.selected_names(enforced.rows, policy)


@task(cache_policy=NO_CACHE)
def size(selected: Step, policy: Policy) -> pl.DataFrame:
    """Give the selected names their wanted weights."""
    return engine.sized_names(selected.rows, policy)


@task(cache_policy=NO_CACHE)
def constrain(sized: pl.DataFrame, judged: Judged, policy: Policy) -> Constrained:
    """Bring the wanted weights within every constraint."""
    return engine.constrained_weights(sized, judged.gated.nav, policy)


@task(cache_policy=NO_CACHE)
def verify(constrained: Constrained, judged: Judged, policy: Policy) -> pl.DataFrame:
    """Check the final weights against every limit, independently of what made them."""
    return engine.verified(constrained, judged.gated.nav, policy)


@task(cache_policy=NO_CACHE)
def make_targets(
    steps: list[Step], constrained: Constrained, breaches: pl.DataFrame, judged: Judged, policy: Policy
) -> Plan:
    """Turn the final weights into what a desk trades, with the story of each."""
    return engine.plan_of(steps, constrained, breaches, judged.gated.nav, policy)
