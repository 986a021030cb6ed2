"""Target files: Parquet, one per run, written so that a file of the right name is always whole.

A run's targets are encoded (`encoded`) before anything is written; `write_file` writes them to a temporary name in the
same folder, syncs, renames, and syncs the folder. `read_file` returns a file only if it is, byte for byte, the one that
was published. Paths are relative to the root: `as_of=2026-07-31/portfolio_id=core%2Feurope/<run_id>.parquet`.
"""

import datetime as dt
import os
import re
import secrets
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import polars as pl
from pyarrow import parquet

from core.errors import StoreError
from core.schemas import Targets
from core.store.columns import types_of

UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.tmp")
"""The name of a file while it is written."""

TARGET_TYPES: dict[str, pl.DataType] = {"run_id": pl.String(), **types_of(Targets)}
"""The columns of a target file, and of the view `current_targets`."""


def relative_path(as_of: dt.date, portfolio_id: str, run_id: str) -> str:
    """Where a run's targets are, below the root of all targets."""
    return f"{day_folder(as_of)}/portfolio_id={quote(portfolio_id, safe='')}/{quote(run_id, safe='')}.parquet"


def day_folder(as_of: dt.date) -> str:
    """The folder of all targets of a date."""
    return f"as_of={as_of}"


def encoded(run_id: str, targets: pl.DataFrame) -> bytes:
    """A target file's content: run_id and the columns of `Targets`. Equal targets give equal bytes."""
    buffer = BytesIO()
    targets.select(pl.lit(run_id).alias("run_id"), *types_of(Targets)).write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def digest(content: bytes) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    return sha256(content).hexdigest()


def write_file(root: Path, path: str, content: bytes) -> None:
    """Write a file: when this returns, it is whole and on disk; before, there is none of its name."""
    target = root / path
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        _make_folder(target.parent)
        try:
            _write_synced(temporary, content)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)
    except OSError as error:
        raise StoreError(
            f"{target} cannot be written: {error.strerror}. Check EVENKEEL_TARGETS, its permissions and free space, "
            "and run again: what was published before stands, this portfolio was not."
        ) from error


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _make_folder(folder: Path) -> None:
    """Create a folder and the ones above it; each is on disk when its parent has been synced."""
    if folder.exists():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_whole(root: Path, path: str, expected: str) -> bool:
    """Whether a file is there, and has the content of which this is the digest."""
    try:
        return digest((root / path).read_bytes()) == expected
    except OSError:
        return False


def read_file(root: Path, path: str, expected: str) -> pl.DataFrame:
    """The targets of a published file. Raises `StoreError` where it is missing or not what was published."""
    file = root / path
    remedy = "Restore it from a backup; the same targets are in the view `current_targets`."
    try:
        content = file.read_bytes()
    except OSError as error:
        raise StoreError(f"the published targets {file} cannot be read: {error.strerror}. {remedy}") from error
    if digest(content) != expected:
        raise StoreError(f"the targets {file} are not those that were published: the checksum differs. {remedy}")
    return pl.read_parquet(BytesIO(content)).cast(pl.Schema(TARGET_TYPES))


def read_parquet(source: Path | BytesIO) -> pl.DataFrame:
    """A Parquet file as a frame, `pa.ArrowException` where it is damaged.

    Polars' own reader panics at some damages, and says so on the standard error stream.
    """
    with parquet.ParquetFile(source) as opened:
        columns = opened.read()
    columns.validate(full=True)
    named = zip(columns.column_names, columns.columns, strict=True)
    return pl.DataFrame([pl.Series(name, column) for name, column in named])
