"""Names that only look alike: what they say would count for another than is meant, and nobody would notice.

What a person takes for the same name differs by case, spaces, invisible characters or Unicode form. `lookalikes` tells
symbols of prices, signals and corporate actions that no asset bears, but that look like one that does; rows of other
unknown symbols are no fault, as a desk may load more prices than it has assets. `divided_buckets` tells buckets that
are spelled in several ways: each would have the limit of a bucket to itself.
"""

from collections.abc import Mapping

import polars as pl

from core.inputs.findings import NONE, found, joined, sentence
from core.inputs.schema_checks import Checked
from core.schemas import Severity

TABLES = ("prices", "signals", "corporate_actions")
INVISIBLE = r"[\s\p{Cf}\p{Cc}]"


def lookalikes(tables: Mapping[str, Checked]) -> pl.DataFrame:
    """One finding per table and symbol that looks like another one, which an asset bears."""
    assets = _symbols(tables["assets"])
    return joined(_told(name, _symbols(tables[name]), assets) for name in TABLES)


def divided_buckets(assets: Checked) -> pl.DataFrame:
    """One finding per bucket of the assets that is spelled in several ways."""
    buckets = assets.rows.select("bucket").unique().drop_nulls()
    several = buckets.group_by(plain=_plain("bucket")).agg(spelled=pl.col("bucket").sort())
    return found(
        several.filter(pl.col("spelled").list.len() > 1).sort("plain"),
        Severity.STOP_BATCH,
        "divided_bucket",
        frame="assets",
        column="bucket",
        row=pl.col("spelled").list.first(),
        value=pl.col("spelled").list.len().cast(pl.String),
        message=sentence(
            "buckets of assets are spelled '{}': each of them would have a bucket's limits to itself.",
            pl.col("spelled").list.join("', '"),
        ),
        remedy="Spell the bucket of all these assets in one way.",
    )


def _symbols(table: Checked) -> pl.DataFrame:
    """The symbols of a table."""
    return pl.concat([table.rows.select("symbol"), table.flawed.select("symbol")]).unique().drop_nulls()


def _plain(name: str) -> pl.Expr:
    """A name as a person reads it."""
    return pl.col(name).str.normalize("NFKC").str.replace_all(INVISIBLE, "").str.to_lowercase()


def _told(table: str, symbols: pl.DataFrame, assets: pl.DataFrame) -> pl.DataFrame:
    strangers = symbols.join(assets, on="symbol", how="anti")
    if strangers.is_empty():
        return NONE
    read = strangers.with_columns(plain=_plain("symbol"))
    return found(
        read.join(assets.select(plain=_plain("symbol"), meant="symbol"), on="plain").sort("symbol", "meant"),
        Severity.WARN,
        "lookalike_symbol",
        frame=table,
        column="symbol",
        row=pl.col("symbol"),
        value=pl.col("symbol"),
        message=sentence(
            f"{table} has rows of '{{}}', which is no asset: they do not count for '{{}}'.", "symbol", "meant"
        ),
        remedy="Write the symbol as the asset's, if that is meant.",
    )
