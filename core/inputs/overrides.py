"""What people decided about symbols that the gate would stop.

`ruled` judges the overrides in force (`_flawed`, `_elsewhere`, `_unknown_symbols`, `_bad_prices`, `_bad_names`,
`_contradictions`), lists them all, and spreads those for `all` over the portfolios of the batch. `Rulings` answers who
may do what; the holdings and the prices apply it.
"""

from dataclasses import dataclass

import polars as pl

from core.errors import nearest_hint
from core.inputs.corporate_actions import renamed
from core.inputs.findings import NONE, found, joined, sentence, shown
from core.inputs.schema_checks import Checked, flaw_findings, row_name
from core.schemas import ALL_PORTFOLIOS, OverrideKind, Overrides, Severity

ROW = row_name(Overrides)
FOR_ALL = pl.col("portfolio_id") == ALL_PORTFOLIOS
STOP = pl.when(FOR_ALL).then(pl.lit(Severity.STOP_BATCH.value)).otherwise(pl.lit(Severity.STOP_PORTFOLIO.value))
VALUED = (OverrideKind.PRICE.value, OverrideKind.RENAMED_TO.value)  # the other kinds say all by their name
EXCLUSIVE = (OverrideKind.PRICE.value, OverrideKind.WRITTEN_OFF.value, OverrideKind.RENAMED_TO.value)


@dataclass(frozen=True)
class Rulings:
    """The overrides in force.

    `rows`: one per (portfolio_id, symbol, kind), with value, price (where it is one) and for_all.
    """

    rows: pl.DataFrame
    findings: pl.DataFrame

    def of(self, kind: OverrideKind) -> pl.DataFrame:
        """The overrides of one kind: portfolio_id, symbol, value, price."""
        return self.rows.filter(pl.col("kind") == kind.value).select("portfolio_id", "symbol", "value", "price")

    @property
    def shared_prices(self) -> pl.DataFrame:
        """Prices that hold for every portfolio: symbol, override_price."""
        prices = self.rows.filter((pl.col("kind") == OverrideKind.PRICE.value) & pl.col("for_all"))
        return prices.select("symbol", override_price="price").unique("symbol", keep="first", maintain_order=True)

    @property
    def shared_accepted(self) -> list[str]:
        """Symbols whose jump is accepted for every portfolio."""
        accepted = self.rows.filter((pl.col("kind") == OverrideKind.ACCEPT_JUMP.value) & pl.col("for_all"))
        return accepted["symbol"].unique().sort().to_list()


def ruled(
    overrides: Checked, portfolio_ids: pl.Series, actions: pl.DataFrame, assets: pl.Series, known_symbols: pl.Series
) -> Rulings:
    """Judge the overrides in force and spread them over the portfolios of the batch.

    `actions`: see `corporate_actions.resolved`. `assets` are the symbols with an asset row, `known_symbols` those that
    occur anywhere in the inputs: a name without an asset row may have to be written off.
    """
    if overrides.rows.is_empty() and overrides.flawed.is_empty():
        return Rulings(_spread(_parsed(overrides.rows), []), NONE)
    ids = portfolio_ids.unique().sort().to_list()
    ours = pl.col("portfolio_id").is_in([*ids, ALL_PORTFOLIOS])
    rows = _parsed(overrides.rows.filter(ours))
    spread = _spread(_under_todays_names(rows, actions), ids)
    findings = joined(
        [
            _flawed(overrides.flawed.filter(ours)),
            _elsewhere(overrides.rows.filter(~ours), ids),
            _unknown_symbols(rows.filter(~pl.col("symbol").is_in(known_symbols.implode()))),
            _bad_prices(rows),
            _bad_names(rows, assets),
            _contradictions(spread),
            _listed(rows),
        ]
    )
    return Rulings(spread.unique(["portfolio_id", "symbol", "kind"], keep="first", maintain_order=True), findings)


def _parsed(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with `price`, null unless the override is a price and its value a positive, finite number."""
    number = pl.col("value").str.strip_chars().cast(pl.Float64, strict=False)
    usable = (pl.col("kind") == OverrideKind.PRICE.value) & number.is_finite() & (number > 0)
    return rows.with_columns(
        price=pl.when(usable).then(number), value=pl.when(pl.col("kind").is_in(VALUED)).then("value")
    )


def _under_todays_names(rows: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """A price and an accepted jump use the name of today, the other kinds that of the custodian."""
    about_prices = pl.col("kind").is_in([OverrideKind.PRICE.value, OverrideKind.ACCEPT_JUMP.value])
    return pl.concat([rows.filter(~about_prices), renamed(rows.filter(about_prices), actions).select(rows.columns)])


def _spread(rows: pl.DataFrame, ids: list[str]) -> pl.DataFrame:
    """One row per portfolio concerned; where both say the same, the override for all comes first."""
    portfolios = pl.DataFrame({"portfolio_id": ids}, schema={"portfolio_id": pl.String})
    own = rows.filter(~FOR_ALL).with_columns(for_all=False)
    shared = portfolios.join(rows.filter(FOR_ALL).drop("portfolio_id"), how="cross").with_columns(for_all=True)
    return pl.concat([shared.select(own.columns), own])


def _flawed(rows: pl.DataFrame) -> pl.DataFrame:
    remedy = "Complete the override: who decided it, why, and until when."
    return flaw_findings(rows, STOP, "bad_override", "overrides", Overrides, remedy)


def _elsewhere(rows: pl.DataFrame, ids: list[str]) -> pl.DataFrame:
    """Overrides of portfolios that are not in the batch; whether they exist cannot be known here, so nothing stops."""
    hints = {name: nearest_hint(name, ids) for name in rows["portfolio_id"].unique()}
    hint = pl.col("portfolio_id").replace_strict(hints, default="", return_dtype=pl.String)
    return found(
        rows.with_columns(hint=hint),
        Severity.WARN,
        "override_elsewhere",
        frame="overrides",
        column="portfolio_id",
        row=ROW,
        message=sentence("override {} names a portfolio that is not in this batch; {}", ROW, "hint"),
        remedy="Correct the portfolio, if one of this batch was meant.",
    )


def _unknown_symbols(rows: pl.DataFrame) -> pl.DataFrame:
    return found(
        rows,
        STOP,
        "override_unknown_symbol",
        frame="overrides",
        column="symbol",
        row=ROW,
        value=pl.col("symbol"),
        message=sentence("override {} is about {}, which is in no input table.", ROW, "symbol"),
        remedy="Correct the symbol, or end the override.",
    )


def _bad_prices(rows: pl.DataFrame) -> pl.DataFrame:
    bad = rows.filter((pl.col("kind") == OverrideKind.PRICE.value) & pl.col("price").is_null())
    return _bad_values(bad, "is not a positive number", "Enter the price as a number, for example 12.5.")


def _bad_names(rows: pl.DataFrame, assets: pl.Series) -> pl.DataFrame:
    unknown = ~pl.col("value").is_in(assets.implode()).fill_null(False)
    bad = rows.filter((pl.col("kind") == OverrideKind.RENAMED_TO.value) & unknown)
    return _bad_values(bad, "has no asset row", "Enter the symbol of an asset as value, or add its asset row.")


def _bad_values(rows: pl.DataFrame, wrong: str, remedy: str) -> pl.DataFrame:
    return found(
        rows,
        STOP,
        "override_value",
        frame="overrides",
        column="value",
        row=ROW,
        value=shown("value"),
        message=sentence(f"override {{}} has the value {{}}, which {wrong}.", ROW, "value"),
        remedy=remedy,
    )


def _contradictions(spread: pl.DataFrame) -> pl.DataFrame:
    """A symbol that is given two prices, two names, or both a price and an end."""
    exclusive = spread.filter(pl.col("kind").is_in(EXCLUSIVE))
    meaning = _said(pl.coalesce(pl.col("price").cast(pl.String), "value"))
    groups = exclusive.group_by("portfolio_id", "symbol").agg(
        meanings=meaning.n_unique(),
        says=meaning.unique(maintain_order=True).str.join(" and "),
        for_all=pl.col("for_all").all(),
    )
    # what is said for all only is one finding about all
    scope = pl.when("for_all").then(pl.lit(ALL_PORTFOLIOS)).otherwise("portfolio_id")
    bad = groups.filter(pl.col("meanings") > 1).with_columns(portfolio_id=scope).unique()
    return found(
        bad,
        STOP,
        "override_contradiction",
        frame="overrides",
        column="value",
        row=sentence("{} {}", "portfolio_id", "symbol"),
        message=sentence(
            "overrides in force for {} of {} contradict each other: {}.", "symbol", "portfolio_id", "says"
        ),
        remedy="End all but one of them.",
    )


def _listed(rows: pl.DataFrame) -> pl.DataFrame:
    """Every override in force is told."""
    return found(
        rows,
        Severity.WARN,
        "override_in_force",
        frame="overrides",
        row=ROW,
        value=pl.col("value"),
        message=sentence(
            "override in force: {} for {} of {}, from {} to {}, by {}: {}",
            _said(pl.col("value")),
            "symbol",
            "portfolio_id",
            "from",
            "to",
            "who",
            "why",
        ),
        remedy="Let it end when it is no longer needed.",
    )


def _said(argument: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.col("kind").cast(pl.String), argument, separator=" ", ignore_nulls=True)
