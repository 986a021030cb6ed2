"""What a batch reads."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from polars.testing import assert_frame_equal
from sqlalchemy.engine import Engine

from core.errors import InputError, StoreError
from core.models import Inputs, sharded
from core.schemas import INPUTS
from core.source import Source
from core.store import engine_from_url, load_frames, portfolio_ids, publish, read_inputs
from core.store.database import writing
from tests.core.store.samples import NOON, SINCE, TODAY, YESTERDAY, breach, inputs, record, table, target_rows
from tests.postgres import CAREFUL, PASSWORD

TOMORROW = TODAY + dt.timedelta(days=1)
LONG_AGO = SINCE - dt.timedelta(days=1)


TABLES = Source()


def read(engine: Engine, source: Source = TABLES, portfolios: Sequence[str] | None = None) -> Inputs:
    return read_inputs(engine, source, TODAY, portfolios, SINCE)


def execute(engine: Engine, *statements: str) -> None:
    with writing(engine, "test") as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


@pytest.mark.parametrize("symbol", ["AAA", "BRK/B", "O'Neil", 'quo"te', "ÅÄÖ 日本", "NA", "%41", ":x"])
def test_what_is_loaded_is_read(engine: Engine, symbol: str) -> None:
    loaded = inputs(portfolio=f"desk {symbol}", symbol=symbol)
    load_frames(engine, loaded)
    found = read(engine)
    for name in INPUTS:
        assert_frame_equal(found[name], loaded[name])


def test_an_empty_database_says_that_no_portfolio_is_active(engine: Engine) -> None:
    with pytest.raises(InputError, match="no portfolio is active"):
        read(engine)


def test_a_database_without_tables_says_so(bare_engine: Engine) -> None:
    with pytest.raises(StoreError, match="evenkeel init"):
        read(bare_engine)


def test_frames_without_rows_are_typed(engine: Engine) -> None:
    load_frames(engine, {"portfolios": inputs()["portfolios"]})
    found = read(engine)
    assert all(found[name].schema == schema.create_empty().schema for name, schema in INPUTS.items())


def test_nothing_after_the_morning_is_read(engine: Engine) -> None:
    later = {
        "positions": table("positions", ("core", TOMORROW, "AAA", 1.0)),
        "cash": table("cash", ("core", TOMORROW, 1.0)),
        "prices": table("prices", (TOMORROW, "AAA", 1.0, None)),
        "signals": table("signals", (TOMORROW, "AAA", "technical", 1.0)),
        "candidates": table("candidates", (TOMORROW, "AAA", "regime")),
        "corporate_actions": table("corporate_actions", (TOMORROW, "AAA", 3.0, None)),
        "overrides": table("overrides", ("core", "AAA", "price", TOMORROW, TOMORROW, "1", "ann", "why")),
    }
    load_frames(engine, {"portfolios": inputs()["portfolios"]})
    load_frames(engine, later)
    assert all(read(engine)[name].is_empty() for name in later)


def test_a_snapshot_is_of_exactly_its_date(engine: Engine) -> None:
    load_frames(engine, inputs())
    load_frames(engine, {"positions": table("positions", ("core", YESTERDAY, "OLD", 1.0))})
    assert read(engine)["positions"]["symbol"].to_list() == ["AAA"]


def test_the_window_of_prices_includes_both_ends(engine: Engine) -> None:
    days = (LONG_AGO, SINCE, TODAY, TOMORROW)
    load_frames(engine, inputs())
    load_frames(engine, {"prices": table("prices", *((day, "BBB", 1.0, None) for day in days))})
    assert read(engine)["prices"].filter(symbol="BBB")["as_of"].to_list() == [SINCE, TODAY]


def test_only_the_latest_candidates_are_read(engine: Engine) -> None:
    old = [(YESTERDAY, "OLD", "regime"), (TODAY, "AAA", "regime"), (TODAY, "BBB", "fallback")]
    load_frames(engine, inputs() | {"candidates": table("candidates", *old)})
    assert read(engine)["candidates"]["symbol"].to_list() == ["AAA", "BBB"]


@pytest.mark.parametrize(
    ("first", "last", "in_force"),
    [(TODAY, TODAY, 1), (YESTERDAY, TOMORROW, 1), (YESTERDAY, YESTERDAY, 0), (TOMORROW, TOMORROW, 0)],
)
def test_overrides_are_read_while_in_force(engine: Engine, first: dt.date, last: dt.date, in_force: int) -> None:
    override = ("core", "AAA", "written-off", first, last, None, "ann", "why")
    load_frames(engine, inputs() | {"overrides": table("overrides", override)})
    assert len(read(engine)["overrides"]) == in_force


# portfolios


def two_portfolios(engine: Engine) -> None:
    other = inputs("other")
    load_frames(engine, inputs())
    load_frames(engine, {name: other[name] for name in ("portfolios", "positions", "cash", "overrides")})


def test_a_requested_portfolio_is_read_alone(engine: Engine) -> None:
    two_portfolios(engine)
    found = read(engine, portfolios=["other"])
    for name in ("portfolios", "positions", "cash", "overrides"):
        assert found[name]["portfolio_id"].to_list() == ["other"]


def test_inactive_portfolios_are_left_out_unless_requested(engine: Engine) -> None:
    two_portfolios(engine)
    execute(engine, "UPDATE portfolios SET active = FALSE WHERE portfolio_id = 'other'")
    assert read(engine)["cash"]["portfolio_id"].to_list() == ["core"]
    assert read(engine, portfolios=["other"])["cash"]["portfolio_id"].to_list() == ["other"]


def test_an_unknown_portfolio_is_refused_with_the_nearest(engine: Engine) -> None:
    two_portfolios(engine)
    with pytest.raises(InputError, match=r"'othr'.*known: core, other. Did you mean 'other'"):
        read(engine, portfolios=["core", "othr"])


def test_asking_for_no_portfolio_is_not_asking_for_all(engine: Engine) -> None:
    two_portfolios(engine)
    with pytest.raises(InputError, match="no portfolio is asked for"):
        read(engine, portfolios=[])


@pytest.mark.parametrize("portfolio", ["all", "unknown"])
def test_an_override_of_no_known_portfolio_reaches_the_gate(engine: Engine, portfolio: str) -> None:
    two_portfolios(engine)
    override = (portfolio, "AAA", "written-off", TODAY, TODAY, None, "ann", "why")
    load_frames(engine, {"overrides": table("overrides", override)})
    assert read(engine, portfolios=["core"])["overrides"]["portfolio_id"].to_list() == [*sorted(["core", portfolio])]


def test_portfolios_without_a_single_id_are_refused(engine: Engine) -> None:
    two_portfolios(engine)
    nameless = Source({"portfolios": "SELECT NULL AS portfolio_id, name, base_currency, active FROM portfolios"})
    with pytest.raises(InputError, match="at least one row that has a `portfolio_id`"):
        read(engine, nameless)


@pytest.mark.parametrize("name", ["positions", "cash"])
def test_a_holding_of_no_known_portfolio_reaches_the_gate(engine: Engine, name: str) -> None:
    two_portfolios(engine)
    cells = (" core", TODAY, "AAA", 1.0) if name == "positions" else (" core", TODAY, 1.0)
    load_frames(engine, {name: table(name, cells)})
    assert read(engine)[name]["portfolio_id"].to_list() == [" core", "core", "other"]
    assert read(engine, portfolios=["core"])[name]["portfolio_id"].to_list() == [" core", "core"]


# cells that do not fit


@pytest.mark.parametrize(
    ("name", "column", "cell"),
    [
        ("prices", "close", "n/a"),
        ("assets", "tradable", "maybe"),
        ("candidates", "priority", "hot"),
        ("overrides", "to", "tomorrow"),
        ("positions", "quantity", "ten"),
        ("portfolios", "active", "perhaps"),
    ],
)
def test_a_cell_that_does_not_fit_reaches_the_gate_as_it_is(engine: Engine, name: str, column: str, cell: str) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("only SQLite keeps a text in a column of another type")
    load_frames(engine, inputs())
    execute(engine, f"UPDATE {name} SET \"{column}\" = '{cell}'")  # noqa: S608
    assert read(engine)[name][column].to_list() == [cell]


@pytest.mark.parametrize(("name", "column"), [("prices", "close"), ("portfolios", "active"), ("overrides", "to")])
def test_a_null_reaches_the_gate(engine: Engine, name: str, column: str) -> None:
    load_frames(engine, inputs())
    execute(engine, f'UPDATE {name} SET "{column}" = NULL')  # noqa: S608
    assert read(engine)[name][column].to_list() == [None]


def test_a_date_with_a_midnight_is_that_date(engine: Engine) -> None:
    load_frames(engine, inputs())
    execute(engine, "UPDATE positions SET as_of = '2026-07-31 00:00:00.000000'")
    assert read(engine)["positions"]["as_of"].to_list() == [TODAY]


def test_a_time_of_day_reaches_the_gate(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("only SQLite keeps a time in a column of dates")
    load_frames(engine, inputs())
    execute(engine, "UPDATE positions SET as_of = '2026-07-31 16:00:00'")
    assert read(engine)["positions"]["as_of"].to_list() == ["2026-07-31 16:00:00"]


@pytest.fixture
def sqlite_engine(sqlite: str) -> Iterator[Engine]:
    engine = engine_from_url(sqlite)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    "cell", ["20/11/2026", 20261120, 46346.5, "2026-13-45", "1999-02-30", "9999-99-99", "", "soon"]
)
@pytest.mark.parametrize("name", ["positions", "cash", "prices", "signals", "candidates"])
def test_a_date_that_is_none_reaches_the_gate_wherever_it_sorts(
    sqlite_engine: Engine, name: str, cell: str | float
) -> None:
    load_frames(sqlite_engine, inputs())
    with writing(sqlite_engine, "test") as connection:
        others = ", ".join(column for column in INPUTS[name].columns() if column != "as_of")
        row = f"INSERT INTO {name} (as_of, {others}) SELECT ?, {others} FROM {name}"  # noqa: S608
        connection.exec_driver_sql(row, (cell,))
    assert str(cell) in read(sqlite_engine)[name]["as_of"].cast(pl.String).to_list()


def test_looking_for_dates_that_are_none_reads_no_whole_table(sqlite_engine: Engine) -> None:
    load_frames(sqlite_engine, inputs())
    plans: list[str] = []

    @sa.event.listens_for(sqlite_engine, "before_cursor_execute")
    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT as_of"):
            plan = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            plans.extend(step[3] for step in plan)

    read(sqlite_engine)
    assert [step for step in plans if step.startswith("SEARCH")]
    assert [step for step in plans if step.startswith("SCAN") and "no_date" not in step] == []


# queries


def with_desk_prices(engine: Engine) -> None:
    load_frames(engine, inputs())
    execute(
        engine,
        "CREATE TABLE desk_prices (day DATE, ticker TEXT, px NUMERIC)",
        "INSERT INTO desk_prices VALUES ('2026-06-30', 'AAA', 49), ('2026-07-31', 'AAA', 51)",
        "INSERT INTO desk_prices VALUES ('2026-08-01', 'AAA', 52)",
    )


def prices_by(sql: str) -> Source:
    return Source(queries={"prices": sql})


def test_a_query_stands_in_for_a_table_and_is_held_to_its_dates(engine: Engine) -> None:
    with_desk_prices(engine)
    found = read(engine, prices_by("SELECT day AS as_of, ticker AS symbol, px AS close, 1 AS extra FROM desk_prices"))
    assert_frame_equal(found["prices"], table("prices", (TODAY, "AAA", 51.0, None)))


def test_a_query_may_ask_for_the_dates(engine: Engine) -> None:
    with_desk_prices(engine)
    sql = "SELECT day AS as_of, ticker AS symbol, px AS close FROM desk_prices WHERE day BETWEEN :since AND :as_of"
    assert read(engine, prices_by(sql))["prices"]["close"].to_list() == [51.0]


def test_a_query_without_a_column_is_refused(engine: Engine) -> None:
    with_desk_prices(engine)
    with pytest.raises(InputError, match="query of 'prices' lacks close; it has: as_of, symbol, px"):
        read(engine, prices_by("SELECT day AS as_of, ticker AS symbol, px FROM desk_prices"))


@pytest.mark.parametrize(
    ("sql", "message", "error"),
    [
        ("SELECT * FROM nowhere", "query of 'prices' fails: .*nowhere", StoreError),
        ("SELECT * FROM desk_prices WHERE day = :day", "asks for :day; known: :as_of, :since", InputError),
        ("SELECT day AS as_of, ticker AS symbol, px AS close, px AS close FROM desk_prices", "close more", InputError),
        ("DELETE FROM desk_prices", "read-?only", StoreError),
        ("UPDATE desk_prices SET px = 1 WHERE 1 = 0", "read-?only|returns no rows", (StoreError, InputError)),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(engine: Engine, sql: str, message: str, error: Any) -> None:
    with_desk_prices(engine)
    with pytest.raises(error, match=message):
        read(engine, prices_by(sql))
    execute(engine, "UPDATE desk_prices SET px = px")


def test_a_query_of_positions_is_held_to_date_and_portfolios(engine: Engine) -> None:
    two_portfolios(engine)
    execute(engine, "INSERT INTO positions VALUES ('core', '2026-07-30', 'OLD', 1)")
    found = read(engine, Source(queries={"positions": "SELECT * FROM positions"}), ["core"])
    assert found["positions"].select("portfolio_id", "symbol").rows() == [("core", "AAA")]


def test_a_signal_that_is_a_query_joins_the_table(engine: Engine) -> None:
    with_desk_prices(engine)
    source = Source(signal_queries={"level": "SELECT day AS as_of, ticker AS symbol, px AS value FROM desk_prices"})
    found = read(engine, source)["signals"].select("signal", "value")
    assert found.rows() == [("level", 51.0), ("technical", 0.7)]


def test_a_signal_of_texts_makes_no_other_signal_disappear(engine: Engine) -> None:
    load_frames(engine, inputs())
    sql = f"SELECT '{TODAY}' AS as_of, 'AAA' AS symbol, 'good' AS value"
    found = read(engine, Source(signal_queries={"mood": sql}))["signals"]
    assert found["value"].to_list() == ["good", "0.7"]


def test_a_signal_without_a_column_is_refused(engine: Engine) -> None:
    load_frames(engine, inputs())
    with pytest.raises(InputError, match="query of signal 'mood' lacks as_of, value; it has: symbol"):
        read(engine, Source(signal_queries={"mood": "SELECT symbol FROM assets"}))


# last prices


def test_last_prices_are_those_of_the_last_published_run_before(engine: Engine, root: Any) -> None:
    load_frames(engine, inputs())
    for number, day in enumerate((LONG_AGO, YESTERDAY, TODAY)):
        publish(engine, root, record(f"r{number}", as_of=day), NOON)
    expected = {"portfolio_id": ["core"] * 2, "symbol": ["AAA", "BBB"], "as_of": [YESTERDAY] * 2, "close": [100.0] * 2}
    assert read(engine).last_prices.to_dict(as_series=False) == expected


def test_last_prices_ignore_refused_and_superseded_runs(engine: Engine, root: Any) -> None:
    load_frames(engine, inputs())
    publish(engine, root, record("r1", as_of=LONG_AGO, targets=target_rows("core", LONG_AGO, {"OLD": 0.1})), NOON)
    publish(engine, root, record("r2", as_of=LONG_AGO, targets=target_rows("core", LONG_AGO, {"NEW": 0.1})), NOON)
    publish(engine, root, record("r3", as_of=YESTERDAY, breaches=breach(as_of=YESTERDAY)), NOON)
    assert read(engine).last_prices["symbol"].to_list() == ["NEW"]


def test_last_prices_are_those_of_the_batch(engine: Engine, root: Any) -> None:
    two_portfolios(engine)
    for portfolio in ("core", "other"):
        publish(engine, root, record(portfolio, portfolio, YESTERDAY), NOON)
    assert read(engine, portfolios=["other"]).last_prices["portfolio_id"].unique().to_list() == ["other"]
    execute(engine, "UPDATE portfolios SET active = FALSE WHERE portfolio_id = 'other'")
    assert read(engine).last_prices["portfolio_id"].unique().to_list() == ["core"]


def test_without_a_published_run_there_are_no_last_prices(engine: Engine) -> None:
    load_frames(engine, inputs())
    last = read(engine).last_prices
    assert last.schema == {"portfolio_id": pl.String, "symbol": pl.String, "as_of": pl.Date, "close": pl.Float64}
    assert last.is_empty()


def test_a_column_of_bytes_is_handed_on_as_text(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("only SQLite keeps bytes in a column of numbers")
    load_frames(engine, inputs())
    execute(engine, "UPDATE positions SET quantity = X'80'")
    quantities = read(engine)["positions"]["quantity"]
    assert quantities.dtype == pl.String


def test_a_query_of_a_type_that_cannot_be_read_is_refused_with_the_remedy(engine: Engine) -> None:
    if engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no such types")
    with_desk_prices(engine)
    sql = "SELECT day AS as_of, ticker AS symbol, CAST(px AS money) AS close FROM desk_prices"
    with pytest.raises(InputError, match=r"query of 'prices': column 'close' is of .*type money.*cast it"):
        read(engine, prices_by(sql))


def test_a_role_that_may_only_read_the_inputs_is_enough(postgres_server: Any, postgres: str) -> None:
    owner = engine_from_url(postgres)
    load_frames(owner, inputs())
    owner.dispose()
    database = owner.url.database
    reads = f"GRANT SELECT ON {', '.join([*INPUTS, 'runs', 'targets'])} TO {CAREFUL}"
    postgres_server.execute(reads, database=database)
    reader = engine_from_url(postgres_server.url(database, CAREFUL, PASSWORD))
    assert read(reader)["positions"]["symbol"].to_list() == ["AAA"]
    with pytest.raises(StoreError, match=r"permission denied.*grant what is missing"):
        load_frames(reader, inputs())
    reader.dispose()


STRANGERS = ("0", "ab", "stranger")


def three_portfolios_and_strangers(engine: Engine) -> None:
    for portfolio_id in ("a", "b", "c"):
        load_frames(engine, inputs(portfolio=portfolio_id))
    load_frames(engine, {"positions": table("positions", *((name, TODAY, "AAA", 1.0) for name in STRANGERS))})


def test_a_shard_has_the_rows_of_its_portfolios_and_those_of_nobody(engine: Engine) -> None:
    three_portfolios_and_strangers(engine)
    for shard in sharded(["a", "b", "c"], 2):
        found = read_inputs(engine, TABLES, TODAY, None, SINCE, shard)
        whole = read(engine).of(shard.portfolio_ids)
        assert found.portfolio_ids == [*shard.portfolio_ids]
        assert {*found["positions"]["portfolio_id"]} == {*shard.portfolio_ids, *STRANGERS}
        for name, frame in whole.all_frames.items():
            assert_frame_equal(found.all_frames[name], frame)


def test_a_shard_of_a_portfolio_that_is_gone_meanwhile_is_refused(engine: Engine) -> None:
    three_portfolios_and_strangers(engine)
    first, _ = sharded(["a", "b", "c"], 2)
    execute(engine, "UPDATE portfolios SET active = false WHERE portfolio_id = 'a'")
    with pytest.raises(InputError, match="a is no longer an active portfolio"):
        read_inputs(engine, TABLES, TODAY, None, SINCE, first)


def test_a_portfolio_that_is_there_twice_is_told_before_anything_is_split(engine: Engine) -> None:
    load_frames(engine, inputs())
    twice = Source(queries={"portfolios": "SELECT * FROM portfolios UNION ALL SELECT * FROM portfolios"})
    with pytest.raises(InputError, match="core more than once"):
        portfolio_ids(engine, twice)
