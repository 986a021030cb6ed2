"""A person's say: the form, what was answered to it, and the plan that waits, as an artifact.

`hear` writes down what was said to an earlier attempt of this flow run, and closes what nobody answered in time; it is
the database that says later what is approved, not Prefect.
"""

import logging
from datetime import UTC, datetime
from enum import Enum
from uuid import UUID

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.input import RunInput, keyset_from_base_key
from pydantic import ConfigDict, Field, JsonValue

from core import store
from core.approval import Decided
from core.approval import Decision as Said
from core.batch import Occasion
from core.results.approval_text import proposal
from core.results.report import BatchReport
from core.store import approvals
from tasks.retries import retried
from tasks.settings import settings

logger = logging.getLogger("core.approval")

ARTIFACT = "approval"
REASON_TO_REJECT: dict[str, JsonValue] = {
    "if": {"properties": {"decision": {"const": "reject"}}, "required": ["decision"]},
    "then": {"properties": {"reason": {"pattern": r"\S"}}, "required": ["reason"]},
}
"""What the server checks of an answer beyond its fields, in JSON Schema."""


class Decision(Enum):
    """What a person may say. One of the UIs labels the select by the name of this class, the other by its field's."""

    APPROVE = "approve"
    REJECT = "reject"


class ApprovalForm(RunInput):
    """What a person fills in to approve or reject."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=REASON_TO_REJECT)

    decision: Decision = Field(description="Publish exactly what is shown above, or refuse it.")
    name: str = Field(pattern=r"\S", description="Who decides: the name that is stored with the run.")
    reason: str = Field(default="", description="Why. Needed to reject; stored with the run.")


@retried
def hear(occasion: Occasion) -> None:
    """Write down what persons said to an earlier attempt of this flow run, and what nobody answered in time."""
    database = store.engine_from_url(settings().database_url)
    now = datetime.now(UTC)
    asked = approvals.questions_open(database, occasion.batch_id)
    for question_id, until in {each.question_id: each.until for each in asked}.items():
        decision = _answer(occasion.batch_id, question_id) or _withdrawn(until, now)
        if decision is not None:
            approvals.decide(database, question_id, decision)
            create_markdown_artifact(f"# {decision.sentence[:1].upper()}{decision.sentence[1:]}", key=ARTIFACT)
    for late in approvals.close_expired(database, now):
        logger.warning("nobody approved %s in time, so that it was refused", late)


@retried
def has_asked(occasion: Occasion) -> bool:
    """Whether an earlier attempt of this flow run has asked persons: what they say holds, however late it is."""
    return approvals.has_asked(store.engine_from_url(settings().database_url), occasion.batch_id)


@task(cache_policy=NO_CACHE)
def propose(report: BatchReport) -> None:
    """Show the targets of what waits."""
    shown = proposal(report.questions, report.as_of)
    create_markdown_artifact(shown, key=ARTIFACT, description=f"Waits for approval: {report.as_of}")


def _answer(flow_run_id: str, question_id: str) -> Said | None:
    """What was filled into a form, and when; None where nobody did."""
    key = keyset_from_base_key(f"suspended-{question_id}")["response"]
    with get_client(sync_client=True) as client:
        found = client.filter_flow_run_input(UUID(flow_run_id), key, limit=1, exclude_keys=set())
    if not found:
        return None
    form, at = ApprovalForm(**found[0].decoded_value), found[0].created or datetime.now(UTC)
    decided: Decided = "approved" if form.decision is Decision.APPROVE else "rejected"
    return Said(decided, form.name.strip(), at, form.reason.strip() or None)


def _withdrawn(until: datetime, now: datetime) -> Said | None:
    """The end of a question whose run began anew, so that its form is gone; None where its time was up anyway."""
    if until < now:
        return None
    return Said("withdrawn", None, now, "the run began anew before anybody answered")
