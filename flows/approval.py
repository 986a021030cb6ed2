"""Asking a person: the flow run suspends, with a form that shows what will be published."""

from datetime import UTC, datetime, timedelta

from prefect.flow_runs import suspend_flow_run

from core.batch import Occasion
from core.results.approval_text import form
from core.results.report import BatchReport
from tasks.approval import ARTIFACT, ApprovalForm, propose


def ask(report: BatchReport, occasion: Occasion) -> None:
    """Suspend this flow run, and end its process, where portfolios wait for a person's approval.

    Prefect runs the flow again from the top when the form is filled in, and ends it Failed when nobody does in time.
    """
    rules = occasion.policy.approval
    if rules is None or not report.questions:
        return
    propose(report)
    time = timedelta(hours=rules.timeout_hours)
    shown = form(report, datetime.now(UTC) + time, ARTIFACT)
    suspend_flow_run(
        wait_for_input=ApprovalForm.with_initial_data(description=shown),
        timeout=round(time.total_seconds()),
        key=occasion.question_id,
    )
