"""Sessions of exchanges, against holidays written down by hand."""

import datetime as dt

import pytest

from core.errors import ConfigurationError
from core.sessions import Exchange

NEW_YORK = Exchange("XNYS")
HOLIDAYS_2026 = {  # of the New York Stock Exchange
    dt.date(2026, 1, 1): "New Year's Day",
    dt.date(2026, 1, 19): "Dr. Martin Luther King Jr. Day",
    dt.date(2026, 2, 16): "President's Day",
    dt.date(2026, 4, 3): "Good Friday",
    dt.date(2026, 5, 25): "Memorial Day",
    dt.date(2026, 6, 19): "Juneteenth National Independence Day",
    dt.date(2026, 7, 3): "July 4th",
    dt.date(2026, 9, 7): "Labor Day",
    dt.date(2026, 11, 26): "Thanksgiving",
    dt.date(2026, 12, 25): "Christmas",
}


def test_a_year_has_its_weekdays_less_its_holidays():
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=number) for number in range(365)]
    weekdays = [day for day in days if day.weekday() < 5]
    sessions = NEW_YORK.sessions(days[0], days[-1])
    assert sessions == [day for day in weekdays if day not in HOLIDAYS_2026]
    assert len(sessions) == 251


@pytest.mark.parametrize(("day", "name"), HOLIDAYS_2026.items())
def test_a_holiday_is_named(day, name):
    assert NEW_YORK.closed(day) == name


def test_a_weekend_is_named_by_its_day():
    assert NEW_YORK.closed(dt.date(2026, 11, 21)) == "Saturday"
    assert NEW_YORK.closed(dt.date(2026, 11, 20)) is None


def test_a_day_that_was_declared_a_holiday_for_the_occasion_is_none_of_the_regular_ones():
    assert NEW_YORK.closed(dt.date(2025, 1, 9)) == "a special closing"  # the funeral of a president


def test_early_closes_are_known():
    assert NEW_YORK.early_close(dt.date(2026, 11, 27)) == dt.time(13)
    assert NEW_YORK.early_close(dt.date(2026, 11, 25)) is None


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-03-06T04:59+00:00", dt.date(2026, 3, 5)),  # winter: five hours behind UTC
        ("2026-03-06T05:00+00:00", dt.date(2026, 3, 6)),
        ("2026-03-10T03:59+00:00", dt.date(2026, 3, 9)),  # summer, since 8 March: four hours
        ("2026-03-10T04:00+00:00", dt.date(2026, 3, 10)),
        ("2026-11-02T04:59+00:00", dt.date(2026, 11, 1)),  # winter again, since 1 November
    ],
)
def test_the_day_is_the_exchanges_across_daylight_saving(moment, day):
    assert NEW_YORK.day_of(dt.datetime.fromisoformat(moment)) == day


def test_the_latest_session_of_a_long_weekend_is_the_day_before_it():
    assert NEW_YORK.latest(dt.date(2026, 9, 7)) == dt.date(2026, 9, 4)
    assert NEW_YORK.latest(dt.date(2026, 9, 8)) == dt.date(2026, 9, 8)


def test_exchanges_have_holidays_of_their_own():
    assert Exchange("XLON").closed(dt.date(2026, 8, 31)) == "Summer Bank Holiday"
    assert NEW_YORK.closed(dt.date(2026, 8, 31)) is None


def test_sessions_run_across_calendars():
    found = NEW_YORK.sessions(dt.date(2029, 12, 27), dt.date(2030, 1, 3))
    assert [str(day)[5:] for day in found] == ["12-27", "12-28", "12-31", "01-02", "01-03"]


def test_an_unknown_exchange_is_told_with_the_nearest():
    with pytest.raises(ConfigurationError, match=r"'XNYSE' is unknown.*XNYS"):
        Exchange("XNYSE")


@pytest.mark.parametrize("code", ["XBOM", "XHKG"])
def test_exchanges_of_which_few_years_or_odd_holidays_are_known_have_their_sessions(code):
    exchange = Exchange(code)
    assert exchange.closed(dt.date(2026, 11, 21)) == "Saturday"
    assert len(exchange.sessions(dt.date(2026, 1, 1), dt.date(2026, 12, 31))) > 200
    assert exchange.latest(dt.date(2026, 11, 21)) == dt.date(2026, 11, 20)


@pytest.mark.parametrize(("code", "year"), [("ASEX", 2026), ("XNYS", 1), ("XNYS", 2926)])
def test_a_year_that_no_calendar_has_is_told_as_such(code, year):
    with pytest.raises(ConfigurationError, match=rf"calendar of {code} cannot be had for {year}: .*Correct the date"):
        Exchange(code).closed(dt.date(year, 11, 20))
