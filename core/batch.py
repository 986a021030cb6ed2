"""A batch from the database to its records, without Prefect: what the flow's tasks call around the engine.

`rebalance` is a whole batch. `read` takes the inputs: one snapshot of the database, or for a day that is done again
what was stored with its runs (`core.stored`), in one part for each set of inputs. Of each part, `judged` lets the data
gate judge the inputs and computes the signals, and once the engine has planned, `records` makes one record per
portfolio, published or refused, with its identity. Publishing is the store's: `core.store.publish`; whether a person
must agree first is judged by `core.consent`.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy.engine import Engine

from core import store
from core.actions import sentences
from core.approval import Approval
from core.consent import Asking, Consent, consented, settled, told
from core.constraints.known import require_known
from core.engine import Plan, considered_universe, decided
from core.errors import ConfigurationError
from core.inputs import Gated, judge, judge_coverage, signal_values, table_names
from core.inputs.findings import finding
from core.inputs.findings import joined as findings_together
from core.models import Inputs
from core.policy import Policy
from core.results.identity import OF_PORTFOLIO, environment, frame_hashes, inputs_hashes, run_id
from core.results.report import BatchReport, Outcome, joined
from core.results.verify import breach_sentence
from core.schemas import (
    UNKNOWN_BUCKET,
    Actions,
    Breaches,
    BucketStatisticsRows,
    Decisions,
    Explanations,
    Findings,
    Relaxations,
    Severity,
    Targets,
    empty,
)
from core.store import Published, RunRecord
from core.stored import read
from core.timing import timed
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
LOOK_BACK_DAYS = 31  # so far back each batch looks for what killed runs left; the housekeeping looks everywhere
TOLD = 4  # so many reasons of a refusal are told in full
WIDEN = "Widen one of these limits in the policy, or change what conflicts with it."
STOPS = (Severity.STOP_BATCH.value, Severity.STOP_PORTFOLIO.value)


@dataclass(frozen=True)
class Occasion:
    """One batch: which policy, for which morning, and when it was started, by whom and by whose clock."""

    policy: Policy
    as_of: dt.date
    batch_id: str
    started_at: dt.datetime  # with its zone
    holder: str = "a batch"  # what others are told who want to do the same
    question_id: str | None = None  # of the form in which persons are asked; none: there is nobody to ask
    approval: Approval | None = None  # what a person agreed to beforehand

    @property
    def asking(self) -> Asking:
        """How this batch asks persons for their approval."""
        return Asking(self.policy.approval, self.batch_id, self.question_id, self.approval)


@dataclass(frozen=True)
class Judged:
    """Inputs that the data gate has judged, with the signals computed from them.

    `findings`: schema `Findings`, those of the gate, of the signals and of their coverage. `signal_values`: symbol,
    signal, value. `inputs_hashes`: the hash of the input rows of each requested portfolio. `frame_hashes`: the hash of
    each whole frame of `inputs`.
    """

    inputs: Inputs = field(repr=False)
    frame_hashes: Mapping[str, str] = field(repr=False)
    gated: Gated = field(repr=False)
    signal_values: pl.DataFrame = field(repr=False)
    findings: pl.DataFrame = field(repr=False)
    inputs_hashes: Mapping[str, str]


def rebalance(
    engine: Engine,
    root: Path,
    occasion: Occasion,
    portfolios: Sequence[str] | None = None,
    *,
    clock: Callable[[], dt.datetime],
    dry_run: bool = False,
    fresh: bool = True,
) -> BatchReport:
    """Read, decide and publish one batch: what the flow does, without Prefect and without its guard.

    `root` is the folder of all targets; `clock` tells the time, with its zone, at which a run is finished.
    """
    parts = read(engine, root, occasion.policy, occasion.as_of, portfolios, fresh=fresh)
    made = [rebalanced(engine, root, occasion, part, clock=clock, dry_run=dry_run) for part in parts]
    return joined(opened(occasion, dry_run=dry_run), made)


def rebalanced(
    engine: Engine,
    root: Path,
    occasion: Occasion,
    inputs: Inputs,
    *,
    clock: Callable[[], dt.datetime],
    dry_run: bool,
    before_publishing: Callable[[], object] = lambda: None,
) -> BatchReport:
    """Decide and publish one part of a batch; what `before_publishing` raises keeps all of it from being published."""
    policy = occasion.policy
    facts = judged(inputs, policy)
    plan = decided(considered_universe(facts.gated, policy), facts.signal_values, facts.gated.nav, policy)
    if dry_run:
        return planned(plan, facts, occasion)
    before_publishing()
    return published(engine, root, plan, facts, occasion, clock)


def published(
    engine: Engine, root: Path, plan: Plan, facts: Judged, occasion: Occasion, clock: Callable[[], dt.datetime]
) -> BatchReport:
    """Publish each portfolio of a part, all of it or nothing; what was published before is recognised.

    A portfolio that a person must agree to is not published before: it waits, and the report has the question.
    """
    consents = [consented(engine, record, occasion.asking, clock()) for record in records(facts, plan, occasion)]
    done = settled(engine, root, consents, occasion.asking, clock)
    made = report(plan, facts, occasion, [consent.record for consent in consents], done)
    outcomes = [_with_consent(*pair) for pair in zip(made.outcomes, consents, strict=True)]
    questions = [consent.question for consent in consents if consent.question is not None]
    return replace(made, outcomes=outcomes, questions=questions)


def planned(plan: Plan, facts: Judged, occasion: Occasion) -> BatchReport:
    """Say what would become of each portfolio of a part; nothing is published."""
    made = records(facts, plan, occasion)
    return report(plan, facts, occasion, made, [None] * len(made))


def tidied(engine: Engine, root: Path, as_of: dt.date) -> list[str]:
    """Remove what killed runs left behind in the days up to this one; returns the files."""
    return store.remove_leftovers(engine, root, [as_of - dt.timedelta(days=days) for days in range(LOOK_BACK_DAYS)])


def missed(engine: Engine, occasion: Occasion) -> list[dt.date]:
    """The sessions since the last day with a run, that day and this one apart, which nobody ran."""
    exchange, last = occasion.policy.sessions, store.day_before(engine, occasion.as_of)
    if exchange is None or last is None:
        return []
    return [day for day in exchange.sessions(last, occasion.as_of) if last < day < occasion.as_of]


def early_close(occasion: Occasion) -> str | None:
    """When the session ends, with the time zone, where it ends early."""
    exchange = occasion.policy.sessions
    if exchange is None:
        return None
    close = exchange.early_close(occasion.as_of)
    return None if close is None else f"{close:%H:%M} {exchange.time_zone.key}"


def changed_meanwhile(engine: Engine, batch_id: str) -> pl.DataFrame:
    """A warning for each shared table that was changed while a batch in shards read it: schema `Findings`."""
    shared = [name for name in store.frames_of_several_contents(engine, batch_id) if name not in OF_PORTFOLIO]
    return findings_together(
        finding(
            Severity.WARN,
            "changed_meanwhile",
            frame=name,
            message=f"{name} were changed while the batch ran: its portfolios were not all decided from the same rows.",
            remedy="Run again with fresh inputs, which decides anew what was decided from the older ones.",
        )
        for name in shared
    )


def to_backfill(
    engine: Engine, policy: Policy, first: dt.date, last: dt.date, portfolios: Sequence[str] | None, *, again: bool
) -> list[dt.date]:
    """The sessions of a range, in order, of which some portfolio has no current run of this policy; or all, `again`."""
    if first > last:
        raise ConfigurationError(f"the range from {first} to {last} is empty: its first day comes after its last.")
    days = (last - first).days + 1
    exchange = policy.sessions
    every = exchange.sessions(first, last) if exchange else [first + dt.timedelta(days=day) for day in range(days)]
    ids = store.portfolio_ids(engine, policy.reads, portfolios)
    done = set() if again else store.days_done(engine, policy.hash, ids)
    return [day for day in every if day not in done]


@timed("data gate")
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
    hashes = frame_hashes(inputs)
    return Judged(
        inputs=inputs,
        frame_hashes=hashes,
        gated=gated,
        signal_values=computed,
        findings=pl.concat([gated.findings, signal_findings, coverage]),
        inputs_hashes=inputs_hashes(inputs, hashes),
    )


@timed("records")
def records(judged_inputs: Judged, plan: Plan, occasion: Occasion) -> list[RunRecord]:
    """One record per portfolio of the batch, in order of their ids: to be published, or refused with the reason."""
    parts = {name: _by_portfolio(getattr(plan, name)) for name in OUTPUTS}
    findings = judged_inputs.findings
    shared = findings.filter(pl.col("portfolio_id").is_null())
    own = _by_portfolio(findings.drop_nulls("portfolio_id"))
    conflicts = dict(plan.infeasible.select("portfolio_id", "conflict").iter_rows())
    of_batch = _of_batch(occasion, judged_inputs)
    return [
        _record(
            portfolio_id,
            inputs_hash,
            pl.concat([shared, own[portfolio_id]]) if portfolio_id in own else shared,
            {name: frames.get(portfolio_id, empty(OUTPUTS[name])) for name, frames in parts.items()},
            conflicts.get(portfolio_id),
            of_batch,
        )
        for portfolio_id, inputs_hash in judged_inputs.inputs_hashes.items()
    ]


def _by_portfolio(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {str(key[0]): part for key, part in frame.partition_by("portfolio_id", as_dict=True).items()}


def _of_batch(occasion: Occasion, judged_inputs: Judged) -> dict[str, Any]:
    """What all records of a batch have in common."""
    return {
        "as_of": occasion.as_of,
        "batch_id": occasion.batch_id,
        "policy_name": occasion.policy.name,
        "policy_hash": occasion.policy.hash,
        "policy": occasion.policy.document,
        "program_version": __version__,
        "environment": environment(),
        "inputs": judged_inputs.inputs,
        "frame_hashes": judged_inputs.frame_hashes,
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
    stops = (row for row in findings.iter_rows(named=True) if row["severity"] in STOPS)
    reasons = [f"{row['message']} {row['remedy']}" for row in stops]
    if conflict is not None:
        reasons += _unmet(actions)
    elif not breaches.is_empty():
        reasons += [*map(breach_sentence, breaches.iter_rows(named=True)), *_unmet(actions), WIDEN]
    more = [f"And {len(reasons) - TOLD} more."] if len(reasons) > TOLD else []
    told = " ".join([*reasons[:TOLD], *more])
    return "\n\n".join(part for part in (conflict, told) if part) or None


def _unmet(actions: pl.DataFrame) -> list[str]:
    return [f"{told}." for told in sentences(actions.filter(verb="unmet"))]


def opened(occasion: Occasion, *, dry_run: bool = False) -> BatchReport:
    """The report of a batch of which nothing has been done yet."""
    return BatchReport(
        as_of=occasion.as_of,
        policy_name=occasion.policy.name,
        batch_id=occasion.batch_id,
        dry_run=dry_run,
        outcomes=[],
        targets=empty(Targets),
        actions=empty(Actions),
        findings=empty(Findings),
        bucket_statistics=empty(BucketStatisticsRows),
        relaxations=empty(Relaxations),
        explanations=empty(Explanations),
        decisions=empty(Decisions),
    )


def report(
    plan: Plan, judged_inputs: Judged, occasion: Occasion, made: Sequence[RunRecord], done: Sequence[Published | None]
) -> BatchReport:
    """Everything that is told about the records of a part and what became of them; nothing has, in a dry run.

    A refused run has no targets; those of a run that was there already are the stored ones.
    """
    outcomes = [_outcome(record, published) for record, published in zip(made, done, strict=True)]
    refused = [told.portfolio_id for told in outcomes if told.outcome == "refused"]
    kept = ~pl.col("portfolio_id").is_in(refused)
    stored = [published.targets for published in done if published is not None]
    return replace(
        opened(occasion, dry_run=None in done),
        outcomes=outcomes,
        targets=pl.concat([plan.targets.clear(), *stored]) if stored else plan.targets.filter(kept),
        actions=plan.actions,
        findings=judged_inputs.findings,
        bucket_statistics=plan.bucket_statistics.filter(kept),
        relaxations=plan.relaxations,
        solvers=plan.solvers,
        explanations=plan.explanations.filter(kept),
        decisions=plan.decisions.with_columns(target_weight=pl.when(kept).then("target_weight")),
    )


def _with_consent(outcome: Outcome, consent: Consent) -> Outcome:
    """An outcome with what persons have to say, or had."""
    if consent.question is not None:
        waits = f"waits for a person's approval: {told(consent.question.why)}."
        return replace(outcome, outcome="waiting", reason=waits)
    return outcome if consent.note is None else replace(outcome, reason=consent.note)


def _outcome(record: RunRecord, published: Published | None) -> Outcome:
    """What became of a record; without publishing it, what would."""
    done = "planned" if published is None else published.outcome
    return Outcome(
        record.portfolio_id,
        "refused" if record.refused else done,
        record.refusal,
        record.run_id,
        None if published is None else published.supersedes,
    )
