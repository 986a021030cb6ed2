"""The New York Stock Exchange in 2024, written down by hand from what it announced, and New York's clock.

It shares no code with `core.sessions`, and knows nothing of calendars but weekdays: 262 of them, less ten holidays, are
252 sessions. Moments are in UTC.
"""

import datetime as dt

YEAR = 2024
FIRST, LAST = dt.date(YEAR, 1, 1), dt.date(YEAR, 12, 31)
HOLIDAYS = {
    dt.date(YEAR, 1, 1): "New Year's Day",
    dt.date(YEAR, 1, 15): "Dr. Martin Luther King Jr. Day",
    dt.date(YEAR, 2, 19): "President's Day",
    dt.date(YEAR, 3, 29): "Good Friday",
    dt.date(YEAR, 5, 27): "Memorial Day",
    dt.date(YEAR, 6, 19): "Juneteenth National Independence Day",
    dt.date(YEAR, 7, 4): "July 4th",
    dt.date(YEAR, 9, 2): "Labor Day",
    dt.date(YEAR, 11, 28): "Thanksgiving",
    dt.date(YEAR, 12, 25): "Christmas",
}
EARLY_CLOSES = {dt.date(YEAR, 7, 3), dt.date(YEAR, 11, 29), dt.date(YEAR, 12, 24)}  # all at 13:00
SUMMER = (dt.datetime(YEAR, 3, 10, 7, tzinfo=dt.UTC), dt.datetime(YEAR, 11, 3, 6, tzinfo=dt.UTC))
WEEKEND = {5: "Saturday", 6: "Sunday"}


def days(first: dt.date = FIRST, last: dt.date = LAST) -> list[dt.date]:
    """All days from one to another, both included."""
    return [first + dt.timedelta(days=number) for number in range((last - first).days + 1)]


def closed(day: dt.date) -> str | None:
    """Why there is no session on a day; None where there is one."""
    return WEEKEND.get(day.weekday()) or HOLIDAYS.get(day)


def sessions(first: dt.date = FIRST, last: dt.date = LAST) -> list[dt.date]:
    """The sessions from one day to another, both included."""
    return [day for day in days(first, last) if closed(day) is None]


def today(moment: dt.datetime) -> dt.date:
    """The date in New York."""
    return (moment + _ahead(moment)).date()


def moment(day: dt.date, hour: int, minute: int = 0) -> dt.datetime:
    """When it is that late in New York; not in the hour that an autumn day has twice."""
    local = dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=dt.UTC)
    return next(found for hours in (4, 5) if (found := local + dt.timedelta(hours=hours)) + _ahead(found) == local)


def _ahead(moment: dt.datetime) -> dt.timedelta:
    summer = SUMMER[0] <= moment < SUMMER[1]
    return dt.timedelta(hours=-4 if summer else -5)
