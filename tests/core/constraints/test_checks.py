import datetime as dt
from typing import Any

import polars as pl
import pytest

from core.constraints import ConstraintSet, LongOnlyConstraint
from core.errors import InvalidWeightsError
from tests.core.constraints.frames import DAY, weights_of

long_only = LongOnlyConstraint()


@pytest.mark.parametrize("column", ["end_time", "symbol", "weight"])
def test_a_missing_column_is_an_error_that_names_it_and_the_nearest(column: str) -> None:
    weights = weights_of([0.5]).rename({column: f"{column}s"})
    with pytest.raises(InvalidWeightsError, match=rf"no column '{column}'; known: .* Did you mean '{column}s'\?"):
        long_only.apply(weights)


def test_a_null_group_key_is_an_error_that_names_the_row() -> None:
    weights = weights_of([0.5, 0.5]).with_columns(end_time=pl.Series([None, "2026-01-02"]))
    with pytest.raises(InvalidWeightsError, match=r"end_time is null in 1 row: row 0 \(end_time=None, symbol=A"):
        long_only.apply(weights)


def test_an_error_names_a_few_rows_and_counts_the_others() -> None:
    with pytest.raises(InvalidWeightsError, match=r"in 7 rows: row 0 .*row 4 \([^)]*\), and 2 more\."):
        long_only.apply(weights_of([float("nan")] * 7))


@pytest.mark.parametrize(
    ("column", "cells", "meant"),
    [("weight", ["a"], "numbers"), ("weight", [True], "numbers"), ("frozen", ["no"], "booleans")],
)
def test_a_column_of_another_type_is_an_error(column: str, cells: list[object], meant: str) -> None:
    with pytest.raises(InvalidWeightsError, match=f"'{column}' of weights .* must hold {meant}"):
        long_only.apply(weights_of([0.5]).with_columns(pl.Series(column, cells)))


@pytest.mark.parametrize("column", ["weight", "frozen"])
def test_a_column_of_nothing_but_nulls_has_any_type(column: str) -> None:
    weights = weights_of([0.5]).with_columns(pl.lit(None).alias(column))
    assert long_only.apply(weights)[column].to_list() == [None]


@pytest.mark.parametrize("by", [[], ["end_time", "end_time"], "symbol", ["end_time", "weight"], "frozen"])
def test_keys_that_cannot_be_meant_are_refused(by: list[str]) -> None:
    with pytest.raises(InvalidWeightsError, match="by is"):
        long_only.apply(weights_of([0.5]), by=by)


def test_a_symbol_that_stands_twice_in_a_group_is_refused_by_a_set() -> None:
    weights = weights_of([0.5, 0.25]).with_columns(symbol=pl.lit("A"))
    with pytest.raises(InvalidWeightsError, match=r"more than once in a group: 2 rows: row 0 .*symbol=A"):
        ConstraintSet([long_only]).apply(weights)


def test_symbols_that_do_not_ascend_are_no_error() -> None:
    weights = weights_of([0.5, 0.25]).with_columns(symbol=pl.Series(["B", "A"]))
    assert ConstraintSet([long_only]).apply(weights).weights.equals(weights)


def test_a_symbol_that_stands_twice_is_found_where_groups_are_scattered() -> None:
    weights = pl.concat([weights_of([0.5, 0.25]), weights_of([0.5], DAY + dt.timedelta(1)), weights_of([0.125])])
    with pytest.raises(InvalidWeightsError, match=r"2 rows: row 0 .*symbol=A.* row 3 .*symbol=A"):
        ConstraintSet([long_only]).apply(weights)


def test_a_number_beyond_the_usable_is_found_also_where_weights_are_missing_or_in_chunks() -> None:
    for others in ([None], [0.5]):
        weights = pl.concat([weights_of(others), weights_of([2e100])], rechunk=False)
        with pytest.raises(InvalidWeightsError, match=r"1 row: row 1 .*weight=2e\+?100"):
            long_only.apply(weights)


def test_a_large_weight_that_is_still_usable_is_accepted() -> None:
    assert long_only.apply(weights_of([1e100]))["weight"].to_list() == [1e100]


def test_a_null_symbol_is_an_error_that_names_the_row() -> None:
    weights = weights_of([0.5]).with_columns(symbol=pl.lit(None, pl.String))
    with pytest.raises(InvalidWeightsError, match=r"symbol is null in 1 row: row 0 \(end_time=2026-01-02, symbol=None"):
        long_only.apply(weights)


@pytest.mark.parametrize("weights", [None, "weights", {"weight": [0.5]}])
def test_weights_that_are_no_frame_are_refused(weights: Any) -> None:
    with pytest.raises(InvalidWeightsError, match="give a Polars DataFrame"):
        long_only.apply(weights)


@pytest.mark.parametrize("by", [None, 3, [None], [["end_time"]]])
def test_groups_that_are_named_by_no_column_are_refused(by: Any) -> None:
    with pytest.raises(InvalidWeightsError, match=r"name .*column"):
        long_only.apply(weights_of([0.5]), by)


@pytest.mark.parametrize("column", ["symbol", "end_time"])
def test_a_key_of_mixed_objects_is_refused(column: str) -> None:
    mixed = pl.Series(column, ["A", 1], dtype=pl.Object)
    with pytest.raises(InvalidWeightsError, match=f"'{column}' .* must hold one name or date per row"):
        ConstraintSet([long_only]).apply(weights_of([0.5, 0.25]).with_columns(mixed))
