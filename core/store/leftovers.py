"""What a killed run leaves behind: files that no row names.

A file is written inside the transaction that names it, under a lock that publishers share (`while_files_are_written`).
`remove_leftovers` takes that lock for itself: while it holds it nobody is between file and commit, so that what no row
names then, temporary files included, is named by nobody ever. Where somebody is publishing it leaves all to a later
run; `until_no_files_are_written` waits instead. SQLite has one writer at a time, which is the same.

A run looks at some days, and of the files of inputs at those of the last month, as there may be tens of thousands; the
housekeeping looks at all.
"""

import datetime as dt
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from time import sleep, time

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from core.errors import StoreError
from core.store.database import writing
from core.store.files import UNFINISHED, day_folder
from core.store.input_files import FOLDER, input_path
from core.store.ownership import require_own
from core.store.tables import input_frames, runs

LOCK = "evenkeel files"
_SHARED = sa.select(sa.func.pg_advisory_xact_lock_shared(sa.func.hashtextextended(LOCK, 0)))
MONTH = 31 * 24 * 3600.0  # seconds
PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds between attempts


def while_files_are_written(connection: Connection) -> None:
    """Keep files that this transaction writes from being taken for leftovers before it ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(_SHARED)


def until_no_files_are_written(connection: Connection) -> None:
    """Wait for those who write files, and keep others from it before this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_key())))


def remove_leftovers(engine: Engine, root: Path, days: Collection[dt.date] | None = None) -> list[str]:
    """Remove the files that no row names, of all days or of some, and of inputs; returns their paths below the root.

    Raises `StoreError` for one that cannot be removed, and where the folder belongs to another database.
    """
    with writing(engine, lock="leftovers") as connection:
        if connection.dialect.name == "postgresql" and not _alone(connection):
            return []
        require_own(connection, root)
        folders = root.glob("as_of=*") if days is None else (root / day_folder(day) for day in days)
        inputs = _files(root / FOLDER) if days is None else _written_since(root / FOLDER, time() - MONTH)
        targets = (file for folder in folders for file in _files(folder))
        found = sorted(
            str(file.relative_to(root)) for file in (*root.glob(".*"), *inputs, *targets) if _is_ours(file, root)
        )
        named = {*_named_targets(connection, days), *_named_inputs(connection)} if found else set()
        left = [path for path in found if path not in named]
        _remove(root, left)
        return left


def _alone(connection: Connection) -> bool:
    """Whether nobody publishes, now or in a moment: the server takes that long to notice that a publisher is dead."""
    for pause in (0.0, *PAUSES):
        sleep(pause)
        if connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_key()))):
            return True
    return False


def _key() -> sa.Function[int]:
    return sa.func.hashtextextended(LOCK, 0)


def files_below(root: Path) -> Iterator[Path]:
    """Every file of targets and of inputs, named or not."""
    return (file for folder in (root / FOLDER, *root.glob("as_of=*")) for file in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _is_ours(file: Path, root: Path) -> bool:
    """Whether a file is named and placed as those that a run writes; what others keep beside them is theirs."""
    unfinished = UNFINISHED.fullmatch(file.name) is not None
    folder, *below = file.relative_to(root).parts
    if not below:
        return unfinished
    placed = len(below) == 1 if folder == FOLDER else len(below) == 2 and below[0].startswith("portfolio_id=")
    return placed and (unfinished or file.suffix == ".parquet")


def _written_since(folder: Path, moment: float) -> Iterator[Path]:
    """The files of a folder that were written at a moment or later, in seconds since 1970."""
    if folder.is_dir():
        with os.scandir(folder) as entries:
            yield from (Path(entry.path) for entry in entries if entry.stat().st_mtime >= moment)


def _named_targets(connection: Connection, days: Collection[dt.date] | None) -> Iterable[str]:
    named = sa.select(runs.c.parquet_path).where(runs.c.parquet_path.is_not(None))
    return connection.scalars(named if days is None else named.where(runs.c.as_of.in_(days)))


def _named_inputs(connection: Connection) -> Iterable[str]:
    return map(input_path, connection.scalars(sa.select(input_frames.c.content_hash).distinct()))


def _remove(root: Path, paths: Iterable[str]) -> None:
    for path in paths:
        try:
            (root / path).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{root / path}, which a killed run left behind, cannot be removed: {error.strerror}. Check the "
                "permissions of EVENKEEL_TARGETS."
            ) from error
