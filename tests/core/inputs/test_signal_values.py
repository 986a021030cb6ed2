import datetime as dt
from math import log, sqrt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigurationError, InputError
from core.inputs import (
    FunctionSignal,
    GateConfig,
    MomentumSignal,
    QuerySignal,
    Signal,
    TableSignal,
    VolatilitySignal,
    Week52PositionSignal,
    judge_coverage,
    signal_values,
)
from tests.core.inputs.example import TODAY, added, changed, frames, judged, override, rows, split

SYMBOL = pl.col("symbol")
HERE = "tests.core.inputs.own_signals"
TECHNICAL = TableSignal(name="technical", weight=1.0)
TWO_DAYS = Week52PositionSignal(name="place", weight=1.0, lookback=2)


def priced(closes: list[float | None]) -> pl.DataFrame:
    """Prices of the example, but DDD with these closes, the last one of today."""
    days = [TODAY - dt.timedelta(days=back) for back in reversed(range(len(closes)))]
    ddd = [{"as_of": date, "symbol": "DDD", "close": close} for date, close in zip(days, closes, strict=True)]
    return pl.concat([frames()["prices"].filter(SYMBOL != "DDD"), rows("prices", *ddd)])


def of_ddd(signal: Signal, closes: list[float | None], **tables: pl.DataFrame) -> tuple[float | None, set[str]]:
    """The value of DDD, and the codes of what is said about it; the other names have two prices, and no value."""
    values, findings = signal_values(judged(prices=priced(closes), **tables), [signal])
    value = values.filter(SYMBOL == "DDD")["value"].to_list()
    about = findings.filter((SYMBOL == "DDD") | SYMBOL.is_null())
    return (value[0] if value else None), set(about["code"]) - {"absent_signal"}


class TestFormulas:
    def test_momentum_is_the_return_up_to_the_skipped_prices(self) -> None:
        signal = MomentumSignal(name="m", weight=1.0, lookback=3, skip=1)
        assert of_ddd(signal, [99.0, 40.0, 41.0, 50.0, 47.0])[0] == 0.25  # 50 / 40 - 1

    def test_volatility_is_per_year(self) -> None:
        signal = VolatilitySignal(name="v", weight=1.0, lookback=2)
        up, down = log(11 / 10), log(10 / 11)
        by_hand = sqrt(((up - 0) ** 2 + (down - 0) ** 2) / 1) * sqrt(252)
        assert of_ddd(signal, [10.0, 11.0, 10.0])[0] == pytest.approx(by_hand, rel=1e-14)

    def test_52_week_position_is_the_place_between_low_and_high(self) -> None:
        signal = Week52PositionSignal(name="w", weight=1.0, lookback=4)
        assert of_ddd(signal, [99.0, 40.0, 50.0, 45.0, 42.5])[0] == 0.25

    def test_a_constant_price_has_no_place(self) -> None:
        signal = Week52PositionSignal(name="w", weight=1.0, lookback=3)
        assert of_ddd(signal, [40.0, 40.0, 40.0])[0] is None


def plain_momentum(closes: list[float], lookback: int, skip: int) -> float:
    return closes[-1 - skip] / closes[-1 - lookback] - 1


def plain_volatility(closes: list[float], lookback: int) -> float:
    returns = [log(after / before) for before, after in zip(closes[-1 - lookback :], closes[-lookback:], strict=False)]
    mean = sum(returns) / lookback
    return sqrt(252 * sum((one - mean) ** 2 for one in returns) / (lookback - 1))


def plain_place(closes: list[float], lookback: int) -> float:
    window = closes[-lookback:]
    return (closes[-1] - min(window)) / (max(window) - min(window))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(50.0, 60.0), min_size=10, max_size=10, unique=True), st.integers(2, 9), st.data())
def test_formulas_agree_with_plain_arithmetic(closes: list[float], lookback: int, data: st.DataObject) -> None:
    skip = data.draw(st.integers(0, lookback - 1))
    signals = [
        MomentumSignal(name="momentum", weight=1.0, lookback=lookback, skip=skip),
        VolatilitySignal(name="volatility", weight=1.0, lookback=lookback),
        Week52PositionSignal(name="place", weight=1.0, lookback=lookback),
    ]
    values = signal_values(judged(prices=priced(list(closes))), signals)[0].filter(SYMBOL == "DDD")
    assert dict(values.select("signal", "value").rows()) == {
        "momentum": pytest.approx(plain_momentum(closes, lookback, skip), rel=1e-12, abs=1e-15),
        "volatility": pytest.approx(plain_volatility(closes, lookback), rel=1e-9, abs=1e-12),
        "place": pytest.approx(plain_place(closes, lookback), rel=1e-12),
    }


class TestHistory:
    @pytest.mark.parametrize(
        ("signal", "needed"),
        [
            (MomentumSignal(name="s", weight=1.0, lookback=4, skip=2), 5),
            (VolatilitySignal(name="s", weight=1.0, lookback=4), 5),
            (Week52PositionSignal(name="s", weight=1.0, lookback=5), 5),
            (FunctionSignal(name="s", weight=1.0, function=f"{HERE}:last_close", lookback=5), 5),
        ],
    )
    def test_less_history_than_needed_is_missing_never_shortened(self, signal: Signal, needed: int) -> None:
        closes: list[float | None] = [40.0 + number for number in range(needed)]
        assert of_ddd(signal, closes)[0] is not None
        value, codes = of_ddd(signal, closes[1:])
        assert value is None
        assert "short_history" in codes

    def test_a_history_shorter_than_what_is_skipped_is_told_too(self) -> None:
        signal = MomentumSignal(name="s", weight=1.0, lookback=9, skip=5)
        assert "short_history" in of_ddd(signal, [40.0])[1]

    def test_young_names_are_told_in_one_line_per_signal(self) -> None:
        findings = signal_values(judged(), [TECHNICAL, MomentumSignal(name="m", weight=1.0)])[1]
        short = findings.filter(pl.col("code") == "short_history")
        assert short["value"].to_list() == ["4"]

    @pytest.mark.parametrize("bad", [None, float("nan"), -1.0])
    def test_a_bad_price_in_the_window_makes_the_signal_missing(self, bad: float | None) -> None:
        assert of_ddd(TWO_DAYS, [40.0, bad, 41.0, 42.0])[0] == 1.0
        assert of_ddd(TWO_DAYS, [40.0, 41.0, bad, 42.0]) == (None, {"broken_history"})

    def test_a_jump_in_the_window_makes_the_signal_missing(self) -> None:
        assert of_ddd(TWO_DAYS, [400.0, 41.0, 42.0])[0] == 1.0  # the jump is before the window
        assert of_ddd(TWO_DAYS, [40.0, 410.0, 420.0])[0] == 1.0
        assert of_ddd(TWO_DAYS, [40.0, 41.0, 420.0]) == (None, {"broken_history"})

    def test_a_jump_among_the_skipped_prices_does_not_matter(self) -> None:
        signal = MomentumSignal(name="m", weight=1.0, lookback=3, skip=1)
        assert of_ddd(signal, [40.0, 41.0, 50.0, 5.0])[0] == 0.25
        assert of_ddd(signal, [40.0, 41.0, 5.0, 5.0])[0] is None

    def test_a_corporate_action_or_an_override_explains_the_jump(self) -> None:
        closes: list[float | None] = [40.0, 41.0, 4.2]
        assert of_ddd(TWO_DAYS, closes, **added("corporate_actions", split("DDD", 10.0)))[0] == 1.0
        assert of_ddd(TWO_DAYS, closes, **added("overrides", override("DDD", "accept-jump")))[0] == 0.0


class TestTable:
    def test_values_are_those_of_the_table_under_the_signals_name(self) -> None:
        values, findings = signal_values(judged(), [TableSignal(name="mine", weight=1.0, source="technical")])
        assert values.rows() == [
            ("AAA", "mine", 10.0),
            ("BBB", "mine", 20.0),
            ("CCC", "mine", 50.0),
            ("DDD", "mine", 40.0),
        ]
        assert findings.is_empty()

    def test_a_query_counts_like_the_table(self) -> None:
        values, _ = signal_values(judged(), [QuerySignal(name="technical", weight=1.0, sql="select 1")])
        assert values.height == 4

    def test_a_signal_without_any_value_stops_the_batch_and_names_the_nearest(self) -> None:
        values, findings = signal_values(judged(), [TECHNICAL, TableSignal(name="tecnical", weight=1.0)])
        assert values["signal"].unique().to_list() == ["technical"]
        assert findings.select("severity", "code").rows() == [("stop_batch", "absent_signal")]
        assert "Did you mean 'technical'?" in findings["message"][0]

    def test_values_that_need_a_normaliser_and_have_none_are_missing_and_told(self) -> None:
        gated = judged(**changed("signals", SYMBOL == "AAA", value=0.4))
        values, findings = signal_values(gated, [TableSignal(name="technical", weight=1.0, normaliser="none")])
        assert values.rows() == [("AAA", "technical", 0.4)]
        assert set(findings["code"]) == {"signal_out_of_range"}
        assert findings["symbol"].to_list() == ["BBB", "CCC", "DDD"]

    def test_a_stopped_batch_has_no_values_and_no_more_findings(self) -> None:
        values, findings = signal_values(judged(portfolios=rows("portfolios")), [TECHNICAL])
        assert values.is_empty()
        assert findings.is_empty()


class TestFunctions:
    def values(self, function: str, lookback: int = 2) -> pl.DataFrame:
        return signal_values(
            judged(), [FunctionSignal(name="own", weight=1.0, function=f"{HERE}:{function}", lookback=lookback)]
        )[0]

    def test_a_function_of_ones_own_gives_values(self) -> None:
        assert self.values("last_close")["value"].to_list() == [10.0, 20.0, 50.0, 40.0]

    def test_it_is_given_the_last_prices_of_the_lookback(self) -> None:
        assert self.values("whole_history", 2)["value"].to_list() == [2.0] * 4
        assert self.values("whole_history", 1)["value"].to_list() == [1.0] * 4

    def test_a_null_is_a_missing_signal(self) -> None:
        assert self.values("half_missing")["symbol"].to_list() == ["AAA"]

    @pytest.mark.parametrize(
        ("function", "complaint"),
        [
            ("twice", "8 rows that are there more than once: AAA 10.0"),
            ("infinite", "4 rows whose value is not finite: AAA inf"),
            ("invented", "1 row whose symbol it was not given: ZZZ 1.0"),
            ("nameless", "1 row without a symbol: None 1.0"),
            ("without_value", "must return a frame with the columns symbol and value"),
            ("in_words", "symbol must be text, value a number"),
            ("a_number", "returned float"),
            ("failing", "raised ZeroDivisionError: no variance"),
        ],
    )
    def test_what_breaks_the_contract_is_named(self, function: str, complaint: str) -> None:
        with pytest.raises(InputError, match=complaint) as raised:
            self.values(function)
        assert f"signal own: function {HERE}:{function}" in str(raised.value)

    @pytest.mark.parametrize("function", ["no.such.module:f", f"{HERE}:missing", f"{HERE}:NOT_A_FUNCTION"])
    def test_a_function_that_is_not_there_is_refused(self, function: str) -> None:
        with pytest.raises(ConfigurationError, match="signal own"):
            signal_values(judged(), [FunctionSignal(name="own", weight=1.0, function=function, lookback=1)])


class TestCoverage:
    @staticmethod
    def judge(covered: list[str], limit: float = 0.5, **tables: pl.DataFrame) -> pl.DataFrame:
        values = pl.DataFrame({"symbol": covered, "signal": "s", "value": 1.0}, schema_overrides={"symbol": pl.String})
        return judge_coverage(values, judged(**tables).candidates, GateConfig(max_share_without_score=limit))

    def test_half_without_a_signal_is_allowed_and_more_stops_the_batch(self) -> None:
        assert self.judge(["AAA", "BBB"]).is_empty()
        finding = self.judge(["AAA"]).row(0, named=True)
        assert (finding["severity"], finding["code"]) == ("stop_batch", "low_coverage")
        assert finding["message"].startswith("3 of 4 candidates have no signal or are excluded; the limit is 50%")

    def test_a_candidate_that_is_excluded_counts_as_having_none(self) -> None:
        prices = frames()["prices"].filter(SYMBOL != "DDD")
        assert not self.judge(["AAA", "DDD"], prices=prices).is_empty()

    def test_a_candidate_that_is_not_tradable_does_not_count(self) -> None:
        assert self.judge(["AAA"], **changed("assets", SYMBOL.is_in(["CCC", "DDD"]), tradable=False)).is_empty()
