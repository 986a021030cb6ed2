"""The summary of a batch in Markdown, for a person with ten seconds, and its tables with every number formatted.

`summary` tells refusals and their remedies first, then what became of each portfolio (`portfolio_lines`), which soft
limits gave way (`relaxation_lines`), what was enforced (`enforced_lines`) and what the data gate says
(`finding_lines`). `action_table`, `target_table` and
`bucket_table` are rows of plain strings for any renderer.
"""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from core.actions import COUNTS, sentences
from core.approval import Question
from core.results.totals import Totals, together, totals_of
from core.schemas import Severity
from core.wording import counted

SHOWN = 20  # so many lines of one kind a summary tells
NONE = "–"
FRAMES = ("targets", "actions", "findings", "bucket_statistics", "relaxations", "explanations", "decisions")
WORDS = ("for example", "why")  # columns of sentences

Row = dict[str, str]


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
    questions: Sequence[Question] = ()  # what persons are asked about the runs that wait for their approval
    counted: Totals | None = field(default=None, repr=False)

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
    return replace(opened, outcomes=outcomes, questions=questions, counted=counted, **frames)


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
        findings=_gravest_first(report.findings).head(SHOWN),
        relaxations=report.relaxations.head(5 * SHOWN),
        questions=asked,
        counted=report.totals,
        **few,
        **none,
    )


def summary(report: BatchReport, pictures: Sequence[str] = ()) -> str:
    """The summary of a batch as Markdown, with pictures of weights where the page shows images."""
    parts = [
        f"# Rebalance of {report.as_of:%A}, {report.as_of.isoformat()}",
        f"Policy **{report.policy_name}** · {_counts(report)}",
        "**Dry run: nothing was published.**" if report.dry_run else "",
        _section("Refused", [_refusal_line(told) for told in report.refused[:SHOWN]]),
        _section("Failed", [f"- {reason}" for reason in dict.fromkeys(told.reason for told in report.failed)][:SHOWN]),
        _section("Busy", [f"- {told.reason}" for told in report.busy[:SHOWN]]),
        _section("Approval", _approval_lines(report)[:SHOWN]),
        _section("Missed", _missed_lines(report)),
        _section("Portfolios", markdown_table(portfolio_lines(report)[: 5 * SHOWN], right=2)),
        _section("Weights", ["\n\n".join(pictures)] if pictures else []),
        _section("Limits that gave way", markdown_table(relaxation_lines(report.relaxations)[: 5 * SHOWN], right=3)),
        _section("Enforced", markdown_table(enforced_lines(report.totals.enforced), right=1)),
        _section("Data", finding_lines(report.findings)[:SHOWN]),
        _section("Removed, left behind by a run that was killed", [f"- `{path}`" for path in report.removed[:SHOWN]]),
        _left_out(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _refusal_line(told: Outcome) -> str:
    """A refusal as an item of a list; the lines of a longer reason stay lines, within the item."""
    first, *others = (told.reason or "").splitlines()
    return "\n".join([f"- **{told.portfolio_id}**: {first}", *(f"  {line}".rstrip() for line in others)])


def _approval_lines(report: BatchReport) -> list[str]:
    """Which runs wait for a person, and what was said of those that are published; that of a rejected one is told as
    its refusal."""
    said = [told for told in report.outcomes if told.reason and told.outcome not in ("refused", "busy", "failed")]
    return [f"- **{told.portfolio_id}**: {_escaped(told.reason or '')}" for told in said]


def _missed_lines(report: BatchReport) -> list[str]:
    """The sessions that nobody ran, and how to run them."""
    if not report.missed:
        return []
    days = ", ".join(map(str, report.missed[:SHOWN]))
    more = f" and {len(report.missed) - SHOWN} more" if len(report.missed) > SHOWN else ""
    command = f"evenkeel backfill {report.missed[0]} {report.missed[-1]} --policy {report.policy_name}"
    return [f"- No run of {days}{more}. To run them, each with the data of its day: `{command}`"]


def relaxation_lines(relaxations: pl.DataFrame) -> list[Row]:
    """One line per soft limit that gave way: the value configured, the value used, and why."""
    return [
        {
            "portfolio": row["portfolio_id"],
            "limit": row["constraint"],
            "of": row["scope"] or NONE,
            "configured": in_units(row["constraint"], row["limit"]),
            "used": in_units(row["constraint"], row["used"]),
            "why": row["reason"],
        }
        for row in relaxations.iter_rows(named=True)
    ]


def portfolio_lines(report: BatchReport) -> list[Row]:
    """One line per portfolio: outcome, names, turnover, gross, net, cash."""
    figures = {row["portfolio_id"]: row for row in report.totals.figures.iter_rows(named=True)}
    return [_portfolio_line(outcome, figures.get(outcome.portfolio_id)) for outcome in report.outcomes]


def _portfolio_line(outcome: Outcome, figures: dict[str, Any] | None) -> Row:
    line = {"portfolio": outcome.portfolio_id, "outcome": outcome.outcome}
    if figures is None or outcome.outcome == "refused":
        return line | dict.fromkeys(("names", "opened", "closed", "turnover", "gross", "net", "cash"), NONE)
    counts = {name: str(figures[name]) for name in ("names", "opened", "closed")}
    return line | counts | {name: percent(figures[name]) for name in ("turnover", "gross", "net", "cash")}


def enforced_lines(enforced: pl.DataFrame) -> list[Row]:
    """One line per rule and what it did: how often, in how many portfolios, and the first case as a sentence."""
    return [
        {
            "rule": f"{row['verb']} · {row['rule']}",
            "times": str(row["times"]),
            "portfolios": str(row["portfolios"]),
            "for example": row["example"],
        }
        for row in enforced.iter_rows(named=True)
    ]


def finding_lines(findings: pl.DataFrame) -> list[str]:
    """One line per finding of the data gate, the gravest first, each once however many portfolios it concerns."""
    return [
        f"- **{row['severity'].replace('_', ' ')}**: {_escaped(row['message'])} {_escaped(row['remedy'])}"
        for row in _gravest_first(findings).iter_rows(named=True)
    ]


def _gravest_first(findings: pl.DataFrame) -> pl.DataFrame:
    gravest = pl.col("severity").cast(pl.Enum([severity.value for severity in Severity]))
    return findings.sort(gravest, maintain_order=True).unique(maintain_order=True)


def action_table(actions: pl.DataFrame) -> list[Row]:
    """Enforcement actions, one row each."""
    told = actions.with_columns(sentence=pl.Series(sentences(actions), dtype=pl.String))
    return told_apart(
        [
            {
                "portfolio": row["portfolio_id"],
                "step": row["step"],
                "rule": row["rule"],
                "symbol": row["symbol"] or NONE,
                "bucket": row["bucket"] or NONE,
                "what happened": row["sentence"],
            }
            for row in told.iter_rows(named=True)
        ]
    )


def target_table(target_rows: pl.DataFrame) -> list[Row]:
    """Targets, one row per name and the cash row, largest first, then by name."""
    ordered = target_rows.sort(
        "portfolio_id", "is_cash", pl.col("target_weight").abs(), "symbol", descending=[False, False, True, False]
    )
    return told_apart(
        [
            {
                "portfolio": row["portfolio_id"],
                "symbol": row["symbol"],
                "bucket": row["bucket"] or NONE,
                "action": row["action"],
                "current": percent(row["current_weight"]),
                "target": percent(row["target_weight"]),
                "trade": percent(row["trade_weight"], sign=True),
                "trade amount": amount(row["trade_notional"]),
                "trade quantity": amount(row["trade_quantity"]),
                "score": NONE if row["score"] is None else f"{row['score']:.4f}",
                "reason": row["reason"],
            }
            for row in ordered.iter_rows(named=True)
        ]
    )


def bucket_table(statistics: pl.DataFrame) -> list[Row]:
    """Buckets with their limits and how much of them is used."""
    return told_apart(
        [
            {
                "portfolio": row["portfolio_id"],
                "bucket": row["bucket"],
                "names": str(row["asset_count"]),
                "limit of names": NONE if row["max_positions"] is None else str(row["max_positions"]),
                "gross": percent(row["gross_weight"]),
                "limit of gross": NONE if row["max_allocation"] is None else percent(row["max_allocation"]),
                "used": NONE if row["max_allocation"] is None else percent(row["gross_weight"] / row["max_allocation"]),
                "average score": NONE if row["avg_score"] is None else f"{row['avg_score']:.4f}",
            }
            for row in statistics.iter_rows(named=True)
        ]
    )


def told_apart(rows: list[Row]) -> list[Row]:
    """The rows of a table without the portfolio where it is the same in all of them."""
    if len({row["portfolio"] for row in rows}) > 1:
        return rows
    return [{name: text for name, text in row.items() if name != "portfolio"} for row in rows]


def percent(fraction: float, *, sign: bool = False) -> str:
    """A fraction in percent with two places; never a negative zero."""
    rounded = round(fraction * 100, 2) + 0.0
    return f"{rounded:+.2f} %" if sign else f"{rounded:.2f} %"


def in_units(constraint: str, limit: float | None) -> str:
    """A limit of a constraint: in percent, or a count; a dash where there is none."""
    if limit is None:
        return NONE
    return f"{limit:.0f}" if constraint in COUNTS else percent(limit)


def amount(number: float | None) -> str:
    """A number of currency or units with two places, or a dash."""
    return NONE if number is None else f"{round(number, 2) + 0.0:,.2f}"


def _counts(report: BatchReport) -> str:
    return f"{counted(len(report.outcomes), 'portfolio')}: {report.counts}"


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *lines]) if lines else ""


def markdown_table(rows: Sequence[Row], right: int | None = None) -> list[str]:
    """A table; the columns from number `right` on are aligned to the right, but for sentences."""
    if not rows:
        return []
    header = list(rows[0])
    aligned = [right is not None and place >= right and name not in WORDS for place, name in enumerate(header)]
    columns = [
        _unit_on_top(name, [_escaped(row[name]) for row in rows], to_right)
        for name, to_right in zip(header, aligned, strict=True)
    ]
    first, *cells = zip(*columns, strict=True)
    rules = [":--" if not to_right else "--:" for to_right in aligned]
    return [f"| {' | '.join(line)} |" for line in (first, rules, *cells)]


def _unit_on_top(name: str, cells: list[str], is_number: bool) -> list[str]:
    """A column with its name; where all of it is in percent, the name says so, which leaves room on narrow pages."""
    told = [cell for cell in cells if cell != NONE]
    if not (is_number and told and all(cell.endswith(" %") for cell in told)):
        return [name, *map(_unbroken, cells)]
    return [f"{name} %", *(cell.removesuffix(" %") for cell in cells)]


def _unbroken(text: str) -> str:
    """A number stays with its unit on one line."""
    return text.replace(" %", "\u00a0%")


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _left_out(report: BatchReport) -> str:
    """Where the rest of what a summary shortens is."""
    rows = report.totals.rows
    counts = (len(report.outcomes), rows["relaxations"])
    cut = max(len(report.refused) - SHOWN, max(counts) - 5 * SHOWN, rows["findings"] - SHOWN)
    if cut <= 0:
        return ""
    return (
        f"Shortened: all {len(report.outcomes)} runs are in the table `runs` where `batch_id = '{report.batch_id}'`, "
        "their findings in `findings`, the limits that gave way in `relaxations`."
    )
