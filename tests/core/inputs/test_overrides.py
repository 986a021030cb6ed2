from typing import Any

import polars as pl
import pytest

from tests.core.inputs.example import YESTERDAY, added, day, dropped, frames, judged, only, override, told


def findings(*records: dict[str, Any], **tables: pl.DataFrame) -> set[tuple[str, str, str | None, str | None]]:
    """The findings about these overrides, but that they are in force."""
    gated = judged(**added("overrides", *records), **tables)
    return {finding for finding in told(gated) if finding[1] != "override_in_force"}


def test_an_override_in_force_is_always_told_with_who_and_why() -> None:
    gated = judged(**added("overrides", override("AAA", "price", "10.5", "GROWTH")))
    finding = only(gated, "override_in_force")
    assert finding["severity"] == "warn"
    assert finding["portfolio_id"] == "GROWTH"
    assert finding["message"] == (
        "override in force: price 10.5 for AAA of GROWTH, from 2026-03-10 to 2026-03-10, by Ada: checked"
    )


@pytest.mark.parametrize(("start", "end", "in_force"), [(3, 0, True), (0, -3, True), (3, 1, False), (-1, -3, False)])
def test_an_override_is_in_force_from_its_first_to_its_last_day(start: int, end: int, in_force: bool) -> None:
    ruling = override("AAA", "price", "10.5", **{"from": day(start), "to": day(end)})
    assert (judged(**added("overrides", ruling)).holdings["close"][0] == 10.5) == in_force


def test_a_price_for_one_portfolio_is_not_used_for_another_nor_for_candidates() -> None:
    ruling = override("CCC", "price", "60", "INCOME")
    gated = judged(**added("overrides", ruling))
    assert gated.nav["nav"].to_list() == [3000.0, 1100.0]
    assert gated.latest.filter(pl.col("symbol") == "CCC")["close"].to_list() == [50.0]


def test_a_price_for_all_is_used_for_candidates_too() -> None:
    gated = judged(**added("overrides", override("DDD", "price", "41")), **dropped("prices", pl.col("symbol") == "DDD"))
    assert gated.latest.filter(pl.col("symbol") == "DDD").select("close", "price_as_of").rows() == [(41.0, day(0))]
    assert gated.candidates.filter(pl.col("symbol") == "DDD").select("close", "excluded").rows() == [(41.0, None)]


def test_a_price_replaces_one_that_is_missing_stale_or_bad() -> None:
    gated = judged(**added("overrides", override("AAA", "price", "12")), **dropped("prices", pl.col("symbol") == "AAA"))
    assert gated.holdings.row(0, named=True)["close"] == 12.0
    assert gated.stopped == ()


def test_a_price_for_all_holds_for_candidates_also_where_the_only_portfolio_says_the_same() -> None:
    both = added("overrides", override("AAA", "price", "11"), override("AAA", "price", "11", "GROWTH"))
    alone = {name: frames()[name].filter(portfolio_id="GROWTH") for name in ("portfolios", "positions", "cash")}
    for gated in (judged(**both), judged(**both, **alone)):
        assert gated.latest.filter(symbol="AAA")["close"].to_list() == [11.0]


@pytest.mark.parametrize("value", ["0", "-5", "nan", "inf", "ten", "", None, "1,5"])
def test_a_price_that_is_no_positive_number_stops(value: str | None) -> None:
    assert findings(override("AAA", "price", value)) == {("stop_batch", "override_value", None, "AAA")}
    assert findings(override("AAA", "price", value, "GROWTH")) == {
        ("stop_portfolio", "override_value", "GROWTH", "AAA")
    }


def test_a_new_name_must_be_an_asset() -> None:
    assert ("stop_batch", "override_value", None, "AAA") in findings(override("AAA", "renamed-to", "ZZZ"))
    assert ("stop_batch", "override_value", None, "AAA") in findings(override("AAA", "renamed-to", None))


def test_an_unknown_symbol_stops() -> None:
    assert findings(override("AAB", "written-off")) == {("stop_batch", "override_unknown_symbol", None, "AAB")}


def test_an_override_for_a_portfolio_outside_the_batch_is_told_and_does_nothing() -> None:
    gated = judged(**added("overrides", override("AAA", "price", "12", "GROWHT")))
    assert told(gated) == {("warn", "override_elsewhere", "GROWHT", "AAA")}
    assert "Did you mean 'GROWTH'?" in only(gated, "override_elsewhere")["message"]


def test_an_override_without_who_why_or_end_stops() -> None:
    for gap in ({"who": None}, {"why": ""}, {"to": None}):
        assert findings(override("AAA", "accept-jump", **gap)) == {("stop_batch", "bad_override", None, "AAA")}


def test_an_unknown_kind_stops_the_batch() -> None:
    overrides = added("overrides", override("AAA", "accept-jump"))["overrides"].with_columns(kind=pl.lit("ignore"))
    assert told(judged(overrides=overrides)) == {("stop_batch", "bad_key", None, "AAA")}


class TestContradictions:
    EARLIER = {"from": YESTERDAY}  # noqa: RUF012

    def test_two_prices_stop(self) -> None:
        two = override("AAA", "price", "10"), override("AAA", "price", "11", **self.EARLIER)
        assert findings(*two) == {("stop_batch", "override_contradiction", None, "AAA")}

    def test_one_for_all_and_another_for_a_portfolio_stop_that_portfolio(self) -> None:
        two = override("AAA", "price", "10"), override("AAA", "price", "11", "GROWTH")
        assert findings(*two) == {("stop_portfolio", "override_contradiction", "GROWTH", "AAA")}

    def test_a_price_and_an_end_stop(self) -> None:
        two = override("AAA", "price", "10"), override("AAA", "written-off")
        assert ("stop_batch", "override_contradiction", None, "AAA") in findings(*two)

    def test_the_same_said_twice_is_none(self) -> None:
        assert findings(override("AAA", "price", "10"), override("AAA", "price", "10.0", **self.EARLIER)) == set()

    def test_a_price_and_an_accepted_jump_are_none(self) -> None:
        assert findings(override("AAA", "price", "30"), override("AAA", "accept-jump")) == set()
