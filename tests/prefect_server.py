"""A Prefect server for tests, without what no test looks at.

Flows send it no events, and it has no services that act on events or by the clock; who tests those starts a server of
their own (`tests.browser.site`, `tests/deployments/test_serve.py`). It speaks plain HTTP; yet each of Prefect's
clients, of which a flow run makes three, reads all certificates that it is to trust: here one, and not 150. Prefect's
own `prefect_test_harness` does the same, but makes this process import the server, too, for seconds.
"""

import os
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
    client = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_API_SSL_CERT_FILE: str(_one_certificate(folder))}
    database = {"server.database.connection_url": f"sqlite+aiosqlite:///{folder / 'prefect.db'}"}
    EventsWorker.set_client_override(NullEventsClient)
    with (
        temporary_settings(WITHOUT | client | database),
        _started() as url,
        temporary_settings({PREFECT_API_URL: url}),
        _temporary_global_settings_context(get_settings_context()),  # threads have no other
    ):
        yield url
    EventsWorker.set_client_override(None)


@contextmanager
def _started() -> Iterator[str]:
    """A server by the present settings, in a process of its own, until the end."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    app = ["--factory", "prefect.server.api.server:create_app", "--log-level", "error", "--port", str(port)]
    environment = os.environ | get_current_settings().to_environment_variables(exclude_unset=True)
    server = subprocess.Popen([sys.executable, "-m", "uvicorn", *app], env=environment)
    try:
        _wait(server, f"http://127.0.0.1:{port}/api")
        yield f"http://127.0.0.1:{port}/api"
    finally:
        server.terminate()
        server.wait()


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    """Until the server answers."""
    until = time.monotonic() + PATIENCE
    with httpx.Client() as client:
        while not _answers(client, url):
            assert server.poll() is None, f"the Prefect server ended with status {server.returncode}"
            assert time.monotonic() < until, "the Prefect server does not answer"
            time.sleep(0.1)


def _answers(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/health").status_code == OK
    except httpx.TransportError:
        return False


def _one_certificate(folder: Path) -> Path:
    """A file with the first of the certificates that clients trust."""
    end = "-----END CERTIFICATE-----\n"
    one = folder / "one_certificate.pem"
    one.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
    return one
