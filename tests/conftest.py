"""Settings that are read at the first import, and the one Prefect server of a test process.

No telemetry, and a server without the services that no test looks at. Tests run side by side, so Polars gets one
thread.
"""

import os

os.environ.update(
    POLARS_MAX_THREADS="1",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DO_NOT_TRACK="1",
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED="false",
    PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED="false",
    PREFECT_LOGGING_EXTRA_LOGGERS="core",
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW="ignore",
)

import pytest
from hypothesis import settings

settings.register_profile("patient", deadline=None, max_examples=40)  # few enough for every day, on a busy machine
settings.load_profile("patient")


@pytest.fixture(scope="session")
def prefect_server():
    """The address of a Prefect server of its own, for all tests that run flows."""
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    quiet = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with quiet, prefect_test_harness(server_startup_timeout=120):
        yield PREFECT_API_URL.value()
