"""Runs are for sessions of the exchange: not for holidays, and not for a session whose time has gone."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from core import store
from core.batch import Occasion
from core.policy import Policy
from flows import occasion
from flows.daily_rebalance import daily_rebalance
from flows.occasion import occasion_of, why_skipped
from tests.flows.conftest import AS_OF

pytestmark = pytest.mark.usefixtures("prefect_server")
POLICY = Policy(name="test", exchange="XNYS")


@pytest.mark.parametrize(
    ("day", "why"),
    [
        (dt.date(2026, 11, 26), "2026-11-26 is no session of XNYS: Thanksgiving."),
        (dt.date(2026, 11, 21), "2026-11-21 is no session of XNYS: Saturday."),
    ],
)
def test_a_day_that_is_no_session_is_skipped_by_name(database, day, why):
    state = daily_rebalance(as_of=day, return_state=True)
    assert (state.name, state.is_completed(), state.message) == ("Skipped", True, why)
    assert store.read_runs(database).is_empty()


def at(moment):
    """A batch without a date that starts at a moment of New York, 8:30 being when its session's run is due."""
    started = dt.datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo("America/New_York"))
    return lambda day: Occasion(POLICY, day, "batch", started.astimezone(dt.UTC))


@pytest.mark.parametrize(
    ("moment", "day", "skipped"),
    [
        ("2026-11-20T08:30", dt.date(2026, 11, 20), False),
        ("2026-11-20T23:59", dt.date(2026, 11, 20), False),  # 5 o'clock of the next day in London
        ("2026-11-22T10:00", dt.date(2026, 11, 20), False),  # on the weekend, Friday's is still the latest
        ("2026-11-23T08:31", dt.date(2026, 11, 20), True),
        ("2026-11-27T08:30", dt.date(2026, 11, 25), True),  # after Thanksgiving
    ],
)
def test_a_scheduled_run_that_comes_after_the_next_session_leaves_it_to_that(moment, day, skipped):
    why = why_skipped(at(moment)(day), None)
    assert (why is not None) == skipped
    assert why is None or f"the session {day} was missed" in why


def test_a_session_that_is_asked_for_is_run_however_late():
    assert why_skipped(at("2026-12-24T08:30")(AS_OF), AS_OF) is None


def test_without_an_exchange_every_day_is_run():
    sunday = Occasion(Policy(name="test"), dt.date(2026, 11, 22), "batch", dt.datetime(2026, 12, 24, tzinfo=dt.UTC))
    assert why_skipped(sunday, None) is None


@pytest.mark.parametrize(
    ("scheduled", "day"),
    [
        ("2026-03-06T13:30+00:00", dt.date(2026, 3, 6)),
        ("2026-03-10T03:30+00:00", dt.date(2026, 3, 9)),  # late in the evening, in New York
    ],
)
def test_the_session_is_that_of_the_scheduled_time_at_the_exchange(monkeypatch, scheduled, day):
    class Run:
        scheduled_start_time = dt.datetime.fromisoformat(scheduled)
        name, id = "run", "1"

    monkeypatch.setattr(occasion, "flow_run", Run)
    assert occasion_of(POLICY, None).as_of == day
