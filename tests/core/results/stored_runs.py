"""Stored runs of one portfolio, with weights and changes that a reader can add up."""

from core.models import Inputs
from core.results.diff import RunFacts, StoredRun
from core.schemas import Decisions, Explanations
from tests.core.store.samples import LAST, TODAY, decision, inputs, rows, target_rows

RUN = {"portfolio_id": "core", "as_of": TODAY}


def facts(run_id="a", **changes):
    known = {"status": "published", "policy_name": "calm", "program_version": "1", "environment": "Python 3, polars 2"}
    return RunFacts(**{"run_id": run_id, **RUN, "reason": None, **known} | changes)


def run(run_id="a", weights=None, changes=(), decisions=None, read=None, policy=None, **said):
    """A run with targets; `weights`: symbol to (wanted, target); `changes`: (symbol, rule, limit, change)."""
    weights = weights or {}
    told = [dict(zip(("symbol", "rule", "limit", "change"), change, strict=True)) for change in changes]
    numbered = [RUN | {"seq": seq, "before": 0.0, "after": 0.0} | change for seq, change in enumerate(told)]
    decided = [decision(symbol, wanted, target, "core", TODAY) for symbol, (wanted, target) in weights.items()]
    return StoredRun(
        facts=facts(run_id, **said),
        policy=policy or {},
        inputs=read,
        targets=target_rows("core", TODAY, {symbol: target for symbol, (_, target) in weights.items()}),
        decisions=rows(Decisions, *(decided if decisions is None else decisions)),
        explanations=rows(Explanations, *numbered),
    )


def read(as_of=TODAY, last_prices=LAST, **frames):
    return Inputs(as_of, inputs() | frames, last_prices)
