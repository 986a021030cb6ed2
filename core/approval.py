"""When a person must agree before a run is published, and what that person agreed to.

A policy's `ApprovalRules` say when (`why_asked`). What is shown to a person has a hash (`shown_hash`), and an approval
is of that hash alone: a plan with other weights, or made from other inputs, is another one, and is asked about anew.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from core.actions import COUNTS
from core.errors import ConfigurationError
from core.limits import TOLERANCE, require_positive
from core.schemas import Severity
from core.wording import counted

SHORT = 12  # so many digits of a hash a person compares
TOLD = 4  # so many cases of one kind are told in full
LONGEST_HOURS = 24 * 7
MOST_TURNOVER = 2.0  # a book of twice its net asset value, changed for another

Decided = Literal["approved", "rejected", "timed out", "withdrawn"]


@dataclass(frozen=True)
class ApprovalRules:
    """When a person must agree; at least one of the three. Raises `ConfigurationError` where one cannot be meant.

    Whoever is asked has `timeout_hours` to answer; no answer is a rejection.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    max_turnover: float | None = None  # ½ Σ|target − current|, a fraction of net asset value: above it
    relaxations: bool = False  # whenever a soft limit gave way
    warnings: bool = False  # whenever the data gate warns of the portfolio's inputs, or of shared ones
    timeout_hours: float = 4.0

    def __post_init__(self) -> None:
        turnover = self.max_turnover
        if turnover is not None and not (isfinite(turnover) and turnover >= 0.0):
            raise ConfigurationError(f"max_turnover is {turnover}: make it a finite number of at least 0.")
        if turnover is not None and turnover > MOST_TURNOVER:
            raise ConfigurationError(
                f"max_turnover is {turnover:g}, which is {100 * turnover:,.0f} % of net asset value: nobody would be "
                f"asked. Fractions are meant; {turnover:g} % is {turnover / 100:g}."
            )
        require_positive("timeout_hours", self.timeout_hours)
        if self.timeout_hours > LONGEST_HOURS:
            raise ConfigurationError(f"timeout_hours is {self.timeout_hours}: make it at most {LONGEST_HOURS}, a week.")
        if turnover is None and not (self.relaxations or self.warnings):
            raise ConfigurationError(
                "approval asks for nothing: set max_turnover, relaxations or warnings, or leave approval out."
            )

    @property
    def time(self) -> str:
        """How long a person has to answer, in words."""
        return f"{self.timeout_hours:g} hour{'' if self.timeout_hours == 1 else 's'}"


class Approval(BaseModel):
    """A person's agreement that is given along with the order to run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    who: str = Field(pattern=r"\S", description="Who agrees: the name that is stored with the run.")
    reason: str = Field(pattern=r"\S", description="Why.")


@dataclass(frozen=True)
class Question:
    """What a person is asked about one run that waits. `targets`: its rows, schema `Targets`."""

    portfolio_id: str
    run_id: str
    why: Sequence[str]
    shown_hash: str
    targets: pl.DataFrame = field(repr=False, compare=False)


@dataclass(frozen=True)
class Decision:
    """What was said to a question, by whom and when."""

    decision: Decided
    who: str | None
    decided_at: datetime  # with its zone
    reason: str | None

    @property
    def sentence(self) -> str:
        """For example `approved by ann: the index was reconstituted`."""
        by = f" by {self.who}" if self.who else ""
        return f"{self.decision}{by}{f': {self.reason}' if self.reason else ''}"


def why_asked(
    rules: ApprovalRules, targets: pl.DataFrame, relaxations: pl.DataFrame, findings: pl.DataFrame
) -> list[str]:
    """Why a person must agree to one run, in words; nothing where nobody must.

    The frames have the schemas of their names, and the rows of this run; findings of shared inputs are its own too.
    """
    return [
        *_turnover(rules.max_turnover, targets),
        *(_gave_way(relaxations) if rules.relaxations else []),
        *(_warnings(findings) if rules.warnings else []),
    ]


def shown_hash(run_id: str, targets: pl.DataFrame) -> str:
    """SHA-256 of a run's identity and its targets, every number in full precision."""
    rows = targets.sort("symbol").write_csv(null_value="\\N", quote_style="non_numeric")
    return hashlib.sha256(f"{run_id}\n{rows}".encode()).hexdigest()


def joint_hash(questions: Sequence[Question]) -> str:
    """SHA-256 of everything that one form shows; that of the run where it is one."""
    if len(questions) == 1:
        return questions[0].shown_hash
    ordered = sorted(f"{question.portfolio_id} {question.shown_hash}" for question in questions)
    return hashlib.sha256("\n".join(ordered).encode()).hexdigest()


def refusal_id(run_id: str, question_id: str) -> str:
    """The identity of the refusal of a run for want of approval: 32 hexadecimal digits.

    It is not that of the run, which may still be approved and published when it is asked about again.
    """
    return hashlib.sha256(f"{run_id} not approved in {question_id}".encode()).hexdigest()[:32]


def _turnover(limit: float | None, targets: pl.DataFrame) -> list[str]:
    names = targets.filter(~pl.col("is_cash"))
    turnover = float((names["target_weight"] - names["current_weight"]).abs().sum()) / 2.0
    if limit is None or turnover <= limit + TOLERANCE:
        return []
    return [f"turnover of {_percent(turnover)} is above {_percent(limit)}"]


def _gave_way(relaxations: pl.DataFrame) -> list[str]:
    return _cut(
        [_relaxed(row) for row in relaxations.iter_rows(named=True)],
        "more soft limit that gave way",
        "more soft limits that gave way",
    )


def _relaxed(row: Mapping[str, Any]) -> str:
    used, limit = (
        f"{row[name]:g}" if row["constraint"] in COUNTS else _percent(row[name]) for name in ("used", "limit")
    )
    scope = f" of {row['scope']}" if row["scope"] else ""
    return f"the soft limit {row['constraint']}{scope} gave way, from {limit} to {used}"


def _warnings(findings: pl.DataFrame) -> list[str]:
    warned = findings.filter(pl.col("severity").cast(pl.String) == Severity.WARN.value)
    messages = warned["message"].unique(maintain_order=True)
    return _cut(
        [f"the data gate warns: {message}" for message in messages],
        "more warning of the data gate",
        "more warnings of the data gate",
    )


def _cut(told: Sequence[str], one: str, many: str) -> list[str]:
    more = [f"and {counted(len(told) - TOLD, one, many)}"] if len(told) > TOLD else []
    return [*told[:TOLD], *more]


def _percent(fraction: float) -> str:
    return f"{round(fraction * 100, 2) + 0.0:.2f} %"
