import polars as pl

from core.inputs import Gated
from tests.core.inputs.example import TODAY, YESTERDAY, added, changed, day, dropped, judged, override, split, told

SYMBOL = pl.col("symbol")


def history(gated: Gated, symbol: str = "DDD") -> list[tuple[float | None, bool]]:
    return gated.history.filter(symbol=symbol).select("close", "jump").rows()


def test_history_is_sorted_by_symbol_and_date() -> None:
    frame = judged().history
    assert frame.equals(frame.sort("symbol", "as_of"))
    assert history(judged()) == [(40.0, False), (40.0, False)]


def test_prices_before_a_split_are_divided_by_its_factor() -> None:
    action = added("corporate_actions", split("DDD", 4.0))
    gated = judged(**action, **changed("prices", (SYMBOL == "DDD") & (pl.col("as_of") == TODAY), close=10.0))
    assert history(gated) == [(10.0, False), (10.0, False)]


def test_an_adjusted_close_is_used_where_present_and_never_divided() -> None:
    prices = changed("prices", (SYMBOL == "DDD") & (pl.col("as_of") == YESTERDAY), adjusted_close=9.5)
    gated = judged(**prices, **added("corporate_actions", split("DDD", 4.0)))
    assert [close for close, _ in history(gated)] == [9.5, 40.0]


def test_a_jump_in_the_history_is_marked_on_the_row_after_it() -> None:
    assert history(judged(**changed("prices", (SYMBOL == "DDD") & (pl.col("as_of") == TODAY), close=80.0))) == [
        (40.0, False),
        (80.0, True),
    ]


def test_the_first_price_of_a_symbol_is_no_jump_from_the_last_of_another() -> None:
    assert not judged().history["jump"].any()


def test_a_jump_is_accepted_for_the_history_only_by_an_override_for_all() -> None:
    prices = changed("prices", (SYMBOL == "AAA") & (pl.col("as_of") == TODAY), close=20.0)
    for_all = judged(**prices, **added("overrides", override("AAA", "accept-jump")))
    for_one = judged(**prices, **added("overrides", override("AAA", "accept-jump", portfolio_id="GROWTH")))
    assert [jump for _, jump in history(for_all, "AAA")] == [False, False]
    assert [jump for _, jump in history(for_one, "AAA")] == [False, True]


def test_a_bad_price_of_the_past_is_null_in_the_history_and_no_finding() -> None:
    gated = judged(**changed("prices", (SYMBOL == "AAA") & (pl.col("as_of") == YESTERDAY), close=-10.0))
    assert history(gated, "AAA") == [(None, False), (10.0, False)]
    assert gated.findings.is_empty()


def test_a_stale_symbol_has_no_history_and_no_latest_price() -> None:
    prices = dropped("prices", (SYMBOL == "DDD") & (pl.col("as_of") == TODAY))["prices"]
    gated = judged(prices=prices.with_columns(as_of=pl.when(SYMBOL == "DDD").then(day(6)).otherwise("as_of")))
    assert history(gated) == []
    assert "DDD" not in gated.latest["symbol"]


def test_the_same_price_under_an_old_and_a_new_name_counts_once() -> None:
    action = added("corporate_actions", split("OLD", 2.0, new_symbol="DDD"))
    same = judged(**action, **added("prices", {"as_of": YESTERDAY, "symbol": "OLD", "close": 80.0}))
    assert history(same) == [(40.0, False), (40.0, False)]
    other = judged(**action, **added("prices", {"as_of": YESTERDAY, "symbol": "OLD", "close": 70.0}))
    assert history(other) == [(None, False), (40.0, False)]


def test_different_last_prices_under_two_names_exclude_the_candidate() -> None:
    prices = dropped("prices", (SYMBOL == "DDD") & (pl.col("as_of") == TODAY))["prices"]
    old = pl.DataFrame({"as_of": [YESTERDAY], "symbol": ["OLD"], "close": [45.0]})
    gated = judged(
        prices=pl.concat([prices, old], how="diagonal"),
        **added("corporate_actions", split("OLD", 1.0, new_symbol="DDD")),
    )
    assert told(gated) == {("exclude", "bad_price", None, "DDD")}
    assert "40.0 and 45.0 under its old and new name" in gated.findings["message"][0]


def test_a_factor_that_leaves_the_range_of_numbers_makes_a_bad_price() -> None:
    gated = judged(
        **dropped("prices", (SYMBOL == "DDD") & (pl.col("as_of") == TODAY)),
        **added("corporate_actions", split("DDD", 1e-308), split("DDD", 1e-300, YESTERDAY)),
    )
    assert gated.candidates.filter(SYMBOL == "DDD")["excluded"].item().startswith("bad price row")
