"""Sums and quotients that give the same bits whatever stands beside a group.

Polars adds the terms of a group in another order when it stands alone than when it stands among others, and divides
by a column of one and the same number through its reciprocal; the last bits differ. What is stored with a run must
not depend on the batch that it was part of.
"""

import polars as pl


def ordered_sum(terms: pl.Expr) -> pl.Expr:
    """Σ terms in the order of the rows of each group, null counting 0; for use in `over` and `agg`."""
    return terms.fill_null(0.0).cum_sum().last().fill_null(0.0)


def ordered_mean(terms: pl.Expr) -> pl.Expr:
    """The mean of the terms that are not null; null where there are none."""
    return pl.when(terms.count() > 0).then(ratio(ordered_sum(terms), terms.count()))


def ratio(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """numerator / denominator, always through the reciprocal of the denominator."""
    return numerator * (1.0 / denominator)
