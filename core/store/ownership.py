"""Whose a folder of targets is: of one database, whose name stands in the file `_store` of the folder.

What no row of a database names is a leftover to it, and so is everything of another database, which must never share
its folder. A folder is claimed (`require_own`) before anything is written or removed there: one that is empty, and one
without a name of which this database names a file, as programs before 0.3 left it.
"""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.errors import StoreError
from core.store.files import write_file
from core.store.tables import runs, stores

NAME = "_store"  # readers of a Parquet data set pass over names that begin so
LOOKED_FOR = 100  # so many of the files that were named last


def require_own(connection: Connection, root: Path) -> None:
    """Raise `StoreError` where the folder of all targets belongs to another database; one of nobody is claimed."""
    own, path = str(connection.scalar(sa.select(stores.c.store_id))), root / NAME
    named = _name_in(path)
    if named == own:
        return
    if named is not None:
        raise StoreError(
            f"the folder {root} belongs to another database: {named[:8]}, says {path}, and this one is {own[:8]}. Set "
            "EVENKEEL_TARGETS to the folder of this database; if it has taken the place of that one, remove the file."
        )
    if any(root.glob("as_of=*/*/*.parquet")) and not _names_some(connection, root):
        raise StoreError(
            f"the folder {root} has files of another database: this one names none of them. Set EVENKEEL_TARGETS to "
            f"the folder of this database, or to a new one; if they are its own, write {own} into {path}."
        )
    write_file(root, NAME, own.encode())


def _name_in(path: Path) -> str | None:
    try:
        return path.read_text("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {error.strerror}. Check the permissions of EVENKEEL_TARGETS."
        ) from error


def _names_some(connection: Connection, root: Path) -> bool:
    query = sa.select(runs.c.parquet_path).where(runs.c.parquet_path.is_not(None)).order_by(runs.c.run_key.desc())
    return any((root / path).is_file() for path in connection.scalars(query.limit(LOOKED_FOR)))
