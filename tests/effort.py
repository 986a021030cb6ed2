"""How much the tests look at: what finds a defect in seconds by default, far more under `make soak`.

`EVENKEEL_EXAMPLES` is the number of random cases of every property; `EVENKEEL_SOAK` asks for whole replays too, and for
PostgreSQL beside SQLite where a test goes through all layers (those of the store always run on both). Real
servers, workers and browsers are under the marker `end_to_end`: `make acceptance`.
"""

import os
import shutil
from pathlib import Path

MEMORY, ENOUGH = Path("/dev/shm"), 4e9  # a file system in memory; bytes  # noqa: S108
SOAK = bool(os.environ.get("EVENKEEL_SOAK"))
DATABASES = ("sqlite", "postgresql") if SOAK else ("sqlite",)
ASKED = int(os.environ.get("EVENKEEL_EXAMPLES", "0"))


def temporary_folder() -> str:
    """Where tests store things: in memory, where that is large enough. A test kills programs, but not the machine.

    On a disk, the system takes longer to make the files of a PostgreSQL database than most tests do to use it.
    """
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH
    return str(MEMORY) if roomy else os.environ.get("TMPDIR", "")


def examples(usual: int) -> int:
    """How many random cases a test looks at: its usual number, or what was asked for."""
    return ASKED or usual
