"""Artifacts: what a run shows in the Prefect UI. The record that lasts is in SQL; anyone with the UI can delete these.

Up to `FEW` portfolios, each has its own tables of targets, enforcement actions, buckets and explanations, under keys
that stay the same from day to day; above, one table of each kind serves all, but for explanations, which are in SQL.
No table is longer than `ROWS`, and a cut one says where the rest is.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import polars as pl
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from core.results.diff import RunDiff
from core.results.diff_text import diff_markdown
from core.results.story import explanation_table, with_changes
from core.results.summary import BatchReport, Row, action_table, bucket_table, summary, target_table

FEW = 20
ROWS = 500
OF_FEW = {"explanations"}  # tables that large batches leave to SQL: a line per name considered

Table = tuple[str, str, Callable[[pl.DataFrame], list[Row]], pl.DataFrame]


def create_artifacts(report: BatchReport) -> None:
    """Create the summary and all tables of a batch."""
    create_markdown_artifact(summary(report), key="rebalance-summary", description=f"Rebalance of {report.as_of}")
    for key, title, render, rows in _tables(report):
        shown = render(rows.head(ROWS))
        create_table_artifact(shown, key=key, description=_description(title, rows.height, report))


def create_diff(told: RunDiff) -> None:
    """Create the artifact of what changed from a run to the one that took its place."""
    after = told.after
    key = f"diff-{slug(after.portfolio_id)}"
    description = f"What changed for {after.portfolio_id}, {after.as_of}"
    create_markdown_artifact(diff_markdown(told), key=key, description=description)


def _tables(report: BatchReport) -> Iterator[Table]:
    """Key, title, renderer and rows of each table that has rows."""
    explained = with_changes(report.decisions, report.explanations)
    kinds: tuple[Table, ...] = (
        ("targets", "Targets", target_table, report.targets),
        ("enforcement-actions", "Enforcement actions", action_table, report.actions),
        ("buckets", "Buckets with limits and usage", bucket_table, report.bucket_statistics),
        ("explanations", "Why each weight is what it is", explanation_table, explained),
    )
    for key, title, render, rows in kinds:
        if len(report.outcomes) > FEW and key in OF_FEW:
            continue
        if len(report.outcomes) > FEW:
            yield key, title, render, rows
            continue
        for (portfolio_id,), part in rows.partition_by("portfolio_id", as_dict=True, maintain_order=True).items():
            yield f"{key}-{slug(str(portfolio_id))}", f"{title} of {portfolio_id}", render, part


def _description(title: str, count: int, report: BatchReport) -> str:
    named = f"{title}, {report.as_of}"
    if count <= ROWS:
        return named
    return (
        f"{named}: the first {ROWS} of {count:,} rows. All are in the database, joined to `runs` by run_key, where "
        f"`batch_id = '{report.batch_id}'`."
    )


def slug(portfolio_id: str) -> str:
    """An id as part of an artifact key: lowercase letters, digits and dashes; told apart by a hash where that loses
    some."""
    plain = re.sub("[^a-z0-9]+", "-", portfolio_id.lower()).strip("-")
    if plain == portfolio_id:
        return plain
    return f"{plain}-{hashlib.sha256(portfolio_id.encode()).hexdigest()[:8]}".strip("-")


class Progress:
    """How far a backfill has come, as an artifact of the run."""

    def __init__(self, days: int) -> None:
        self._days = days
        self._artifact: Any = create_progress_artifact(
            0.0, key="backfill-progress", description=f"0 of {days} sessions"
        )

    def tell(self, done: int, day: date) -> None:
        """So many sessions are done, this one the last of them."""
        update_progress_artifact(
            self._artifact, 100.0 * done / self._days, description=f"{done} of {self._days} sessions, up to {day}"
        )
