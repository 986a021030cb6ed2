"""What persons were asked before a run was published, and what they said: table `approvals`.

A batch asks in one form about all its runs that wait (`ask`), and writes down what was said (`decide`). What nobody
answered in time is closed by whoever looks next (`close_expired`). An approval is of one run and of the hash of what
was shown: `decision_on` finds the one that counts. No row is ever removed, and what was asked never changes.
"""

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine

from core.approval import Decision
from core.store.database import reading, writing
from core.store.tables import approvals, runs

SAID = ("approved", "rejected")
OPEN = ("timed out",)  # what an answer that was given in time, and heard late, may still replace
APPROVAL_TYPES: dict[str, pl.DataType] = {
    **dict.fromkeys(approvals.c.keys(), pl.String()),
    "approval_key": pl.Int64(),
    "as_of": pl.Date(),
    **dict.fromkeys(("asked_at", "until", "decided_at"), pl.Datetime("us", "UTC")),
}


@dataclass(frozen=True)
class Asked:
    """One run that a person is asked about; `question_id` is that of the form, `flow_run_id` the batch that asks."""

    question_id: str
    flow_run_id: str
    portfolio_id: str
    as_of: dt.date
    run_id: str
    shown_hash: str
    why_asked: str
    asked_at: dt.datetime
    until: dt.datetime


def ask(engine: Engine, asked: Asked, decision: Decision | None = None) -> None:
    """Write down that a person is asked, and what was said where that is known; once, however often it is called."""
    row = asdict(asked) | ({} if decision is None else asdict(decision))
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    with writing(engine, lock=f"approvals {asked.flow_run_id}") as connection:
        connection.execute(insert(approvals).on_conflict_do_nothing(), [row])


def has_asked(engine: Engine, flow_run_id: str) -> bool:
    """Whether a batch has asked anybody anything."""
    with reading(engine) as connection:
        return bool(connection.scalar(sa.select(sa.exists().where(approvals.c.flow_run_id == flow_run_id))))


def questions_open(engine: Engine, flow_run_id: str) -> list[Asked]:
    """What a batch has asked, and knows no answer to; questions that are closed for want of one among them."""
    query = sa.select(*(approvals.c[name] for name in Asked.__annotations__)).where(
        approvals.c.flow_run_id == flow_run_id, _unanswered()
    )
    with reading(engine) as connection:
        return [Asked(*row) for row in connection.execute(query.order_by(approvals.c.approval_key))]


def open_on(engine: Engine, as_of: dt.date, now: dt.datetime) -> list[Asked]:
    """What persons are asked about a day and may still answer, of each portfolio the last, in order of the ids."""
    query = sa.select(*(approvals.c[name] for name in Asked.__annotations__)).where(
        approvals.c.as_of == as_of, approvals.c.decision.is_(None), approvals.c.until >= now
    )
    with reading(engine) as connection:
        asked = [Asked(*row) for row in connection.execute(query.order_by(approvals.c.approval_key))]
    return sorted({each.portfolio_id: each for each in asked}.values(), key=lambda each: each.portfolio_id)


def decide(engine: Engine, question_id: str, decision: Decision) -> None:
    """Write down what was said to a form; a question that has an answer keeps it."""
    change = sa.update(approvals).where(approvals.c.question_id == question_id, _unanswered())
    with writing(engine, lock=f"approvals {question_id}") as connection:
        connection.execute(change.values(asdict(decision)))


def close_expired(engine: Engine, now: dt.datetime) -> list[str]:
    """Close what nobody answered in time; returns the portfolios and dates concerned, in words."""
    expired = approvals.c.decision.is_(None) & (approvals.c.until < now)
    change = sa.update(approvals).where(expired).values(decision="timed out", decided_at=approvals.c.until)
    with reading(engine) as connection:
        if not connection.scalar(sa.select(sa.exists().where(expired))):
            return []
    with writing(engine, lock="approvals") as connection:
        closed = connection.execute(change.returning(approvals.c.portfolio_id, approvals.c.as_of)).all()
    return sorted(f"{portfolio_id} on {as_of}" for portfolio_id, as_of in closed)


def decision_on(
    engine: Engine, run_id: str, shown_hash: str, flow_run_id: str | None = None
) -> tuple[str, Decision] | None:
    """The last thing that was said of a run as it was shown, to one batch or to any: the form, and the decision."""
    said = (approvals.c.run_id == run_id) & (approvals.c.shown_hash == shown_hash) & approvals.c.decision.in_(SAID)
    found = _last_decision(engine, said, flow_run_id)
    return None if found is None else (found.question_id, _decision(found))


def last_said(engine: Engine, portfolio_id: str, flow_run_id: str) -> tuple[str, Decision] | None:
    """The last thing that was said to a batch of a portfolio, of whatever plan: the hash shown, and the decision."""
    said = (approvals.c.portfolio_id == portfolio_id) & approvals.c.decision.in_(SAID)
    found = _last_decision(engine, said, flow_run_id)
    return None if found is None else (found.shown_hash, _decision(found))


def published_by(engine: Engine, run_id: str) -> str | None:
    """The batch that has published a run; None where it never was."""
    query = sa.select(runs.c.batch_id).where(runs.c.run_id == run_id, runs.c.status != "refused")
    with reading(engine) as connection:
        found: str | None = connection.scalar(query)
    return found


def forms_of(engine: Engine, run_id: str) -> list[str]:
    """The forms in which a run was asked about."""
    query = sa.select(approvals.c.question_id).where(approvals.c.run_id == run_id).order_by(approvals.c.approval_key)
    with reading(engine) as connection:
        return list(connection.scalars(query))


def read_approvals(engine: Engine, as_of: dt.date | None = None, portfolio_id: str | None = None) -> pl.DataFrame:
    """One row per question, in the order in which they were asked: the columns of table `approvals`."""
    query = sa.select(approvals).order_by(approvals.c.approval_key)
    for column, wanted in ((approvals.c.as_of, as_of), (approvals.c.portfolio_id, portfolio_id)):
        query = query if wanted is None else query.where(column == wanted)
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return pl.DataFrame(rows, schema=APPROVAL_TYPES, orient="row")


def _unanswered() -> sa.ColumnElement[bool]:
    return approvals.c.decision.is_(None) | approvals.c.decision.in_(OPEN)


def _last_decision(engine: Engine, said: sa.ColumnElement[bool], flow_run_id: str | None) -> sa.Row[Any] | None:
    query = sa.select(approvals).where(said).order_by(approvals.c.decided_at.desc(), approvals.c.approval_key.desc())
    if flow_run_id is not None:
        query = query.where(approvals.c.flow_run_id == flow_run_id)
    with reading(engine) as connection:
        return connection.execute(query.limit(1)).one_or_none()


def _decision(row: sa.Row[Any]) -> Decision:
    return Decision(row.decision, row.who, row.decided_at, row.reason)
