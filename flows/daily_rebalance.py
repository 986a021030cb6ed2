"""The daily rebalance: from yesterday's positions and today's signals to today's published targets."""

from dataclasses import replace
from typing import Any, cast

from prefect import flow
from prefect.client.schemas.objects import State

from core import batch
from core.approval import Approval
from core.batch import Judged, Occasion
from core.engine import Plan
from core.errors import SkippedError
from core.models import Inputs
from core.results.report import BatchReport, joined
from core.timing import added, stopwatch
from flows.approval import ask
from flows.form import Count, Day, Ids, PolicyName
from flows.occasion import (
    SKIPPED,
    BatchBusyError,
    BatchFailedError,
    BatchRefusedError,
    occasion_of,
    skipped,
    verdict,
    why_skipped,
)
from flows.shards import in_shards
from tasks.approval import has_asked, hear
from tasks.artifacts import create_summary
from tasks.decide import build_universe, constrain, enforce_buckets, make_targets, score, select, size, verify
from tasks.guard import one_at_a_time
from tasks.labels import label
from tasks.load import judge_inputs, load_inputs, missed_sessions, read_policy
from tasks.publish import compare, plan_only, publish, remove_leftovers, report


@flow(name="daily-rebalance")
def daily_rebalance(
    policy: PolicyName = "conservative",
    as_of: Day | None = None,
    portfolios: Ids | None = None,
    dry_run: bool = False,
    fresh: bool = False,
    approval: Approval | None = None,
    shards: Count = 1,
) -> State[Any]:
    """Rebalance the portfolios for one morning and publish their targets.

    Ends Failed where a portfolio is refused, naming it and the reason; the other portfolios are published. Running it
    again is always safe: the same inputs and policy give the same run, once. Where another run is at work on the same
    portfolios and date, it leaves them alone, says whose they are, and ends Busy if there are no others. On a day
    that is no session of the policy's exchange it ends Skipped, and so does a scheduled run that comes so late that the
    next session has come, unless it comes back with what a person has answered.

    Where the policy asks for a person's approval, the portfolios concerned wait, and the others are published at once;
    then the run suspends with a form. Resumed, it runs again from the top: what was approved is published if it is
    still exactly what was shown, and asked about anew if it is not. What is rejected, or not approved in time, is
    refused.

    Args:
        policy: The limits, signals and sizing to decide by: the name of a policy file.
        as_of: The session to decide for. Empty: the day for which this run is scheduled, at the policy's exchange.
        portfolios: Ids of the portfolios to rebalance. Empty: all active ones.
        dry_run: Decide and show everything, but publish nothing.
        fresh: Read all inputs from the database as it stands. Otherwise a portfolio that was published for this
            morning already is decided from the inputs that were stored then.
        approval: Where the policy asks for a person's approval: who gives it beforehand, and why. Empty: whoever looks
            at this run is asked.
        shards: In so many shards, of nearly equal size, the portfolios are decided and published, each a task of its
            own. The targets are the same for any number; the memory needed is that of the shards that run at once.
    """
    document = read_policy(policy)
    occasion = label(occasion_of(document, as_of, approval), portfolios, dry_run=dry_run)
    why = why_skipped(occasion, as_of, has_asked)
    if why is not None:
        return skipped(why)
    with stopwatch() as seconds:
        if shards > 1:
            done = in_shards(occasion, portfolios, shards, fresh=fresh, dry_run=dry_run)
        else:
            parts = load_inputs(document, occasion.as_of, portfolios, fresh, occasion.batch_id)
            occasion = label(occasion, [name for part in parts for name in part.portfolio_ids], dry_run=dry_run)
            done = _dry_run(parts, occasion) if dry_run else _run(parts, occasion)
    told = replace(
        done,
        missed=missed_sessions(occasion),
        early_close=batch.early_close(occasion),
        seconds=added(seconds, done.seconds),
    )
    create_summary(told, report(told))
    compare(told)
    ask(told, occasion)
    return verdict(told)


def _run(parts: list[Inputs], occasion: Occasion) -> BatchReport:
    """Decide and publish, while nobody else does the same."""
    hear(occasion)
    with one_at_a_time(occasion, parts) as at_work:
        opened = replace(batch.opened(occasion), removed=remove_leftovers(occasion.as_of), outcomes=at_work.busy)
        return joined(opened, [publish(*_decided(part, occasion), occasion, at_work) for part in at_work.own(parts)])


def _dry_run(parts: list[Inputs], occasion: Occasion) -> BatchReport:
    """Decide, and say what would be published."""
    opened = batch.opened(occasion, dry_run=True)
    return joined(opened, [plan_only(*_decided(part, occasion), occasion) for part in parts])


def _decided(inputs: Inputs, occasion: Occasion) -> tuple[Plan, Judged]:
    """The chain, from one set of inputs to the plan of its portfolios."""
    policy = occasion.policy
    judged = judge_inputs(inputs, policy)
    scored = score(build_universe(judged, policy), judged, policy)
    enforced = enforce_buckets(scored, policy)
    selected = select(enforced, policy)
    constrained = constrain(size(selected, policy), judged, policy)
    breaches = verify(constrained, judged, policy)
    return make_targets([scored, enforced, selected], constrained, breaches, judged, policy), judged


def rebalanced(**parameters: Any) -> BatchReport:
    """Run the flow in this process, and return its report, also where portfolios were refused, failed or busy.

    Raises `SkippedError` where there was nothing to do.
    """
    state: State[Any] = daily_rebalance(**parameters, return_state=True)
    if state.name == SKIPPED:
        raise SkippedError(str(state.message))
    try:
        return cast("BatchReport", state.result())
    except (BatchRefusedError, BatchFailedError, BatchBusyError) as ended:
        return ended.report
