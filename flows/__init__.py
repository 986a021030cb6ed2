"""The flows. In a flow, the domain's loggers speak: its numbered steps stand on the run's page."""

import logging

logging.getLogger("core").setLevel(logging.INFO)
