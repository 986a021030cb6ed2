"""Which input rows differ between two runs, by row and by cell."""

from dataclasses import replace

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from core.results.input_diff import WHOLE_DAY, input_changes
from tests.core.results.stored_runs import read
from tests.core.store.samples import TODAY, YESTERDAY, inputs, table


def told(changes, *columns):
    return changes.select(columns or ("frame", "change", "row", "column", "before", "after")).rows()


def test_the_same_inputs_do_not_differ_whatever_the_order_of_their_rows():
    two = table("signals", (TODAY, "AAA", "technical", 0.7), (TODAY, "BBB", "technical", 0.1))
    assert input_changes(read(signals=two), read(signals=two.reverse()), "core").is_empty()


def test_a_changed_cell_is_told_with_what_it_was():
    after = read(prices=table("prices", (YESTERDAY, "AAA", 51.0, None)))
    assert told(input_changes(read(), after, "core")) == [
        ("prices", "changed", "2026-07-30 AAA", "close", "50.0", "51.0")
    ]


def test_a_cell_that_becomes_empty_is_a_change():
    after = read(assets=table("assets", ("AAA", "Triple A", None, True, None)))
    assert told(input_changes(read(), after, "core")) == [("assets", "changed", "AAA", "bucket", "Energy", None)]


def test_rows_that_come_and_go_are_told_with_their_cells():
    after = read(positions=table("positions", ("core", TODAY, "BBB", 3.0)))
    assert told(input_changes(read(), after, "core")) == [
        ("positions", "removed", "AAA", None, "quantity 10.0", None),
        ("positions", "added", "BBB", None, None, "quantity 3.0"),
    ]


def test_rows_of_other_portfolios_are_not_told_but_overrides_for_all_are():
    other = table("positions", ("core", TODAY, "AAA", 10.0), ("other", TODAY, "AAA", 1.0))
    ruled = table("overrides", *inputs()["overrides"].rows(), ("all", "AAA", "price", TODAY, TODAY, "51", "bob", "why"))
    changes = input_changes(read(), read(positions=other, overrides=ruled), "core")
    assert told(changes, "frame", "change", "row") == [("overrides", "added", "AAA price 2026-07-31")]


def test_a_snapshot_of_another_day_is_matched_by_its_symbols():
    before = read(YESTERDAY, positions=table("positions", ("core", YESTERDAY, "AAA", 8.0)))
    before = replace(before, frames=before.frames | {"cash": table("cash", ("core", YESTERDAY, 500.0))})
    before.frames["candidates"] = table("candidates", (YESTERDAY, "AAA", "trending"))
    assert told(input_changes(before, read(), "core")) == [("positions", "changed", "AAA", "quantity", "8.0", "10.0")]


def test_a_day_that_only_one_side_has_is_told_as_a_day():
    first, second = (
        table("prices", *((day, f"S{i}", 5.0, None) for i in range(WHOLE_DAY + 1))) for day in (YESTERDAY, TODAY)
    )
    changes = input_changes(read(YESTERDAY, prices=first), read(prices=second), "core").filter(frame="prices")
    assert told(changes, "change", "row", "rows") == [
        ("day removed", "2026-07-30", WHOLE_DAY + 1),
        ("day added", "2026-07-31", WHOLE_DAY + 1),
    ]


def test_rows_of_one_key_are_told_apart_by_their_number():
    once, twice = (table("cash", *[("core", TODAY, amount) for amount in amounts]) for amounts in ((5.0,), (5.0, 6.0)))
    changes = input_changes(read(cash=once), read(cash=twice), "core")
    assert told(changes, "change", "row", "after") == [("added", "core again (1)", "amount 6.0")]


def test_inputs_of_odd_types_and_without_keys_are_compared_too():
    odd = inputs()["prices"].with_columns(close=pl.lit("fifty"), symbol=pl.lit(None, pl.String))
    changes = input_changes(read(), read(prices=odd), "core")
    assert told(changes, "change", "row", "after") == [
        ("removed", "2026-07-30 AAA", None),
        ("added", "2026-07-30 (none)", "close fifty"),
    ]


@given(st.lists(st.tuples(st.sampled_from("ABCDE"), st.integers(0, 2)), max_size=8), st.data())
def test_what_is_told_of_inputs_leads_from_the_one_to_the_other(cells, data):
    """The oracle: dictionaries."""
    other = data.draw(st.lists(st.tuples(st.sampled_from("ABCDE"), st.integers(0, 2)), max_size=8))
    old, new = dict(cells), dict(other)
    frames = [
        table("positions", *(("core", TODAY, symbol, float(quantity)) for symbol, quantity in known.items()))
        for known in (old, new)
    ]
    changes = input_changes(read(positions=frames[0]), read(positions=frames[1]), "core")
    rebuilt = {symbol: float(quantity) for symbol, quantity in old.items()}
    for row in changes.iter_rows(named=True):
        if row["change"] == "removed":
            assert row["before"] == f"quantity {rebuilt.pop(row['row'])}"
            continue
        assert row["change"] == "added" or float(row["before"]) == rebuilt[row["row"]]
        rebuilt[row["row"]] = float(row["after"].removeprefix("quantity "))
    assert rebuilt == new
    assert changes.height == len({*old.items()} ^ {*new.items()}) - sum(
        old[s] != new[s] for s in old.keys() & new.keys()
    )
