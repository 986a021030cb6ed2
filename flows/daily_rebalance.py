"""The daily rebalance: from yesterday's positions and today's signals to today's published targets."""

from datetime import date
from typing import Any, cast

from prefect import flow
from prefect.client.schemas.objects import State

from core.results.summary import BatchReport
from flows.occasion import BatchRefusedError, occasion_of, verdict
from tasks.decide import build_universe, constrain, enforce_buckets, make_targets, score, select, size, verify
from tasks.load import judge_inputs, load_inputs, read_policy
from tasks.publish import plan_only, publish, report


@flow(name="daily-rebalance")
def daily_rebalance(
    policy: str = "conservative",
    as_of: date | None = None,
    portfolios: list[str] | None = None,
    dry_run: bool = False,
) -> State[BatchReport]:
    """Rebalance the portfolios for one morning and publish their targets.

    Ends Failed where a portfolio is refused, naming it and the reason; the other portfolios are published. Running it
    again is always safe: the same inputs and policy give the same run, once.

    Args:
        policy: The policy's name: a file in the folder of policies, without `.yaml`.
        as_of: The morning to decide for. Empty: the day this run was scheduled for, in the policy's time zone.
        portfolios: Ids of the portfolios to rebalance. Empty: all active ones.
        dry_run: Decide and show everything, but publish nothing.
    """
    document = read_policy(policy)
    occasion = occasion_of(document, as_of)
    inputs = load_inputs(document, occasion.as_of, portfolios)
    judged = judge_inputs(inputs, document)
    scored = score(build_universe(judged, document), judged, document)
    enforced = enforce_buckets(scored, document)
    selected = select(enforced, document)
    constrained = constrain(size(selected, document), judged, document)
    breaches = verify(constrained, judged, document)
    plan = make_targets([scored, enforced, selected], constrained, breaches, judged, document)
    outcomes = (plan_only if dry_run else publish)(plan, judged, occasion)
    return verdict(report(plan, judged, occasion, outcomes, dry_run))


def rebalanced(**parameters: Any) -> BatchReport:
    """Run the flow in this process, and return its report, also where it refused portfolios."""
    state: State[Any] = daily_rebalance(**parameters, return_state=True)
    try:
        return cast("BatchReport", state.result())
    except BatchRefusedError as refusal:
        return refusal.report
