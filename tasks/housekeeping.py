"""Tasks of the housekeeping: what is no longer kept, what nobody names, what is damaged, and how much room all takes.

They work as the role that `EVENKEEL_HOUSEKEEPING_URL` names, where that is set: it may take names out of the database,
which a run may not (docs/operations.md).
"""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl
from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from sqlalchemy.engine import Engine

from core import store
from core.store import Retired, approvals
from core.wording import counted
from tasks.retries import retried
from tasks.settings import settings

SHOWN = 20  # so many lines of one kind a report tells
UNITS = ("B", "kB", "MB", "GB", "TB")
REMEDY = (
    "Restore the file from a backup. Targets are in the view `current_targets` too; "
    "`evenkeel verify --run RUN` tells more of a run."
)

logger = logging.getLogger("core.housekeeping")


@dataclass(frozen=True)
class Housekept:
    """What a housekeeping did and found. `space` and `before`: kind, files, bytes; `damages`: a row per damaged run.

    `closed`: the portfolios and dates that somebody was asked about, and nobody answered in time.
    """

    kept_since: date
    retired: Retired
    removed: Sequence[str]
    closed: Sequence[str]
    damages: pl.DataFrame = field(repr=False)
    before: pl.DataFrame = field(repr=False)
    space: pl.DataFrame = field(repr=False)

    @property
    def told(self) -> str:
        """What was done, in one sentence."""
        freed = _total(self.before) - _total(self.space)
        return (
            f"No longer kept, as older than {self.kept_since}: {counted(self.retired.targets, 'target file')} and "
            f"{counted(self.retired.input_sets, 'set of inputs', 'sets of inputs')}; "
            f"{counted(len(self.removed), 'file')} removed, {size(freed)} freed. "
            f"{counted(len(self.closed), 'question')} that nobody answered in time closed."
        )

    @property
    def trouble(self) -> str | None:
        """Which runs are damaged, if any."""
        found = self.damages.head(3).iter_rows(named=True)
        named = "; ".join(f"{row['portfolio_id']} of {row['as_of']}: {row['detail']}" for row in found)
        count = counted(self.damages.height, "run is", "runs are")
        return f"{count} damaged. {named}" if named else None


@retried
def measure() -> pl.DataFrame:
    """What takes how much room."""
    return store.space(_database(), settings().targets)


@retried
def retire(before: datetime) -> Retired:
    """Take what is older out of the database's list of files; what is current or was so since then is kept."""
    database = _database()
    store.require_current(database)
    return store.retire(database, settings().targets, before)


@retried
def remove_unnamed() -> list[str]:
    """Remove the files that no row names, of all days."""
    removed = store.remove_leftovers(_database(), settings().targets)
    for path in removed:
        logger.info("removed %s, which no run names", path)
    return removed


@retried
def close_questions(now: datetime) -> list[str]:
    """Close the questions of approval that nobody answered in time; returns the portfolios and dates concerned."""
    return approvals.close_expired(_database(), now)


@retried
def find_damages() -> pl.DataFrame:
    """Read every file that a run names, and say which are not what was stored."""
    return store.damages(_database(), settings().targets)


@task(cache_policy=NO_CACHE)
def tell(done: Housekept) -> None:
    """Create the artifacts: a report, and the table of the space."""
    create_markdown_artifact(report(done), key="housekeeping", description="Housekeeping")
    create_table_artifact(space_rows(done), key="space", description="What takes how much room")


def report(done: Housekept) -> str:
    """The report as Markdown: what is damaged and what to do first, then what was done and what takes room."""
    return "\n".join(_lines(done)) + "\n"


def _lines(done: Housekept) -> Iterator[str]:
    yield "# Housekeeping\n"
    if not done.damages.is_empty():
        yield f"## Damaged\n\n{REMEDY}\n"
        for row in done.damages.head(SHOWN).iter_rows(named=True):
            yield f"- **{row['portfolio_id']}** of {row['as_of']}, run `{row['run_id']}`: {row['detail']}"
        yield from _more(done.damages.height)
    yield f"{done.told} Every file that a run names was read.\n"
    yield "| what | files | size | before |\n| --- | --: | --: | --: |"
    yield from ("| " + " | ".join(row.values()) + " |" for row in space_rows(done))
    if done.closed:
        yield "\n## Not approved in time, and refused\n"
        yield from (f"- {asked}" for asked in done.closed[:SHOWN])
        yield from _more(len(done.closed))
    if done.removed:
        yield "\n## Removed\n"
        yield from (f"- `{path}`" for path in done.removed[:SHOWN])
        yield from _more(len(done.removed))


def _more(count: int) -> Iterator[str]:
    if count > SHOWN:
        yield f"- and {count - SHOWN:,} more"
    yield ""


def space_rows(done: Housekept) -> list[dict[str, str]]:
    """What takes how much room, now and before, each number formatted."""
    joined = done.space.join(done.before.select("kind", before="bytes"), on="kind", maintain_order="left")
    rows = [
        {
            "what": row["kind"],
            "files": "" if row["files"] is None else f"{row['files']:,}",
            "size": size(row["bytes"]),
            "before": size(row["before"]),
        }
        for row in joined.iter_rows(named=True)
    ]
    total = {"what": "total", "files": f"{done.space['files'].sum():,}", "size": size(_total(done.space))}
    return [*rows, total | {"before": size(_total(done.before))}]


def size(count: int) -> str:
    """A number of bytes in the unit that fits: `12.3 MB`."""
    amount, unit = float(count), 0
    while abs(amount) >= 999.95 and unit < len(UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:,.1f} {UNITS[unit]}" if unit else f"{count} B"


def _total(space: pl.DataFrame) -> int:
    return int(space["bytes"].sum())


def _database() -> Engine:
    return store.engine_from_url(os.environ.get("EVENKEEL_HOUSEKEEPING_URL") or settings().database_url)
