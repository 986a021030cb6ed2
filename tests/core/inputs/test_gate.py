"""The gate as a whole: what it lets through, what it stops, and that nothing wrong passes silently."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigurationError
from core.inputs import GateConfig, Gated, judge
from core.models import Inputs
from core.schemas import Findings, Severity
from tests.core.inputs.example import TODAY, YESTERDAY, added, changed, dropped, example, frames, judged, told
from tests.effort import examples

FRAMES = ("portfolios", "holdings", "nav", "assets", "latest", "history", "signals", "candidates")
SYMBOL, PORTFOLIO = pl.col("symbol"), pl.col("portfolio_id")


def test_good_inputs_pass_without_a_finding() -> None:
    gated = judged()
    assert gated.findings.is_empty()
    assert gated.stops_batch.is_empty()
    assert gated.stopped == ()


def test_what_is_of_yesterday_where_nothing_may_be_older_than_today_is_one_day_old() -> None:
    config = GateConfig(max_price_age_days=0, max_signal_age_days=0)
    late = dropped("prices", (SYMBOL.is_in(["AAA", "DDD"])) & (pl.col("as_of") == TODAY))
    gated = judged(config=config, **late, **changed("signals", SYMBOL == "BBB", as_of=YESTERDAY))
    messages = dict(gated.findings.select("code", "message").rows())
    assert messages.keys() == {"stale_price", "stale_signal"}
    assert messages["stale_signal"].startswith(f"signal technical of BBB is of {YESTERDAY}, 1 day old, limit 0:")
    (held,) = gated.findings.filter(code="stale_price", portfolio_id="GROWTH")["message"]
    (candidate,) = gated.findings.filter(code="stale_price", symbol="DDD")["message"]
    assert held == f"AAA of portfolio GROWTH: its last price is of {YESTERDAY}, 1 day old; the limit is 0."
    assert f"last price of {YESTERDAY} is 1 day old, limit 0" in candidate


def test_net_asset_value_is_positions_and_cash() -> None:
    assert judged().nav.select("portfolio_id", "nav", "cash").rows() == [
        ("GROWTH", 3000.0, 1000.0),
        ("INCOME", 1000.0, 500.0),
    ]


def test_holdings_carry_close_bucket_and_tradable() -> None:
    holdings = judged().holdings.select(
        "portfolio_id", "symbol", "quantity", "close", "price_as_of", "bucket", "tradable"
    )
    assert holdings.rows() == [
        ("GROWTH", "AAA", 100.0, 10.0, TODAY, "Energy", True),
        ("GROWTH", "BBB", 50.0, 20.0, TODAY, "Utilities", True),
        ("INCOME", "CCC", 10.0, 50.0, TODAY, "Unknown", True),
    ]


def test_a_stopped_portfolio_leaves_the_frames_and_keeps_its_findings() -> None:
    gated = judged(**dropped("cash", PORTFOLIO == "INCOME"))
    assert gated.stopped == ("INCOME",)
    assert gated.portfolios["portfolio_id"].to_list() == ["GROWTH"]
    assert gated.holdings["portfolio_id"].unique().to_list() == ["GROWTH"]
    assert gated.nav["portfolio_id"].to_list() == ["GROWTH"]
    assert told(gated) == {("stop_portfolio", "no_cash", "INCOME", None)}


def test_a_stopped_batch_has_empty_frames_with_their_columns() -> None:
    gated = judged(**changed("assets", SYMBOL == "DDD", symbol="AAA"))
    assert not gated.stops_batch.is_empty()
    for name in FRAMES:
        assert getattr(gated, name).is_empty()
        assert getattr(gated, name).columns == getattr(judged(), name).columns


def test_all_findings_come_at_once_the_worst_first() -> None:
    gated = judged(
        **changed("assets", SYMBOL == "DDD", symbol="AAA"),
        **dropped("cash", PORTFOLIO == "INCOME"),
        **dropped("prices", SYMBOL == "BBB"),
    )
    assert gated.findings["code"].to_list()[0] == "duplicate_key"
    assert {"duplicate_key", "no_cash", "no_price"} <= set(gated.findings["code"])
    levels = gated.findings["severity"].to_physical().to_list()
    assert levels == sorted(levels)


def test_a_table_that_cannot_be_read_is_one_finding_and_not_many() -> None:
    gated = judged(assets=frames()["assets"].drop("tradable"), cash=frames()["cash"].clear())
    assert told(gated) == {
        ("stop_batch", "missing_column", None, None),
        ("stop_portfolio", "no_cash", "GROWTH", None),
        ("stop_portfolio", "no_cash", "INCOME", None),
    }


@pytest.mark.parametrize("table", ["portfolios", "positions", "cash", "assets", "prices", "signals"])
def test_a_required_table_that_was_not_read_stops_the_batch(table: str) -> None:
    given_frames = frames()
    del given_frames[table]
    gated = judge(Inputs(TODAY, given_frames, example().last_prices), GateConfig(), "assets")
    assert told(gated) == {("stop_batch", "missing_table", None, None)}


def test_optional_tables_may_be_left_out() -> None:
    given_frames = {
        name: frame for name, frame in frames().items() if name not in ("candidates", "corporate_actions", "overrides")
    }
    assert judge(Inputs(TODAY, given_frames, example().last_prices), GateConfig(), "assets").findings.is_empty()


def test_nothing_dated_after_the_morning_is_looked_at() -> None:
    tomorrow = TODAY.replace(day=11)
    gated = judged(
        **added("prices", {"as_of": tomorrow, "symbol": "AAA", "close": float("nan")}),
        **added("signals", {"as_of": tomorrow, "symbol": "AAA", "signal": "technical", "value": 99.0}),
        **added("corporate_actions", {"effective": tomorrow, "symbol": "AAA", "factor": 2.0}),
    )
    assert gated.findings.is_empty()
    assert gated.holdings["close"].to_list() == [10.0, 20.0, 50.0]
    assert gated.signals.filter(SYMBOL == "AAA")["value"].to_list() == [10.0]


def test_prices_dated_by_their_close_count_from_the_next_morning() -> None:
    prices = changed("prices", (SYMBOL == "AAA") & (pl.col("as_of") == TODAY), close=11.0)
    by_morning, after_close = judged(**prices), judged(config=GateConfig(prices_known="after_close"), **prices)
    assert by_morning.holdings["close"][0] == 11.0
    assert after_close.holdings["close"][0] == 10.0


def test_signals_that_the_policy_does_not_read_are_ignored() -> None:
    signals = added("signals", {"as_of": TODAY, "symbol": "AAA", "signal": "research", "value": float("nan")})
    assert judged(**signals).stopped == ("GROWTH",)
    assert judge(example(**signals), GateConfig(), "assets", ["technical"]).findings.is_empty()


def test_an_unknown_origin_of_candidates_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="candidates_from"):
        judge(example(), GateConfig(), "everywhere")  # type: ignore[arg-type]


def test_a_portfolio_is_valued_bitwise_alike_alone_and_in_a_batch() -> None:
    symbols = [f"S{number:03d}" for number in range(200)]
    ids = [f"P{number:02d}" for number in range(30)]
    names = pl.DataFrame({"symbol": symbols}).with_row_index("place")
    holdings = (
        pl.DataFrame({"portfolio_id": ids})
        .join(names, how="cross")
        .with_columns(as_of=pl.lit(TODAY), quantity=pl.col("place") * 1.1 - 7.3)
    )
    tables = {
        "portfolios": pl.DataFrame({"portfolio_id": ids, "name": "x", "base_currency": "USD", "active": True}),
        "positions": holdings.drop("place"),
        "cash": pl.DataFrame({"portfolio_id": ids, "as_of": TODAY, "amount": 1e6 / 3}),
        "assets": names.select("symbol", tradable=True),
        "prices": names.select("symbol", as_of=pl.lit(TODAY), close=0.1 + pl.col("place") / 3),
        "signals": frames()["signals"].clear(),
    }
    alone = {
        name: rows.filter(PORTFOLIO == "P07") if "portfolio_id" in rows.columns else rows
        for name, rows in tables.items()
    }
    batch = judge(Inputs(TODAY, tables, example().last_prices), GateConfig(), "assets")
    single = judge(Inputs(TODAY, alone, example().last_prices), GateConfig(), "assets")
    assert single.nav.equals(batch.nav.filter(PORTFOLIO == "P07"))


DAMAGES = {
    "portfolios": ["portfolio_id", "name", "base_currency", "active"],
    "positions": ["portfolio_id", "as_of", "symbol", "quantity"],
    "cash": ["portfolio_id", "as_of", "amount"],
    "assets": ["symbol", "tradable"],
    "prices": ["as_of", "symbol", "close"],
    "signals": ["as_of", "symbol", "signal", "value"],
}


@st.composite
def damages(draw: st.DrawFn) -> tuple[str, int, str, object]:
    """One bad cell: table, row, column, and what is put there."""
    table = draw(st.sampled_from(sorted(DAMAGES)))
    column = draw(st.sampled_from(DAMAGES[table]))
    kind = frames()[table][column].dtype
    bad: list[object] = [None]
    if kind == pl.Float64:
        bad += [float("nan"), float("inf"), float("-inf")]
    if kind == pl.String and column != "name":
        bad += ["", "???"]
    return table, draw(st.integers(0, frames()[table].height - 1)), column, draw(st.sampled_from(bad))


def damaged(table: str, row: int, column: str, bad: object) -> dict[str, pl.DataFrame]:
    frame = frames()[table]
    cells = frame[column].to_list()
    cells[row] = bad
    return {table: frame.with_columns(pl.Series(column, cells, dtype=frame[column].dtype))}


def is_consistent(gated: Gated) -> bool:
    """Whether what passed is what the promises of `Gated` allow."""
    numbers = [
        gated.holdings["close"],
        gated.holdings["quantity"],
        gated.nav["nav"],
        gated.latest["close"],
        gated.signals["value"],
    ]
    kept = set(gated.portfolios["portfolio_id"])
    return (
        all(column.is_finite().all() and column.null_count() == 0 for column in numbers)
        and (gated.nav["nav"] > 0).all()
        and set(gated.nav["portfolio_id"]) == kept
        and set(gated.holdings["portfolio_id"]) <= kept
        and not kept & set(gated.stopped)
        and Findings.is_valid(gated.findings)
    )


def is_harmless(table: str, row: int, column: str, bad: object) -> bool:
    """Damage after which the inputs are still right in themselves, only others."""
    return bad == "???" and (
        table == "signals"  # a signal that is not there, or one of a name that nobody considers
        or (table, column) == ("prices", "symbol")  # the price of yesterday is fresh enough
        or (table, column, row) == ("portfolios", "base_currency", 1)  # CCC has no currency of its own
    )


@settings(max_examples=examples(30), deadline=None)
@given(damages())
def test_no_bad_cell_raises_or_passes_silently(damage: tuple[str, int, str, object]) -> None:
    gated = judged(**damaged(*damage))
    assert is_consistent(gated)
    # a bad price of the past is told by the signals that would read it, and is null in the history
    told_later = not gated.history.is_empty() and gated.history["close"].null_count() == 1
    assert not gated.findings.is_empty() or told_later or is_harmless(*damage)


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(damages(), min_size=2, max_size=4))
def test_many_bad_cells_never_raise(several: list[tuple[str, int, str, object]]) -> None:
    tables: dict[str, pl.DataFrame] = {}
    for damage in several:
        tables |= damaged(*damage)
    assert is_consistent(judged(**tables))


@settings(max_examples=examples(15), deadline=None)
@given(st.sampled_from(sorted(DAMAGES)), st.integers(0, 1), st.booleans())
def test_a_duplicate_row_stops_its_batch_or_its_portfolio(table: str, row: int, twice_bad: bool) -> None:
    frame = frames()[table]
    extra = frame.slice(row, 1)
    gated = judged(**{table: pl.concat([frame, extra, extra] if twice_bad else [frame, extra])})
    codes = gated.findings.filter(pl.col("code") == "duplicate_key")
    expected = Severity.STOP_PORTFOLIO if table in ("positions", "cash") else Severity.STOP_BATCH
    assert codes["severity"].unique().to_list() == [expected.value]
    assert is_consistent(gated)


@settings(max_examples=examples(10), deadline=None)
@given(st.randoms())
def test_the_order_of_rows_changes_nothing(random: object) -> None:
    def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
        order = list(range(frame.height))
        random.shuffle(order)  # type: ignore[attr-defined]
        return frame[order]

    gated, plain = judged(**{name: shuffled(frame) for name, frame in frames().items()}), judged()
    for name in FRAMES:
        assert getattr(gated, name).equals(getattr(plain, name))
