"""Counts in words, for whatever is told to people."""

import polars as pl


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 run`, `1,200 runs`; `many` where the plural does not just take an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def plural(count: pl.Expr) -> pl.Expr:
    """The ending of a noun after a count: nothing after one, an s after any other."""
    return pl.when(count == 1).then(pl.lit("")).otherwise(pl.lit("s"))
