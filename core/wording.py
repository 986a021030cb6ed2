"""Counts and lists in words, for whatever is told to people."""

import datetime as dt
from collections.abc import Sequence

import polars as pl


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 run`, `1,200 runs`; `many` where the plural does not just take an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def in_short(names: Sequence[str], most: int = 3) -> str:
    """The first of the names, and how many more: `a, b, c and 7 more`. A single one more is named too."""
    named = names if len(names) <= most + 1 else names[:most]
    left = len(names) - len(named)
    return ", ".join(named) + (f" and {left:,} more" if left else "")


def in_utc(moment: dt.datetime) -> str:
    """A time, with its zone, to the minute: `2026-11-20 12:00 UTC`."""
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def plural(count: pl.Expr) -> pl.Expr:
    """The ending of a noun after a count: nothing after one, an s after any other."""
    return pl.when(count == 1).then(pl.lit("")).otherwise(pl.lit("s"))
