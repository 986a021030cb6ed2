"""What changed between two runs, for people and programs: tables of formatted strings, Markdown, a document for JSON.

`sections` are the tables for any renderer: what differs in what the runs were made from, then the targets that moved
and the rules through which. `headline` counts them in one sentence. `diff_markdown` is the whole as Markdown, and
`diff_document` as numbers.
"""

from typing import Any

import polars as pl

from core.results.diff import WANTED, RunDiff, RunFacts
from core.results.tables import NONE, Row, escaped, in_units, markdown_table, percent
from core.schemas import CASH_SYMBOL
from core.wording import counted

SHOWN = 20  # so many targets are told
OF_FRAME = 10  # so many input rows of each frame
LISTED = 1000  # so many are in a document
LONGEST = 60  # characters of a cell

Section = tuple[str, list[Row]]


def headline(told: RunDiff) -> str:
    """What differs, counted, in one line."""
    counts = (
        (_input_rows(told), "input row", "input rows"),
        (told.policy.height, "policy key", "policy keys"),
        (_names(told).height, "target moved", "targets moved"),
    )
    words = [counted(count, one, many) for count, one, many in counts if count]
    words += ["another program or environment"] if told.program.height else []
    if not words:
        return "Nothing differs."
    turnover = float(_names(told)["change"].abs().sum()) / 2
    return f"{', '.join(words)}{f', {percent(turnover)} of turnover apart' if turnover else ''}."


def titled(told: RunDiff) -> str:
    """The two runs, by name."""
    return f"{told.before.portfolio_id}: {_named(told.before)} → {_named(told.after)}"


def sections(told: RunDiff) -> list[Section]:
    """The tables that have rows, each with its title."""
    tables = [
        ("Program", _change_lines(told.program, "what")),
        ("Policy", _change_lines(told.policy, "key")),
        ("Inputs", _frame_lines(told.inputs)),
        _input_section(told.inputs),
        (_shortened("Targets that moved", told.targets.height), _target_lines(told)),
        ("Through which rule", _rule_lines(told)),
    ]
    return [(title, rows) for title, rows in tables if rows]


def diff_markdown(told: RunDiff) -> str:
    """The whole as Markdown, fit for an artifact or a ticket."""
    parts = [f"### {escaped(titled(told))}", headline(told), *(f"- {escaped(note)}" for note in told.notes)]
    for title, rows in sections(told):
        parts += [f"#### {title}", "\n".join(markdown_table(rows))]
    return "\n\n".join(parts) + "\n"


def diff_document(told: RunDiff) -> dict[str, Any]:
    """The whole as a document ready for JSON, in full precision; of the input rows, the first thousand."""
    return {
        "before": _facts(told.before),
        "after": _facts(told.after),
        "notes": list(told.notes),
        "inputs": {
            "counts": _counted(told.inputs).to_dicts(),
            "rows": told.inputs.head(LISTED).to_dicts(),
            "rows_left_out": max(told.inputs.height - LISTED, 0),
        },
        "policy": told.policy.to_dicts(),
        "program": told.program.to_dicts(),
        "targets": [
            row | {"causes": told.causes.filter(symbol=row["symbol"]).drop("symbol").to_dicts()}
            for row in told.targets.iter_rows(named=True)
        ],
    }


def _named(run: RunFacts) -> str:
    return f"run {run.run_id} of {run.as_of} (policy {run.policy_name}, {run.status})"


def _facts(run: RunFacts) -> dict[str, Any]:
    return {name: getattr(run, name) for name in RunFacts.__annotations__} | {"as_of": run.as_of.isoformat()}


def _names(told: RunDiff) -> pl.DataFrame:
    return told.targets.filter(pl.col("symbol") != CASH_SYMBOL)


def _input_rows(told: RunDiff) -> int:
    rows = told.inputs.select("frame", "row", "change", "rows").unique()
    return int(rows["rows"].sum())


def _shortened(title: str, count: int) -> str:
    return title if count <= SHOWN else f"{title}: the first {SHOWN} of {count:,}"


# tables


def _change_lines(changes: pl.DataFrame, what: str) -> list[Row]:
    return [
        {what: row["key"], "before": _cell(row["before"]), "after": _cell(row["after"])}
        for row in changes.iter_rows(named=True)
    ]


def _counted(inputs: pl.DataFrame) -> pl.DataFrame:
    """frame, change, rows, columns: how many rows of a frame were added, removed or changed, and in which columns."""
    rows = inputs.unique(("frame", "change", "row"), maintain_order=True)
    counts = rows.group_by("frame", "change", maintain_order=True).agg(pl.col("rows").sum(), days=pl.len())
    columns = inputs.group_by("frame", "change").agg(columns=pl.col("column").drop_nulls().unique().sort())
    return counts.join(columns, on=("frame", "change"), maintain_order="left").select(
        "frame", "change", "rows", "columns", days=pl.when(pl.col("change").str.starts_with("day")).then("days")
    )


def _frame_lines(inputs: pl.DataFrame) -> list[Row]:
    return [
        {
            "frame": row["frame"],
            "change": row["change"] if row["days"] is None else f"{row['days']:,} × {row['change']}",
            "rows": f"{row['rows']:,}",
            "in": ", ".join(row["columns"]) or NONE,
        }
        for row in _counted(inputs).iter_rows(named=True)
    ]


def _input_section(inputs: pl.DataFrame) -> Section:
    first = inputs.filter(pl.int_range(pl.len()).over("frame") < OF_FRAME)
    cut = f": the first {OF_FRAME} of each frame" if first.height < inputs.height else ""
    return f"Input rows{cut}", _input_lines(first)


def _input_lines(inputs: pl.DataFrame) -> list[Row]:
    return [
        {
            "frame": row["frame"],
            "change": row["change"],
            "row": row["row"],
            "column": row["column"] or NONE,
            "before": _cell(row["before"]),
            "after": _cell(row["after"]),
            "by": _relative(row["before"], row["after"]) if row["change"] == "changed" else NONE,
        }
        for row in inputs.iter_rows(named=True)
    ]


def _target_lines(told: RunDiff) -> list[Row]:
    return [
        {
            "symbol": row["symbol"],
            "before": percent(row["before"]),
            "after": percent(row["after"]),
            "moved": _amount(row["change"]),
            "through": _through(told.causes.filter(symbol=row["symbol"])),
            "why": _why(row),
        }
        for row in told.targets.head(SHOWN).iter_rows(named=True)
    ]


def _through(causes: pl.DataFrame) -> str:
    return ", ".join(f"{row['rule']} {_amount(row['change'])}{_limits(row)}" for row in causes.iter_rows(named=True))


def _limits(cause: dict[str, Any]) -> str:
    """The limit, where it is not the one of before."""
    old, new = (in_units(cause["rule"], cause[name]) for name in ("limit_before", "limit_after"))
    return "" if old == new or NONE in (old, new) else f" (limit {old} → {new})"


def _why(target: dict[str, Any]) -> str:
    """Why a name entered or left, and what its score was."""
    if target["symbol"] == CASH_SYMBOL:
        return NONE
    reason = target["why_after"] or "no longer considered"
    if target["outcome"] == "entered":
        return f"entered: {reason} (before: {target['why_before'] or 'not considered'})"
    if target["outcome"] == "left":
        return f"left: {reason}"
    old, new = target["score_before"], target["score_after"]
    return NONE if old == new else f"score {_score(old)} → {_score(new)}"


def _score(score: float | None) -> str:
    return "none" if score is None else f"{score:.4f}"


def _rule_lines(told: RunDiff) -> list[Row]:
    """What each rule did to all names together."""
    change = pl.col("change")
    by_rule = (
        told.causes.filter(pl.col("symbol") != CASH_SYMBOL)
        .group_by("rule", maintain_order=True)
        .agg(
            pl.len().alias("names"),
            change.filter(change > 0).sum().alias("up"),
            change.filter(change < 0).sum().alias("down"),
        )
        .sort(pl.col("rule") != WANTED, maintain_order=True)
    )
    return [
        {"rule": row["rule"], "names": str(row["names"]), "up": _moved(row["up"]), "down": _moved(row["down"])}
        for row in by_rule.iter_rows(named=True)
    ]


# cells


def _amount(change: float) -> str:
    """A change in percent; told in full where two places would hide it."""
    return percent(change, sign=True) if abs(change) >= 5e-5 or change == 0 else f"{change * 100:+.0e} %"


def _moved(change: float) -> str:
    return _amount(change) if change else NONE


def _cell(text: str | None) -> str:
    if text is None:
        return NONE
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _relative(before: str | None, after: str | None) -> str:
    """By how much a number changed, relative to what it was; a dash for what is none."""
    try:
        old, new = float(before or ""), float(after or "")
    except ValueError:
        return NONE
    return _amount(new / old - 1) if old and abs(new / old) < 1e6 else NONE
