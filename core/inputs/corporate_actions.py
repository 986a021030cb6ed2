"""Splits and renamings: what a name and a price of the past are called and worth today.

`resolved` follows each action through the later ones of the same name, so that a row needs only the first action after
its date. `brought_forward` applies that to dated rows (prices, signals, prices of the last published runs), `renamed`
to what is said of today (holdings, overrides). Quantities are what the custodian reports on the as-of date; they are
never changed.
"""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import polars as pl

RESOLVED = {"symbol": pl.String, "effective": pl.Date, "factor": pl.Float64, "today": pl.String, "renames": pl.Boolean}


def resolved(actions: pl.DataFrame) -> pl.DataFrame:
    """One row per action (symbol, effective): the factor from before it until today, and the name of today.

    `actions`: schema `CorporateActions`, effective at the latest on the as-of date. Actions of one day are
    simultaneous, so two names may swap.
    """
    latest_first = actions.sort("effective", "symbol", descending=True).to_dicts()
    return pl.DataFrame(list(_followed(latest_first)), schema=RESOLVED).sort("effective", "symbol")


def _followed(actions: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    later: dict[str, tuple[float, str]] = {}
    for _, day in groupby(actions, itemgetter("effective")):
        this_day = {}
        for action in day:
            name = action["new_symbol"] or action["symbol"]
            factor, today = later.get(name, (1.0, name))
            this_day[action["symbol"]] = (action["factor"] * factor, today)
            yield {
                **action,
                "factor": action["factor"] * factor,
                "today": today,
                "renames": action["new_symbol"] is not None,
            }
        later |= this_day


def brought_forward(rows: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Rows of the past under today's names, with `factor`, by which a price of theirs is to be divided, and `renamed`.

    `rows`: as_of, symbol, and any others. A row is touched by the actions effective after its date.
    """
    if actions.is_empty():
        return rows.with_columns(factor=1.0, renamed=False)
    involved = pl.col("symbol").is_in(actions["symbol"].unique().implode())
    untouched = rows.filter(~involved).with_columns(factor=1.0, renamed=False)
    touched = rows.filter(involved).sort("as_of", maintain_order=True)
    matched = touched.join_asof(
        actions.select("symbol", "effective", "today", action_factor="factor").sort("effective"),
        left_on="as_of",
        right_on="effective",
        by="symbol",
        strategy="forward",
        allow_exact_matches=False,
        check_sortedness=False,  # both are sorted by date; within a name is all that counts
    )
    today = pl.coalesce("today", "symbol")
    forward = matched.with_columns(
        symbol=today, factor=pl.col("action_factor").fill_null(1.0), renamed=today != pl.col("symbol")
    )
    return pl.concat([untouched, forward.select(untouched.columns)])


def renamed(rows: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Rows about today (holdings, overrides) under today's names, with `renamed_on` (null where nothing changed).

    A custodian may report the old name for some days, so a renaming holds from its day on, however long ago it was.
    """
    if actions.is_empty():
        return rows.with_columns(renamed_on=pl.lit(None, dtype=pl.Date))
    renamings = actions.filter("renames").group_by("symbol").agg(pl.all().sort_by("effective").last())
    matched = rows.join(
        renamings.select("symbol", "today", renamed_on="effective"), on="symbol", how="left", maintain_order="left"
    )
    return matched.with_columns(symbol=pl.coalesce("today", "symbol")).drop("today")
