"""Symbols that a person takes for an asset's, and the program does not."""

import polars as pl
import pytest

from tests.core.inputs.example import TODAY, added, changed, judged, only, told

SAME_TO_THE_EYE = ("aaa", " AAA", "AAA\u00a0", "A\u200bAA", "\uff21\uff21\uff21")


@pytest.mark.parametrize("symbol", SAME_TO_THE_EYE)
@pytest.mark.parametrize("table", ["prices", "signals"])
def test_rows_of_a_symbol_that_only_looks_like_an_asset_are_told(table, symbol):
    rest = {"close": 1.0} if table == "prices" else {"signal": "technical", "value": 0.5}
    gated = judged(**added(table, {"as_of": TODAY, "symbol": symbol, **rest}))
    assert ("warn", "lookalike_symbol", None, symbol) in told(gated)


def test_rows_of_a_symbol_that_looks_like_none_are_no_fault():
    assert judged(**added("prices", {"as_of": TODAY, "symbol": "ZZZ", "close": 1.0})).findings.is_empty()


@pytest.mark.parametrize("spelled", ["energy", "Energy ", "Energy\u00a0", "En\u200bergy"])
def test_a_bucket_that_is_spelled_in_two_ways_stops_the_batch(spelled):
    gated = judged(**changed("assets", pl.col("symbol") == "DDD", bucket=spelled))
    assert ("stop_batch", "divided_bucket", None, None) in told(gated)
    assert "'Energy'" in only(gated, "divided_bucket")["message"]


def test_buckets_of_different_names_are_no_fault():
    assert judged(**changed("assets", pl.col("symbol") == "DDD", bucket="Energies")).findings.is_empty()
