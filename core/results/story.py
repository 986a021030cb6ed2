"""Why one weight is what it is, for a person: in a terminal, or as Markdown.

`story` puts together what is known of one name in one run: its signals and score, whether it was selected and why, the
waterfall from the wanted weight over each rule's change to the target (`_steps`), and what is to be traded. Each line
of the waterfall has a bar (`_bar`). `explanation_table` is the same for all names of a batch, one line each.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from core.limits import TOLERANCE
from core.results.tables import NONE, Row, amount, in_units, percent, told_apart
from core.schemas import KEYS

WIDTH = 32  # of a bar, in characters
TEXT_WIDTH = 100
INDENT = 11  # of facts beside their names
KEPT, TAKEN, ADDED = "█", "░", "▓"
LEGEND = f"{KEPT} weight   {TAKEN} taken away   {ADDED} added   (percent of net asset value)"

Named = Mapping[str, Any]
"""A row of a table by the names of its columns."""


@dataclass(frozen=True)
class Line:
    """One line of the waterfall; a weight that no rule changed has only `after`."""

    label: str
    after: float
    before: float | None = None
    limit: str = ""

    @property
    def change(self) -> str:
        """The amount, told in full where two places would hide it."""
        if self.before is None:
            return ""
        moved = self.after - self.before
        return percent(moved, sign=True) if abs(moved) >= 5e-5 else f"{moved * 100:+.0e} %"


@dataclass(frozen=True)
class Story:
    """One name of one run, ready to be told."""

    title: str
    facts: Sequence[tuple[str, str]]
    lines: Sequence[Line]
    outcome: str
    brief: str

    def terminal(self) -> str:
        """The story in columns of fixed width."""
        facts = [_wrapped(name, text) for name, text in self.facts]
        return "\n".join([self.title, "", *facts, "", *self._waterfall(), _wrapped("target", self.outcome)])

    def _waterfall(self) -> list[str]:
        if not self.lines:
            return []
        wide = max(len(line.label) for line in self.lines)
        low, high = self._scale
        axis = f"{percent(low)}{percent(high):>{WIDTH - len(percent(low))}}"
        head = f"{'':<{wide}}  {'limit':>9}  {'change':>9}  {'subtotal':>9}   {axis}"
        rows = [
            f"{line.label:<{wide}}  {line.limit:>9}  {line.change:>9}  {percent(line.after):>9}   {self._bar(line)}"
            for line in self.lines
        ]
        return [head, *(row.rstrip() for row in rows), f"{'':<{wide + 36}}{LEGEND}", ""]

    def markdown(self) -> str:
        """The story as Markdown, for a ticket or a message."""
        facts = [f"- **{name}**: {text}" for name, text in self.facts]
        head = ["| | limit | change | subtotal | |", "| :-- | --: | --: | --: | :-- |"] if self.lines else []
        rows = [
            f"| {line.label} | {line.limit} | {line.change} | {percent(line.after)} | {_code(self._bar(line))} |"
            for line in self.lines
        ]
        table = [*head, *rows, "", LEGEND, ""] if self.lines else []
        return "\n".join([f"### {self.title}", "", *facts, "", *table, f"**target**: {self.outcome}"])

    @property
    def _scale(self) -> tuple[float, float]:
        weights = [0.0, *(line.after for line in self.lines), *(line.before or 0.0 for line in self.lines)]
        return min(weights), max(weights)

    def _bar(self, line: Line) -> str:
        """The weight after the change, and what it took away or added, cell by cell on one scale for all lines."""
        low, high = self._scale
        before = line.after if line.before is None else line.before
        cells = (low + (place + 0.5) * (high - low) / WIDTH for place in range(WIDTH))
        return "".join(_cell(_within(before, cell), _within(line.after, cell)) for cell in cells)


def _code(bar: str) -> str:
    return f"`{bar.rstrip()}`" if bar.strip() else ""


def _wrapped(name: str, text: str) -> str:
    """A fact beside its name; its own lines stay lines."""
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, TEXT_WIDTH) or [""]]
    return textwrap.indent("\n".join(lines), " " * INDENT).replace(" " * INDENT, f"{name:<{INDENT}}", 1)


def _within(weight: float, cell: float) -> bool:
    return 0 < cell <= weight or weight <= cell < 0


def _cell(before: bool, after: bool) -> str:
    if after:
        return KEPT if before else ADDED
    return TAKEN if before else " "


def story(run: Named, decision: Named, changes: pl.DataFrame, target: Named | None) -> Story:
    """The story of one name: a row of `runs`, one of `Decisions`, its rows of `Explanations`, and its row of `Targets`
    (None: the run has none for it)."""
    return Story(
        title=f"{decision['symbol']} in {run['portfolio_id']} on {run['as_of']:%A}, {run['as_of']}",
        facts=_facts(run, decision),
        lines=_steps(decision, changes),
        outcome=_outcome(run, decision, target),
        brief=f"{run['portfolio_id']}: {decision['why']}",
    )


def _facts(run: Named, decision: Named) -> list[tuple[str, str]]:
    selection = decision["why"] if decision["rejected_by"] is None else f"not selected: {decision['why']}"
    return [
        ("run", f"{run['run_id']}, policy {run['policy_name']}, {run['status']}"),
        ("signals", decision["signals"] or "none"),
        ("score", _score(decision)),
        ("bucket", decision["bucket"]),
        ("selection", selection),
    ]


def _score(decision: Named) -> str:
    """The score, and how complete the signals are."""
    if decision["score"] is None:
        return "none"
    told = [f"{decision['score']:.4f}"]
    if decision["confidence"] is not None:
        told.append(f"confidence {decision['confidence']:.2f}")
    return ", ".join(told)


def _steps(decision: Named, changes: pl.DataFrame) -> list[Line]:
    """From today's weight over the wanted one to the target; none for a name that never had a weight."""
    current, wanted, target = (decision[f"{kind}_weight"] for kind in ("current", "wanted", "target"))
    if max(abs(current), abs(wanted), abs(target or 0.0)) <= TOLERANCE and changes.is_empty():
        return []
    moved = [
        Line(row["rule"], row["after"], row["before"], in_units(row["rule"], row["limit"]))
        for row in changes.iter_rows(named=True)
    ]
    end = [] if target is None else [Line("target weight", target)]
    return [Line("weight today", current), Line("wanted weight", wanted), *moved, *end]


def _outcome(run: Named, decision: Named, target: Named | None) -> str:
    if run["status"] == "refused":
        return f"none, for the run was refused: {run['reason']}"
    if target is None:
        return "none, for it is neither held nor wanted"
    current, wanted = percent(decision["current_weight"]), percent(target["target_weight"])
    told = f"{target['action']}, from {current} to {wanted}: {percent(target['trade_weight'], sign=True)}"
    if target["trade_quantity"] is None:
        return told
    traded = f"{amount(target['trade_notional'])} or {amount(target['trade_quantity'])} units"
    return f"{told}, {traded} at {amount(target['close'])}"


# all names of a batch


def with_changes(decision_rows: pl.DataFrame, explained: pl.DataFrame) -> pl.DataFrame:
    """Rows of `Decisions` with `changes`, the list of what rules changed in words; the largest weights first."""
    change = (pl.col("change") * 100).round(2) + 0.0  # never -0.0
    sign = pl.when(change > 0).then(pl.lit("+")).otherwise(pl.lit(""))
    told = explained.with_columns(words=pl.format("{} {}{} %", "rule", sign, change))
    words = told.group_by(KEYS, maintain_order=True).agg(changes=pl.col("words"))
    joined = decision_rows.join(words, on=KEYS, how="left", maintain_order="left")
    size = pl.max_horizontal(pl.col(f"{kind}_weight").abs() for kind in ("target", "wanted", "current"))
    return joined.sort("portfolio_id", -size, -pl.col("score"), "symbol", nulls_last=True)


def explanation_table(rows: pl.DataFrame) -> list[Row]:
    """Every name considered, one row each: why it is in or out, and how its weight came about."""
    return told_apart(
        [
            {
                "portfolio": row["portfolio_id"],
                "symbol": row["symbol"],
                "bucket": row["bucket"],
                "score": NONE if row["score"] is None else f"{row['score']:.4f}",
                "signals": row["signals"],
                "selection": row["why"],
                "today": percent(row["current_weight"]),
                "wanted": percent(row["wanted_weight"]),
                "changed by": _listed(row["changes"]),
                "target": NONE if row["target_weight"] is None else percent(row["target_weight"]),
            }
            for row in rows.iter_rows(named=True)
        ]
    )


def _listed(words: Iterable[str] | None) -> str:
    return ", ".join(words or ()) or NONE
