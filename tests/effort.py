"""How much the tests look at: what finds a defect in seconds by default, far more under `make soak`.

`EVENKEEL_EXAMPLES` is the number of random cases of every property; `EVENKEEL_SOAK` asks for whole replays too. Real
servers, workers and browsers are under the marker `end_to_end`: `make acceptance`.
"""

import os

SOAK = bool(os.environ.get("EVENKEEL_SOAK"))
ASKED = int(os.environ.get("EVENKEEL_EXAMPLES", "0"))


def examples(usual: int) -> int:
    """How many random cases a test looks at: its usual number, or what was asked for."""
    return ASKED or usual
