"""Some days of a year; `python -m tests.soak.year` is the whole of it."""

import datetime as dt

from tests.soak.year import DOWNTIMES, environment, rehearse, through_flow, world_in


def test_a_downtime_and_a_change_of_the_clock_leave_one_current_run_per_session(tmp_path):
    done = rehearse(world_in(tmp_path), dt.date(2024, 10, 29), dt.date(2024, 11, 4), DOWNTIMES[1:])
    assert done.faults == []
    assert (len(done.done), len(done.missed), done.figures["backfilled"]) == (5, 2, 2)


def test_the_flow_runs_on_sessions_and_not_on_thanksgiving(tmp_path, monkeypatch, prefect_server):
    world = world_in(tmp_path)
    for name, setting in environment(world).items():
        monkeypatch.setenv(name, setting)
    done = rehearse(world, dt.date(2024, 11, 28), dt.date(2024, 11, 29), run=through_flow)
    assert done.faults == []
    assert (done.done, done.figures["skipped"]) == ({dt.date(2024, 11, 29)}, 2)
