"""What the test processes of one run share: the first that needs it makes it, and ends it when the others have done."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def shared(file: Path, made: AbstractContextManager[Any]) -> Iterator[Any]:
    """What `made` gives on entering, in terms of JSON; all processes that name the same file get that of the first.

    Who uses it holds the lock of the file, together with the others; the first ends it when it holds the lock alone.
    Another lock has those who come wait while it is being made.
    """
    with file.open("a+") as told, ExitStack() as mine:
        with file.with_suffix(".making").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            fcntl.flock(told, fcntl.LOCK_SH)
            told.seek(0)
            if not (known := told.read()):
                mine.callback(told.truncate, 0)
                known = json.dumps(mine.enter_context(made))
                mine.callback(fcntl.flock, told, fcntl.LOCK_EX)
                told.write(known)
                told.flush()
        yield json.loads(known)
