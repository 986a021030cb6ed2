"""Whether each portfolio of the batch has a snapshot of exactly the as-of date.

`snapshot_findings` judges the portfolios (`_no_portfolios`, `_reserved`, `_too_long`, `_inactive`, `_strangers`) and
their cash row (`_without_cash`), which dates the snapshot: without one, no positions means unknown, not empty.
"""

import datetime as dt
from collections.abc import Mapping

import polars as pl

from core.inputs.findings import count_of, finding, found, joined, sentence
from core.inputs.schema_checks import Checked, flaw_findings
from core.schemas import ALL_PORTFOLIOS, INPUTS, Severity

LONGEST_ID = 255 - len("portfolio_id=")  # bytes: what a file system allows for the name of a folder
REMEDY_OF_FLAWS = "Correct the row; the portfolio runs again as soon as it is right."


def snapshot_findings(as_of: dt.date, tables: Mapping[str, Checked], other_dates: pl.DataFrame) -> pl.DataFrame:
    """What is wrong with portfolios, positions and cash as they stand.

    `other_dates`: portfolio_id and as_of of cash rows of other days, as far as they were read.
    """
    portfolios = pl.concat([tables["portfolios"].rows, tables["portfolios"].flawed], how="diagonal")
    return joined(
        [
            _no_portfolios(portfolios),
            _reserved(portfolios),
            _too_long(portfolios),
            _inactive(portfolios),
            *[_strangers(table, tables[table], portfolios) for table in ("positions", "cash")],
            _without_cash(as_of, portfolios, tables, other_dates),
            *[_flaws(table, tables[table]) for table in ("portfolios", "positions", "cash")],
        ]
    )


def _flaws(table: str, rows: Checked) -> pl.DataFrame:
    return flaw_findings(rows.flawed, Severity.STOP_PORTFOLIO, "bad_value", table, INPUTS[table], REMEDY_OF_FLAWS)


def _no_portfolios(portfolios: pl.DataFrame) -> pl.DataFrame:
    if not portfolios.is_empty():
        return joined([])
    return finding(
        Severity.STOP_BATCH,
        "no_portfolio",
        frame="portfolios",
        message="there is no portfolio to run.",
        remedy="Add a portfolio, or set one to active.",
    )


def _reserved(portfolios: pl.DataFrame) -> pl.DataFrame:
    return found(
        portfolios.filter(pl.col("portfolio_id") == ALL_PORTFOLIOS),
        Severity.STOP_BATCH,
        "reserved_portfolio",
        frame="portfolios",
        column="portfolio_id",
        row=pl.col("portfolio_id"),
        value=pl.col("portfolio_id"),
        message=sentence("a portfolio is called {}, which in overrides means every portfolio.", "portfolio_id"),
        remedy="Give the portfolio another id.",
    )


def _too_long(portfolios: pl.DataFrame) -> pl.DataFrame:
    """Ids under which no folder could be made: a byte of anything but a plain letter or digit takes three there."""
    plain = pl.col("portfolio_id").str.count_matches("[A-Za-z0-9_.~-]").cast(pl.Int64)
    length = 3 * pl.col("portfolio_id").str.len_bytes().cast(pl.Int64) - 2 * plain
    return found(
        portfolios.filter(length > LONGEST_ID),
        Severity.STOP_PORTFOLIO,
        "long_portfolio_id",
        frame="portfolios",
        column="portfolio_id",
        row=pl.col("portfolio_id"),
        value=length.cast(pl.String),
        message=sentence(
            f"the id of portfolio {{}} takes {{}} bytes in the name of its folder, of {LONGEST_ID}.",
            "portfolio_id",
            length,
        ),
        remedy="Give the portfolio a shorter id.",
    )


def _inactive(portfolios: pl.DataFrame) -> pl.DataFrame:
    return found(
        portfolios.filter(~pl.col("active")),
        Severity.STOP_PORTFOLIO,
        "inactive_portfolio",
        frame="portfolios",
        column="active",
        row=pl.col("portfolio_id"),
        value=pl.lit("false"),
        message=sentence("portfolio {} is not active.", "portfolio_id"),
        remedy="Set it to active, or leave it out of the run.",
    )


def _strangers(table: str, rows: Checked, portfolios: pl.DataFrame) -> pl.DataFrame:
    present = pl.concat([rows.rows, rows.flawed], how="diagonal").select("portfolio_id").unique()
    return found(
        present.join(portfolios, on="portfolio_id", how="anti"),
        Severity.STOP_PORTFOLIO,
        "unknown_portfolio",
        frame=table,
        column="portfolio_id",
        row=pl.col("portfolio_id"),
        value=pl.col("portfolio_id"),
        message=sentence(f"{table} has rows of {{}}, which is not a portfolio of this batch.", "portfolio_id"),
        remedy="Add the portfolio, or correct the id of the rows.",
    )


def _without_cash(
    as_of: dt.date, portfolios: pl.DataFrame, tables: Mapping[str, Checked], other_dates: pl.DataFrame
) -> pl.DataFrame:
    cash = pl.concat([tables["cash"].rows, tables["cash"].flawed], how="diagonal").select("portfolio_id")
    positions = tables["positions"].rows.group_by("portfolio_id").agg(positions=pl.len())
    dates = other_dates.group_by("portfolio_id").agg(dates=pl.col("as_of").unique().sort(descending=True).head(3))
    missing = (
        portfolios.join(cash, on="portfolio_id", how="anti")
        .join(positions, on="portfolio_id", how="left")
        .join(dates, on="portfolio_id", how="left")
    )
    days = pl.col("dates").cast(pl.List(pl.String)).list.join(", ")
    elsewhere = pl.when(days.is_not_null()).then(pl.format("; cash rows of other days: {}", days))
    return found(
        missing,
        Severity.STOP_PORTFOLIO,
        "no_cash",
        frame="cash",
        column="amount",
        row=sentence(f"{{}} {as_of}", "portfolio_id"),
        message=sentence(
            f"portfolio {{}} has no cash row of {as_of} ({{}}).",
            "portfolio_id",
            pl.format(
                "{} of that date{}", count_of(pl.col("positions").fill_null(0), "position"), elsewhere.fill_null("")
            ),
        ),
        remedy="Load the snapshot of this date, with its cash row, even if the amount is 0.",
    )
