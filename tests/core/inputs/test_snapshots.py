from pathlib import Path

import polars as pl
import pytest

from core.store.files import relative_path
from tests.core.inputs.example import TODAY, YESTERDAY, added, changed, dropped, frames, judged, only, rows, told

PORTFOLIO = pl.col("portfolio_id")


def test_a_portfolio_without_a_cash_row_stops_and_is_told_what_there_is() -> None:
    cash = changed("cash", PORTFOLIO == "GROWTH", as_of=YESTERDAY)
    finding = only(judged(**cash), "no_cash")
    assert finding["portfolio_id"] == "GROWTH"
    assert "2 positions of that date; cash rows of other days: 2026-03-09" in finding["message"]


def test_an_empty_portfolio_with_a_cash_row_is_empty() -> None:
    gated = judged(**dropped("positions", PORTFOLIO == "INCOME"))
    assert gated.findings.is_empty()
    assert gated.nav.row(1, named=True)["nav"] == 500.0


def test_positions_of_another_day_are_not_held() -> None:
    older = {"portfolio_id": "INCOME", "as_of": YESTERDAY, "symbol": "DDD", "quantity": 5.0}
    assert judged(**added("positions", older)).holdings.height == 3


def test_a_null_amount_of_cash_stops_its_portfolio() -> None:
    gated = judged(**changed("cash", PORTFOLIO == "GROWTH", amount=None))
    assert told(gated) == {("stop_portfolio", "bad_value", "GROWTH", None)}


def test_a_quantity_that_is_no_number_stops_its_portfolio() -> None:
    gated = judged(**changed("positions", pl.col("symbol") == "AAA", quantity=float("nan")))
    assert told(gated) == {("stop_portfolio", "bad_value", "GROWTH", "AAA")}
    assert only(gated, "bad_value")["message"] == "positions: quantity is NaN in row GROWTH 2026-03-10 AAA."


def test_an_inactive_portfolio_stops() -> None:
    gated = judged(**changed("portfolios", PORTFOLIO == "INCOME", active=False))
    assert told(gated) == {("stop_portfolio", "inactive_portfolio", "INCOME", None)}


def test_rows_of_an_unknown_portfolio_are_told() -> None:
    stranger = {"portfolio_id": "GROWHT", "as_of": TODAY, "symbol": "AAA", "quantity": 1.0}
    gated = judged(**added("positions", stranger))
    assert told(gated) == {("stop_portfolio", "unknown_portfolio", "GROWHT", None)}
    assert gated.nav["portfolio_id"].to_list() == ["GROWTH", "INCOME"]


def test_a_portfolio_called_all_stops_the_batch() -> None:
    everyone = {"portfolio_id": "all", "name": "All", "base_currency": "USD", "active": True}
    gated = judged(
        **added("portfolios", everyone), **added("cash", {"portfolio_id": "all", "as_of": TODAY, "amount": 1.0})
    )
    assert told(gated) == {("stop_batch", "reserved_portfolio", None, None)}


@pytest.mark.parametrize(("letter", "most"), [("x", 242), ("-", 242), (" ", 80), ("é", 40), ("界", 26), ("/", 80)])
def test_an_id_of_which_no_folder_could_bear_the_name_stops_its_portfolio(
    letter: str, most: int, tmp_path: Path
) -> None:
    for length in (most, most + 1):
        portfolio_id = letter * length
        named = {"portfolio_id": portfolio_id, "name": "Long", "base_currency": "USD", "active": True}
        cash = {"portfolio_id": portfolio_id, "as_of": TODAY, "amount": 1.0}
        gated = judged(**added("portfolios", named), **added("cash", cash))
        told_long = [row for row in gated.findings.iter_rows(named=True) if row["code"] == "long_portfolio_id"]
        folder = tmp_path / Path(relative_path(TODAY, named["portfolio_id"], "r")).parent.name
        if told_long:
            assert length > most
            with pytest.raises(OSError, match="File name too long"):
                folder.mkdir()
        else:
            assert length == most
            folder.mkdir()


def test_no_portfolio_at_all_stops_the_batch() -> None:
    gated = judged(portfolios=rows("portfolios"), positions=rows("positions"), cash=rows("cash"))
    assert told(gated) == {("stop_batch", "no_portfolio", None, None)}


def test_duplicate_positions_stop_their_portfolio_only() -> None:
    twice = pl.concat([frames()["positions"], frames()["positions"].head(1)])
    gated = judged(positions=twice)
    assert told(gated) == {("stop_portfolio", "duplicate_key", "GROWTH", "AAA")}
    assert gated.nav["portfolio_id"].to_list() == ["INCOME"]
