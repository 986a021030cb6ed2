"""Small frames of weights, and random ones, for the tests of this folder."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import polars as pl
from hypothesis import strategies as st

DAY = dt.date(2026, 1, 2)
SYMBOLS = "ABCDEFGHIJ"


def weights_of(weights: Sequence[float | None], day: dt.date = DAY, **columns: Any) -> pl.DataFrame:
    """One group: names A, B, C, ... on one day."""
    rows = {"end_time": [day] * len(weights), "symbol": list(SYMBOLS[: len(weights)]), "weight": weights}
    types = {"end_time": pl.Date, "symbol": pl.String, "weight": pl.Float64}
    return pl.DataFrame(rows, schema_overrides=types).with_columns(**{k: pl.Series(c) for k, c in columns.items()})


def listed(weights: pl.DataFrame) -> list[float | None]:
    return weights["weight"].to_list()


sizes = st.one_of(
    st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.3, 0.5, 1.0]),
    st.floats(min_value=1e-6, max_value=2.0),
)
signed = st.builds(lambda size, sign: size * sign, sizes, st.sampled_from([1.0, -1.0]))
limits = st.one_of(st.sampled_from([0.1, 0.2, 0.25, 0.3, 0.5, 1.0]), st.floats(min_value=1e-3, max_value=3.0))
bucket_limits = st.one_of(limits, st.dictionaries(st.sampled_from(["x", "y", "z"]), limits))


@st.composite
def panels(draw: st.DrawFn, nulls: bool = True, frozen: bool = True, current: bool = False) -> pl.DataFrame:
    """Up to four days of up to eight names, rows in any order; where wanted, missing weights, frozen names, and
    current weights."""
    days = draw(st.lists(st.integers(0, 8), max_size=4))
    rows = [(DAY + dt.timedelta(days=day), SYMBOLS[at]) for day, count in enumerate(days) for at in range(count)]
    rows = draw(st.permutations(rows))
    weight = st.one_of(st.none(), signed) if nulls else signed
    columns = {
        "end_time": pl.Series([day for day, _ in rows], dtype=pl.Date),
        "symbol": pl.Series([symbol for _, symbol in rows], dtype=pl.String),
        "weight": pl.Series([draw(weight) for _ in rows], dtype=pl.Float64),
        "bucket": pl.Series([draw(st.sampled_from("xyz")) for _ in rows], dtype=pl.String),
    }
    if frozen and draw(st.booleans()):
        columns["frozen"] = pl.Series([draw(st.sampled_from([True, False, None])) for _ in rows], dtype=pl.Boolean)
    if current:
        columns["current_weight"] = pl.Series([draw(signed) for _ in rows], dtype=pl.Float64)
    return pl.DataFrame(columns)
