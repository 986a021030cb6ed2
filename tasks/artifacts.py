"""Artifacts: what a run shows in the Prefect UI. The record that lasts is in SQL; anyone with the UI can delete these.

Up to `FEW` portfolios, each has its own picture of weights, and tables of targets, enforcement actions, buckets and
explanations, under keys that stay the same from day to day; above, one table of each kind serves all, but for
explanations, which are in SQL. The summary has the pictures of the `PICTURES` portfolios that traded most. No table is
longer than `ROWS`, and a cut one says where the rest is. The UI sets all cells to the left, so that `aligned` pads
numbers.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from core.results.chart import most_traded
from core.results.diff import RunDiff
from core.results.diff_text import diff_markdown
from core.results.report import BatchReport
from core.results.story import explanation_table, with_changes
from core.results.summary import action_table, bucket_table, summary, target_table
from core.results.tables import NONE, Row

FEW = 20
ROWS = 500
PICTURES = 6
NUMBER = re.compile(r"[+-]?[\d,]+(\.\d+)?( %)?")
WIDE_SPACES = str.maketrans(dict.fromkeys("0123456789+-", "\u2007") | {",": "\u2008", ".": "\u2008"})
"""Spaces as wide as a digit, and as wide as a comma."""
WEIGHTS = "weights in percent of net asset value"
TABLES = {"targets": "targets", "enforcement-actions": "actions", "buckets": "bucket_statistics"}
"""The tables that serve a large batch, and the frames that they show."""
OF_FEW = {"explanations"}  # tables that large batches leave to SQL: a line per name considered

Table = tuple[str, str, Callable[[pl.DataFrame], list[Row]], pl.DataFrame]


def pictured(report: BatchReport) -> list[str]:
    """The portfolios whose weights are shown as pictures: all of a few, otherwise those that traded most."""
    traded = most_traded(report)
    if report.counted is not None and report.dry_run:  # the others are nowhere
        traded = [portfolio_id for portfolio_id in traded if portfolio_id in report.targets["portfolio_id"]]
    return traded[: FEW if len(report.outcomes) <= FEW else PICTURES]


def told_in_full(portfolio_ids: Sequence[str]) -> list[str] | None:
    """The portfolios of a large batch whose rows the tables show; None of a small one, which has tables for each."""
    return None if len(portfolio_ids) <= FEW else sorted(portfolio_ids)[:FEW]


def create_summary(report: BatchReport, pictures: Mapping[str, str]) -> None:
    """Create the summary of a batch. `pictures`: portfolio to Markdown.

    Called by the flow itself, it is the one artifact that the run's page shows above those of its tasks.
    """
    told = summary(report, [*pictures.values()][:PICTURES])
    create_markdown_artifact(told, key="rebalance-summary", description=f"{report.as_of}: {report.counts}")


def create_artifacts(report: BatchReport, pictures: Mapping[str, str]) -> None:
    """Create all pictures and tables of a batch. `pictures`: portfolio to Markdown."""
    for portfolio_id, picture in pictures.items() if len(report.outcomes) <= FEW else ():
        create_markdown_artifact(picture, key=f"weights-{slug(portfolio_id)}", description=f"{report.as_of}: {WEIGHTS}")
    for key, title, render, rows in _tables(report):
        shown = rows.head(ROWS)
        count = rows.height if report.counted is None else report.counted.rows[TABLES[key]]
        told_of = _description(title, shown.height, count, report)
        create_table_artifact(aligned(render(shown)), key=key, description=told_of)


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
        ("targets", f"{WEIGHTS}, amounts in its currency", target_table, report.targets),
        ("enforcement-actions", "what each rule did", action_table, report.actions),
        ("buckets", f"limits and their use; {WEIGHTS}", bucket_table, report.bucket_statistics),
        ("explanations", f"why each weight is what it is; {WEIGHTS}", explanation_table, explained),
    )
    for key, title, render, rows in kinds:
        if len(report.outcomes) > FEW and key in OF_FEW:
            continue
        if len(report.outcomes) > FEW:
            yield key, title, render, rows
            continue
        for (portfolio_id,), part in rows.partition_by("portfolio_id", as_dict=True, maintain_order=True).items():
            yield f"{key}-{slug(str(portfolio_id))}", title, render, part


def _description(title: str, shown: int, count: int, report: BatchReport) -> str:
    named = f"{report.as_of}: {title}"
    if count <= shown:
        return named
    if report.dry_run:
        return f"{named}: the first {shown} of {count:,} rows."
    return (
        f"{named}: the first {shown} of {count:,} rows. All are in the database, joined to `runs` by run_key, where "
        f"`batch_id = '{report.batch_id}'`."
    )


def slug(portfolio_id: str) -> str:
    """An id as part of an artifact key: lowercase letters, digits and dashes; told apart by a hash where that loses
    some."""
    plain = re.sub("[^a-z0-9]+", "-", portfolio_id.lower()).strip("-")
    if plain == portfolio_id:
        return plain
    return f"{plain}-{hashlib.sha256(portfolio_id.encode()).hexdigest()[:8]}".strip("-")


def aligned(rows: list[Row]) -> list[Row]:
    """The rows of a table with the numbers of each column padded, so that they end below each other."""
    columns = [_padded([row[name] for row in rows]) for name in (rows[0] if rows else ())]
    return [dict(zip(row, cells, strict=True)) for row, cells in zip(rows, zip(*columns, strict=True), strict=True)]


def _padded(cells: list[str]) -> list[str]:
    if not all(cell == NONE or NUMBER.fullmatch(cell) for cell in cells):
        return cells
    longest = max(cells, key=len)
    return [longest[: len(longest) - len(cell)].translate(WIDE_SPACES) + cell for cell in cells]


class Progress:
    """How far a long run has come, as an artifact of it: `of` is what it counts, as `sessions`."""

    def __init__(self, key: str, count: int, of: str) -> None:
        self._count = count
        self._of = of
        self._artifact: Any = create_progress_artifact(0.0, key=key, description=f"0 of {count} {of}")

    def tell(self, done: int, last: str) -> None:
        """So many are done, and which was the last of them."""
        told = f"{done} of {self._count} {self._of}, {last}"
        update_progress_artifact(self._artifact, 100.0 * done / self._count, description=told)
