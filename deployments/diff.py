"""`evenkeel diff`: what changed from one run to another, or from the current runs of one date to those of another."""

import datetime as dt
import re
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy.engine import Engine

from core.compare import diff_of, diffs_of_days
from core.errors import StoreError
from core.results.diff import RunDiff

DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def diffs(engine: Engine, root: Path, before: str, after: str, portfolio: str | None) -> Iterable[RunDiff]:
    """What changed between two runs, by their ids, or between two dates, of each portfolio or the one asked for."""
    days = [_date(word) for word in (before, after)]
    if days[0] is not None and days[1] is not None:
        return diffs_of_days(engine, root, days[0], days[1], portfolio)
    if days != [None, None]:
        raise StoreError(f"{before!r} and {after!r}: give two runs, or two dates.")
    told = diff_of(engine, root, before, after)
    if portfolio not in (None, told.after.portfolio_id):
        raise StoreError(f"these are runs of portfolio {told.after.portfolio_id!r}, not of {portfolio!r}.")
    return [told]


def _date(word: str) -> dt.date | None:
    """The date that a word is; none for the id of a run."""
    if not DATE.fullmatch(word):
        return None
    try:
        return dt.date.fromisoformat(word)
    except ValueError as error:
        raise StoreError(f"{word!r} is no date of the calendar: write it as 2026-11-20.") from error
