"""`make serve`, end to end: a Prefect server with a password, a worker, the deployments and the automations.

All of it is one test, as all of it is one server: runs by schedule, by command line and by hand, what people are told
by webhook and mail, a worker that is killed, and an end that leaves nothing behind.
"""

import datetime as dt
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from html import unescape
from pathlib import Path
from uuid import uuid4

import pytest

from core import store
from deployments import serve
from tasks.settings import ROOT
from tests.deployments import debian_postgres
from tests.deployments.sinks import mail_server, webhook

DAY = dt.date(2026, 11, 20)
DAILY, WATCHDOG = "daily-rebalance/daily", "watchdog/watchdog"
PASSWORD = "admin:pass"  # noqa: S105 - of the test's own server
SLOW = """
name: slow
exchange: XNYS
scoring:
  signals: [{kind: function, name: slow, weight: 1.0, function: "tests.deployments.slow:slow", lookback: 1}]
"""
OPERATIONS = ROOT / "docs/operations.md"
PROGRAMS = {"prefect": ("prefect",), "evenkeel": ("deployments.cli",)}
PATIENCE = 120


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(found, what, patience=PATIENCE):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        result = found()
        if result:
            return result
        time.sleep(0.2)
    raise AssertionError(f"{what}: not in {patience} s")


class Served:
    """`make serve` in a folder of its own, on the demo market of `DAY`, and a client of its server."""

    def __init__(self, folder, demo, hook, mail_port, database):
        self.folder, self.port = folder, free_port()
        self.slow = folder / "slow"
        (folder / "policies").mkdir()
        for policy in (ROOT / "deployments/policies").glob("*.yaml"):
            (folder / "policies" / policy.name).write_text(policy.read_text())
        (folder / "policies/slow.yaml").write_text(SLOW)
        (folder / "policies/broken.yaml").write_text("name: broken\nlimits: {max_total_positions: nine}\n")
        (folder / "evenkeel.db").write_bytes(demo.read_bytes())
        self.environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "EVENKEEL_DATABASE_URL": f"sqlite:///{folder}/evenkeel.db",
            "EVENKEEL_TARGETS": str(folder / "targets"),
            "EVENKEEL_POLICIES": str(folder / "policies"),
            "EVENKEEL_SERVE_PORT": str(self.port),
            "EVENKEEL_SERVE_HOME": str(folder / "home"),
            "EVENKEEL_WEBHOOK_URL": hook,
            "EVENKEEL_MAIL_URL": f"mailto://127.0.0.1:{mail_port}/?from=evenkeel@example.com&to=desk@example.com",
            "EVENKEEL_TEST_SLOW": str(self.slow),
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
            "PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api",
            "PREFECT_SERVER_API_AUTH_STRING": PASSWORD,
            "PREFECT_API_AUTH_STRING": PASSWORD,
            "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "true",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
        }
        self.out = (folder / "out").open("w+")
        self.process = self.popen("-m", "deployments.serve")
        until(self.ready, "make serve", 180)
        self.client = None

    def popen(self, *words):
        return subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, env=self.environment, stdout=self.out, stderr=subprocess.STDOUT
        )

    def command(self, *words, **environment):
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def said(self):
        return (self.folder / "out").read_text()

    def ready(self):
        assert self.process.poll() is None, self.said()
        return "is served at" in self.said()

    def marked(self):
        """All processes of this test's server, by what stands in their environment."""
        return serve._marked(f"EVENKEEL_TEST_SLOW={self.slow}")

    def killed(self):
        """Kill the worker and all that it has started."""
        (worker,) = (pid for pid in self.marked() if "worker start" in line_of(pid))
        runs = [pid for pid in self.marked() if "prefect.engine" in line_of(pid) or "flow_engine" in line_of(pid)]
        assert runs
        for pid in (worker, *runs):
            os.kill(pid, signal.SIGKILL)

    def run(self, deployment, **parameters):
        found = self.client.read_deployment_by_name(deployment)
        return self.client.create_flow_run_from_deployment(found.id, parameters=parameters).id

    def ended(self, run_id):
        def final():
            state = self.client.read_flow_run(run_id).state
            return state if state.is_final() else None

        return until(final, f"run {run_id}")


def line_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


@pytest.fixture
def served(tmp_path, demo_database):
    from prefect.client.orchestration import SyncPrefectClient

    with (
        webhook() as (hook, posted),
        mail_server() as (port, mails),
        debian_postgres.behind_prefect(tmp_path) as database,
    ):
        here = Served(tmp_path, demo_database, hook, port, database)
        here.posted, here.mails = posted, mails
        try:
            with SyncPrefectClient(here.environment["PREFECT_API_URL"], auth_string=PASSWORD) as here.client:
                yield here
        finally:
            here.process.kill()
            for pid in here.marked():
                os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc to find processes")
@pytest.mark.end_to_end
def test_everything_that_make_serve_starts_works_and_ends_with_it(served):
    a_stranger_is_refused(served)
    a_misspelt_parameter_starts_no_run(served)
    a_run_is_scheduled(served)
    everybody_is_told(served)
    the_scheduled_run_publishes(served)
    the_documented_commands_run(served)
    a_killed_run_turns_crashed_and_its_rerun_succeeds(served)
    the_end_leaves_nothing_behind(served)


def a_stranger_is_refused(served):
    import httpx

    assert httpx.post(f"{served.environment['PREFECT_API_URL']}/flow_runs/filter", json={}).status_code == 401


def a_misspelt_parameter_starts_no_run(served):
    from prefect.exceptions import PrefectHTTPStatusError

    for deployment in (DAILY, WATCHDOG, "housekeeping/weekly"):
        with pytest.raises(PrefectHTTPStatusError, match="'as_off' was unexpected"):
            served.run(deployment, as_off=str(DAY))


def a_run_is_scheduled(served):
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import IntervalSchedule

    daily = served.client.read_deployment_by_name(DAILY)
    assert [str(schedule.schedule.cron) for schedule in daily.schedules] == ["30 8 * * 1-5"]
    assert daily.schedules[0].parameters == {"fresh": True}
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=12)  # time for the server to see the schedule
    schedule = IntervalSchedule(interval=dt.timedelta(days=1), anchor_date=soon)
    body = DeploymentScheduleCreate(
        schedule=schedule, active=True, parameters={"as_of": str(DAY), "fresh": True}, slug="soon"
    )
    served.client.create_deployment_schedules(daily.id, [body])


def the_scheduled_run_publishes(served):
    def came():
        """The run of our own schedule; those of the deployments come at their time of the week."""
        scheduled = [run for run in served.client.read_flow_runs() if run.auto_scheduled and run.state.is_final()]
        return next((run for run in scheduled if run.parameters.get("as_of") == str(DAY)), None)

    run = until(came, "the scheduled run")
    assert run.state.is_completed(), run.state.message
    current = store.read_current(store.engine_from_url(served.environment["EVENKEEL_DATABASE_URL"]), DAY)
    assert current["portfolio_id"].n_unique() == 3


def everybody_is_told(served):
    """Each kind arrives once by webhook and once by mail, with the message that says what to do."""
    from prefect.states import Suspended

    suspended = served.run(DAILY, as_of=str(DAY), policy="conservative")
    served.client.set_flow_run_state(suspended, Suspended(timeout_seconds=600, message="please look"), force=True)
    expected = {
        "refused": (served.run(DAILY, as_of="2026-11-13", portfolios=["balanced"]), "Load the snapshot of this date"),
        "failed": (served.run(DAILY, as_of=str(DAY), policy="broken"), "max_total_positions"),
        "late": (served.run(WATCHDOG, as_of="2026-11-19"), "published for balanced, concentrated, newcomer"),
        "waiting": (suspended, "please look"),
    }
    for kind, (run_id, told) in expected.items():
        posted = until(lambda about=str(run_id): posted_about(served, about), f"{kind} by webhook")
        assert [each["kind"] for each in posted] == [kind]
        assert told in posted[0]["message"]
        mails = until(lambda about=str(run_id): mails_about(served, about), f"{kind} by mail")
        assert [each["Subject"] for each in mails] == [f"Evenkeel, {kind}: {posted[0]['run']}"]
        assert mails[0]["To"] == "desk@example.com"
        assert posted[0]["message"].split(".")[0] in text_of(mails[0])


def posted_about(served, run_id):
    return [each for each in served.posted if each["url"].endswith(run_id)]


def mails_about(served, run_id):
    return [each for each in served.mails if run_id in text_of(each)]


def text_of(mail):
    return unescape(mail.get_body(("html",)).get_content())


def the_documented_commands_run(served):
    """Every command of docs/operations.md that a user gives; those of root are not for a test."""
    consoles = re.findall(r"```console\n(.*?)```", OPERATIONS.read_text(), re.DOTALL)
    lines = [line.removeprefix("$ ") for line in "".join(consoles).splitlines() if line.startswith("$ ")]
    assert len(lines) >= 8
    for line in lines:
        program, *words = shlex.split(line.removeprefix("python -m "))
        done = served.command(*PROGRAMS.get(program, (program,)), *words)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"


def a_killed_run_turns_crashed_and_its_rerun_succeeds(served):
    shorter = served.command("deployments.automations", EVENKEEL_DEAD_AFTER="10")
    outcomes = dict(re.findall(r"^Evenkeel: ([a-z ]+?) +([a-z]+)$", shorter.stdout, re.MULTILINE))
    assert outcomes.pop("dead worker") == "updated", shorter.stdout + shorter.stderr
    assert set(outcomes.values()) == {"unchanged"}
    served.slow.touch()
    run_id = served.run(DAILY, as_of=str(DAY), policy="slow")
    until(served.slow.with_suffix(".reached").exists, "the run")
    served.killed()
    state = served.ended(run_id)
    assert state.is_crashed()
    assert state.message.startswith("No heartbeat for 10 s")
    assert served.command("deployments.automations").returncode == 0
    told = until(lambda: posted_about(served, str(run_id)), "crashed by webhook")
    assert [each["kind"] for each in told] == ["crashed"]
    served.slow.unlink()
    again = served.ended(served.run(DAILY, as_of=str(DAY), policy="slow"))
    assert again.is_completed(), again.message
    assert "The worker has ended (-9), and is started again" in served.said()


def the_end_leaves_nothing_behind(served):
    """Also where a run is at work."""
    served.slow.touch()
    served.slow.with_suffix(".reached").unlink(missing_ok=True)
    served.run(DAILY, as_of=str(DAY), policy="slow", fresh=True)
    until(served.slow.with_suffix(".reached").exists, "the run")
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(90) == 0, served.said()
    assert served.said().endswith("Stopped.\n")
    assert served.marked() == []


def test_a_port_that_is_taken_is_told_with_the_way_out(monkeypatch, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("EVENKEEL_SERVE_PORT", str(port))
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        assert serve.main() == 1
    assert f"EVENKEEL_SERVE_PORT={port + 1} make serve" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1"])
def test_what_is_no_port_is_refused(monkeypatch, capsys, port):
    monkeypatch.setenv("EVENKEEL_SERVE_PORT", port)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert serve.main() == 1
    assert f"EVENKEEL_SERVE_PORT is {port!r}" in capsys.readouterr().err


def test_a_mark_is_found_in_processes_and_nowhere_else():
    mark = f"EVENKEEL_SERVED_BY={uuid4()}"
    sleeper = subprocess.Popen(["/bin/sleep", "60"], env=dict([mark.split("=")]))
    try:
        until(lambda: serve._marked(mark) == [sleeper.pid], "the mark", 10)
        assert serve._marked(mark[:-1]) == []
    finally:
        sleeper.kill()
        sleeper.wait()
