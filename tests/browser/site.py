"""What the browser looks at: `make serve` in a folder of its own, on the demo market.

Beside the shipped policies stand one that every portfolio is refused under, and one that asks for approval.

`Site` is used by the tests, and by `tests.browser.screenshots`.
"""

import datetime as dt
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from sqlalchemy.engine import Engine

from core import store
from deployments.demo_market import demo_market
from tasks.settings import POLICIES, ROOT
from tests.deployments.debian_postgres import behind_prefect

BEFORE, DAY = dt.date(2026, 11, 19), dt.date(2026, 11, 20)
DAILY = "daily-rebalance/daily"
PATIENCE = 180  # seconds
UNAVAILABLE, ATTEMPTS = 503, 6  # what a server says whose SQLite is busy
STRICT = ("max_single_position_pct: 0.2", "max_single_position_pct: 0.05")
FULLY_INVESTED = "  - {kind: net_exposure, minimum: 0.9}\n"  # which ten names of 5 % cannot be
ASKING = "approval: {max_turnover: 0.2}\n"


class Site:
    """A Prefect server and a worker with Evenkeel's deployments; `address` is the first UI, below `/v2` the second."""

    def __init__(self, folder: Path) -> None:
        self.folder, port = folder, _free_port()
        self._started = ExitStack()
        self.address = f"http://127.0.0.1:{port}"
        self._environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "EVENKEEL_DATABASE_URL": f"sqlite:///{folder / 'evenkeel.db'}",
            "EVENKEEL_TARGETS": str(folder / "targets"),
            "EVENKEEL_POLICIES": str(_policies(folder)),
            "EVENKEEL_SERVE_PORT": str(port),
            "EVENKEEL_SERVE_HOME": str(folder / "home"),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self._started.enter_context(behind_prefect(folder)),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED": "true",
            "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "true",
        }
        _fill(folder)
        self._log = self._started.enter_context((folder / "serve.log").open("wb"))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deployments.serve"],
            cwd=ROOT,
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
        )
        try:
            self._until("its deployments", lambda: "is served at" in (folder / "serve.log").read_text())
        except BaseException:
            self.stop()
            raise

    @property
    def database(self) -> Engine:
        """The database of the runs."""
        return store.engine_from_url(self._environment["EVENKEEL_DATABASE_URL"])

    def stop(self) -> None:
        """End the server and its worker, and then the database."""
        with self._started:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)

    def get(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer of the server's API."""
        content = None if body is None else json.dumps(body).encode()
        asked = Request(f"{self.address}/api{path}", content, {"Content-Type": "application/json"})  # noqa: S310
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with urlopen(asked, timeout=60) as answer:  # noqa: S310 - our own server
                    return json.load(answer)
            except HTTPError as error:
                if error.code != UNAVAILABLE or attempt == ATTEMPTS:
                    raise
                time.sleep(attempt)
        raise AssertionError(path)

    @property
    def form(self) -> str:
        """The path of the form that starts a daily rebalance."""
        return f"/deployments/deployment/{self.get(f'/deployments/name/{DAILY}')['id']}/run"

    def started(self, **parameters: Any) -> str:
        """Start a daily rebalance; returns the id of its flow run."""
        deployment = self.get(f"/deployments/name/{DAILY}")["id"]
        return str(self.get(f"/deployments/{deployment}/create_flow_run", {"parameters": parameters})["id"])

    def run(self, state: str = "COMPLETED", **parameters: Any) -> dict[str, Any]:
        """Run a daily rebalance until it is in a state; returns the flow run."""
        return self.ended(self.started(**parameters), state)

    def ended(self, flow_run_id: str, state: str = "COMPLETED") -> dict[str, Any]:
        """A flow run, once it is in a state."""
        over = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED", state}
        self._until(f"flow run {flow_run_id}: {state}", lambda: self.flow_run(flow_run_id)["state_type"] in over)
        found = self.flow_run(flow_run_id)
        assert found["state_type"] == state, f"{found['state_name']}: {found['state']['message']}"
        return found

    def flow_run(self, flow_run_id: str) -> dict[str, Any]:
        """A flow run as the API tells it."""
        found: dict[str, Any] = self.get(f"/flow_runs/{flow_run_id}")
        return found

    def known(self) -> set[str]:
        """The ids of all flow runs that no schedule made."""
        found = self.get("/flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 200})
        return {run["id"] for run in found if not run["auto_scheduled"]}

    def new_run(self, known: set[str]) -> str:
        """The id of the one flow run that was not known before, once there is one."""
        self._until("a new run", lambda: self.known() > known)
        (found,) = self.known() - known
        return found

    def artifact(self, flow_run_id: str, key: str) -> str:
        """The id of an artifact of a flow run."""
        wanted = {"flow_run_id": {"any_": [flow_run_id]}, "key": {"any_": [key]}}
        (found,) = self.get("/artifacts/filter", {"artifacts": wanted})
        return str(found["id"])

    def _until(self, what: str, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            status = self._process.poll()
            if status is not None or time.monotonic() > end:
                told = (self.folder / "serve.log").read_text()[-2000:]
                raise RuntimeError(f"{what}: not in {PATIENCE} s (make serve: {status})\n{told}")
            time.sleep(0.3)


def _policies(folder: Path) -> Path:
    """The shipped policies, one that no portfolio can meet, and one that asks a person."""
    policies = folder / "policies"
    policies.mkdir()
    for path in POLICIES.glob("*.yaml"):
        (policies / path.name).write_text(path.read_text())
    calm = (POLICIES / "conservative.yaml").read_text()
    (policies / "strict.yaml").write_text(_named(calm.replace(*STRICT), "strict") + FULLY_INVESTED)
    (policies / "asking.yaml").write_text(_named(calm, "asking") + ASKING)
    return policies


def _named(document: str, name: str) -> str:
    return document.replace("name: conservative", f"name: {name}", 1)


def _fill(folder: Path) -> None:
    """Two days of the demo market."""
    database = store.engine_from_url(f"sqlite:///{folder / 'evenkeel.db'}")
    store.init(database)
    for day in (BEFORE, DAY):
        store.load_frames(database, demo_market(day))
    database.dispose()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
