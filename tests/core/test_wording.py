import polars as pl
import pytest

from core.wording import counted, in_short, plural


def test_one_is_singular_and_any_other_number_is_not():
    assert [counted(number, "run") for number in (0, 1, 2, 1200)] == ["0 runs", "1 run", "2 runs", "1,200 runs"]


def test_a_plural_may_be_given():
    assert counted(2, "set of inputs", "sets of inputs") == "2 sets of inputs"


def test_a_column_of_counts_takes_the_same_endings():
    counts = pl.DataFrame({"count": [0, 1, 2, 1200]})
    assert counts.select(plural(pl.col("count"))).to_series().to_list() == ["s", "", "s", "s"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a"], "a"),
        (["a", "b", "c", "d"], "a, b, c, d"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
    ],
)
def test_of_many_names_the_first_are_told_and_the_rest_counted(names, told):
    assert in_short(names) == told
