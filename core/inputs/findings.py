"""Findings, from rows: what is wrong with which input row, how severe, what to do.

`found` turns bad rows into findings of one code, `sentence`, `count_of` and `shown` render their cells for people, and
`summarised` puts findings in order and folds many of one kind into one.
"""

from collections.abc import Iterable

import polars as pl

from core.schemas import ALL_PORTFOLIOS, Findings, Severity, empty
from core.wording import plural

MOST_SHOWN = 20  # more findings of one kind than this become one
NONE = empty(Findings)
BLANK_AT_AN_END = r"(?s)^(\s.*|.*\s)$"
KIND = ("severity", "portfolio_id", "code", "frame", "column")


def shown(column: str | pl.Expr) -> pl.Expr:
    """A cell as text; `null` where there is none, quotes where it is empty, or begins or ends with a blank."""
    cell = pl.col(column) if isinstance(column, str) else column
    return cell.cast(pl.String).replace("", "''").str.replace(BLANK_AT_AN_END, "'${1}'").fill_null("null")


def number(column: str | pl.Expr) -> pl.Expr:
    """A number as text, to eight digits."""
    cell = pl.col(column) if isinstance(column, str) else column
    return shown(cell.round_sig_figs(8))


def count_of(column: str | pl.Expr, one: str) -> pl.Expr:
    """A count in words, as `core.wording.counted` has it: `1 day`, `6 days`."""
    count = pl.col(column) if isinstance(column, str) else column
    return pl.format("{} {}{}", shown(count), pl.lit(one), plural(count))


def sentence(template: str, *cells: str | pl.Expr) -> pl.Expr:
    """A sentence per row: each `{}` of the template is the next cell."""
    return pl.format(template, *[shown(cell) for cell in cells])


def found(
    rows: pl.DataFrame,
    severity: Severity | pl.Expr,
    code: str,
    *,
    frame: str,
    message: pl.Expr,
    remedy: str,
    column: str | pl.Expr | None = None,
    row: pl.Expr | None = None,
    value: pl.Expr | None = None,
) -> pl.DataFrame:
    """One finding per row of `rows`; schema `Findings`.

    `portfolio_id` and `symbol` are taken from the rows that have them; a finding that stops the batch is about no one
    portfolio, nor is one about `all`.
    """
    if rows.is_empty():
        return NONE
    level = severity if isinstance(severity, pl.Expr) else pl.lit(severity.value)
    own = {key: pl.col(key) if key in rows.columns else None for key in ("portfolio_id", "symbol")}
    cells: dict[str, object] = {
        "severity": level,
        "code": code,
        **own,
        "frame": frame,
        "column": column,
        "row": row,
        "value": value,
        "message": message,
        "remedy": remedy,
    }
    findings = rows.select(**{name: _expression(cell).cast(NONE.schema[name]) for name, cell in cells.items()})
    shared = (pl.col("severity") == Severity.STOP_BATCH.value) | (pl.col("portfolio_id") == ALL_PORTFOLIOS)
    return findings.with_columns(portfolio_id=pl.when(~shared.fill_null(False)).then("portfolio_id"))


def _expression(cell: object) -> pl.Expr:
    return cell if isinstance(cell, pl.Expr) else pl.lit(cell)


def finding(severity: Severity, code: str, *, frame: str, message: str, remedy: str, row: str = "") -> pl.DataFrame:
    """One finding about a whole frame."""
    return found(
        pl.DataFrame({"row": [row]}),
        severity,
        code,
        frame=frame,
        message=pl.lit(message),
        remedy=remedy,
        row=pl.col("row") if row else None,
    )


def joined(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Findings of several checks as one frame."""
    return pl.concat([NONE, *parts])


def summarised(findings: pl.DataFrame, most: int = MOST_SHOWN) -> pl.DataFrame:
    """Findings in order, the worst first; more than `most` of one kind and portfolio become one that counts them."""
    if findings.is_empty():
        return findings
    ordered = findings.unique().sort("severity", "portfolio_id", "code", "frame", "column", "row", "symbol", "message")
    counted = ordered.with_columns(count=pl.len().over(KIND))
    few = counted.filter(pl.col("count") <= most)
    many = counted.filter(pl.col("count") > most).group_by(KIND, maintain_order=True).agg(*_folded(most))
    return pl.concat([few.select(NONE.columns), many.select(NONE.columns)]).sort(
        "severity", "portfolio_id", maintain_order=True
    )


def _folded(most: int) -> list[pl.Expr]:
    count = pl.len().cast(pl.String)
    rows = shown("row").head(most).str.join(", ")
    return [
        pl.lit(None, dtype=pl.String).alias("symbol"),
        pl.concat_str(rows, pl.lit(" and "), (pl.len() - most).cast(pl.String), pl.lit(" more")).alias("row"),
        count.alias("value"),
        pl.concat_str(count, pl.lit(" rows like this one: "), pl.col("message").first()).alias("message"),
        pl.col("remedy").first(),
    ]


def stops_batch(findings: pl.DataFrame) -> pl.DataFrame:
    """The findings that stop every run."""
    return findings.filter(pl.col("severity") == Severity.STOP_BATCH.value)


def stopped_portfolios(findings: pl.DataFrame) -> tuple[str, ...]:
    """The portfolios that a finding stops, sorted."""
    stops = findings.filter(pl.col("severity") == Severity.STOP_PORTFOLIO.value)
    return tuple(stops["portfolio_id"].drop_nulls().unique().sort())
