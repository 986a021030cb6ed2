"""The trading days of an exchange: which days are sessions, which are not and why, and which day it is there.

An `Exchange` is named by its ISO 10383 code (`XNYS`, `XLON`, ...), as in the package exchange_calendars, which knows
the holidays. Nothing here reads the clock.
"""

import datetime as dt
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from core.errors import ConfigurationError, nearest_hint

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

YEARS = 5  # of a calendar at once; a day outside gets a calendar of its own


@dataclass(frozen=True)
class Exchange:
    """The calendar of an exchange. Raises `ConfigurationError` for a code that nobody knows."""

    code: str

    def __post_init__(self) -> None:
        from exchange_calendars import get_calendar_names  # here, as it takes a second, which few commands need

        if self.code not in get_calendar_names():
            raise ConfigurationError(
                f"exchange {self.code!r} is unknown; {nearest_hint(self.code, get_calendar_names())}"
            )

    @property
    def time_zone(self) -> ZoneInfo:
        """Where the exchange is."""
        return ZoneInfo(str(_calendar(self.code, 2026).tz))

    def day_of(self, moment: dt.datetime) -> dt.date:
        """The date at the exchange; the moment has a zone."""
        return moment.astimezone(self.time_zone).date()

    def closed(self, day: dt.date) -> str | None:
        """Why there is no session on a day: the holiday, or the day of the week; None where there is one."""
        if self.sessions(day, day):
            return None
        return _holiday(self.code, day) or f"{day:%A}"

    def early_close(self, day: dt.date) -> dt.time | None:
        """When a session ends that ends early, in the exchange's time; None where it does not."""
        calendar = _calendar(self.code, day.year)
        if day not in {moment.date() for moment in calendar.early_closes}:
            return None
        close: dt.datetime = calendar.session_close(day.isoformat()).to_pydatetime()
        return close.astimezone(self.time_zone).time()

    def sessions(self, first: dt.date, last: dt.date) -> list[dt.date]:
        """The sessions from one day to another, both included."""
        found: list[dt.date] = []
        for year in range(first.year, last.year + 1):
            start, end = max(first, dt.date(year, 1, 1)), min(last, dt.date(year, 12, 31))
            sessions = _calendar(self.code, year).sessions
            found += [moment.date() for moment in sessions[sessions.slice_indexer(str(start), str(end))]]
        return found

    def latest(self, day: dt.date) -> dt.date:
        """The last session up to a day."""
        return self.sessions(day - dt.timedelta(days=30), day)[-1]


def _calendar(code: str, year: int) -> "ExchangeCalendar":
    """The calendar with the days of a year. Raises `ConfigurationError` where the package does not know that year."""
    first = year - year % YEARS
    try:
        return _calendar_of(code, first, first + YEARS - 1)
    except (ValueError, NotImplementedError):  # of some exchanges fewer years are known
        try:
            return _calendar_of(code, year, year)
        except (ValueError, NotImplementedError) as error:
            raise ConfigurationError(
                f"the calendar of {code} cannot be had for {year}: {str(error).rstrip('.')}. Correct the date, or "
                "leave `exchange` out and name a `time_zone`."
            ) from error


@cache
def _calendar_of(code: str, first: int, last: int) -> "ExchangeCalendar":
    from exchange_calendars import get_calendar

    return get_calendar(code, start=f"{first - 1:04}-12-01", end=f"{last:04}-12-31")


def _holiday(code: str, day: dt.date) -> str | None:
    """The name of a holiday; one that was declared for the occasion has none of its own."""
    calendar: Any = _calendar(code, day.year)
    if calendar.regular_holidays is not None:
        named = calendar.regular_holidays.holidays(str(day), str(day), return_name=True)
        if len(named):
            return str(named.iloc[0])
    adhoc = {str(moment)[:10] for moment in calendar.adhoc_holidays}  # of several types
    return "a special closing" if str(day) in adhoc else None
