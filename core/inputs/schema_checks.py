"""Whether input rows are what their schema says.

`checked` takes one table as the store hands it over: `_structure` finds missing columns, `_readable` brings columns to
their type where nothing is lost by it, the schema's own rules (dataframely) tell the bad rows, `_key_findings` reports
empty and duplicate keys. What is left in `flawed` are rows with a good key and a bad cell: whether they matter depends
on who would use them, so that is judged elsewhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import dataframely as dy
import polars as pl

from core.inputs.findings import finding, found, joined, sentence, shown
from core.schemas import Severity, empty

STRUCTURE_CODES = ("missing_table", "missing_column", "wrong_type")
PER_PORTFOLIO = ("positions", "cash")  # a bad key of these stops the portfolio it belongs to, not the batch
PRIMARY_KEY = "primary_key"  # dataframely's name for its rule on duplicates
FLAW_COLUMNS = ("flaw", "bad_column", "bad_value")


@dataclass(frozen=True)
class Checked:
    """One table: good rows, rows with a bad cell, and the findings on its structure and keys.

    `rows` have the columns of the schema. `flawed` have them too, with null in place of what is bad, and `flaw` (what
    is wrong, as text), `bad_column` and `bad_value` of the first bad cell. Of duplicates, whose finding stops their
    batch or portfolio anyway, `rows` keep the first, so that later checks do not report them again.
    """

    rows: pl.DataFrame
    flawed: pl.DataFrame
    findings: pl.DataFrame

    @property
    def broken(self) -> bool:
        """Whether the table cannot be read at all."""
        return self.findings["code"].is_in(STRUCTURE_CODES).any()


def checked(table: str, schema: type[dy.Schema], rows: pl.DataFrame | None, known: pl.Expr) -> Checked:
    """Judge the rows of one table for which `known` holds (an expression over typed rows)."""
    structure = _structure(table, schema, rows)
    if rows is None or not structure.is_empty():
        return _without_rows(schema, structure)
    typed, types = _readable(table, schema, rows)
    todays = typed.filter(known) if types.is_empty() else typed.clear()
    return _without_rows(schema, types) if todays.is_empty() else _judged(table, schema, todays)


def _without_rows(schema: type[dy.Schema], findings: pl.DataFrame) -> Checked:
    rows = empty(schema)
    return Checked(rows, _with_flaws(rows, schema), findings)


def _structure(table: str, schema: type[dy.Schema], rows: pl.DataFrame | None) -> pl.DataFrame:
    if rows is None:
        remedy = "Create the table with `evenkeel init`, or name a query for it."
        return finding(
            Severity.STOP_BATCH, "missing_table", frame=table, message=f"table {table} was not read.", remedy=remedy
        )
    required = [name for name, column in schema.columns().items() if not column.nullable]
    missing = pl.DataFrame(
        {"name": [name for name in required if name not in rows.columns]}, schema={"name": pl.String}
    )
    return found(
        missing,
        Severity.STOP_BATCH,
        "missing_column",
        frame=table,
        column=pl.col("name"),
        message=sentence("{} has no column {}; it has {}.", pl.lit(table), "name", pl.lit(", ".join(rows.columns))),
        remedy="Add the column to the table, or to the query that stands in for it.",
    )


def _readable(table: str, schema: type[dy.Schema], rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The schema's columns in its types, and a finding per column that does not fit; absent optional ones are null.

    Text for a number or for one of a few words stays text: dataframely casts it cell by cell and names the bad cells.
    """
    columns: list[pl.Series] = []
    findings: list[pl.DataFrame] = []
    for name, column in schema.columns().items():
        cells = rows[name] if name in rows.columns else pl.Series(name, [None] * rows.height, dtype=column.dtype)
        typed, bad = _typed(cells, column.dtype)
        columns.append(typed)
        findings.extend(_type_finding(table, cells, column.dtype, bad))
    return pl.DataFrame(columns), joined(findings)


def _typed(cells: pl.Series, wanted: pl.DataType) -> tuple[pl.Series, pl.Series]:
    """Cells in the wanted type, and those cells for which that is not possible without loss."""
    given = cells.dtype
    none = cells.head(0)
    if given == wanted or _left_to_the_schema(given, wanted):
        return cells, none
    if not _convertible(given, wanted):
        return cells, cells
    typed = cells.str.to_date("%Y-%m-%d", strict=False) if given == pl.String else cells.cast(wanted, strict=False)
    if given == pl.Null or given.is_float() or given.is_decimal():
        return typed, none  # the nearest double is what is meant
    return typed, cells.filter(~typed.cast(given, strict=False).eq_missing(cells))


def _left_to_the_schema(given: pl.DataType, wanted: pl.DataType) -> bool:
    return given == pl.String and (wanted == pl.Float64 or isinstance(wanted, pl.Enum))


def _convertible(given: pl.DataType, wanted: pl.DataType) -> bool:
    """Whether cells of one type can be those of another at all; single cells may still fail."""
    word = isinstance(given, pl.Categorical | pl.Enum)
    if given == pl.Null:
        return True
    if wanted == pl.Float64:
        return given.is_numeric()
    if wanted == pl.Date:
        return given == pl.String or given == pl.Datetime
    if wanted == pl.Boolean:
        return given.is_integer()
    return word or (wanted == pl.String and given.is_integer())


def _type_finding(table: str, cells: pl.Series, wanted: pl.DataType, bad: pl.Series) -> Iterator[pl.DataFrame]:
    if cells.is_empty() or bad.is_empty():
        return
    first = "" if bad.dtype == pl.Object else f", for example {bad.drop_nulls().head(1).to_list()!r}"
    yield found(
        pl.DataFrame({"column": [cells.name]}),
        Severity.STOP_BATCH,
        "wrong_type",
        frame=table,
        column=pl.col("column"),
        value=pl.lit(str(cells.dtype)),
        message=pl.lit(f"column {cells.name} of {table} is {cells.dtype}, not {wanted}{first}."),
        remedy=f"Give the column the type {wanted}, in the table or in the query that stands in for it.",
    )


def _judged(table: str, schema: type[dy.Schema], rows: pl.DataFrame) -> Checked:
    good, failure = schema.filter(rows, cast=True)
    if len(failure) == 0:
        return Checked(good, _with_flaws(good.clear(), schema), joined([]))
    rules = [name for name in failure.details().columns if name not in schema.column_names()]
    details = failure.details().with_columns(pl.col(rules) == "invalid")
    bad_key = _any_bad(rules, schema.primary_key())
    duplicate = ~bad_key & pl.col(PRIMARY_KEY) if PRIMARY_KEY in rules else pl.lit(False)
    bad_cell = _any_bad(rules, _cells(schema))
    spared = details.filter(duplicate & ~bad_cell).unique(schema.primary_key(), keep="first", maintain_order=True)
    flawed = _flawed(schema, details.filter(~bad_key & ~duplicate), rules)
    findings = joined(
        [
            _key_findings(table, schema, details.filter(bad_key), "bad_key", rules),
            _key_findings(table, schema, details.filter(duplicate), "duplicate_key", rules),
        ]
    )
    return Checked(pl.concat([good, schema.cast(spared.select(schema.column_names()))]), flawed, findings)


def _cells(schema: type[dy.Schema]) -> list[str]:
    return [name for name in schema.column_names() if name not in schema.primary_key()]


def _any_bad(rules: list[str], columns: list[str]) -> pl.Expr:
    """Whether a rule about one of the columns fails; rules are named column|rule."""
    bad = [rule for rule in rules if rule.partition("|")[0] in columns and "|" in rule]
    return pl.any_horizontal(bad) if bad else pl.lit(False)


def row_name(schema: type[dy.Schema]) -> pl.Expr:
    """The key of a row, as a person names it."""
    return pl.concat_str([shown(key) for key in schema.primary_key()], separator=" ")


def _key_findings(table: str, schema: type[dy.Schema], rows: pl.DataFrame, code: str, rules: list[str]) -> pl.DataFrame:
    keys = schema.primary_key()
    wrong = "has an empty or unreadable key" if code == "bad_key" else "is there more than once"
    remedy = (
        "Complete the key, or delete the row." if code == "bad_key" else "Keep one of the rows and delete the rest."
    )
    first = pl.coalesce([pl.when(_any_bad(rules, [key])).then(pl.lit(key)) for key in keys])
    return found(
        rows,
        _key_severity(table),
        code,
        frame=table,
        column=first if code == "bad_key" else pl.lit(", ".join(keys)),
        row=row_name(schema),
        message=sentence(f"{table}: row {{}} ({', '.join(keys)}) {wrong}.", row_name(schema)),
        remedy=remedy,
    )


def _key_severity(table: str) -> pl.Expr:
    if table not in PER_PORTFOLIO:
        return pl.lit(Severity.STOP_BATCH.value)
    nameless = pl.col("portfolio_id").fill_null("") == ""
    return pl.when(nameless).then(pl.lit(Severity.STOP_BATCH.value)).otherwise(pl.lit(Severity.STOP_PORTFOLIO.value))


def _flawed(schema: type[dy.Schema], rows: pl.DataFrame, rules: list[str]) -> pl.DataFrame:
    """Rows with a bad cell: null in its place, and what was there."""
    bad = {name: _any_bad(rules, [name]) for name in _cells(schema)}
    told = [pl.when(cell).then(sentence(f"{name} is {{}}", name)) for name, cell in bad.items()]
    return rows.select(
        *schema.primary_key(),
        *[
            pl.when(~cell).then(pl.col(name)).cast(schema.columns()[name].dtype).alias(name)
            for name, cell in bad.items()
        ],
        flaw=pl.concat_str(told, separator=", ", ignore_nulls=True),
        bad_column=pl.coalesce([pl.when(cell).then(pl.lit(name)) for name, cell in bad.items()]),
        bad_value=pl.coalesce([pl.when(cell).then(shown(name)) for name, cell in bad.items()]),
    ).select(*schema.column_names(), *FLAW_COLUMNS)


def _with_flaws(rows: pl.DataFrame, schema: type[dy.Schema]) -> pl.DataFrame:
    return rows.select(*schema.column_names(), *[pl.lit(None, dtype=pl.String).alias(name) for name in FLAW_COLUMNS])


def flaw_findings(
    rows: pl.DataFrame, severity: Severity | pl.Expr, code: str, table: str, schema: type[dy.Schema], remedy: str
) -> pl.DataFrame:
    """One finding per flawed row of a table."""
    return found(
        rows,
        severity,
        code,
        frame=table,
        column=pl.col("bad_column"),
        row=row_name(schema),
        value=pl.col("bad_value"),
        message=sentence(f"{table}: {{}} in row {{}}.", "flaw", row_name(schema)),
        remedy=remedy,
    )
