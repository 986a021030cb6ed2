"""The housekeeping and the watchdog, on the demo market: what they do, and what their pages tell."""

import datetime as dt

import pytest
from prefect.exceptions import ParameterTypeError

from core import store
from core.store import approvals
from core.store.approvals import Asked
from deployments.verify import checked, closing, runs_to_verify
from flows import housekeeping as module
from flows.daily_rebalance import rebalanced
from flows.housekeeping import housekeeping
from flows.watchdog import watchdog
from tasks.housekeeping import size
from tasks.settings import settings
from tests.flows.conftest import AS_OF, PORTFOLIOS
from tests.flows.test_daily_rebalance import artifacts

pytestmark = pytest.mark.usefixtures("prefect_server")


class InTwoYears(dt.datetime):
    @classmethod
    def now(cls, tz=None):
        return dt.datetime.now(tz) + dt.timedelta(days=730)


def kept():
    return housekeeping(return_state=True)


def test_what_is_superseded_is_kept_for_the_period_and_then_removed_and_told(database, monkeypatch):
    rebalanced(policy="conservative", as_of=AS_OF)
    rebalanced(policy="aggressive", as_of=AS_OF, portfolios=["balanced", "newcomer"], fresh=True)
    root = settings().targets
    stray = root / "as_of=2019-01-02" / "portfolio_id=balanced" / ".0123456789abcdef.tmp"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"half")
    state = kept()
    assert state.is_completed()
    assert "0 target files and 0 sets of inputs; " in state.message
    assert not stray.exists()
    assert "as_of=2019-01-02/portfolio_id=balanced/.0123456789abcdef.tmp" in artifacts(state)["housekeeping"]

    monkeypatch.setattr(module, "datetime", InTwoYears)
    state = kept()
    assert state.is_completed()
    assert ": 2 target files and " in state.message
    superseded = store.read_runs(database).filter(status="superseded")
    assert superseded["parquet_path"].to_list() == [None, None]
    assert store.read_targets(database, root)["portfolio_id"].unique().sort().to_list() == [*PORTFOLIOS]

    every = checked(database, root, runs_to_verify(database, None, None, None, every=True))
    assert closing(every) == ["5 runs: 3 verified, 2 in part."]
    assert set(every.filter(verdict="unchecked")["detail"].str.slice(0, 14)) == {"no longer kept"}


def test_a_damaged_file_fails_the_housekeeping_with_its_name_and_the_remedy(database):
    rebalanced(policy="conservative", as_of=AS_OF, portfolios=["concentrated"])
    (path,) = store.read_runs(database, AS_OF, "concentrated")["parquet_path"]
    (settings().targets / path).write_bytes(b"half")
    state = kept()
    assert state.is_failed()
    assert state.message.startswith("1 run is damaged. concentrated of 2026-11-20: ")
    told = artifacts(state)["housekeeping"]
    assert told.index("Restore the file") < told.index("| what |")
    assert path in told


@pytest.mark.usefixtures("database")
def test_a_period_of_no_days_is_refused_before_anything_is_done():
    with pytest.raises((ParameterTypeError, ValueError), match="greater than or equal to 1"):
        housekeeping(keep_days=0)


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_960, "1.0 MB"), (-2_000_000, "-2.0 MB")]
)
def test_sizes_are_told_in_the_unit_that_fits(count, told):
    assert size(count) == told


def test_the_watchdog_names_the_portfolios_without_targets(database):
    rebalanced(policy="conservative", as_of=AS_OF, portfolios=["balanced"])
    state = watchdog(as_of=AS_OF, return_state=True)
    assert (state.is_failed(), state.name) == (True, "Overdue")
    assert state.message.startswith("No targets of 2026-11-20 are published for concentrated, newcomer. See whether")
    rebalanced(policy="conservative", as_of=AS_OF)
    assert watchdog(as_of=AS_OF, return_state=True).is_completed()


NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
HOUR = dt.timedelta(hours=1)


def ask(database, portfolio_id, asked_at, flow_run_id="b1"):
    """Ask a person, for two hours."""
    told = {"run_id": f"run of {portfolio_id}", "shown_hash": "h", "why_asked": "turnover"}
    asked = {"question_id": f"{flow_run_id} {portfolio_id}", "flow_run_id": flow_run_id, "as_of": AS_OF} | told
    approvals.ask(database, Asked(portfolio_id=portfolio_id, asked_at=asked_at, until=asked_at + 2 * HOUR, **asked))


def test_the_watchdog_tells_who_waits_for_a_person_since_when_and_in_which_run(database):
    rebalanced(policy="conservative", as_of=AS_OF, portfolios=["balanced"])
    ask(database, "balanced", NOW)  # about another run, in place of the one that is current
    ask(database, "concentrated", NOW - HOUR, "7d1b2c3e-0000-4000-8000-000000000000")
    ask(database, "newcomer", NOW - 3 * HOUR)  # nobody answered in time
    state = watchdog(as_of=AS_OF, return_state=True)
    assert (state.is_failed(), state.name) == (True, "Overdue")
    waiting, missing = state.message.split(" Open the run and choose Resume")
    assert waiting.startswith(
        f"Waiting for a person's approval of 2026-11-20: concentrated since {NOW - HOUR:%Y-%m-%d %H:%M} UTC, "
        f"until {NOW + HOUR:%Y-%m-%d %H:%M} UTC, in "
    )
    assert "7d1b2c3e-0000-4000-8000-000000000000" in waiting
    assert "No targets of 2026-11-20 are published for newcomer. See whether" in missing
    assert "balanced" not in state.message


def test_the_housekeeping_closes_the_questions_that_nobody_answered_in_time_and_tells_them(database):
    ask(database, "concentrated", NOW - HOUR)
    ask(database, "newcomer", NOW - 3 * HOUR)
    state = kept()
    assert state.message.endswith(" 1 question that nobody answered in time closed.")
    assert "## Not approved in time, and refused\n\n- newcomer on 2026-11-20\n" in artifacts(state)["housekeeping"]
    assert approvals.read_approvals(database)["decision"].to_list() == [None, "timed out"]
    assert kept().message.endswith(" 0 questions that nobody answered in time closed.")


@pytest.mark.usefixtures("database")
def test_the_watchdog_is_silent_on_a_holiday():
    state = watchdog(as_of=dt.date(2026, 11, 26), return_state=True)
    assert (state.is_completed(), state.name) == (True, "Skipped")
