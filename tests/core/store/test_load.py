"""Filling the input tables from a folder."""

import datetime as dt
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sqlalchemy.engine import Engine

from core.errors import EvenkeelError, InputError
from core.schemas import INPUTS
from core.source import Source
from core.store import load_folder, load_frames, read_inputs
from core.store.database import reading
from core.store.tables import inputs as tables
from tests.core.store.samples import SINCE, TODAY, YESTERDAY, inputs, table


def found(engine: Engine, name: str) -> pl.DataFrame:
    """What stands in an input table."""
    with reading(engine) as connection:
        rows = connection.execute(tables[name].select()).all()
    return pl.DataFrame(rows, schema=INPUTS[name].create_empty().schema, orient="row").sort(INPUTS[name].primary_key())


def load_text(engine: Engine, folder: Path, name: str, text: str) -> dict[str, int]:
    (folder / name).write_text(text, encoding="utf-8")
    return load_folder(engine, folder)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_folder_of_every_table_is_loaded(engine: Engine, tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name, frame in inputs("desk/é").items():
        write = frame.write_csv if suffix == "csv" else frame.write_parquet
        write(folder / f"{name}.{suffix}")
    assert load_folder(engine, folder) == dict.fromkeys(inputs(), 1)
    loaded = read_inputs(engine, Source(), TODAY, None, SINCE)
    for name, frame in inputs("desk/é").items():
        assert_frame_equal(loaded[name], frame)


def test_other_files_are_left_alone(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("prices of today")
    assert load_text(engine, tmp_path, "cash.csv", "portfolio_id,as_of,amount\ncore,2026-07-31,1\n") == {"cash": 1}


def test_names_that_look_like_nothing_are_names(engine: Engine, tmp_path: Path) -> None:
    load_text(
        engine, tmp_path, "prices.csv", "as_of,symbol,close\n2026-07-31,NA,1\n2026-07-31,null,2\n2026-07-31,0700,3\n"
    )
    assert found(engine, "prices")["symbol"].to_list() == ["0700", "NA", "null"]


def test_a_byte_order_mark_is_no_part_of_a_name(engine: Engine, tmp_path: Path) -> None:
    load_text(engine, tmp_path, "cash.csv", "\ufeffportfolio_id,as_of,amount\ncore,2026-07-31,1\n")
    assert found(engine, "cash")["portfolio_id"].to_list() == ["core"]


def test_an_empty_cell_is_null(engine: Engine, tmp_path: Path) -> None:
    load_text(engine, tmp_path, "prices.csv", "as_of,symbol,close,adjusted_close\n2026-07-31,AAA,1,\n")
    assert found(engine, "prices")["adjusted_close"].to_list() == [None]


# replacing


def test_a_row_replaces_the_one_with_its_key(engine: Engine) -> None:
    load_frames(engine, inputs())
    load_frames(engine, {"prices": table("prices", (YESTERDAY, "AAA", 60.0, None), (TODAY, "AAA", 61.0, None))})
    assert found(engine, "prices")["close"].to_list() == [60.0, 61.0]


def snapshot(*positions: tuple[str, dt.date, str, float], cash: tuple[tuple[str, dt.date, float], ...]):
    return {"positions": table("positions", *positions), "cash": table("cash", *cash)}


def test_a_snapshot_without_positions_of_a_portfolio_says_that_it_holds_nothing(engine: Engine) -> None:
    yesterday = TODAY - dt.timedelta(days=1)
    both = (("p", TODAY, 1.0), ("q", TODAY, 1.0))
    held = (("p", TODAY, "AAA", 1.0), ("q", TODAY, "AAA", 2.0), ("p", yesterday, "AAA", 3.0))
    load_frames(engine, snapshot(*held, cash=(*both, ("p", yesterday, 1.0))))
    load_frames(engine, {"cash": table("cash", *both)})  # alone, it says nothing of positions
    assert {*found(engine, "positions").rows()} == {*held}
    load_frames(engine, snapshot(("q", TODAY, "AAA", 4.0), cash=(*both, ("p", yesterday, 1.0))))
    assert {*found(engine, "positions").rows()} == {("q", TODAY, "AAA", 4.0), ("p", yesterday, "AAA", 3.0)}
    load_frames(engine, snapshot(cash=both))
    assert found(engine, "positions").rows() == [("p", yesterday, "AAA", 3.0)]


def test_positions_of_a_portfolio_and_date_are_replaced_as_a_whole(engine: Engine) -> None:
    first = [("core", YESTERDAY, "OLD", 1.0), ("core", TODAY, "OLD", 1.0), ("other", TODAY, "OLD", 1.0)]
    load_frames(engine, {"positions": table("positions", *first)})
    load_frames(engine, {"positions": table("positions", ("core", TODAY, "NEW", 2.0))})
    kept = {("core", YESTERDAY, "OLD", 1.0), ("other", TODAY, "OLD", 1.0)}
    assert set(found(engine, "positions").rows()) == kept | {("core", TODAY, "NEW", 2.0)}


def test_candidates_of_a_date_are_replaced_as_a_whole(engine: Engine) -> None:
    load_frames(engine, {"candidates": table("candidates", (YESTERDAY, "OLD", "regime"), (TODAY, "OLD", "regime"))})
    load_frames(engine, {"candidates": table("candidates", (TODAY, "NEW", "trending"))})
    assert found(engine, "candidates")["symbol"].to_list() == ["OLD", "NEW"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(min_size=1).filter(lambda text: "\0" not in text), st.floats(-1e12, 1e12), min_size=1))
def test_loading_twice_is_loading_once(engine: Engine, quantities: dict[str, float]) -> None:
    rows = [("core", TODAY, symbol, quantity) for symbol, quantity in quantities.items()]
    frame = table("positions", *rows).sort("symbol")
    for _ in range(2):
        load_frames(engine, {"positions": frame})
        assert_frame_equal(found(engine, "positions").sort("symbol"), frame)


# refusals


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("price.csv", "as_of\n", "price.csv is not named after an input table; .*Did you mean 'prices'"),
        ("prices.csv", "as_of,symbol,clsoe\n", "unknown column 'clsoe'; .*Did you mean 'close'"),
        ("prices.csv", "as_of,symbol\n", "prices.csv lacks the columns close; it has: as_of, symbol"),
        ("prices.csv", "", "prices.csv cannot be read"),
        ("prices.csv", "as_of,symbol,close\n2026-07-31,AAA,1,2,3\n", "prices.csv has 5 cells in line 2, but 3 columns"),
        (
            "prices.csv",
            "as_of,symbol,close\n2026-07-31,AAA,1\n2026-07-31,BBB,n/a\n2026-07-31,CCC,n/a\n",
            r"prices.csv, row 2, column 'close': 'n/a' is not a number \(1 more row like it\)",
        ),
        ("prices.csv", "as_of,symbol,close\n31.07.2026,AAA,1\n", "'31.07.2026' is not a date as YYYY-MM-DD"),
        ("prices.csv", "as_of,symbol,close\n26-07-31,AAA,1\n", "'26-07-31' is not a date as YYYY-MM-DD"),
        ("prices.csv", "as_of,symbol,close\n2026-7-1,AAA,1\n", "'2026-7-1' is not a date as YYYY-MM-DD"),
        ("prices.csv", "as_of,symbol,close\n2026-07-31,AAA,nan\n", "row 1, column 'close': 'nan' is not a finite"),
        ("prices.csv", "as_of,symbol,close\n2026-07-31,AAA,-inf\n", "not a finite number"),
        ("prices.csv", "as_of,symbol,close\n2026-07-31,,1\n", "row 1, column 'symbol': None is empty"),
        (
            "prices.csv",
            "as_of,symbol,close\n2026-07-31,AAA,1\n2026-07-31,AAA,1\n",
            "row 1: the key as_of 2026-07-31, symbol AAA is there more than once",
        ),
        ("assets.csv", "symbol,name,bucket,tradable\nAAA,A,E,perhaps\n", "'perhaps' is not true or false"),
        (
            "candidates.csv",
            "as_of,symbol,priority\n2026-07-31,AAA,hot\n",
            "'hot' is not one of portfolio, trending, regime, fallback",
        ),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(
    engine: Engine, tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_text(engine, tmp_path, name, text)


def test_a_file_that_is_not_utf_8_is_refused(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "assets.csv").write_bytes("symbol,name,bucket,tradable\nAAA,Süd,E,true\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"assets\.csv"):
        load_folder(engine, tmp_path)


def test_a_number_in_place_of_a_symbol_is_refused(engine: Engine, tmp_path: Path) -> None:
    frame = pl.DataFrame({"as_of": [TODAY], "symbol": [700], "close": [1.0]})
    with pytest.raises(InputError, match="row 1, column 'symbol': 700 is not a text"):
        load_frames(engine, {"prices": frame})


def test_a_time_of_day_in_place_of_a_date_is_refused(engine: Engine) -> None:
    frame = pl.DataFrame({"as_of": [dt.datetime(2026, 7, 31, 16)], "symbol": ["AAA"], "close": [1.0]})  # noqa: DTZ001
    with pytest.raises(InputError, match="is not a date"):
        load_frames(engine, {"prices": frame})


def test_what_is_wrong_in_one_file_keeps_the_others_out(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "cash.csv").write_text("portfolio_id,as_of,amount\ncore,2026-07-31,1\n")
    with pytest.raises(InputError):
        load_text(engine, tmp_path, "prices.csv", "as_of,symbol,close\n2026-07-31,AAA,n/a\n")
    assert found(engine, "cash").is_empty()


def test_two_files_of_one_table_are_refused(engine: Engine, tmp_path: Path) -> None:
    inputs()["cash"].write_parquet(tmp_path / "cash.parquet")
    with pytest.raises(InputError, match=r"both cash\.csv and cash\.parquet"):
        load_text(engine, tmp_path, "cash.csv", "portfolio_id,as_of,amount\n")


def test_a_folder_without_files_is_refused(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no CSV or Parquet file"):
        load_folder(engine, tmp_path)
    with pytest.raises(InputError, match="nowhere is not a folder"):
        load_folder(engine, tmp_path / "nowhere")


def test_an_unknown_frame_is_refused_with_the_nearest(engine: Engine) -> None:
    with pytest.raises(InputError, match="Did you mean 'cash'"):
        load_frames(engine, {"cahs": inputs()["cash"]})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("portfolio_id,as_of,symbol,quantity\ncore,2026-07-31,A\n", "3 cells in line 2, but 4 columns"),
        ("portfolio_id,as_of,symbol,quantity\ncore,2026-07-31,A,1,2\n", "5 cells in line 2, but 4 columns"),
        ("portfolio_id,as_of,symbol,symbol\ncore,2026-07-31,A,1\n", "has the column symbol twice"),
    ],
)
def test_a_row_of_another_width_is_refused_by_its_line(engine: Engine, tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        load_text(engine, tmp_path, "positions.csv", content)


def test_an_ending_in_capitals_is_read_and_a_folder_is_not(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "assets.csv").mkdir()
    text = "portfolio_id,as_of,amount\ncore,2026-07-31,5\n"
    assert load_text(engine, tmp_path, "cash.CSV", text) == {"cash": 1}


def test_a_damaged_parquet_file_is_refused_and_nothing_panics(
    engine: Engine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    inputs()["cash"].write_parquet(tmp_path / "cash.parquet")
    sound = (tmp_path / "cash.parquet").read_bytes()
    for place in range(4, len(sound), 16):
        (tmp_path / "cash.parquet").write_bytes(sound[:place] + bytes([sound[place] ^ 0x11]) + sound[place + 1 :])
        with suppress(EvenkeelError):  # not every bit matters
            load_folder(engine, tmp_path)
    assert "panicked" not in capfd.readouterr().err


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_parquet_file_is_refused(engine: Engine, tmp_path: Path, kept: int) -> None:
    inputs()["cash"].write_parquet(tmp_path / "cash.parquet")
    (tmp_path / "cash.parquet").write_bytes((tmp_path / "cash.parquet").read_bytes()[:kept])
    with pytest.raises(InputError, match=r"cash\.parquet cannot be read"):
        load_folder(engine, tmp_path)
