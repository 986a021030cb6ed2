"""Tables of plain strings, for any renderer: how numbers are written, and how rows become Markdown."""

from collections.abc import Sequence

from core.actions import COUNTS

NONE = "–"
TEXT_COLUMNS = frozenset[str]().union(
    ("portfolio", "as of", "run", "outcome", "symbol", "bucket", "action", "reason", "step", "rule", "limit", "of"),
    ("shown", "asked at", "decision", "who", "decided at", "why asked", "verdict", "detail", "for example", "why"),
    ("frame", "change", "row", "column", "key", "what", "through", "in"),
)
"""The columns of text; the others are numbers, to be aligned to the right."""

Row = dict[str, str]


def told_apart(rows: list[Row]) -> list[Row]:
    """The rows of a table without the portfolio where it is the same in all of them."""
    if len({row["portfolio"] for row in rows}) > 1:
        return rows
    return [{name: text for name, text in row.items() if name != "portfolio"} for row in rows]


def percent(fraction: float, *, sign: bool = False) -> str:
    """A fraction in percent with two places; never a negative zero."""
    rounded = round(fraction * 100, 2) + 0.0
    return f"{rounded:+.2f} %" if sign else f"{rounded:.2f} %"


def in_units(constraint: str, limit: float | None) -> str:
    """A limit of a constraint: in percent, or a count; a dash where there is none."""
    if limit is None:
        return NONE
    return f"{limit:.0f}" if constraint in COUNTS else percent(limit)


def amount(number: float | None) -> str:
    """A number of currency or units with two places, or a dash."""
    return NONE if number is None else f"{round(number, 2) + 0.0:,.2f}"


def markdown_table(rows: Sequence[Row]) -> list[str]:
    """The lines of a table."""
    if not rows:
        return []
    columns = [_unit_on_top(name, [escaped(row[name]) for row in rows]) for name in rows[0]]
    first, *cells = zip(*columns, strict=True)
    rules = [":--" if name in TEXT_COLUMNS else "--:" for name in rows[0]]
    return [f"| {' | '.join(line)} |" for line in (first, rules, *cells)]


def _unit_on_top(name: str, cells: list[str]) -> list[str]:
    """A column with its name; where all of it is in percent, the name says so, which leaves room on narrow pages."""
    told = [cell for cell in cells if cell != NONE]
    if name in TEXT_COLUMNS or not (told and all(cell.endswith(" %") for cell in told)):
        return [name, *map(_unbroken, cells)]
    return [f"{name} %", *(cell.removesuffix(" %") for cell in cells)]


def _unbroken(text: str) -> str:
    """A number stays with its unit on one line."""
    return text.replace(" %", "\u00a0%")


def escaped(text: str) -> str:
    """A text as it stands within a cell or an item of Markdown."""
    return text.replace("|", "\\|").replace("\n", " ")
