import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.models import Inputs
from core.results.identity import content_hash, frame_hashes, inputs_hashes, own_hashes, run_id

FRAME = pl.DataFrame({"symbol": ["A", "B"], "value": [0.1, 0.2], "note": ["", None]})


def test_order_of_rows_and_columns_does_not_matter():
    assert content_hash(FRAME) == content_hash(FRAME.reverse().select("note", "value", "symbol"))


@pytest.mark.parametrize(
    "other",
    [
        FRAME.with_columns(value=pl.col("value") + 1e-16),
        FRAME.with_columns(value=pl.col("value").cast(pl.String)),
        FRAME.with_columns(note=pl.lit("")),
        FRAME.with_columns(note=pl.lit(None, pl.String)),
        FRAME.with_columns(note=pl.lit("\\N")),
        FRAME.head(1),
        FRAME.rename({"note": "notes"}),
        pl.concat([FRAME, FRAME]),
    ],
)
def test_any_other_content_has_another_hash(other):
    changed = not other.equals(FRAME)
    assert changed
    assert content_hash(other) != content_hash(FRAME)


def test_an_empty_frame_has_a_hash():
    assert content_hash(FRAME.clear()) == content_hash(FRAME.clear())
    assert content_hash(FRAME.clear()) != content_hash(FRAME)


def inputs(**changes):
    own = {
        name: pl.DataFrame({"portfolio_id": ["p", "q"], "n": [1, 2]})
        for name in ("portfolios", "positions", "cash", "overrides")
    }
    shared = {"prices": FRAME}
    last = pl.DataFrame({"portfolio_id": ["p"], "close": [1.0]})
    return Inputs(dt.date(2026, 1, 5), {**own, **shared, **changes}, last)


def hashes(read):
    return inputs_hashes(read, frame_hashes(read))


def test_rows_of_another_portfolio_do_not_change_the_identity():
    other = inputs(cash=pl.DataFrame({"portfolio_id": ["p", "q"], "n": [1, 99]}))
    before, after = hashes(inputs()), hashes(other)
    assert before["p"] == after["p"]
    assert before["q"] != after["q"]


def test_shared_rows_and_overrides_for_all_change_every_identity():
    prices = hashes(inputs(prices=FRAME.head(1)))
    override = inputs(overrides=pl.DataFrame({"portfolio_id": ["p", "q", "all"], "n": [1, 2, 3]}))
    for portfolio_id, known in hashes(inputs()).items():
        assert prices[portfolio_id] != known
        assert hashes(override)[portfolio_id] != known


def test_another_program_makes_another_run(monkeypatch):
    known = run_id(dt.date(2026, 1, 5), "p", "policy", "inputs")
    monkeypatch.setattr("core.results.identity.__version__", "9.9.9")
    assert run_id(dt.date(2026, 1, 5), "p", "policy", "inputs") != known


def test_every_part_of_a_run_counts():
    known = run_id(dt.date(2026, 1, 5), "p", "policy", "inputs")
    assert known == run_id(dt.date(2026, 1, 5), "p", "policy", "inputs")
    others = {
        run_id(dt.date(2026, 1, 6), "p", "policy", "inputs"),
        run_id(dt.date(2026, 1, 5), "q", "policy", "inputs"),
        run_id(dt.date(2026, 1, 5), "p", "other", "inputs"),
        run_id(dt.date(2026, 1, 5), "p", "policy", "other"),
        known,
    }
    assert len(others) == 5


TEXTS = st.sampled_from(["", "a", "x\ny", "\n", '"', '"\n', "\r\n", "\\N", ",", None, "é"])


@given(
    st.lists(st.tuples(st.sampled_from(["p", "q", "all", "other", "with\nbreak"]), st.floats(), TEXTS), max_size=20),
    st.booleans(),
)
def test_the_hashes_of_all_portfolios_are_those_of_their_own_rows(rows, numbers_only):
    frame = pl.DataFrame(rows, schema={"portfolio_id": pl.String, "n": pl.Float64, "text": pl.String}, orient="row")
    frame = frame.select("n", "portfolio_id") if numbers_only else frame
    asked = ["p", "q", "nobody", "with\nbreak"]
    expected = {name: content_hash(frame.filter(pl.col("portfolio_id").is_in([name, "all"]))) for name in asked}
    assert own_hashes(frame, asked) == expected
