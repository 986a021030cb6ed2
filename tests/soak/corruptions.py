"""What may be wrong with input rows: each of `CORRUPTIONS` changes a valid table in place and says what it did.

Texts that nobody expects are `ODD_TEXTS`, SQL that nobody should run is `INJECTIONS`.
"""

import datetime as dt
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from core.schemas import INPUTS
from core.store.columns import types_of
from tests.soak.hostile_market import Row, Tables

ODD_TEXTS = (
    "",
    " ",
    "$CASH",
    "all",
    "Unknown",
    "null",
    "NaN",
    "A\x00B",
    "A\tB",
    "A\nB",
    "A\r\nB",
    "e\u0301t\u00e9",  # combining
    "\u05d0\u05d1\u05d2",  # right to left
    "\u202eEMCA",  # written backwards
    "AC\u200bME",  # zero width
    "\ufeffACME",
    "\U0001f680\U0001f4c8",
    "\U0001d504",  # beyond the basic plane
    "X" * 10_000,
    "A,B;C|D",
    'A"B',
    "A'B",
    "{}",
    "{0.__class__}",
    "%s %(symbol)s",
    "^.*$",
    "*",
    "../../etc/passwd",
    "a/b=c",
    "[red]bold[/red]",
    "[/]",
    "<script>alert(1)</script>",
    "=HYPERLINK(1)",
    "| a | b |",
    "-0",
    "1e5",
    "\\N",
    "\\.",
)
INJECTIONS = (
    "'; DROP TABLE positions; --",
    "'; DELETE FROM cash; --",
    '"; DROP TABLE targets; --',
    "x' OR '1'='1",
    "ACME'); INSERT INTO runs DEFAULT VALUES; --",
    "') UNION SELECT * FROM runs --",
    ":as_of",
    "$1; DROP TABLE runs",
    "?; UPDATE cash SET amount = 0",
    "\\'; DROP TABLE prices; --",
    "Robert'); ATTACH DATABASE '/tmp/x' AS y; --",
)
HUGE_AND_TINY = (1e308, -1e308, 1.7976931348623157e308, 5e-324, -0.0, 0.0, 2**63, -(2**63), 2**64, 1e100, 1e-300, 1e16)
FAR = (
    *(dt.date.min, dt.date(1, 1, 2), dt.date(1500, 2, 28), dt.date(1970, 1, 1), dt.date(2262, 4, 12), dt.date.max),
    *("infinity", "-infinity", "0044-03-15 BC", "12026-11-20", "0000-00-00"),
)
NO_NUMBERS = (
    "twelve",
    "1,5",
    "12 USD",
    "5%",
    "0x10",
    "１２",
    "1_000",
    "--1",
    b"\x00\xff",
    b"12",
    True,
    dt.date(2026, 1, 1),
)
NO_DATES = (20261120, 46346.0, "20/11/2026", "2026-13-45", "2026/11/20", "yesterday", b"2026-11-20", True, "20-Nov-26")
NO_TEXTS = (12, 1.5, b"ACME", b"\xff\xfe", True, dt.date(2026, 1, 1), -0.0)
NO_TRUTHS = ("yes", "on", 2, -1, 0.5, "TRUE ", b"1", "t")
RENAMINGS: tuple[Callable[[str], str], ...] = (str.upper, str.title, lambda name: f" {name}", lambda name: f"{name}2")


@dataclass(frozen=True)
class Damage:
    """What was done: to which table and column, and in words."""

    kind: str
    table: str
    column: str
    told: str


def corrupted(kind: str, tables: Tables, draw: Random, table: str | None = None) -> Damage:
    """Corrupt one table in place."""
    name = table or draw.choice(sorted(tables))
    column, told = CORRUPTIONS[kind](tables, name, draw)
    return Damage(kind, name, column, f"{kind} in {name}.{column}: {told:.200}")


def columns_of(table: str, *kinds: str) -> list[str]:
    """The columns of an input table whose type bears one of these names."""
    return [name for name, dtype in types_of(INPUTS[table]).items() if str(dtype.base_type()) in kinds]


def _put(rows: Sequence[Row], column: str, draw: Random, cell: Any) -> tuple[str, str]:
    """One cell, some or all of a column."""
    share = draw.choice((0.0, 0.0, 0.3, 1.0))
    chosen = [row for row in rows if draw.random() < share] or [draw.choice(rows)]
    for row in chosen:
        row[column] = cell
    return column, f"{cell!r} in {len(chosen)} of {len(rows)} rows"


def _wrong_type(tables: Tables, name: str, draw: Random) -> tuple[str, str]:
    column, dtype = draw.choice(sorted((c, str(t.base_type())) for c, t in types_of(INPUTS[name]).items()))
    kinds: dict[str, tuple[Any, ...]] = {"Float64": NO_NUMBERS, "Date": NO_DATES, "Boolean": NO_TRUTHS}
    return _put(tables[name], column, draw, draw.choice(kinds.get(dtype, NO_TEXTS)))


def _null(tables: Tables, name: str, draw: Random) -> tuple[str, str]:
    return _put(tables[name], draw.choice(sorted(tables[name][0])), draw, None)


def _number(cells: Sequence[Any]) -> Callable[[Tables, str, Random], tuple[str, str]]:
    def put(tables: Tables, name: str, draw: Random) -> tuple[str, str]:
        column = draw.choice(columns_of(name, "Float64") or sorted(tables[name][0]))
        return _put(tables[name], column, draw, draw.choice(cells))

    return put


def _duplicate_row(tables: Tables, name: str, draw: Random) -> tuple[str, str]:
    again = dict(draw.choice(tables[name]))
    numbers = columns_of(name, "Float64")
    if numbers and draw.random() < 0.5:
        again[numbers[0]] = draw.choice((again[numbers[0]], 3.0))
    tables[name].insert(draw.randrange(len(tables[name]) + 1), again)
    return INPUTS[name].primary_key()[0], f"{again} once more"


LOOKALIKES: tuple[Callable[[str], str], ...] = (
    str.lower,
    str.upper,
    str.title,
    lambda text: f" {text}",
    lambda text: f"{text}\u00a0",
    lambda text: f"{text}\t",
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: text.replace("A", "\u0391").replace("a", "\u0430"),  # Greek and Cyrillic
    lambda text: "".join(chr(ord(letter) + 0xFEE0) if letter.isascii() else letter for letter in text),  # full width
)


def _lookalike(tables: Tables, name: str, draw: Random) -> tuple[str, str]:
    """A key that looks like another: beside it, or in its place."""
    column = draw.choice([key for key in INPUTS[name].primary_key() if key in columns_of(name, "String", "Enum")])
    row = draw.choice(tables[name])
    other = row | {column: draw.choice(LOOKALIKES)(row[column])}
    if draw.random() < 0.5:
        tables[name].append(other)
    else:
        tables[name][tables[name].index(row)] = other
    return column, f"{other[column]!r} like {row[column]!r}"


def _wrong_unit(tables: Tables, name: str, draw: Random) -> tuple[str, str]:
    factor = draw.choice((100.0, 0.01, 1e6, 1e-6))
    for column in columns_of(name, "Float64"):
        for row in draw.choice((tables[name], tables[name][:1])):
            row[column] = None if row[column] is None else row[column] * factor
    return "", f"x {factor}"


def _reordered(tables: Tables, name: str, draw: Random) -> tuple[str, str]:
    names = draw.sample(sorted(tables[name][0]), len(tables[name][0]))
    tables[name] = [{column: row[column] for column in names} for row in tables[name]]
    draw.shuffle(tables[name])
    return "", f"columns {names}"


def _missing_column(tables: Tables, name: str, draw: Random) -> tuple[str, str]:
    column = draw.choice(sorted(tables[name][0]))
    tables[name] = [{other: row[other] for other in row if other != column} for row in tables[name]]
    return column, "missing"


def _renamed_column(tables: Tables, name: str, draw: Random) -> tuple[str, str]:
    column, renaming = draw.choice(sorted(tables[name][0])), draw.choice(RENAMINGS)
    tables[name] = [{renaming(c) if c == column else c: cell for c, cell in row.items()} for row in tables[name]]
    return column, f"renamed to {renaming(column)!r}"


def _extra_column(tables: Tables, name: str, draw: Random) -> tuple[str, str]:
    column = draw.choice(("note", "run_key", "flaw", "portfolio_id ", "row", "order", "price_as_of", "x" * 60))
    for row in tables[name]:
        row[column] = draw.choice(("x", 1, None))
    return column, "extra"


def _text(cells: Sequence[str]) -> Callable[[Tables, str, Random], tuple[str, str]]:
    def put(tables: Tables, name: str, draw: Random) -> tuple[str, str]:
        column, cell = draw.choice(columns_of(name, "String", "Enum")), draw.choice(cells)
        if column in ("symbol", "portfolio_id", "bucket") and draw.random() < 0.6:
            return column, f"{_everywhere(tables, column, draw, cell)!r} is {cell!r} in all tables"
        return _put(tables[name], column, draw, cell)

    return put


def _everywhere(tables: Tables, column: str, draw: Random, cell: str) -> str:
    """One name in all tables; a valid market, unless the name itself is not."""
    source = "portfolios" if column == "portfolio_id" else "assets"
    old = draw.choice([row[column] for row in tables[source] if row[column]])
    for rows in tables.values():
        for row in rows:
            if row.get(column) == old:
                row[column] = cell
    return str(old)


def _far_date(tables: Tables, name: str, draw: Random) -> tuple[str, str]:
    dates = columns_of(name, "Date")
    if not dates:
        return _null(tables, name, draw)
    return _put(tables[name], draw.choice(dates), draw, draw.choice(FAR))


def _negative(tables: Tables, name: str, draw: Random) -> tuple[str, str]:
    numbers = columns_of(name, "Float64")
    if not numbers:
        return _null(tables, name, draw)
    row = draw.choice(tables[name])
    row[numbers[0]] = -row[numbers[0]]
    return numbers[0], f"{row[numbers[0]]}"


def _few_rows(tables: Tables, name: str, draw: Random) -> tuple[str, str]:
    kept = draw.choice((0, 1, len(tables[name]) // 2))
    tables[name][kept:] = []
    return "", f"{kept} rows"


CORRUPTIONS: dict[str, Callable[[Tables, str, Random], tuple[str, str]]] = {
    "wrong type": _wrong_type,
    "null": _null,
    "NaN": _number((float("nan"),)),
    "infinity": _number((float("inf"), float("-inf"))),
    "duplicate row": _duplicate_row,
    "lookalike key": _lookalike,
    "huge or tiny number": _number(HUGE_AND_TINY),
    "wrong unit": _wrong_unit,
    "reordered": _reordered,
    "missing column": _missing_column,
    "renamed column": _renamed_column,
    "extra column": _extra_column,
    "odd text": _text(ODD_TEXTS),
    "injected SQL": _text(INJECTIONS),
    "far date": _far_date,
    "negative number": _negative,
    "few rows": _few_rows,
}
