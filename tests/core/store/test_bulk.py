"""Whole frames into tables and out again: what comes back is what went in, on both databases."""

import datetime as dt
import math
import struct
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sqlalchemy.engine import Connection, Engine

from core.errors import StoreError
from core.store.bulk import insert_rows, replace_rows
from core.store.database import writing
from core.store.snapshot import snapshot
from tests.effort import examples

KINDS = {
    "number": pl.Int32(),
    "text": pl.String(),
    "limit": pl.Float64(),  # a word of SQL's own
    "truth": pl.Boolean(),
    "day": pl.Date(),
    "side": pl.Int8(),
    "kind": pl.Enum(["a", "b c", ""]),
}
KEPT = sa.Table(
    "kept Rows",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("text", sa.Text),
    sa.Column("limit", sa.Double),
    sa.Column("truth", sa.Boolean),
    sa.Column("day", sa.Date),
    sa.Column("side", sa.SmallInteger),
    sa.Column("kind", sa.Text),
)
AWKWARD = [
    "",
    " ",
    "\\.",
    "\\N",
    "NULL",
    '"',
    "'",
    "a,b",
    "x\ny",
    "\r\n",
    "\r",
    "\t",
    "%s",
    ":x",
    "$1",
    "e\u0301",
    "日本",
    "\U0001f600",
]
EDGES = [-0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1, 1 / 3, math.inf, -math.inf, 1e22]


def cells() -> st.SearchStrategy[tuple[Any, ...]]:
    texts = st.sampled_from(AWKWARD) | st.text(st.characters(codec="utf-8", exclude_characters="\0"))
    numbers = st.sampled_from(EDGES) | st.floats(allow_nan=False)
    others = (st.booleans(), st.dates(), st.integers(-128, 127), st.sampled_from(["a", "b c", ""]))
    return st.tuples(*(st.none() | some for some in (texts, numbers, *others)))


def frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    numbered = [(number, *row) for number, row in enumerate(rows)]
    return pl.DataFrame(numbered, schema=KINDS, orient="row")


def emptied(connection: Connection) -> None:
    KEPT.drop(connection, checkfirst=True)
    KEPT.create(connection)


def kept(engine: Engine) -> pl.DataFrame:
    with snapshot(engine) as moment:
        return moment.result(sa.select(KEPT)).frame(KINDS).sort("number")


def bits(engine: Engine, numbers: pl.Series) -> list[bytes | None]:
    """The bits of each number; SQLite keeps no sign of zero."""
    unsigned = 0.0 if engine.dialect.name == "sqlite" else -0.0  # adding the latter changes nothing
    return [None if number is None else struct.pack("d", number + unsigned) for number in numbers]


@settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(cells(), max_size=30))
@pytest.mark.parametrize("write", [insert_rows, replace_rows])
def test_what_is_written_is_read_bit_for_bit(bare_engine: Engine, write: Any, rows: list[tuple[Any, ...]]) -> None:
    written = frame(rows)
    with writing(bare_engine, "test") as connection:
        emptied(connection)
        write(connection, KEPT, written)
    read = kept(bare_engine)
    assert_frame_equal(read, written, check_exact=True)
    assert bits(bare_engine, read["limit"]) == bits(bare_engine, written["limit"])


def test_each_awkward_text_and_number_comes_back(bare_engine: Engine) -> None:
    written = frame(
        [(text, None, None, None, None, None) for text in AWKWARD] + [(None, x, *[None] * 4) for x in EDGES]
    )
    with writing(bare_engine, "test") as connection:
        emptied(connection)
        insert_rows(connection, KEPT, written)
    assert kept(bare_engine)["text"].to_list() == written["text"].to_list()
    assert bits(bare_engine, kept(bare_engine)["limit"]) == bits(bare_engine, written["limit"])


def test_rows_of_several_slices_are_all_there(bare_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.store.bulk.SLICE", 3)
    with writing(bare_engine, "test") as connection:
        emptied(connection)
        insert_rows(connection, KEPT, frame([("x", 1.0, True, dt.date(2026, 7, 31), 1, "a")] * 10))
    assert kept(bare_engine)["number"].to_list() == [*range(10)]


def test_a_row_replaces_the_one_with_its_key_and_no_other(bare_engine: Engine) -> None:
    first, second = frame([("old", 1.0, True, None, 1, "a")] * 2), frame([("new", None, False, None, 2, "b c")])
    with writing(bare_engine, "test") as connection:
        emptied(connection)
        insert_rows(connection, KEPT, first)
        replace_rows(connection, KEPT, second)
    assert kept(bare_engine)["text"].to_list() == ["new", "old"]
    assert kept(bare_engine)["limit"].to_list() == [None, 1.0]


@pytest.mark.parametrize("write", [insert_rows, replace_rows])
def test_rows_belong_to_the_transaction_of_their_connection(bare_engine: Engine, write: Any) -> None:
    with writing(bare_engine, "test") as connection:
        emptied(connection)
    with pytest.raises(StoreError, match="nowhere"), writing(bare_engine, "test") as connection:
        _write_and_fail(connection, write)
    assert kept(bare_engine).is_empty()


def _write_and_fail(connection: Connection, write: Any) -> None:
    connection.execute(sa.insert(KEPT).values(number=99))
    write(connection, KEPT, frame([("x", *[None] * 5)]))
    connection.execute(sa.text("SELECT * FROM nowhere"))


def test_a_key_that_is_there_already_fails_the_transaction(bare_engine: Engine) -> None:
    with writing(bare_engine, "test") as connection:
        emptied(connection)
    twice = pl.concat([frame([("x", *[None] * 5)])] * 2)
    with pytest.raises(StoreError, match=r"UNIQUE|duplicate key"), writing(bare_engine, "test") as connection:
        insert_rows(connection, KEPT, twice)
    assert kept(bare_engine).is_empty()


def test_nul_is_refused_by_its_row_where_the_database_cannot_store_it(bare_engine: Engine) -> None:
    rows = frame([("fine", *[None] * 5), ("a\0b", *[None] * 5)])
    with writing(bare_engine, "test") as connection:
        emptied(connection)
    if bare_engine.dialect.name == "sqlite":
        with writing(bare_engine, "test") as connection:
            insert_rows(connection, KEPT, rows)
        assert kept(bare_engine)["text"].to_list() == ["fine", "a\0b"]
        return
    with pytest.raises(StoreError, match=r"row 2 .*'text' is 'a\\x00b', which has the character NUL"):
        _insert(bare_engine, rows)
    assert kept(bare_engine).is_empty()


def test_nan_is_refused_by_its_row(bare_engine: Engine) -> None:
    with pytest.raises(StoreError, match=r"row 1 for table 'kept Rows' .*'limit' is nan, which is not a number"):
        _insert(bare_engine, frame([(None, math.nan, *[None] * 4)]))


def _insert(engine: Engine, rows: pl.DataFrame) -> None:
    with writing(engine, "test") as connection:
        insert_rows(connection, KEPT, rows)
