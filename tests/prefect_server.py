"""A Prefect server for tests, without what no test looks at.

Flows send it no events, and it has no services that act on events or by the clock; who tests those starts a server of
their own (`tests.browser.site`, `tests/deployments/test_serve.py`). It speaks plain HTTP; yet each of Prefect's
clients, of which a flow run makes three, reads all certificates that it is to trust: here one, and not 150.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi
from prefect.events.clients import NullEventsClient
from prefect.events.worker import EventsWorker
from prefect.settings import (
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

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


@contextmanager
def prefect_server(folder: Path) -> Iterator[str]:
    """The address of a server of its own, which is that of the flows in this process; `folder` takes a certificate."""
    without = {f"server.services.{name}.enabled": False for name in SERVICES} | {"server.analytics_enabled": False}
    client = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_API_SSL_CERT_FILE: str(_one_certificate(folder))}
    EventsWorker.set_client_override(NullEventsClient)
    with temporary_settings(without | client), prefect_test_harness(server_startup_timeout=120):
        yield str(PREFECT_API_URL.value())
    EventsWorker.set_client_override(None)


def _one_certificate(folder: Path) -> Path:
    """A file with the first of the certificates that clients trust."""
    end = "-----END CERTIFICATE-----\n"
    one = folder / "one_certificate.pem"
    one.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
    return one
