"""The summary of a batch in Markdown, for a person with ten seconds, and its tables with every number formatted.

`summary` tells refusals and their remedies first, then what became of each portfolio (`portfolio_lines`), which soft
limits gave way (`relaxation_lines`), what was enforced (`enforced_lines`), what the data gate says (`finding_lines`),
and where the time went. `action_table`, `target_table` and `bucket_table` are rows of plain strings for any renderer.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from core.actions import sentences
from core.results.report import SHOWN, BatchReport, Outcome, gravest_first
from core.results.tables import NONE, Row, amount, escaped, in_units, markdown_table, percent, told_apart
from core.wording import counted

FROM_HOLDINGS = "Opened, closed and turnover count from what is held this morning."


def summary(report: BatchReport, pictures: Sequence[str] = ()) -> str:
    """The summary of a batch as Markdown, with pictures of weights where the page shows images."""
    parts = [
        f"# Rebalance of {report.as_of:%A}, {report.as_of.isoformat()}",
        f"Policy **{report.policy_name}** · {_counts(report)}",
        f"The session ends early, at {report.early_close}." if report.early_close else "",
        "**Dry run: nothing was published.**" if report.dry_run else "",
        _section("Refused", _first([_refusal_line(told) for told in report.refused])),
        _section("Failed", _first([f"- {reason}" for reason in dict.fromkeys(told.reason for told in report.failed)])),
        _section("Busy", _first([f"- {told.reason}" for told in report.busy])),
        _section("Approval", _first(_approval_lines(report))),
        _section("Missed", _missed_lines(report)),
        _section("Portfolios", _portfolio_table(report)),
        _section("Weights", ["\n\n".join(pictures)] if pictures else []),
        _section("Limits that gave way", markdown_table(relaxation_lines(report.relaxations)[: 5 * SHOWN])),
        _section("Enforced", markdown_table(enforced_lines(report.totals.enforced))),
        _section("Data", finding_lines(report.findings)[:SHOWN]),
        _section("Time", _time_lines(report)),
        _section("Removed, left behind by a run that was killed", _first([f"- `{path}`" for path in report.removed])),
        _left_out(report),
        _differences_left_out(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _portfolio_table(report: BatchReport) -> list[str]:
    table = markdown_table(portfolio_lines(report)[: 5 * SHOWN])
    return [*table, "", FROM_HOLDINGS] if table else []


def _refusal_line(told: Outcome) -> str:
    """A refusal as an item of a list; the lines of a longer reason stay lines, within the item."""
    first, *others = (told.reason or "").splitlines()
    return "\n".join([f"- **{told.portfolio_id}**: {first}", *(f"  {line}".rstrip() for line in others)])


def _approval_lines(report: BatchReport) -> list[str]:
    """Which runs wait for a person, and what was said of those that are published; that of a rejected one is told as
    its refusal."""
    said = [told for told in report.outcomes if told.reason and told.outcome not in ("refused", "busy", "failed")]
    return [f"- **{told.portfolio_id}**: {escaped(told.reason or '')}" for told in said]


def _time_lines(report: BatchReport) -> list[str]:
    """What each step took, and who solved what the chain of constraints alone does not."""
    whole = sum(report.seconds.values())
    rows = [
        {"step": step, "seconds": f"{seconds:.2f}", "share": percent(seconds / whole)}
        for step, seconds in report.seconds.items()
    ]
    if not rows:
        return []
    total = {"step": "all, beside Prefect's own", "seconds": f"{whole:.2f}", "share": percent(1.0)}
    solved = ", ".join(f"{counted(runs, 'run')} by {solver}" for solver, runs in report.solvers.items())
    return [*markdown_table([*rows, total]), *(["", f"Solved exactly: {solved}."] if solved else [])]


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
        f"- **{row['severity'].replace('_', ' ')}**: {escaped(row['message'])} {escaped(row['remedy'])}"
        for row in gravest_first(findings).iter_rows(named=True)
    ]


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


def _counts(report: BatchReport) -> str:
    return f"{counted(len(report.outcomes), 'portfolio')}: {report.counts}"


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *lines]) if lines else ""


def _first(lines: Sequence[str]) -> list[str]:
    """The first lines of a list, and how many more there are."""
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], *([f"- and {more:,} more"] if more > 0 else [])]


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


def _differences_left_out(report: BatchReport) -> str:
    """Which runs took the place of another without an artifact that tells what changed."""
    more = report.superseding[SHOWN:]
    if not more:
        return ""
    return (
        f"{len(more) + SHOWN:,} runs took the place of another. What changed is an artifact of the first {SHOWN}; of "
        f"the others, as {more[0].portfolio_id}, it is told by `evenkeel diff {more[0].supersedes} {more[0].run_id}`."
    )
