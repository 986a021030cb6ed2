"""A signal that takes its time: as long as the file exists that `EVENKEEL_TEST_SLOW` names."""

import os
import time
from pathlib import Path

import polars as pl


def slow(prices: pl.DataFrame) -> pl.DataFrame:
    """symbol, value: the last close."""
    marker = Path(os.environ["EVENKEEL_TEST_SLOW"])
    while marker.exists():
        marker.with_suffix(".reached").touch()
        time.sleep(0.1)
    return prices.group_by("symbol").agg(value=pl.col("close").sort_by("as_of").last())
