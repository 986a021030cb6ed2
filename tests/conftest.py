"""Settings that Prefect reads when it is first imported: no telemetry, and a test server without what no test looks
at."""

import os

os.environ.update(
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DO_NOT_TRACK="1",
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED="false",
    PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED="false",
    PREFECT_LOGGING_EXTRA_LOGGERS="core",
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW="ignore",
)
