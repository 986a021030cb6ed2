"""Whether a run may be published at once, or a person must agree first, and what that person said.

`consented` judges one run: published as it is where the policy asks nobody, where it was published before, or where
somebody approved exactly this run as it was shown; refused where a person rejected it, or where there is nobody to ask;
else it waits. A run that waits is refused until somebody approves (`settled` stores that, beside the question), so that
nothing needs to happen for a time-out to be a rejection. That refusal has an identity of its own: the run itself can
still be approved and published later.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
from sqlalchemy.engine import Engine

from core import store
from core.approval import SHORT, Approval, ApprovalRules, Decision, Question, refusal_id, shown_hash, why_asked
from core.store import Published, RunRecord, approvals
from core.store.approvals import Asked
from core.timing import timed
from core.wording import in_utc

ALONE = (
    "There is nobody to ask in a run that no deployment has started: run it from the deployment, or approve it with "
    "`--approve-as NAME --reason WHY`."
)


@dataclass(frozen=True)
class Asking:
    """How a batch asks: by which rules, in which form (none: there is nobody to ask), and what was agreed before."""

    rules: ApprovalRules | None
    batch_id: str
    question_id: str | None = None
    approval: Approval | None = None


@dataclass(frozen=True)
class Consent:
    """What is to be stored of a run: itself, or its refusal. `question`: it waits; `note`: what was said, in words."""

    record: RunRecord
    question: Question | None = None
    note: str | None = None


def consented(engine: Engine, record: RunRecord, asking: Asking, now: dt.datetime) -> Consent:
    """What becomes of a run as far as persons have a say in it; see the module. `now` has its zone."""
    question = question_of(record, asking.rules)
    if question is None or asking.rules is None:
        return Consent(record)
    said = _said(engine, question, asking.batch_id)
    by = approvals.published_by(engine, record.run_id)
    if said is not None and said[1].decision == "rejected":
        return _rejected(record, *said, by)
    if by is not None or said is not None:
        return Consent(record, note=_note(said, by, asking.batch_id))
    if asking.approval is not None:
        return Consent(record, note=_approved_beforehand(engine, question, record, asking, asking.approval, now))
    if asking.question_id is None:
        return Consent(_refusal(record, asking.batch_id, f"needs a person's approval: {told(question.why)}. {ALONE}"))
    question = replace(question, why=[*question.why, *_said_before(engine, question, asking.batch_id)])
    return Consent(_refusal(record, asking.question_id, _waits(question, asking.rules, now)), question)


@timed("publishing")
def settled(
    engine: Engine, root: Path, consents: Sequence[Consent], asking: Asking, clock: Callable[[], dt.datetime]
) -> list[Published]:
    """Store the questions that are asked, and then each run or its refusal: a refusal that waits has its question."""
    for consent in consents:
        if consent.question is not None and asking.rules is not None and asking.question_id is not None:
            now = clock()
            until = now + dt.timedelta(hours=asking.rules.timeout_hours)
            approvals.ask(engine, _asked(consent.question, consent.record, asking.question_id, now, until))
    return [*store.publish_all(engine, root, [consent.record for consent in consents], clock)]


def question_of(record: RunRecord, rules: ApprovalRules | None) -> Question | None:
    """What a person is asked about a run; None where nobody must agree to it."""
    if rules is None or record.refused:
        return None
    why = why_asked(rules, record.targets, record.relaxations, record.findings)
    if not why:
        return None
    shown = shown_hash(record.run_id, record.targets)
    return Question(record.portfolio_id, record.run_id, why, shown, record.targets)


def lacks_approval(engine: Engine, run_id: str, refused_id: str, batch_id: str) -> bool:
    """Whether a refused run of a batch is run `run_id` without the approval that it needs; its identity tells."""
    forms = approvals.forms_of(engine, run_id)
    keys = [batch_id, *forms, *map(_no, forms)]
    return refused_id in {refusal_id(run_id, key) for key in keys}


def told(why: Sequence[str]) -> str:
    """Reasons in one line."""
    return "; ".join(why)


def _said(engine: Engine, question: Question, batch_id: str) -> tuple[str, Decision] | None:
    """What was said to this batch; else the approval that another one was given, if it was the last thing said."""
    own = approvals.decision_on(engine, question.run_id, question.shown_hash, batch_id)
    if own is not None:
        return own
    last = approvals.decision_on(engine, question.run_id, question.shown_hash)
    return last if last is not None and last[1].decision == "approved" else None


def _said_before(engine: Engine, question: Question, batch_id: str) -> list[str]:
    """What a person who is asked should know: that this was rejected before, or that another plan was approved."""
    last = approvals.decision_on(engine, question.run_id, question.shown_hash)
    if last is not None:
        return [f"this very plan was {last[1].sentence} ({in_utc(last[1].decided_at)})"]
    other = approvals.last_said(engine, question.portfolio_id, batch_id)
    if other is None:
        return []
    shown, decision = other
    return [
        f"this is another plan than the one ({shown[:SHORT]}) that was {decision.sentence}: its inputs, policy or "
        "program have changed since then"
    ]


def _note(said: tuple[str, Decision] | None, by: str | None, batch_id: str) -> str | None:
    if said is None:
        return None
    meanwhile = f"; batch {by} has published it already" if by not in (None, batch_id) else ""
    return f"{said[1].sentence}{meanwhile}"


def _rejected(record: RunRecord, question_id: str, decision: Decision, by: str | None) -> Consent:
    late = f" It is published all the same, by batch {by}, to which somebody agreed." if by is not None else ""
    return Consent(_refusal(record, _no(question_id), f"{decision.sentence}.{late}"))


def _no(question_id: str) -> str:
    """What tells the refusal that follows a rejection from the one that stands while a form waits."""
    return f"{question_id} rejected"


def _refusal(record: RunRecord, question_id: str, reason: str) -> RunRecord:
    """A run as one that is refused, without weights that nobody may trade."""
    unweighted = record.decisions.with_columns(target_weight=pl.lit(None, pl.Float64))
    return replace(record, run_id=refusal_id(record.run_id, question_id), reason=reason, decisions=unweighted)


def _waits(question: Question, rules: ApprovalRules, now: dt.datetime) -> str:
    return (
        f"refused unless a person approves within {rules.time} of {in_utc(now)}: {told(question.why)}. Who was asked "
        "and what was said: `evenkeel approvals`."
    )


def _approved_beforehand(
    engine: Engine, question: Question, record: RunRecord, asking: Asking, approval: Approval, now: dt.datetime
) -> str:
    decision = Decision("approved", approval.who, now, approval.reason)
    asked = _asked(question, record, refusal_id(asking.batch_id, "beforehand"), now, now)
    approvals.ask(engine, asked, decision)
    return decision.sentence


def _asked(question: Question, record: RunRecord, question_id: str, now: dt.datetime, until: dt.datetime) -> Asked:
    return Asked(
        question_id=question_id,
        flow_run_id=record.batch_id,
        portfolio_id=question.portfolio_id,
        as_of=record.as_of,
        run_id=question.run_id,
        shown_hash=question.shown_hash,
        why_asked=told(question.why),
        asked_at=now,
        until=until,
    )
