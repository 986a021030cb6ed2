"""`make serve`: everything on one machine, to try it out; Ctrl-C stops it.

`_serve` starts a Prefect server of its own, whose state stands below `var/serve`, fills Evenkeel's database with the
demo market where it is empty (`_filled`), makes the work pool, the deployments and the automations (`_set_up`), starts
a worker, tells where to look (`_told`), and watches (`_watched`): a worker that ends is started again, as its unit does
in production. Whatever ends it, what it started is ended with it (`_Children.stop`). Done again, it goes on where it
stopped.

`EVENKEEL_SERVE_PORT` is the port (4200), `EVENKEEL_SERVE_HOME` the folder of the server's state and of the logs. Other
settings of Prefect and of Evenkeel are taken as they are.
"""

import datetime as dt
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.error import URLError
from urllib.request import urlopen

from core import store
from core.errors import ConfigurationError, EvenkeelError
from core.store.days import is_empty, latest_snapshot
from deployments.demo_market import demo_market
from tasks.settings import ROOT, VAR, named_policy, settings

PORT, HOST = "EVENKEEL_SERVE_PORT", "127.0.0.1"
HOME = Path(os.environ.get("EVENKEEL_SERVE_HOME") or VAR / "serve").resolve()
POOL = "evenkeel"
PREFECT = ("prefect", "--no-prompt")
POLICY = "conservative"
PATIENCE = 180  # seconds until a server must answer
GRACE = 20  # seconds to end by oneself
PAUSE = 0.2  # seconds between looks
DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "core",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
}


class _Stopped(Exception):  # noqa: N818 - not an error
    """A signal asked for the end."""


class _Children:
    """The processes that were started. What these start bears a mark in its environment, by which it is found again,
    also where the one that started it is gone."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._mark = f"EVENKEEL_SERVED_BY={os.getpid()}-{secrets.token_hex(8)}"

    def start(self, name: str, *words: str) -> None:
        """Start a module; what it says goes into a file of its name."""
        marked = os.environ | dict([self._mark.split("=")])
        with (HOME / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 - our own words
                [sys.executable, "-m", *words],
                cwd=ROOT,
                env=marked,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for this process, which ends the others in order
            )

    def ended(self, name: str) -> int | None:
        """The exit status of one that has ended."""
        return self._running[name].poll()

    def stop(self) -> None:
        """End them all, the last one first, and then whatever they have left."""
        for child in [*self._running.values()][::-1]:
            child.terminate()
            try:
                child.wait(GRACE)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not _sent(number, _marked(self._mark)):
                return
            _wait_until(lambda: not _marked(self._mark), GRACE / 4)


def main() -> int:
    """Serve until a signal comes; returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        port = _free_port()
        address = f"http://{HOST}:{port}"
        HOME.mkdir(parents=True, exist_ok=True)
        _environment(address)
        with _children() as children:
            _serve(children, address, port)
    except _Stopped:
        print("Stopped.")
        return 0
    except EvenkeelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 1


def _serve(children: _Children, address: str, port: int) -> None:
    print(f"Starting a Prefect server at {address} ...", flush=True)
    children.start("server", "deployments.server", "start", "--host", HOST, "--port", str(port))
    _require_answer(children, address)
    day = _filled()
    _set_up()
    worker = (*PREFECT, "worker", "start", "--pool", POOL, "--name", "serve")
    children.start("worker", *worker)
    print(_told(address, day), flush=True)
    _watched(children, worker)


# before


def _free_port() -> int:
    """The configured port. Raises `ConfigurationError` where it is none, or taken."""
    text = os.environ.get(PORT) or "4200"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ConfigurationError(f"{PORT} is {text!r}: give it as a number from 1 to 65535.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, int(text)))
        except OSError as error:
            raise ConfigurationError(
                f"port {text} cannot be used: {error.strerror}. If `make serve` runs already, it is at "
                f"http://{HOST}:{text}; else take another port: {PORT}={int(text) + 1} make serve"
            ) from error
    return int(text)


def _environment(address: str) -> None:
    """Settings of the server, the worker and this process, before it imports Prefect."""
    for name, default in DEFAULTS.items():
        os.environ.setdefault(name, default)
    os.environ["PREFECT_HOME"] = str(HOME)
    os.environ["PREFECT_API_URL"] = f"{address}/api"
    os.environ["PREFECT_UI_URL"] = address


def _require_answer(children: _Children, address: str) -> None:
    """Wait for the server. Raises `ConfigurationError` where it ends, or does not answer in time."""
    answered = _wait_until(lambda: _answers(address) or children.ended("server") is not None, PATIENCE)
    if not answered or children.ended("server") is not None:
        raise ConfigurationError(f"the Prefect server did not start: see {HOME / 'server.log'}.")


def _answers(address: str) -> bool:
    try:
        with urlopen(f"{address}/api/health", timeout=5):  # noqa: S310 - our own server
            return True
    except (URLError, OSError):
        return False


def _filled() -> dt.date:
    """Fill a database without portfolios with the demo market; returns the latest date that has positions."""
    database = store.engine_from_url(settings().database_url)
    store.init(database)
    policy = named_policy(POLICY)
    today = dt.datetime.now(dt.UTC).astimezone(policy.zone).date()
    session = policy.sessions.latest(today) if policy.sessions else today
    if is_empty(database):
        store.load_frames(database, demo_market(session))
    return latest_snapshot(database) or session


def _set_up() -> None:
    """Make the work pool, the deployments and the automations, or bring them up to date."""
    _run("work-pool", "create", POOL, "--type", "process", "--overwrite")
    _run("deploy", "--prefect-file", "deployments/prefect.yaml", "--all")
    from deployments import automations, parameters  # here, as they import Prefect

    parameters.close()
    automations.apply(automations.automations(automations.channels(), automations.dead_after()))


def _run(*words: str) -> None:
    command = [sys.executable, "-m", *PREFECT, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode != 0:
        raise ConfigurationError(f"`prefect {' '.join(words)}` failed: {done.stdout}{done.stderr}")


def _told(address: str, day: dt.date) -> str:
    return f"""
Evenkeel is served at {address}

  Look    {address}/deployments : click daily, then Run > Custom run, choose as_of {day}, and Submit.
          The run's page has the summary, the targets and why each is what it is under Artifacts.
  Or      PREFECT_API_URL={address}/api prefect deployment run daily-rebalance/daily --param as_of={day} --watch
  Told    {address}/automations : who is told of what; EVENKEEL_WEBHOOK_URL and EVENKEEL_MAIL_URL say where.
  Logs    {HOME}

Scheduled runs come at 08:30 New York time on weekdays. Stop with Ctrl-C."""


# meanwhile, and after


def _watched(children: _Children, worker: tuple[str, ...]) -> None:
    """Until a signal comes, or the server ends: start a worker that has ended again."""
    while children.ended("server") is None:
        status = children.ended("worker")
        if status is not None:
            print(f"The worker has ended ({status}), and is started again: see {HOME / 'worker.log'}.", flush=True)
            children.start("worker", *worker)
        time.sleep(PAUSE)
    raise ConfigurationError(f"the Prefect server has ended: see {HOME / 'server.log'}.")


@contextmanager
def _children() -> Iterator[_Children]:
    started = _Children()
    try:
        yield started
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # once is enough: what is being stopped is waited for
        print("Stopping ...", flush=True)
        started.stop()


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Stopped


def _wait_until(done: Callable[[], bool], seconds: float) -> bool:
    """Whether something is done in time."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(PAUSE)
    return True


def _marked(mark: str) -> list[int]:
    """The processes that bear a mark in their environment; none on a system that does not tell."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # gone meanwhile, or somebody else's
            if mark.encode() in environment.read_bytes().split(b"\0"):
                found.append(int(environment.parent.name))
    return found


def _sent(number: signal.Signals, pids: list[int]) -> bool:
    """Whether there was any process to send a signal to."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    return bool(pids)


if __name__ == "__main__":
    sys.exit(main())
