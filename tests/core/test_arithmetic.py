"""The reason for core.arithmetic, shown: the same group gives the same bits alone and among others."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from core.arithmetic import ordered_mean, ordered_sum, ratio

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300)


@given(NUMBERS, NUMBERS)
def test_sums_and_means_do_not_depend_on_other_groups(one, other):
    groups = pl.DataFrame({"group": [1] * len(one) + [2] * len(other), "x": one + other})
    alone = groups.filter(group=1)
    for total in (ordered_sum(pl.col("x")), ordered_mean(pl.col("x"))):
        among = groups.with_columns(total.over("group").alias("total"), row=total.over("group")).filter(group=1)
        by_itself = alone.with_columns(total.over("group").alias("total"), row=total.over("group"))
        assert among.equals(by_itself)
        grouped = groups.group_by("group").agg(total=total).filter(group=1)
        assert grouped.equals(alone.group_by("group").agg(total=total))
    expected = 0.0
    for term in one:
        expected += term
    assert alone.select(ordered_sum(pl.col("x"))).item() == expected


@given(NUMBERS, st.floats(1e-3, 1e6))
def test_a_ratio_does_not_depend_on_how_its_denominator_is_stored(numbers, denominator):
    stored = pl.DataFrame({"x": numbers, "y": [denominator] * len(numbers)})
    constant = stored.select("x", y=pl.lit(denominator))
    quotient = ratio(pl.col("x"), pl.col("y"))
    assert stored.select(quotient).equals(constant.select(quotient))


def test_nulls_count_nothing_and_no_terms_are_zero_without_a_mean():
    terms = pl.DataFrame({"x": [None, 0.5, 1.5]})
    assert terms.select(ordered_sum(pl.col("x")), mean=ordered_mean(pl.col("x"))).row(0) == (2.0, 1.0)
    nothing = terms.head(1)
    assert nothing.select(ordered_sum(pl.col("x")), mean=ordered_mean(pl.col("x"))).row(0) == (0.0, None)
