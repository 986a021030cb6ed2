"""Functions as a desk would write them, right and wrong, for the tests of signals of one's own."""

import polars as pl


def last_close(history: pl.DataFrame) -> pl.DataFrame:
    return history.group_by("symbol").agg(value=pl.col("close").last())


def whole_history(history: pl.DataFrame) -> pl.DataFrame:
    assert history.columns == ["as_of", "symbol", "close"]
    return history.group_by("symbol").agg(value=pl.len())


def twice(history: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([last_close(history), last_close(history)])


def infinite(history: pl.DataFrame) -> pl.DataFrame:
    return last_close(history).with_columns(value=float("inf"))


def invented(history: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({"symbol": ["ZZZ"], "value": [1.0]})


def nameless(history: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({"symbol": [None], "value": [1.0]}, schema={"symbol": pl.String, "value": pl.Float64})


def without_value(history: pl.DataFrame) -> pl.DataFrame:
    return history.select("symbol")


def in_words(history: pl.DataFrame) -> pl.DataFrame:
    return last_close(history).with_columns(value=pl.lit("high"))


def a_number(history: pl.DataFrame) -> float:
    return 1.0


def failing(history: pl.DataFrame) -> pl.DataFrame:
    raise ZeroDivisionError("no variance")


def half_missing(history: pl.DataFrame) -> pl.DataFrame:
    return last_close(history).with_columns(value=pl.when(pl.col("symbol") == "AAA").then("value"))


NOT_A_FUNCTION = 1.0
