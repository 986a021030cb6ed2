"""A PostgreSQL cluster of Debian's, for the server of Prefect: it needs `pg_trgm`, which the one from PyPI lacks."""

import os
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from tasks.settings import ROOT

BIN = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), Path("/nowhere"))
TRIGRAMS = [*Path("/usr/share/postgresql").glob("*/extension/pg_trgm.control")]


def available() -> bool:
    """Whether there is one that this user can start."""
    return bool((BIN / "initdb").exists() and TRIGRAMS and (os.getuid() != 0 or shutil.which("runuser")))


@contextmanager
def behind_prefect(folder: Path) -> Iterator[str]:
    """The address of the database of Prefect's server: made as docs/operations.md says, or else an SQLite file.

    With SQLite, a server on a busy machine answers 503 now and then, where a person would click again.
    """
    if not available():
        warnings.warn("Debian's PostgreSQL is not installed: SQLite stands behind Prefect's server", stacklevel=2)
        yield f"sqlite+aiosqlite:///{folder}/prefect.db"
        return
    script = re.search(r"```sql\n(CREATE ROLE prefect.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL)
    assert script
    with cluster(script[1]) as address:
        yield address


@contextmanager
def cluster(script: str) -> Iterator[str]:
    """A cluster on which a script of SQL has been run; the address of its database `prefect`, for asyncpg."""
    folder = Path(mkdtemp(prefix="evenkeel_debian_"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    state, haste = folder / "state", f"-c fsync=off -c listen_addresses='' -k {folder}"
    try:
        _run("initdb", "-A", "trust", "-U", "postgres", "-D", state)
        _run("pg_ctl", "start", "-w", "-D", state, "-o", haste, "-l", folder / "log")
        _run("psql", "-v", "ON_ERROR_STOP=1", "-h", folder, "-U", "postgres", "-f", "-", script=script)
        yield f"postgresql+asyncpg://prefect:secret@/prefect?host={folder}"
    finally:
        _run("pg_ctl", "stop", "-m", "immediate", "-D", state)
        shutil.rmtree(folder, ignore_errors=True)


def _run(program: str, *words: object, script: str | None = None) -> None:
    command = [str(BIN / program), *map(str, words)]
    if os.getuid() == 0:
        command = ["runuser", "-u", "postgres", "--", *command]
    done = subprocess.run(
        command,
        input=script,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
