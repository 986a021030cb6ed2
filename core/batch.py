"""A batch from the database to its records, without Prefect: what the flow's tasks call around the engine.

`rebalance` is a whole batch. `read` takes one snapshot of the inputs, `judged` lets the data gate judge them and
computes the signals, and once the engine has planned, `records` makes one record per portfolio, published or refused,
with its identity. Publishing is the store's: `core.store.publish`.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy.engine import Engine

from core import store
from core.actions import sentences
from core.constraints.known import require_known
from core.engine import Plan, considered_universe, decided
from core.inputs import Gated, judge, judge_coverage, signal_values, table_names
from core.models import Inputs
from core.policy import Policy
from core.results.identity import inputs_hashes, run_id
from core.results.summary import BatchReport, Outcome
from core.results.verify import breach_sentence
from core.schemas import (
    UNKNOWN_BUCKET,
    Actions,
    Breaches,
    BucketStatisticsRows,
    Decisions,
    Explanations,
    Relaxations,
    Severity,
    Targets,
    empty,
)
from core.store import Published, RunRecord
from core.version import __version__

OUTPUTS = {
    "targets": Targets,
    "actions": Actions,
    "breaches": Breaches,
    "bucket_statistics": BucketStatisticsRows,
    "relaxations": Relaxations,
    "explanations": Explanations,
    "decisions": Decisions,
}
TOLD = 4  # so many reasons of a refusal are told in full
WIDEN = "Widen one of these limits in the policy, or change what conflicts with it."
STOPS = (Severity.STOP_BATCH.value, Severity.STOP_PORTFOLIO.value)


@dataclass(frozen=True)
class Occasion:
    """One batch: which policy, for which morning, and when it was started, by the clock of whoever started it."""

    policy: Policy
    as_of: dt.date
    batch_id: str
    started_at: dt.datetime  # with its zone


@dataclass(frozen=True)
class Judged:
    """Inputs that the data gate has judged, with the signals computed from them.

    `findings`: schema `Findings`, those of the gate, of the signals and of their coverage. `signal_values`: symbol,
    signal, value. `inputs_hashes`: the hash of the input rows of each requested portfolio.
    """

    gated: Gated = field(repr=False)
    signal_values: pl.DataFrame = field(repr=False)
    findings: pl.DataFrame = field(repr=False)
    inputs_hashes: dict[str, str]


def rebalance(
    engine: Engine,
    root: Path,
    occasion: Occasion,
    portfolios: Sequence[str] | None = None,
    *,
    clock: Callable[[], dt.datetime],
    dry_run: bool = False,
) -> BatchReport:
    """Read, decide and publish one batch: what the flow does, without Prefect.

    `root` is the folder of all targets; `clock` tells the time, with its zone, at which a run is finished.
    """
    policy = occasion.policy
    data = judged(read(engine, policy, occasion.as_of, portfolios), policy)
    plan = decided(considered_universe(data.gated, policy), data.signal_values, data.gated.nav, policy)
    made = records(data, plan, occasion)
    published = [None if dry_run else store.publish(engine, root, record, clock()) for record in made]
    outcomes = [outcome(record, done) for record, done in zip(made, published, strict=True)]
    return report(plan, data, occasion, outcomes, dry_run=dry_run)


def read(engine: Engine, policy: Policy, as_of: dt.date, portfolios: Sequence[str] | None = None) -> Inputs:
    """One snapshot of everything that a batch reads; `portfolios`: their ids, none for all active ones."""
    since = as_of - dt.timedelta(days=policy.history_days)
    return store.read_inputs(engine, policy.reads, as_of, portfolios or None, since)


def judged(inputs: Inputs, policy: Policy) -> Judged:
    """The inputs after the data gate, and the signals computed from them.

    A constraint that names a symbol or bucket of no asset is a `ConfigurationError`.
    """
    gated = judge(inputs, policy.data_gate, policy.source.candidates_from, table_names(policy.all_signals))
    if gated.stops_batch.is_empty():
        assets = inputs["assets"].select(pl.col("symbol", "bucket").cast(pl.String))
        require_known(policy.constraints, set(assets["symbol"]), {*assets["bucket"].drop_nulls(), UNKNOWN_BUCKET})
    computed, signal_findings = signal_values(gated, policy.all_signals)
    coverage = judge_coverage(computed, gated.candidates, policy.data_gate)
    portfolio_ids = inputs["portfolios"]["portfolio_id"].drop_nulls().cast(pl.String).unique().sort().to_list()
    return Judged(
        gated=gated,
        signal_values=computed,
        findings=pl.concat([gated.findings, signal_findings, coverage]),
        inputs_hashes=dict(inputs_hashes(inputs, portfolio_ids)),
    )


def records(judged_inputs: Judged, plan: Plan, occasion: Occasion) -> list[RunRecord]:
    """One record per portfolio of the batch, in order of their ids: to be published, or refused with the reason."""
    parts = {name: _by_portfolio(getattr(plan, name)) for name in OUTPUTS}
    findings = judged_inputs.findings
    shared = findings.filter(pl.col("portfolio_id").is_null())
    own = _by_portfolio(findings.drop_nulls("portfolio_id"))
    conflicts = dict(plan.infeasible.select("portfolio_id", "conflict").iter_rows())
    of_batch = _of_batch(occasion)
    return [
        _record(
            portfolio_id,
            inputs_hash,
            pl.concat([shared, own.get(portfolio_id, shared.clear())]),
            {name: frames.get(portfolio_id, empty(OUTPUTS[name])) for name, frames in parts.items()},
            conflicts.get(portfolio_id),
            of_batch,
        )
        for portfolio_id, inputs_hash in judged_inputs.inputs_hashes.items()
    ]


def _by_portfolio(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {str(key[0]): part for key, part in frame.partition_by("portfolio_id", as_dict=True).items()}


def _of_batch(occasion: Occasion) -> dict[str, Any]:
    """What all records of a batch have in common."""
    return {
        "as_of": occasion.as_of,
        "batch_id": occasion.batch_id,
        "policy_name": occasion.policy.name,
        "policy_hash": occasion.policy.hash,
        "policy": occasion.policy.document,
        "program_version": __version__,
        "started_at": occasion.started_at,
    }


def _record(
    portfolio_id: str,
    inputs_hash: str,
    findings: pl.DataFrame,
    parts: dict[str, Any],
    conflict: str | None,
    of_batch: dict[str, Any],
) -> RunRecord:
    """A refused run keeps its decisions, without weights that nobody may trade."""
    reason = refusal(findings, parts["breaches"], parts["actions"], conflict)
    if reason is not None:
        unweighted = parts["decisions"].with_columns(target_weight=pl.lit(None, pl.Float64))
        parts = parts | {"decisions": unweighted}
    return RunRecord(
        portfolio_id=portfolio_id,
        run_id=run_id(of_batch["as_of"], portfolio_id, of_batch["policy_hash"], inputs_hash),
        inputs_hash=inputs_hash,
        findings=findings,
        reason=reason,
        **of_batch,
        **parts,
    )


def refusal(
    findings: pl.DataFrame, breaches: pl.DataFrame, actions: pl.DataFrame, conflict: str | None = None
) -> str | None:
    """Why a run is refused, in words: what stops it, with the remedy, or the limits that its weights breach.

    An unmet representation is told with the nearest way out. An infeasible run has no weights to judge: its `conflict`,
    which has the ways out in it, comes first and in full, in place of breaches.
    """
    stops = findings.filter(pl.col("severity").cast(pl.String).is_in(STOPS))
    reasons = [f"{row['message']} {row['remedy']}" for row in stops.iter_rows(named=True)]
    unmet = [f"{told}." for told in sentences(actions.filter(verb="unmet"))]
    if conflict is not None:
        reasons += unmet
    elif not breaches.is_empty():
        reasons += [*map(breach_sentence, breaches.iter_rows(named=True)), *unmet, WIDEN]
    more = [f"And {len(reasons) - TOLD} more."] if len(reasons) > TOLD else []
    told = " ".join([*reasons[:TOLD], *more])
    return "\n\n".join(part for part in (conflict, told) if part) or None


def outcome(record: RunRecord, published: Published | None = None) -> Outcome:
    """What became of a record; without publishing it, what would."""
    done = "planned" if published is None else published.outcome
    return Outcome(record.portfolio_id, "refused" if record.refused else done, record.refusal)


def report(
    plan: Plan, judged_inputs: Judged, occasion: Occasion, outcomes: Sequence[Outcome], *, dry_run: bool
) -> BatchReport:
    """Everything that is told about a batch; a refused run has no targets."""
    refused = [told.portfolio_id for told in outcomes if told.outcome == "refused"]
    kept = ~pl.col("portfolio_id").is_in(refused)
    return BatchReport(
        as_of=occasion.as_of,
        policy_name=occasion.policy.name,
        batch_id=occasion.batch_id,
        dry_run=dry_run,
        outcomes=outcomes,
        targets=plan.targets.filter(kept),
        actions=plan.actions,
        findings=judged_inputs.findings,
        bucket_statistics=plan.bucket_statistics.filter(kept),
        relaxations=plan.relaxations,
        explanations=plan.explanations.filter(kept),
        decisions=plan.decisions.with_columns(target_weight=pl.when(kept).then("target_weight")),
    )
