"""What a person is shown who must agree before runs are published, in Markdown.

`form` is the description of the form: of each portfolio why it asks (`_portfolio`), what it amounts to, and its largest
moves, in no more columns than the first of Prefect's UIs has room for. `proposal` shows the targets, for the artifact
that the form points to; what is too much for a page is counted. `approval_table` and `approval_lines` tell afterwards
what was asked and said.
"""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from core.approval import SHORT, Question, joint_hash
from core.limits import TOLERANCE
from core.results.report import SHOWN, BatchReport, Outcome
from core.results.summary import target_table
from core.results.tables import NONE, Row, markdown_table, percent
from core.results.totals import figures_of
from core.wording import counted, in_short, in_utc

TOLD = 5  # so many portfolios that are not published, with their reason
MOVES = 10  # so many moves of a portfolio a form shows
ROWS = 500  # so many targets of a portfolio a proposal shows
EVERY_TARGET = "for every target: `evenkeel run --dry-run --json`, with this date, this policy and these portfolios"


def form(report: BatchReport, until: dt.datetime, artifact: str) -> str:
    """What will be published if a person agrees, and what is not in any case; `artifact` is the key of the one with the
    targets."""
    questions, as_of = report.questions, report.as_of
    parts = [
        f"## {counted(len(questions), 'portfolio')} of {as_of:%A}, {as_of.isoformat()}, under policy "
        f"{report.policy_name}",
        f"Approve, and exactly this is published: `{joint_hash(questions)[:SHORT]}`. Reject, or leave it until "
        f"{in_utc(until)}, and none of it is. The targets: artifact `{artifact}` of this run.",
        *(_portfolio(question, MOVES) for question in questions[:SHOWN]),
        _more(questions),
        _unpublished([*report.refused, *report.failed]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _unpublished(outcomes: Sequence[Outcome]) -> str:
    """What else became of the batch that its people should know, as the run has not ended yet."""
    if not outcomes:
        return ""
    told = "".join(f"\n- **{outcome.portfolio_id}**: {outcome.reason}" for outcome in outcomes[:TOLD])
    more = f"\n- and {len(outcomes) - TOLD} more, in the summary" if len(outcomes) > TOLD else ""
    return f"### Not published, whatever is answered\n{told}{more}"


def proposal(questions: Sequence[Question], as_of: dt.date) -> str:
    """The targets of the runs that wait."""
    parts = [
        f"# Proposed for {as_of.isoformat()}, not published",
        "These portfolios wait for a person's approval; open the run, and choose Resume.",
        *(_proposed(question) for question in questions[:SHOWN]),
        _more(questions),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def approval_table(asked: pl.DataFrame, now: dt.datetime) -> list[Row]:
    """What was asked, and what was said; `asked`: rows of table `approvals`, `now` with its zone."""
    return [
        {
            "portfolio": row["portfolio_id"],
            "as of": str(row["as_of"]),
            "run": row["run_id"],
            "shown": row["shown_hash"][:SHORT],
            "asked at": in_utc(row["asked_at"]),
            "decision": row["decision"] or ("timed out" if row["until"] < now else "open"),
            "who": row["who"] or NONE,
            "decided at": in_utc(row["decided_at"]) if row["decided_at"] else NONE,
            "why asked": row["why_asked"],
            "reason": row["reason"] or NONE,
        }
        for row in asked.iter_rows(named=True)
    ]


def approval_lines(approved: pl.DataFrame) -> list[str]:
    """One line per approved run; `approved`: rows of table `approvals`."""
    return [
        f"{row['portfolio_id']}: approved by {row['who']} at {in_utc(row['decided_at'])}"
        f"{': ' + row['reason'] if row['reason'] else ''}"
        for row in approved.iter_rows(named=True)
    ]


def _portfolio(question: Question, moves: int) -> str:
    largest = _moves(question.targets)
    shown = [_move(row) for row in largest.head(moves).iter_rows(named=True)]
    rest = f"and {counted(largest.height - moves, 'smaller move')}" if largest.height > moves else ""
    moved = "\n".join(markdown_table(shown))
    parts = [_heading(question), _amounts(question.targets), moved, rest]
    return "\n\n".join(part for part in parts if part)


def _proposed(question: Question) -> str:
    count = question.targets.height
    shown = question.targets.sort(pl.col("trade_weight").abs(), "symbol", descending=[True, False]).head(ROWS)
    cut = f"The {ROWS:,} largest trades of {count:,} rows; {EVERY_TARGET}." if count > ROWS else ""
    parts = [_heading(question), cut, "\n".join(markdown_table(target_table(shown)))]
    return "\n\n".join(part for part in parts if part)


def _heading(question: Question) -> str:
    why = "\n".join(f"- {reason}" for reason in question.why)
    return f"### {question.portfolio_id} · `{question.shown_hash[:SHORT]}`\n\n{why}"


def _amounts(targets: pl.DataFrame) -> str:
    """Turnover, names, gross, net and cash, in a sentence."""
    (figures,) = figures_of(targets).iter_rows(named=True)
    weights = ", ".join(f"{name} {percent(figures[name])}" for name in ("gross", "net", "cash"))
    names = f"{counted(figures['names'], 'name')} ({figures['opened']} opened, {figures['closed']} closed)"
    return f"Turnover {percent(figures['turnover'])}, {names}, {weights}."


def _moves(targets: pl.DataFrame) -> pl.DataFrame:
    """The names that trade, the largest trade first; by name where they are equal."""
    traded = targets.filter(~pl.col("is_cash") & (pl.col("trade_weight").abs() > TOLERANCE))
    return traded.sort(pl.col("trade_weight").abs(), "symbol", descending=[True, False])


def _move(row: dict[str, object]) -> Row:
    current, target, trade = (float(str(row[f"{name}_weight"])) for name in ("current", "target", "trade"))
    words = {"symbol": str(row["symbol"]), "action": str(row["action"])}
    return words | {"current": percent(current), "target": percent(target), "trade": percent(trade, sign=True)}


def _more(questions: Sequence[Question]) -> str:
    others = [question.portfolio_id for question in questions[SHOWN:]]
    if not others:
        return ""
    of_others = f"And {len(others):,} more, not shown here: {in_short(others, SHOWN)}."
    return f"{of_others} The hash of the form is that of all of them; {EVERY_TARGET}."
