"""How a flow run is called and tagged in the UI's lists: by its date, its policy and its portfolios."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from socket import gethostname
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from core.batch import Occasion
from core.results.report import BatchReport
from core.wording import in_short

DRY_RUN = "dry-run"
ATTENTION = {"refused", "failed", "busy", "waiting"}


def label(occasion: Occasion, portfolios: Sequence[str] | None = None, *, dry_run: bool = False) -> Occasion:
    """Name this flow run by date, policy and portfolios, and tag it; a schedule names runs before any is known.

    Returns the occasion, of which others are told by this name.
    """
    words = f"{occasion.as_of} {occasion.policy.name}"
    name = f"{words}: {in_short(portfolios)}" if portfolios else words
    tags = [str(occasion.as_of), occasion.policy.name, *([DRY_RUN] if dry_run else [])]
    _update(occasion.batch_id, {*flow_run.tags, *tags}, name)
    holder = f"flow run {name!r} ({occasion.batch_id}) on {gethostname()}, process {os.getpid()}"
    return replace(occasion, holder=holder)


def label_outcomes(report: BatchReport) -> None:
    """Tag this flow run with what needs somebody's attention, as `refused`; no longer with what did before."""
    told = {str(report.as_of), report.policy_name, *([DRY_RUN] if report.dry_run else [])}
    outcomes = {outcome.outcome for outcome in report.outcomes}
    _update(report.batch_id, ({*flow_run.tags} - ATTENTION) | told | (outcomes & ATTENTION))


def _update(flow_run_id: str, tags: Iterable[str], name: str | None = None) -> None:
    with get_client(sync_client=True) as client:
        client.update_flow_run(UUID(flow_run_id), name=name, tags=sorted(tags)).raise_for_status()
