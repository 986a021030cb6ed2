import polars as pl
import pytest

from core.inputs import Gated
from tests.core.inputs.example import TODAY, YESTERDAY, added, changed, day, judged, only, split, told

SYMBOL = pl.col("symbol")


def value_of(gated: Gated, symbol: str) -> list[float]:
    return gated.signals.filter(symbol=symbol)["value"].to_list()


def test_the_latest_row_of_each_symbol_counts() -> None:
    older = {"as_of": YESTERDAY, "symbol": "DDD", "signal": "technical", "value": 7.0}
    assert value_of(judged(**added("signals", older)), "DDD") == [40.0]


def test_a_row_beyond_the_age_limit_is_missing_and_told() -> None:
    assert judged(**changed("signals", SYMBOL == "DDD", as_of=day(5))).findings.is_empty()
    gated = judged(**changed("signals", SYMBOL == "DDD", as_of=day(6)))
    assert told(gated) == {("warn", "stale_signal", None, "DDD")}
    assert value_of(gated, "DDD") == []


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_stops_who_holds_the_name(bad: float) -> None:
    gated = judged(**changed("signals", SYMBOL == "AAA", value=bad))
    assert told(gated) == {("stop_portfolio", "bad_signal", "GROWTH", "AAA"), ("warn", "bad_signal", None, "AAA")}


def test_a_value_of_a_candidate_that_is_not_finite_is_missing() -> None:
    gated = judged(**changed("signals", SYMBOL == "DDD", value=float("nan")))
    assert told(gated) == {("warn", "bad_signal", None, "DDD")}
    assert only(gated, "bad_signal")["message"] == "signal technical of DDD cannot be used: value is NaN on 2026-03-10."
    assert value_of(gated, "DDD") == []


def test_a_null_is_a_missing_signal_and_no_older_row_stands_in() -> None:
    older = added("signals", {"as_of": YESTERDAY, "symbol": "AAA", "signal": "technical", "value": 7.0})["signals"]
    today = (SYMBOL == "AAA") & (pl.col("as_of") == TODAY)
    gated = judged(signals=older.with_columns(value=pl.when(~today).then("value")))
    assert told(gated) == {("warn", "bad_signal", None, "AAA")}
    assert value_of(gated, "AAA") == []


def test_zero_is_a_signal() -> None:
    assert value_of(judged(**changed("signals", SYMBOL == "AAA", value=0.0)), "AAA") == [0.0]


def test_signals_of_names_that_nobody_considers_are_left_out() -> None:
    stranger = {"as_of": TODAY, "symbol": "ZZZ", "signal": "technical", "value": float("nan")}
    gated = judged(**added("signals", stranger))
    assert gated.findings.is_empty()


def test_values_that_differ_under_two_names_are_missing() -> None:
    action = added("corporate_actions", split("OLD", 1.0, new_symbol="DDD"))
    old = {"as_of": YESTERDAY, "symbol": "OLD", "signal": "technical", "value": 39.0}
    signals = changed("signals", SYMBOL == "DDD", as_of=YESTERDAY)["signals"]
    both = pl.concat([signals, pl.DataFrame([old], schema=signals.schema)])
    assert told(judged(signals=both, **action)) == {("warn", "bad_signal", None, "DDD")}
    same = both.with_columns(value=pl.when(SYMBOL == "OLD").then(40.0).otherwise("value"))
    assert value_of(judged(signals=same, **action), "DDD") == [40.0]
