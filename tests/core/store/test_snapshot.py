"""One moment of the database, column by column."""

import builtins
import datetime as dt
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.errors import InputError, StoreError
from core.store.database import engine_from_url, writing
from core.store.snapshot import snapshot

NEW_YEAR = dt.date(2026, 1, 1)


def read(engine: Engine, sql: str, dtype: pl.DataType, **bound: Any) -> list[Any]:
    """The cells of column x, and their type if it is not the one asked for."""
    with snapshot(engine) as moment:
        found = moment.result(sa.text(sql).bindparams(**bound)).frame({"x": dtype})["x"]
    return found.to_list() if found.dtype == dtype else [found.dtype, *found]


@pytest.fixture
def postgresql(postgres: str) -> Any:
    engine = engine_from_url(postgres)
    yield engine
    engine.dispose()


def test_all_results_are_of_one_moment(postgresql: Engine) -> None:
    count = sa.text("SELECT CAST(count(*) AS INT) AS x FROM portfolios")
    with snapshot(postgresql) as moment:
        before = moment.result(count).frame({"x": pl.Int32()})
        with writing(postgresql, "test") as connection:
            connection.execute(sa.text("INSERT INTO portfolios (portfolio_id) VALUES ('core')"))
        assert moment.result(count).frame({"x": pl.Int32()}).equals(before)
    assert read(postgresql, "SELECT CAST(count(*) AS INT) AS x FROM portfolios", pl.Int32()) == [1]


def test_a_snapshot_cannot_write(engine: Engine) -> None:
    for sql in (
        "DELETE FROM portfolios",
        "DELETE FROM portfolios RETURNING portfolio_id AS x",
        "CREATE TABLE t (x INT)",
    ):
        with pytest.raises(StoreError, match=r"read-?only"):
            read(engine, sql, pl.Int32())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 AS x;",
        "SELECT 1 AS x -- one",
        "WITH t AS (SELECT 1 AS x) SELECT * FROM t",
        "SELECT 1 AS x WHERE 'a%b' LIKE 'a%'",
        "SELECT 1 AS x, 2 AS y, 3 AS y",
        "SELECT 1 AS x WHERE :text = :text AND '%s $1' <> :text",
    ],
)
def test_queries_are_run_as_they_are_written(engine: Engine, sql: str) -> None:
    bound = {"text": "it's :x, $1 and %(x)s; --"} if ":text" in sql else {}
    assert read(engine, sql.replace(":text", "CAST(:text AS TEXT)"), pl.Int32(), **bound) == [1]


def test_what_gives_no_rows_has_no_names(engine: Engine) -> None:
    sql = "PRAGMA query_only = ON" if engine.dialect.name == "sqlite" else "SET extra_float_digits = 0"
    with snapshot(engine) as moment:
        assert list(moment.result(sa.text(sql)).names) == []


@pytest.mark.parametrize(
    ("written", "dtype", "cells"),
    [
        ("1.25::numeric", pl.Float64(), [1.25]),
        ("123456789.123456789::numeric(20, 9)", pl.Float64(), [123456789.123456789]),
        ("'NaN'::numeric", pl.Float64(), None),
        ("700::numeric", pl.String(), [pl.Float64, 700.0]),  # no number is a name
        ("1::numeric", pl.Boolean(), [pl.Float64, 1.0]),
        ("7::bigint", pl.Float64(), [7.0]),
        ("0.5::real", pl.Float64(), [0.5]),
        ("'a'::char(3)", pl.String(), ["a  "]),
        ("'a'::varchar", pl.String(), ["a"]),
        ("'1.5'", pl.Float64(), [1.5]),
        ("NULL", pl.Float64(), [None]),
        ("NULL::numeric", pl.Float64(), [None]),
        ("date '2026-01-01'", pl.Date(), [NEW_YEAR]),
        ("timestamp '2026-01-01'", pl.Date(), [NEW_YEAR]),
        ("true", pl.Boolean(), [True]),
        ("date 'infinity'", pl.Date(), [pl.String, "a date outside the years 1 to 9999"]),
        ("timestamp '-infinity'", pl.Date(), [pl.String, "a date outside the years 1 to 9999"]),
        ("date '0044-03-15 BC'", pl.Date(), [pl.String, "a date outside the years 1 to 9999"]),
        ("date '9999-12-31'", pl.Date(), [dt.date.max]),
    ],
)
def test_types_of_postgresql_end_right_or_are_handed_on(
    postgresql: Engine, written: str, dtype: pl.DataType, cells: list[Any] | None
) -> None:
    with snapshot(postgresql) as moment:
        found = moment.result(sa.text(f"SELECT {written.replace(':', chr(92) + ':')} AS x")).frame({"x": dtype})["x"]
    left = found.to_list() if found.dtype == dtype else [found.dtype, *found]
    assert left == cells if cells else found.is_nan().all()


@pytest.mark.parametrize("kind", ["money", "uuid", "interval", "integer[]", "jsonb", "bytea", "inet"])
def test_a_type_that_would_be_guessed_at_is_refused_by_its_column(postgresql: Engine, kind: str) -> None:
    with snapshot(postgresql) as moment:
        result = moment.result(sa.text(f"SELECT CAST(NULL AS {kind}) AS x, 1 AS y"))
        with pytest.raises(InputError, match=r"column 'x' is of PostgreSQL's type .*cast it in the query"):
            result.frame({"x": pl.Float64()})
        assert result.frame({"y": pl.Int32()})["y"].to_list() == [1]


def test_a_cell_of_another_type_does_not_change_the_others(tmp_path: Any) -> None:
    engine = engine_from_url(f"sqlite:///{tmp_path}/x.db")
    mixed = "SELECT 1.5 AS x UNION ALL SELECT 'n/a' UNION ALL SELECT NULL UNION ALL SELECT X'80'"
    assert read(engine, mixed, pl.Float64()) == [pl.String, "1.5", "n/a", None, "b'\\x80'"]


def test_a_driver_that_is_not_installed_is_named(postgresql: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "adbc_driver_postgresql":
            raise ModuleNotFoundError(name)
        return honest(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(StoreError, match="adbc-driver-postgresql, which is not installed"):
        read(postgresql, "SELECT 1 AS x", pl.Int32())
