import polars as pl
import pytest

from core.inputs import GateConfig, Gated, judge
from tests.core.inputs.example import (
    TODAY,
    YESTERDAY,
    added,
    changed,
    day,
    dropped,
    example,
    frames,
    judged,
    only,
    override,
    rows,
    split,
    told,
)

SYMBOL = pl.col("symbol")
DDD_TODAY = (SYMBOL == "DDD") & (pl.col("as_of") == TODAY)


def from_table(**tables: pl.DataFrame) -> Gated:
    return judge(example(**tables), GateConfig(), "candidates")


def excluded(gated: Gated, symbol: str = "DDD") -> str | None:
    return gated.candidates.filter(symbol=symbol)["excluded"].item()


def test_all_assets_are_candidates() -> None:
    assert judged().candidates.select("symbol", "priority", "close").rows() == [
        ("AAA", "fallback", 10.0),
        ("BBB", "fallback", 20.0),
        ("CCC", "fallback", 50.0),
        ("DDD", "fallback", 40.0),
    ]


def test_candidates_come_from_the_table_with_their_priority() -> None:
    assert from_table().candidates.select("symbol", "priority", "excluded").rows() == [("DDD", "trending", None)]


def test_only_the_latest_list_counts() -> None:
    older = added("candidates", {"as_of": YESTERDAY, "symbol": "AAA", "priority": "regime"})
    later = added("candidates", {"as_of": day(-1), "symbol": "AAA", "priority": "regime"})
    assert from_table(**older).candidates["symbol"].to_list() == ["DDD"]
    assert from_table(**later).candidates["symbol"].to_list() == ["DDD"]


def test_a_list_that_is_too_old_stops_the_batch() -> None:
    assert from_table(**changed("candidates", SYMBOL == "DDD", as_of=day(5))).findings.is_empty()
    stale = from_table(**changed("candidates", SYMBOL == "DDD", as_of=day(6)))
    assert told(stale) == {("stop_batch", "stale_candidates", None, None)}


def test_an_empty_list_stops_the_batch() -> None:
    assert told(from_table(candidates=rows("candidates"))) == {("stop_batch", "no_candidates", None, None)}


def test_a_candidate_without_an_asset_row_is_excluded() -> None:
    gated = from_table(**added("candidates", {"as_of": TODAY, "symbol": "ZZZ", "priority": "trending"}))
    assert told(gated) == {("exclude", "no_asset", None, "ZZZ")}
    assert excluded(gated, "ZZZ") == "no asset row"


def test_a_candidate_without_a_price_is_excluded_and_no_portfolio_stops() -> None:
    gated = judged(**dropped("prices", SYMBOL == "DDD"))
    assert told(gated) == {("exclude", "no_price", None, "DDD")}
    assert excluded(gated) == "no price"


@pytest.mark.parametrize("close", [0.0, float("nan"), None])
def test_a_candidate_with_a_bad_last_price_is_excluded(close: float | None) -> None:
    gated = judged(**changed("prices", DDD_TODAY, close=close))
    assert told(gated) == {("exclude", "bad_price", None, "DDD")}
    assert "DDD" not in gated.latest["symbol"]


def test_a_candidate_with_a_stale_price_is_excluded() -> None:
    prices = (
        frames()["prices"]
        .filter(~DDD_TODAY)
        .with_columns(as_of=pl.when(SYMBOL == "DDD").then(day(6)).otherwise("as_of"))
    )
    assert excluded(judged(prices=prices)) == "last price of 2026-03-04 is 6 days old, limit 5"


def test_a_candidate_whose_price_jumped_is_excluded_until_that_is_accepted_for_all() -> None:
    prices = changed("prices", DDD_TODAY, close=0.4)
    told = "close 0.4 of 2026-03-10 is -99.0 % away from 40.0 of 2026-03-09, limit 40%"
    assert excluded(judged(**prices)) == told
    assert excluded(judged(**prices, **added("overrides", override("DDD", "accept-jump")))) is None
    one = override("DDD", "accept-jump", portfolio_id="GROWTH")
    assert excluded(judged(**prices, **added("overrides", one))) == told
    assert excluded(judged(**changed("prices", DDD_TODAY, close=55.0))) is None


def test_a_candidate_with_a_bad_asset_row_or_corporate_action_is_excluded() -> None:
    assert excluded(judged(**changed("assets", SYMBOL == "DDD", tradable=None))) == "bad asset row: tradable is null"
    assert excluded(judged(**added("corporate_actions", split("DDD", -1.0)))) == "bad corporate action"


def test_a_candidate_with_a_priority_it_cannot_have_is_excluded() -> None:
    words = frames()["candidates"].with_columns(pl.col("priority").cast(pl.String))
    assert excluded(from_table(candidates=words.with_columns(priority=pl.lit("urgent")))) == (
        "bad candidate row: priority is urgent"
    )
    assert "which means held" in str(excluded(from_table(candidates=words.with_columns(priority=pl.lit("portfolio")))))


def test_a_candidate_in_another_currency_is_excluded_for_that_portfolio_alone() -> None:
    gated = judged(
        **changed("assets", SYMBOL == "DDD", currency="EUR"),
        **changed("portfolios", pl.col("portfolio_id") == "INCOME", base_currency="EUR"),
    )
    assert gated.stopped == ()
    assert excluded(gated) is None
    foreign = gated.findings.filter((pl.col("code") == "other_currency") & (SYMBOL == "DDD"))
    assert foreign.select("severity", "portfolio_id").rows() == [("exclude", "GROWTH")]


def test_more_than_twenty_excluded_candidates_are_one_finding_with_their_number() -> None:
    extra = [{"symbol": f"S{number:02d}", "tradable": True} for number in range(25)]
    finding = only(judged(**added("assets", *extra)), "no_price")
    assert finding["value"] == "25"
    assert finding["row"].startswith("S00, S01")


def test_an_asset_called_like_the_cash_row_stops_the_batch() -> None:
    gated = judged(**added("assets", {"symbol": "$CASH", "tradable": True}))
    assert ("stop_batch", "reserved_symbol", None, "$CASH") in told(gated)
