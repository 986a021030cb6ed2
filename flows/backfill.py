"""The backfill: sessions that were missed, in order, each with the data of its day."""

from datetime import date
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from core.approval import Approval
from flows.daily_rebalance import daily_rebalance
from flows.form import Count, Day, Ids, PolicyName
from flows.occasion import backfilled
from tasks.artifacts import Progress
from tasks.load import read_policy, sessions_to_run


@flow(name="backfill", flow_run_name="{first} to {last} {policy}")
def backfill(
    first: Day,
    last: Day,
    policy: PolicyName = "conservative",
    portfolios: Ids | None = None,
    again: bool = False,
    approval: Approval | None = None,
    shards: Count = 1,
) -> State[Any]:
    """Run the sessions of a range in order, each with the data of its day.

    A session of which every portfolio has a current run of this policy is passed over, so that a backfill that was
    interrupted goes on where it stopped. One that fails does not stop the others; the backfill then ends Failed, naming
    it.

    Args:
        first: The first session.
        last: The last session, included.
        policy: The limits, signals and sizing to decide by: the name of a policy file.
        portfolios: Ids of the portfolios. Empty: all active ones.
        again: Run sessions again that are current already, with fresh inputs.
        approval: Where the policy asks for a person's approval: who gives it beforehand for all sessions of the range,
            and why. Empty: what needs a person is refused, as nobody is asked in a backfill.
        shards: In so many shards the portfolios of a session are decided and published, as in a daily rebalance.
    """
    document = read_policy(policy)
    days = sessions_to_run(document, first, last, portfolios, again)
    progress = Progress("backfill-progress", len(days), "sessions")
    ended: dict[date, State[Any]] = {}
    for day in days:
        ended[day] = daily_rebalance(
            policy=policy,
            as_of=day,
            portfolios=portfolios,
            fresh=True,
            approval=approval,
            shards=shards,
            return_state=True,
        )
        progress.tell(len(ended), f"up to {day}")
    return backfilled(ended)
