"""Runs on their way into the store: what is to be published (`RunRecord`), and what became of it (`Published`)."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from core.models import Inputs
from core.results.identity import inputs_id

Done = Literal["published", "unchanged", "restored", "refused"]
Status = Literal["published", "refused"]


@dataclass(frozen=True)
class RunRecord:
    """One run as it is to be published: what it is, what made it, and its rows (of this run only).

    `inputs` and `frame_hashes` are those of its whole batch. `reason` says why a run is refused; None for one that is
    not, or of which its breaches tell.
    """

    portfolio_id: str
    as_of: dt.date
    run_id: str
    batch_id: str
    policy_name: str
    policy_hash: str
    policy: str = field(repr=False)  # the document itself
    inputs_hash: str
    program_version: str
    environment: str
    started_at: dt.datetime  # with its zone
    targets: pl.DataFrame = field(repr=False)
    actions: pl.DataFrame = field(repr=False)
    findings: pl.DataFrame = field(repr=False)
    breaches: pl.DataFrame = field(repr=False)
    bucket_statistics: pl.DataFrame = field(repr=False)
    relaxations: pl.DataFrame = field(repr=False)
    explanations: pl.DataFrame = field(repr=False)
    decisions: pl.DataFrame = field(repr=False)
    inputs: Inputs = field(repr=False)
    frame_hashes: Mapping[str, str] = field(repr=False)
    reason: str | None = None

    @property
    def inputs_id(self) -> str:
        """What the run's batch was made from."""
        return inputs_id(self.frame_hashes)

    @property
    def refused(self) -> bool:
        """Whether the run must not be published."""
        return self.reason is not None or not self.breaches.is_empty()

    @property
    def refusal(self) -> str | None:
        """Why the run must not be published, as one sentence."""
        if self.reason is not None or self.breaches.is_empty():
            return self.reason
        limits = self.breaches["constraint"].unique().sort()
        return f"{len(self.breaches)} limits breached: {', '.join(limits)}"

    @property
    def named(self) -> str:
        """The run in messages."""
        return f"portfolio {self.portfolio_id!r} on {self.as_of}"

    def rows(self, table: str) -> pl.DataFrame:
        """The run's rows for one of the output tables."""
        rows: pl.DataFrame = getattr(self, table)
        return rows


@dataclass(frozen=True)
class Published:
    """What became of a run, and where it is. `status` is the run's own now: published, or refused.

    `targets` are those that stand in the database: of a run that was there already, not those of the record.
    """

    outcome: Done
    run_id: str
    run_key: int
    path: str | None  # relative to the root of all targets; None for a refused run
    supersedes: str | None  # the run_id of the run whose place it took
    status: Status
    targets: pl.DataFrame = field(repr=False, compare=False)
