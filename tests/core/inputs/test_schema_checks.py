import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from core.inputs.schema_checks import Checked, checked
from core.schemas import Assets, Candidates, Portfolios, Positions, Prices
from tests.core.inputs.example import TODAY, frames

ANY = pl.lit(True)


def prices(**columns: object) -> pl.DataFrame:
    return pl.DataFrame({"as_of": [TODAY], "symbol": ["AAA"], "close": [10.0]} | columns)


def check_prices(**columns: object) -> Checked:
    return checked("prices", Prices, prices(**columns), ANY)


@pytest.mark.parametrize("close", [[10], [Decimal("10.0")], ["10.0"], ["1e1"], pl.Series([10.0], dtype=pl.Float32)])
def test_a_number_of_another_type_is_read_where_nothing_is_lost(close: object) -> None:
    assert check_prices(close=close).rows["close"].to_list() == [10.0]


@pytest.mark.parametrize("as_of", [["2026-03-10"], [dt.datetime(2026, 3, 10)]])  # noqa: DTZ001 - as databases give them
def test_a_date_of_another_type_is_read_where_nothing_is_lost(as_of: object) -> None:
    assert check_prices(as_of=as_of).rows["as_of"].to_list() == [TODAY]


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("as_of", ["10.03.2026"]),
        ("as_of", ["20260310"]),
        ("as_of", [dt.datetime(2026, 3, 10, 9)]),  # noqa: DTZ001
        ("as_of", [20260310]),
        ("close", [[10.0]]),
        ("close", [TODAY]),
        ("close", [2**60 + 1]),
        ("close", pl.Series([object()], dtype=pl.Object)),
        ("symbol", [1.5]),
    ],
)
def test_a_type_that_would_lose_something_stops_the_batch(column: str, cells: object) -> None:
    result = check_prices(**{column: cells})
    assert result.broken
    assert result.rows.is_empty()
    finding = result.findings.row(0, named=True)
    assert (finding["severity"], finding["code"], finding["column"]) == ("stop_batch", "wrong_type", column)
    assert column in finding["message"]
    assert "Resolved plan" not in finding["message"]


def test_whole_numbers_are_truth_values_only_where_they_are_0_or_1() -> None:
    assets = frames()["assets"].head(2)
    good = checked("assets", Assets, assets.with_columns(tradable=pl.Series([1, 0])), ANY)
    bad = checked("assets", Assets, assets.with_columns(tradable=pl.Series([1, 2])), ANY)
    assert good.rows["tradable"].to_list() == [True, False]
    assert bad.findings["code"].to_list() == ["wrong_type"]


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    finding = checked("prices", Prices, prices().drop("close"), ANY).findings.row(0, named=True)
    assert finding["message"] == "prices has no column close; it has as_of, symbol."


def test_optional_columns_may_be_missing_and_others_are_ignored() -> None:
    result = check_prices(volume=[7])
    assert result.rows.columns == ["as_of", "symbol", "close", "adjusted_close"]
    assert result.rows["adjusted_close"].to_list() == [None]


@pytest.mark.parametrize("close", [0.0, -1.0, float("nan"), float("inf"), None])
def test_a_bad_cell_makes_a_flawed_row_and_no_finding_yet(close: float | None) -> None:
    result = check_prices(close=pl.Series([close], dtype=pl.Float64))
    assert result.rows.is_empty()
    assert result.findings.is_empty()
    assert result.flawed["close"].to_list() == [None]
    assert result.flawed["bad_column"].to_list() == ["close"]


def test_all_bad_cells_of_a_row_are_told() -> None:
    flawed = check_prices(close=[-1.0], adjusted_close=[float("nan")]).flawed
    assert flawed["flaw"].to_list() == ["close is -1.0, adjusted_close is NaN"]


def test_text_that_is_no_number_is_a_bad_cell_with_its_text() -> None:
    flawed = checked("prices", Prices, prices(close=["n/a"]), ANY).flawed
    assert flawed["bad_value"].to_list() == ["n/a"]


def test_a_word_that_is_not_among_the_known_is_a_bad_cell() -> None:
    candidates = frames()["candidates"].with_columns(priority=pl.lit("urgent"))
    assert checked("candidates", Candidates, candidates, ANY).flawed["flaw"].to_list() == ["priority is urgent"]


@pytest.mark.parametrize("symbol", [None, ""])
def test_an_empty_key_of_a_shared_table_stops_the_batch(symbol: str | None) -> None:
    finding = check_prices(symbol=pl.Series([symbol], dtype=pl.String)).findings.row(0, named=True)
    assert (finding["severity"], finding["code"], finding["column"]) == ("stop_batch", "bad_key", "symbol")


def test_an_empty_key_of_a_position_stops_its_portfolio_or_if_that_is_missing_the_batch() -> None:
    positions = pl.DataFrame(
        {"portfolio_id": ["P1", None], "as_of": TODAY, "symbol": [None, "AAA"], "quantity": 1.0},
        schema_overrides={"portfolio_id": pl.String, "symbol": pl.String},
    )
    findings = checked("positions", Positions, positions, ANY).findings.sort("severity")
    assert findings.select("severity", "portfolio_id").rows() == [("stop_batch", None), ("stop_portfolio", "P1")]


def test_of_duplicates_one_stays_so_that_nothing_else_is_reported() -> None:
    result = checked("prices", Prices, pl.concat([prices(), prices(close=[11.0])]), ANY)
    assert result.rows["close"].to_list() == [10.0]
    assert set(result.findings["code"]) == {"duplicate_key"}


def test_rows_that_do_not_count_today_are_not_judged() -> None:
    old = prices(close=[-1.0], as_of=[TODAY - dt.timedelta(days=1)])
    result = checked("prices", Prices, pl.concat([prices(), old]), pl.col("as_of") == TODAY)
    assert result.rows.height == 1
    assert result.flawed.is_empty()


def test_a_column_without_a_type_is_null_in_every_row() -> None:
    portfolios = frames()["portfolios"].with_columns(base_currency=pl.lit(None))
    assert checked("portfolios", Portfolios, portfolios, ANY).flawed["bad_column"].to_list() == ["base_currency"] * 2


def test_an_empty_table_is_no_finding() -> None:
    assert checked("prices", Prices, prices().clear(), ANY).findings.is_empty()
