"""Small runs for the tests of decisions: `rows("A1 .9 held", "B1 .7")`, the bucket being the letter of the name."""

import datetime as dt

import polars as pl

from core.decisions.bucket_manager import BucketManager
from core.decisions.listing import as_rows
from core.models import AssetScore
from core.schemas import KEYS, AssetPriority

AS_OF = dt.date(2026, 1, 5)
LETTERS = BucketManager({letter: [f"{letter}{i}" for i in range(10)] for letter in "ABCDE"})


def asset(symbol, score=0.8, *, held=False, weight=None):
    priority = AssetPriority.PORTFOLIO if held else AssetPriority.TRENDING
    return AssetScore(symbol, score, priority, weight)


def rows(*names, portfolio_id="portfolio", weight=0.05):
    """One row per name: symbol, score (`-` for none), and `held` or `fixed`."""
    words = [name.split() for name in names]
    assets = [asset(word[0], None if word[1] == "-" else float(word[1])) for word in words]
    states = {word[0]: set(word[2:]) for word in words}
    held = {symbol: weight for symbol, state in states.items() if state & {"held", "fixed"}}
    frozen = [symbol for symbol, state in states.items() if "fixed" in state]
    return as_rows(assets, LETTERS, AS_OF, held).with_columns(
        portfolio_id=pl.lit(portfolio_id), fixed=pl.col("fixed") | pl.col("symbol").is_in(frozen)
    )


def kept(step):
    return step.rows.filter(pl.col("rejected_by").is_null()).sort(KEYS)["symbol"].to_list()


def rejections(step):
    return dict(step.rows.filter(pl.col("rejected_by").is_not_null()).select("symbol", "rejected_by").iter_rows())
