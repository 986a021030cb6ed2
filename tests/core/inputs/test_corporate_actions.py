import polars as pl

from core.inputs.corporate_actions import brought_forward, renamed, resolved
from tests.core.inputs.example import TODAY, day, rows, split


def actions(*records: dict[str, object]) -> pl.DataFrame:
    return resolved(rows("corporate_actions", *records))


def past(symbol: str, *backs: int) -> pl.DataFrame:
    return pl.DataFrame({"as_of": [day(back) for back in backs], "symbol": symbol})


def today(symbol: str) -> pl.DataFrame:
    return pl.DataFrame({"as_of": [TODAY], "symbol": [symbol]})


def forward(frame: pl.DataFrame, *records: dict[str, object]) -> list[tuple[str, float]]:
    return brought_forward(frame, actions(*records)).sort("as_of").select("symbol", "factor").rows()


def test_a_split_touches_the_rows_before_its_day_only() -> None:
    assert forward(past("AAA", 2, 1, 0), split("AAA", 4.0, day(1))) == [("AAA", 4.0), ("AAA", 1.0), ("AAA", 1.0)]


def test_the_factors_of_later_splits_multiply() -> None:
    splits = split("AAA", 2.0, day(3)), split("AAA", 5.0, day(1))
    assert forward(past("AAA", 4, 2, 0), *splits) == [("AAA", 10.0), ("AAA", 5.0), ("AAA", 1.0)]
    assert forward(past("AAA", 4), *splits, split("AAA", 3.0, day(2))) == [("AAA", 30.0)]


def test_a_row_follows_its_name_through_all_renamings() -> None:
    first, second = split("AAA", 1.0, day(3), "BBB"), split("BBB", 2.0, day(1), "CCC")
    assert forward(past("AAA", 4), first, second) == [("CCC", 2.0)]
    assert forward(past("BBB", 2), first, second) == [("CCC", 2.0)]
    assert forward(past("AAA", 2), first, second) == [("AAA", 1.0)]  # another asset that took the old name


def test_two_names_can_swap_on_one_day() -> None:
    swap = split("AAA", 1.0, day(1), "BBB"), split("BBB", 1.0, day(1), "AAA")
    assert forward(past("AAA", 2), *swap) == [("BBB", 1.0)]
    assert forward(past("BBB", 2), *swap) == [("AAA", 1.0)]


def test_rows_without_actions_are_untouched() -> None:
    assert forward(past("DDD", 1), split("AAA", 2.0)) == [("DDD", 1.0)]
    assert forward(past("DDD", 1)) == [("DDD", 1.0)]


def test_a_holding_bears_the_new_name_from_the_day_on() -> None:
    renaming = actions(split("AAA", 1.0, day(30), "BBB"))
    assert renamed(today("AAA"), renaming)["symbol"].to_list() == ["BBB"]
    assert renamed(today("AAA"), renaming)["renamed_on"].to_list() == [day(30)]
    assert renamed(today("CCC"), renaming)["symbol"].to_list() == ["CCC"]


def test_a_split_alone_renames_nothing() -> None:
    assert renamed(today("AAA"), actions(split("AAA", 2.0)))["renamed_on"].to_list() == [None]
