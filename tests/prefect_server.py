"""The Prefect server of the tests: one for all processes of a run, without what no test looks at.

Starting one takes twelve seconds of a processor. Flows send no events, and the server has no services that act on them
or by the clock; who tests those starts a server of their own (`tests.browser.site`, `tests/deployments/test_serve.py`).
It speaks plain HTTP; yet each of Prefect's clients, of which a flow run makes three, reads all certificates that it is
to trust, so it gets one instead of a hundred and fifty.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi
from prefect.events.clients import NullEventsClient
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler
from prefect.settings import (
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

from tests.shared import shared

SERVICES = ("cancellation_cleanup", "foreman", "late_runs", "pause_expirations", "repossessor", "scheduler", "triggers")


@contextmanager
def prefect_server(folder: Path) -> Iterator[str]:
    """The address of the server of all processes that name the same folder."""
    quiet = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with quiet, shared(folder / "prefect_server", _started()) as (url, database):
        EventsWorker.set_client_override(NullEventsClient)
        told = {PREFECT_API_URL: url, PREFECT_SERVER_DATABASE_CONNECTION_URL: database}
        with temporary_settings(told | {PREFECT_API_SSL_CERT_FILE: str(_one_certificate(folder))}):
            yield url
            APILogHandler().flush()
        EventsWorker.set_client_override(None)


@contextmanager
def _started() -> Iterator[tuple[str, str]]:
    """The addresses of a server and of its database."""
    without = temporary_settings({f"server.services.{name}.enabled": False for name in SERVICES})
    with without, prefect_test_harness(server_startup_timeout=120):
        yield PREFECT_API_URL.value(), PREFECT_SERVER_DATABASE_CONNECTION_URL.value()


def _one_certificate(folder: Path) -> Path:
    """A file with the first of the certificates that clients trust."""
    end = "-----END CERTIFICATE-----\n"
    one = folder / "one_certificate.pem"
    one.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
    return one
