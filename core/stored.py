"""Which inputs a batch is made from: those of the database as it stands, or those stored with the day's runs.

A scheduled run reads afresh. A day that is done again by hand starts from what its runs were made from (`read`), so
that the same policy gives the same runs, and another policy is compared on equal terms. A portfolio without a current
run, one that was refused for instance, is read afresh in any case. As portfolios may have been read at different
moments, there is one part for each set of inputs.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy.engine import Engine

from core import store
from core.errors import InputError
from core.models import Inputs, Shard
from core.policy import Policy
from core.policy_file import parse_policy
from core.store import InputSet
from core.timing import timed
from core.wording import counted

AFRESH = "Run with fresh inputs: `evenkeel run --fresh`."


@timed("reading")
def read(
    engine: Engine,
    root: Path,
    policy: Policy,
    as_of: dt.date,
    portfolios: Sequence[str] | None,
    *,
    fresh: bool,
    batch_id: str | None = None,
    shard: Shard | None = None,
) -> list[Inputs]:
    """Everything that a batch reads, one part for each set of inputs; `portfolios`: their ids, none for all active.

    Of a `shard` of that batch, everything that it needs. What batch `batch_id` has published itself, before it was
    interrupted, is not read afresh a second time.

    Raises `InputError` where stored inputs are not enough for this policy, or were read by other queries.
    """
    current = {told.portfolio_id: told.run_id for told in store.current_runs(engine, as_of, but_of=batch_id)}
    known = store.current_inputs(engine, as_of, batch_id if fresh else None) if batch_id or not fresh else {}
    wanted = portfolios if shard is None else shard.portfolio_ids
    if wanted and {*wanted} <= {*known}:
        parts = _stored(engine, root, policy, as_of, {name: known[name] for name in wanted})
    else:
        inputs = read_afresh(engine, policy, as_of, portfolios, shard)
        rest = [name for name in inputs.portfolio_ids if name not in known]
        again = {name: known[name] for name in inputs.portfolio_ids if name in known}
        parts = _stored(engine, root, policy, as_of, again)
        parts += [inputs.of(rest)] if rest or not parts else []
    return [replace(part, current_runs=current) for part in parts]


def read_afresh(
    engine: Engine,
    policy: Policy,
    as_of: dt.date,
    portfolios: Sequence[str] | None = None,
    shard: Shard | None = None,
) -> Inputs:
    """One snapshot of everything that a batch reads, or a shard of it."""
    since = as_of - dt.timedelta(days=policy.history_days)
    return store.read_inputs(engine, policy.reads, as_of, portfolios or None, since, shard)


def _stored(engine: Engine, root: Path, policy: Policy, as_of: dt.date, known: dict[str, InputSet]) -> list[Inputs]:
    for portfolio_id, made_from in known.items():
        _require_enough(portfolio_id, made_from, policy)
    sets = dict.fromkeys(made_from.inputs_id for made_from in known.values())
    return [
        store.stored_inputs(engine, root, inputs_id, as_of).of(
            [name for name, made_from in known.items() if made_from.inputs_id == inputs_id]
        )
        for inputs_id in sets
    ]


def _require_enough(portfolio_id: str, made_from: InputSet, policy: Policy) -> None:
    """The stored inputs are what this policy would have read, or more."""
    then = parse_policy(made_from.policy, f"of run {made_from.run_id}")
    stored = f"the inputs stored with run {made_from.run_id} of portfolio {portfolio_id!r}"
    if then.reads != policy.reads:
        raise InputError(f"{stored} were read by other queries than those of policy {policy.name}. {AFRESH}")
    if then.history_days < policy.history_days:
        raise InputError(
            f"{stored} go back {counted(then.history_days, 'day')}, and policy {policy.name} needs "
            f"{policy.history_days}. {AFRESH}"
        )
