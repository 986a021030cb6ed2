"""A Prefect server for tests, without what no test looks at.

Flows send it no events, and it has no services that act on events or by the clock; who tests those starts a server of
their own (`tests.browser.site`, `tests/deployments/test_serve.py`). It speaks plain HTTP; yet each of Prefect's
clients, of which a flow run makes three, reads all certificates that it is to trust: here one, and not 150. Prefect's
own `prefect_test_harness` does the same, but makes this process import the server, too, for seconds.

A server takes twenty seconds to make its tables, so that the processes of a test run share one (`SharedServer`), and
whichever comes first starts it before its first test.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi
import httpx
from prefect.context import _temporary_global_settings_context, get_settings_context
from prefect.events.clients import NullEventsClient
from prefect.events.worker import EventsWorker
from prefect.settings import (
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    get_current_settings,
    temporary_settings,
)

SERVICES = (
    "cancellation_cleanup",
    "event_persister",
    "foreman",
    "late_runs",
    "pause_expirations",
    "repossessor",
    "scheduler",
    "task_run_recorder",
    "triggers",
)
WITHOUT = {f"server.services.{name}.enabled": False for name in SERVICES} | {
    "server.analytics_enabled": False,
    "server.register_blocks_on_start": False,
    "server.ui.enabled": False,
}
PATIENCE = 120  # seconds
OK = 200


@contextmanager
def prefect_server(folder: Path) -> Iterator[str]:
    """The address of a server of its own, which is that of the flows in this process; `folder` takes what it stores."""
    port = _free_port()
    server = _started(folder, port)
    try:
        with _client(folder, server.pid, port) as url:
            yield url
    finally:
        server.terminate()
        server.wait()


class SharedServer:
    """One server for all processes that know its folder; see the module."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._address = folder / "address"  # its process, and its port

    def start(self) -> None:
        """Start it without waiting for it, unless another process does."""
        try:
            (self._folder / "begun").touch(exist_ok=False)
        except FileExistsError:
            return
        port = _free_port()
        half = self._folder / "half"
        half.write_text(f"{_started(self._folder, port).pid} {port}")
        half.replace(self._address)

    @contextmanager
    def client(self) -> Iterator[str]:
        """Its address, which is that of the flows in this process."""
        until = time.monotonic() + PATIENCE
        while not self._address.exists():
            assert time.monotonic() < until, "nobody has started the Prefect server"
            time.sleep(0.1)
        with _client(self._folder, *map(int, self._address.read_text().split())) as url:
            yield url

    def stop(self) -> None:
        """Stop it, where anybody started it."""
        if self._address.exists():
            process, _ = self._address.read_text().split()
            os.kill(int(process), signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _started(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """A server in a process of its own, which will answer."""
    with temporary_settings(WITHOUT | _stored_in(folder)):
        environment = os.environ | get_current_settings().to_environment_variables(exclude_unset=True)
    app = ["--factory", "prefect.server.api.server:create_app", "--log-level", "error", "--port", str(port)]
    return subprocess.Popen([sys.executable, "-m", "uvicorn", *app], env=environment)


def _stored_in(folder: Path) -> dict[str, str]:
    # A name with `:memory:`, for which Prefect has one connection. Of several, one may find the file locked; the client
    # is told so by status 503, and sleeps for two seconds.
    return {"server.database.connection_url": f"sqlite+aiosqlite:///{folder / 'not:memory:.db'}"}


@contextmanager
def _client(folder: Path, process: int, port: int) -> Iterator[str]:
    """The address of a server, once it answers, as that of the flows in this process."""
    url = f"http://127.0.0.1:{port}/api"
    _wait(process, url)
    client = {
        PREFECT_API_URL: url,
        PREFECT_API_SSL_CERT_FILE: str(_one_certificate(folder)),
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
    }
    EventsWorker.set_client_override(NullEventsClient)
    with (
        temporary_settings(WITHOUT | _stored_in(folder) | client),
        _temporary_global_settings_context(get_settings_context()),  # threads have no other
    ):
        yield url
    EventsWorker.set_client_override(None)


def _wait(process: int, url: str) -> None:
    """Until the server answers."""
    until = time.monotonic() + PATIENCE
    with httpx.Client() as client:
        while not _answers(client, url):
            assert not _has_ended(process), "the Prefect server has ended"
            assert time.monotonic() < until, "the Prefect server does not answer"
            time.sleep(0.1)


def _has_ended(process: int) -> bool:
    """Whether a process has ended, a child of this one or not."""
    try:
        return os.waitpid(process, os.WNOHANG) != (0, 0)
    except ChildProcessError:  # no child of ours, or one that was asked about before
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        return False


def _answers(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/health").status_code == OK
    except httpx.TransportError:
        return False


def _one_certificate(folder: Path) -> Path:
    """A file with the first of the certificates that clients trust."""
    end = "-----END CERTIFICATE-----\n"
    one = folder / f"one_certificate_{os.getpid()}.pem"
    one.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
    return one
