"""Rows about a symbol that only looks like an asset's: they would count for nobody, and nobody would notice.

`lookalikes` tells symbols of prices, signals and corporate actions that no asset bears, but that a person would take
for one: they differ by case, spaces, invisible characters or Unicode form. Rows of other unknown symbols are no fault:
a desk may load more prices than it has assets.
"""

from collections.abc import Mapping

import polars as pl

from core.inputs.findings import found, joined, sentence
from core.inputs.schema_checks import Checked
from core.schemas import Severity

TABLES = ("prices", "signals", "corporate_actions")
INVISIBLE = r"[\s\p{Cf}\p{Cc}]"


def lookalikes(tables: Mapping[str, Checked]) -> pl.DataFrame:
    """One finding per table and symbol that looks like another one, which an asset bears."""
    assets = _symbols(tables["assets"]).rename({"symbol": "meant"})
    return joined(_told(name, _symbols(tables[name]), assets) for name in TABLES)


def _symbols(table: Checked) -> pl.DataFrame:
    """The symbols of a table, and each as a person reads it."""
    symbols = pl.concat([table.rows.select("symbol"), table.flawed.select("symbol")]).unique().drop_nulls()
    plain = pl.col("symbol").str.normalize("NFKC").str.replace_all(INVISIBLE, "").str.to_lowercase()
    return symbols.with_columns(plain=plain)


def _told(table: str, symbols: pl.DataFrame, assets: pl.DataFrame) -> pl.DataFrame:
    strangers = symbols.join(assets, left_on="symbol", right_on="meant", how="anti")
    return found(
        strangers.join(assets, on="plain").sort("symbol", "meant"),
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
