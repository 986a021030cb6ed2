"""What is told about a batch: what became of each run, and the rows behind it.

`joined` puts the reports of its parts together, `shortened` keeps of a large one what is shown.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from core.approval import Question
from core.results.totals import Totals, together, totals_of
from core.schemas import Severity
from core.timing import added

SHOWN = 20  # so many lines of one kind a summary tells
FRAMES = ("targets", "actions", "findings", "bucket_statistics", "relaxations", "explanations", "decisions")


@dataclass(frozen=True)
class Outcome:
    """What became of one run: `published`, `unchanged`, `restored`, `refused`, or `planned` in a dry run; and why.

    `failed`: its shard did not come to an end; `busy`: somebody else is at work on it; `waiting`: a person must agree
    first. The reason of a run that was published is what those said who had to agree to it. `supersedes` is the id of
    the run whose place it took.
    """

    portfolio_id: str
    outcome: str
    reason: str | None = None
    run_id: str | None = None
    supersedes: str | None = None


@dataclass(frozen=True)
class BatchReport:
    """Everything that is told about a batch; the frames have the schemas of their names.

    Of a large batch in shards they hold a few rows only, and `counted` is what there was: see `shortened`.
    """

    as_of: dt.date
    policy_name: str
    batch_id: str
    dry_run: bool
    outcomes: Sequence[Outcome]
    targets: pl.DataFrame = field(repr=False)
    actions: pl.DataFrame = field(repr=False)
    findings: pl.DataFrame = field(repr=False)
    bucket_statistics: pl.DataFrame = field(repr=False)
    relaxations: pl.DataFrame = field(repr=False)
    explanations: pl.DataFrame = field(repr=False)
    decisions: pl.DataFrame = field(repr=False)

    removed: Sequence[str] = ()  # files that a killed run had left behind
    missed: Sequence[dt.date] = ()  # sessions before this one that nobody ran
    early_close: str | None = None  # when the session ends, where it ends early, with the time zone
    questions: Sequence[Question] = ()  # what persons are asked about the runs that wait for their approval
    counted: Totals | None = field(default=None, repr=False)
    solvers: Mapping[str, int] = field(default_factory=dict)  # how many runs each has solved exactly
    seconds: Mapping[str, float] = field(default_factory=dict)  # what each step took

    @property
    def totals(self) -> Totals:
        """What is counted over all portfolios, whether their rows are here or not."""
        return self.counted or totals_of({name: getattr(self, name) for name in FRAMES})

    @property
    def busy(self) -> list[Outcome]:
        """The outcomes of the runs that somebody else is at work on."""
        return [outcome for outcome in self.outcomes if outcome.outcome == "busy"]

    @property
    def superseding(self) -> list[Outcome]:
        """The outcomes of the runs that took the place of another."""
        return [outcome for outcome in self.outcomes if outcome.supersedes is not None]

    @property
    def refused(self) -> list[Outcome]:
        """The outcomes of the refused runs."""
        return [outcome for outcome in self.outcomes if outcome.outcome == "refused"]

    @property
    def failed(self) -> list[Outcome]:
        """The outcomes of the runs of which nothing is known, as their shard failed."""
        return [outcome for outcome in self.outcomes if outcome.outcome == "failed"]

    @property
    def counts(self) -> str:
        """How many runs ended how, for example `2 published, 1 refused`."""
        kinds = [outcome.outcome for outcome in self.outcomes]
        return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def joined(opened: BatchReport, parts: Sequence[BatchReport]) -> BatchReport:
    """The report of a batch, with what its parts tell."""
    every = [opened, *parts]
    frames = {name: pl.concat([getattr(part, name) for part in every]) for name in FRAMES}
    frames["findings"] = frames["findings"].unique(maintain_order=True)  # those of shared inputs are told once
    outcomes = sorted((told for part in every for told in part.outcomes), key=lambda told: told.portfolio_id)
    questions = sorted((each for part in every for each in part.questions), key=lambda each: each.portfolio_id)
    cut = any(part.counted is not None for part in parts)
    counted = together([part.totals for part in every]) if cut else None
    return replace(
        opened,
        outcomes=outcomes,
        questions=questions,
        counted=counted,
        solvers=sum((Counter(part.solvers) for part in every), Counter[str]()),
        seconds=added(*(part.seconds for part in every)),
        **frames,
    )


def shortened(report: BatchReport, portfolios: Collection[str], most: int) -> BatchReport:
    """The report with at most so many target rows, actions and buckets, of these portfolios; of all others, the totals.

    Of findings and relaxations so many are kept as a summary tells, of decisions and explanations none, and targets of
    as many questions as are shown.
    """
    shown = pl.col("portfolio_id").is_in([*portfolios])
    few = {name: getattr(report, name).filter(shown).head(most) for name in ("targets", "actions", "bucket_statistics")}
    none = {name: getattr(report, name).clear() for name in ("decisions", "explanations")}
    asked = [
        question if place < SHOWN else replace(question, targets=question.targets.clear())
        for place, question in enumerate(report.questions)
    ]
    return replace(
        report,
        findings=gravest_first(report.findings).head(SHOWN),
        relaxations=report.relaxations.head(5 * SHOWN),
        questions=asked,
        counted=report.totals,
        **few,
        **none,
    )


def gravest_first(findings: pl.DataFrame) -> pl.DataFrame:
    """Findings, those that stop the most first, each once however many portfolios it concerns."""
    gravest = pl.col("severity").cast(pl.Enum([severity.value for severity in Severity]))
    return findings.sort(gravest, maintain_order=True).unique(maintain_order=True)
