"""The inputs that runs were made from, kept as Parquet, once per content.

A batch's frames are one set, named by its `inputs_id`; table `input_frames` says which content each frame of a set
has, and a file below `_inputs` bears the hash of its content as its name. `keep_inputs` writes what is not there yet,
inside the transaction of the run that names it; `stored_inputs` reads a set back and refuses a file whose content is
not what its name says.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import polars as pl
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from core.errors import StoreError
from core.models import Inputs
from core.results.identity import content_hash, inputs_id
from core.schemas import INPUTS
from core.store.columns import fitted, types_of
from core.store.database import reading
from core.store.files import read_parquet, write_file
from core.store.tables import input_frames, runs
from core.timing import timed

LAST_PRICES = "last_prices"  # the one frame that is no input table
FOLDER = "_inputs"  # readers of a Parquet data set pass over names that begin so
_OF_SET = sa.select(input_frames.c.frame, input_frames.c.content_hash).where(
    input_frames.c.inputs_id == sa.bindparam("set_id")
)


def input_path(frame_hash: str) -> str:
    """Where a frame of that content is, below the root of all targets."""
    return f"{FOLDER}/{frame_hash}.parquet"


@timed("input files")
def keep_inputs(connection: Connection, root: Path, inputs: Inputs, hashes: Mapping[str, str]) -> None:
    """Write the files of a set of inputs that are not there, or damaged, and name them; `hashes` are those of the
    frames."""
    set_id = inputs_id(hashes)
    for name, frame in inputs.all_frames.items():
        if not _is_whole(root, hashes[name]):
            write_file(root, input_path(hashes[name]), _encoded(frame))
    if _hashes(connection, set_id):
        return
    rows = [{"inputs_id": set_id, "frame": name, "content_hash": known} for name, known in hashes.items()]
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(input_frames).on_conflict_do_nothing(), rows)  # another portfolio may name them too


def are_kept(connection: Connection, root: Path, set_id: str) -> bool:
    """Whether a set of inputs is named, and its files are there and whole."""
    hashes = _hashes(connection, set_id)
    return bool(hashes) and all(_is_whole(root, known) for known in hashes.values())


def _hashes(connection: Connection, set_id: str) -> dict[str, str]:
    """The content of each frame of a set; of one that is not named, or no longer, nothing."""
    return {str(name): str(known) for name, known in connection.execute(_OF_SET, {"set_id": set_id})}


@dataclass(frozen=True)
class InputSet:
    """What a current run was made from: the set of its inputs, and the policy that they were read for."""

    run_id: str
    inputs_id: str
    policy: str


def current_inputs(engine: Engine, as_of: dt.date, batch_id: str | None = None) -> dict[str, InputSet]:
    """The inputs of the current runs of a date, by portfolio, of one batch or of all; those of runs that stored none
    are left out."""
    query = sa.select(runs.c.portfolio_id, runs.c.run_id, runs.c.inputs_id, runs.c.policy).where(
        runs.c.as_of == as_of, runs.c.status == "published", runs.c.inputs_id.is_not(None)
    )
    query = query if batch_id is None else query.where(runs.c.batch_id == batch_id)
    with reading(engine) as connection:
        return {portfolio_id: InputSet(*made_from) for portfolio_id, *made_from in connection.execute(query)}


def frames_of_several_contents(engine: Engine, batch_id: str) -> list[str]:
    """The frames of which the runs of a batch were made from more than one content."""
    several = sa.func.count(input_frames.c.content_hash.distinct()) > 1
    made_from = input_frames.join(runs, runs.c.inputs_id == input_frames.c.inputs_id)
    query = sa.select(input_frames.c.frame).select_from(made_from).where(runs.c.batch_id == batch_id)
    with reading(engine) as connection:
        return sorted(connection.scalars(query.group_by(input_frames.c.frame).having(several)))


def stored_inputs(engine: Engine, root: Path, set_id: str, as_of: dt.date) -> Inputs:
    """The inputs of a set, as they were read. Raises `StoreError` where a file is missing or has another content."""
    with reading(engine) as connection:
        hashes = _hashes(connection, set_id)
    if not hashes:
        raise StoreError(f"no inputs {set_id} are stored. Run with fresh inputs (`evenkeel run --fresh`).")
    missing = sorted({*INPUTS, LAST_PRICES} - {*hashes})
    if missing:
        raise StoreError(f"the stored inputs {set_id} lack {', '.join(missing)}: restore `input_frames` from a backup.")
    frames = {name: _typed(name, _required(root, name, known)) for name, known in hashes.items()}
    return Inputs(as_of, frames, frames.pop(LAST_PRICES))


def _encoded(frame: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _content(root: Path, frame_hash: str) -> pl.DataFrame | None:
    """The frame of a file; none where there is no file, or it is not what its name says."""
    try:
        frame = read_parquet(root / input_path(frame_hash))
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError):
        return None
    return frame if content_hash(frame) == frame_hash else None


def _is_whole(root: Path, frame_hash: str) -> bool:
    """Whether the file of a frame is there, and is what its name says."""
    try:
        found = (root / input_path(frame_hash)).stat()
    except OSError:
        return False
    return _was_whole(root, frame_hash, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=10_000)
def _was_whole(root: Path, frame_hash: str, *_state: int) -> bool:
    """The same of a file in one state: it is read once for as long as nobody writes it."""
    return _content(root, frame_hash) is not None


def _required(root: Path, name: str, frame_hash: str) -> pl.DataFrame:
    frame = _content(root, frame_hash)
    if frame is None:
        raise StoreError(
            f"the stored {name} in {root / input_path(frame_hash)} are missing, or not what was stored. Restore the "
            "file from a backup, or run with fresh inputs (`evenkeel run --fresh`)."
        )
    return frame


def _typed(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns in the types of their schema, as far as they fit; Parquet does not keep an empty column's."""
    if name not in INPUTS:
        return frame
    types = types_of(INPUTS[name])
    return frame.with_columns(fitted(frame[column], types[column]) for column in frame.columns if column in types)
