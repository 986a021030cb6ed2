import polars as pl
import pytest

from core.inputs import GateConfig
from tests.core.inputs.example import (
    TODAY,
    YESTERDAY,
    added,
    changed,
    day,
    dropped,
    judged,
    last_prices,
    only,
    override,
    rows,
    split,
    told,
)

SYMBOL = pl.col("symbol")
AAA_TODAY = (SYMBOL == "AAA") & (pl.col("as_of") == TODAY)
AAA_YESTERDAY = (SYMBOL == "AAA") & (pl.col("as_of") == YESTERDAY)


def codes(*cells: object, **tables: pl.DataFrame) -> set[tuple[str, str, str | None, str | None]]:
    """What stops a portfolio or the batch."""
    return {finding for finding in told(judged(**tables)) if finding[0].startswith("stop")}


def test_a_quantity_of_zero_is_not_held() -> None:
    zero = {"portfolio_id": "INCOME", "as_of": TODAY, "symbol": "XXX", "quantity": 0.0}
    gated = judged(**added("positions", zero))
    assert gated.findings.is_empty()
    assert gated.holdings.height == 3


@pytest.mark.parametrize(("quantity", "is_dust"), [(1e-9, True), (-1e-9, True), (1e-6, False)])
def test_a_holding_of_no_weight_is_told_and_counts_in_the_value(quantity: float, is_dust: bool) -> None:
    speck = {"portfolio_id": "INCOME", "as_of": TODAY, "symbol": "DDD", "quantity": quantity}
    gated = judged(**added("positions", speck))
    assert (("warn", "dust", "INCOME", "DDD") in told(gated)) == is_dust
    assert gated.holdings.height == 4


def test_a_short_position_counts_negative() -> None:
    gated = judged(**changed("positions", SYMBOL == "AAA", quantity=-100.0))
    assert gated.nav["nav"].to_list() == [1000.0, 1000.0]


def test_a_held_name_without_an_asset_row_stops() -> None:
    found = codes(**dropped("assets", SYMBOL == "AAA"))
    assert found == {("stop_portfolio", "no_asset", "GROWTH", "AAA")}


def test_a_held_name_with_a_bad_asset_row_stops() -> None:
    found = codes(**changed("assets", SYMBOL == "AAA", tradable=None))
    assert found == {("stop_portfolio", "bad_asset", "GROWTH", "AAA")}


def test_a_held_name_without_any_price_stops() -> None:
    found = codes(**dropped("prices", SYMBOL == "AAA"))
    assert found == {("stop_portfolio", "no_price", "GROWTH", "AAA")}


@pytest.mark.parametrize("close", [0.0, -10.0, float("nan"), float("inf"), None])
def test_a_bad_last_price_stops_and_no_older_one_stands_in(close: float | None) -> None:
    found = codes(**changed("prices", AAA_TODAY, close=close))
    assert found == {("stop_portfolio", "bad_price", "GROWTH", "AAA")}


def test_a_last_price_is_stale_the_day_after_the_limit() -> None:
    at_limit = changed("prices", SYMBOL == "AAA", as_of=day(5)) | {}
    at_limit = {"prices": at_limit["prices"].unique(["as_of", "symbol"])}
    beyond = {"prices": at_limit["prices"].with_columns(as_of=pl.when(SYMBOL == "AAA").then(day(6)).otherwise("as_of"))}
    assert codes(**at_limit) == set()
    assert codes(**beyond) == {("stop_portfolio", "stale_price", "GROWTH", "AAA")}
    message = only(judged(**beyond), "stale_price")["message"]
    assert message == "AAA of portfolio GROWTH: its last price is of 2026-03-04, 6 days old; the limit is 5."


def test_a_held_name_in_another_currency_stops_its_portfolio() -> None:
    found = codes(**changed("assets", SYMBOL == "AAA", currency="EUR"))
    assert found == {("stop_portfolio", "other_currency", "GROWTH", "AAA")}


@pytest.mark.parametrize("amount", [-2000.0, -2500.0, 1.7e308])
def test_a_net_asset_value_that_is_not_positive_and_finite_stops(amount: float) -> None:
    huge = changed("positions", SYMBOL == "AAA", quantity=1.7e307 if amount > 0 else 100.0)
    found = codes(**huge, **changed("cash", pl.col("portfolio_id") == "GROWTH", amount=amount))
    assert found == {("stop_portfolio", "bad_nav", "GROWTH", None)}


def test_a_missing_price_is_not_reported_as_a_missing_value_too() -> None:
    debt = changed("cash", pl.col("portfolio_id") == "GROWTH", amount=-1500.0)  # BBB alone is worth 1,000
    found = codes(**dropped("prices", SYMBOL == "AAA"), **debt)
    assert found == {("stop_portfolio", "no_price", "GROWTH", "AAA")}


class TestJumps:
    def test_a_jump_against_the_row_before_stops_where_no_run_held_the_name(self) -> None:
        gated = judged(**changed("prices", AAA_TODAY, close=5.0))
        assert told(gated) >= {("stop_portfolio", "price_jump", "GROWTH", "AAA")}
        assert (
            "close 5.0 of 2026-03-10 is -50.0 % away from 10.0 in the price row of 2026-03-09"
            in only(gated, "price_jump")["message"]
        )

    def test_exactly_the_limit_is_no_jump(self) -> None:
        config = GateConfig(max_jump=0.5)
        assert judged(config=config, **changed("prices", AAA_TODAY, close=5.0)).findings.is_empty()
        assert judged(config=config, **changed("prices", AAA_TODAY, close=15.0)).findings.is_empty()
        assert not judged(config=config, **changed("prices", AAA_TODAY, close=15.5)).findings.is_empty()

    def test_it_stays_a_stop_on_the_second_day_until_a_run_is_published(self) -> None:
        prices = changed("prices", SYMBOL == "AAA", close=5.0)  # yesterday and today
        before = last_prices(("GROWTH", "AAA", day(2), 10.0))
        gated = judged(before, **prices)
        assert told(gated) == {("stop_portfolio", "price_jump", "GROWTH", "AAA")}
        assert "in the last run of 2026-03-08" in only(gated, "price_jump")["message"]
        assert judged(last_prices(("GROWTH", "AAA", day(2), 6.0)), **prices).findings.is_empty()

    def test_the_run_of_another_portfolio_does_not_count(self) -> None:
        assert judged(last_prices(("INCOME", "AAA", day(2), 1.0))).findings.is_empty()

    def test_a_rerun_is_not_compared_with_itself(self) -> None:
        assert judged(last_prices(("GROWTH", "AAA", TODAY, 1.0))).findings.is_empty()

    def test_a_corporate_action_explains_it(self) -> None:
        prices = changed("prices", AAA_TODAY, close=1.0)
        gated = judged(
            last_prices(("GROWTH", "AAA", day(2), 10.0)), **prices, **added("corporate_actions", split("AAA", 10.0))
        )
        assert gated.findings.is_empty()
        assert gated.holdings["close"][0] == 1.0
        assert gated.holdings["quantity"][0] == 100.0

    def test_a_split_that_the_price_does_not_follow_is_a_jump(self) -> None:
        gated = judged(last_prices(("GROWTH", "AAA", day(2), 10.0)), **added("corporate_actions", split("AAA", 10.0)))
        assert told(gated) >= {("stop_portfolio", "price_jump", "GROWTH", "AAA")}

    def test_a_last_price_from_before_a_split_is_brought_to_todays_units(self) -> None:
        gated = judged(
            **dropped("prices", AAA_TODAY), **added("corporate_actions", split("AAA", 10.0)), **added("assets")
        )
        assert gated.findings.is_empty()
        assert gated.holdings["close"][0] == 1.0

    def test_an_override_accepts_it(self) -> None:
        prices = changed("prices", AAA_TODAY, close=5.0)
        assert codes(**prices, **added("overrides", override("AAA", "accept-jump"))) == set()
        assert codes(**prices, **added("overrides", override("AAA", "accept-jump", portfolio_id="GROWTH"))) == set()
        other = codes(**prices, **added("overrides", override("AAA", "accept-jump", portfolio_id="INCOME")))
        assert other == {("stop_portfolio", "price_jump", "GROWTH", "AAA")}

    def test_a_mistyped_override_of_a_price_is_a_jump_too(self) -> None:
        assert codes(**added("overrides", override("AAA", "price", "100"))) == {
            ("stop_portfolio", "price_jump", "GROWTH", "AAA")
        }


class TestNames:
    def test_a_written_off_holding_leaves_the_book_and_is_told(self) -> None:
        gated = judged(**added("overrides", override("AAA", "written-off")), **dropped("prices", SYMBOL == "AAA"))
        assert gated.stopped == ()
        assert gated.holdings["symbol"].to_list() == ["BBB", "CCC"]
        assert gated.nav["nav"].to_list() == [2000.0, 1000.0]
        assert "100.0 units are written off" in only(gated, "written_off")["message"]

    def test_an_override_renames_a_holding(self) -> None:
        positions = changed("positions", SYMBOL == "AAA", symbol="OLD")
        gated = judged(**positions, **added("overrides", override("OLD", "renamed-to", "AAA")))
        assert gated.stopped == ()
        assert gated.holdings["symbol"].to_list() == ["AAA", "BBB", "CCC"]
        assert only(gated, "renamed")["value"] == "OLD"

    def test_a_corporate_action_renames_holding_prices_signals_and_last_price(self) -> None:
        gated = judged(
            last_prices(("GROWTH", "OLD", day(2), 21.0)),
            **changed("positions", SYMBOL == "AAA", symbol="OLD"),
            **changed("prices", AAA_YESTERDAY, symbol="OLD", close=20.0),
            signals=changed("signals", SYMBOL == "AAA", symbol="OLD", as_of=YESTERDAY)["signals"],
            **added("corporate_actions", split("OLD", 2.0, new_symbol="AAA")),
        )
        assert told(gated) == {("warn", "renamed", "GROWTH", "AAA")}
        assert gated.holdings["symbol"].to_list() == ["AAA", "BBB", "CCC"]
        assert gated.history.filter(SYMBOL == "AAA")["close"].to_list() == [10.0, 10.0]
        assert gated.signals.filter(SYMBOL == "AAA")["value"].to_list() == [10.0]

    def test_a_holding_under_its_old_and_new_name_stops(self) -> None:
        both = added("positions", {"portfolio_id": "GROWTH", "as_of": TODAY, "symbol": "OLD", "quantity": 7.0})
        action = added("corporate_actions", split("OLD", 1.0, new_symbol="AAA"))
        assert codes(**both, **action) == {("stop_portfolio", "duplicate_holding", "GROWTH", "AAA")}
        gone = judged(**both, **action, **added("overrides", override("OLD", "written-off")))
        assert gone.stopped == ()
        assert gone.holdings["quantity"].to_list() == [100.0, 50.0, 10.0]

    def test_an_old_name_that_still_has_prices_is_ambiguous(self) -> None:
        found = codes(**added("corporate_actions", split("AAA", 1.0, YESTERDAY, "DDD")))
        assert ("stop_portfolio", "ambiguous_symbol", "GROWTH", "DDD") in found

    def test_a_bad_corporate_action_stops_who_holds_the_name(self) -> None:
        assert codes(**added("corporate_actions", split("AAA", 0.0))) == {
            ("stop_portfolio", "bad_corporate_action", "GROWTH", "AAA")
        }
        assert codes(**added("corporate_actions", split("OLD", float("nan"), new_symbol="AAA"))) == {
            ("stop_portfolio", "bad_corporate_action", "GROWTH", "AAA")
        }


def test_many_stale_names_of_a_portfolio_are_one_finding() -> None:
    names = [f"S{number:02d}" for number in range(30)]
    gated = judged(
        assets=rows("assets", *[{"symbol": name, "tradable": True} for name in [*names, "AAA", "BBB", "CCC"]]),
        positions=rows(
            "positions", *[{"portfolio_id": "INCOME", "as_of": TODAY, "symbol": s, "quantity": 1.0} for s in names]
        ),
    )
    assert only(gated, "no_price")["portfolio_id"] == "INCOME"
    assert only(gated, "no_price")["value"] == "30"


def test_a_portfolio_that_holds_far_more_than_it_is_worth_stops() -> None:
    """Weights of a portfolio that is worth next to nothing would mean nothing."""
    fine = judged()
    gross = (
        fine.holdings.filter(portfolio_id="GROWTH").select((pl.col("quantity") * pl.col("close")).abs().sum()).item()
    )
    nav = fine.nav.filter(portfolio_id="GROWTH").row(0, named=True)
    debt = nav["cash"] - nav["nav"] + gross / 20  # leaves a net asset value of a twentieth of the positions
    gated = judged(**changed("cash", pl.col("portfolio_id") == "GROWTH", amount=debt))
    assert told(gated) == {("stop_portfolio", "leverage", "GROWTH", None)}
    assert judged(
        config=GateConfig(max_leverage=25.0), **changed("cash", pl.col("portfolio_id") == "GROWTH", amount=debt)
    )
