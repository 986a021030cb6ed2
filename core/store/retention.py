"""What is no longer kept: files of runs that nobody looks at any more. Rows of runs stay for ever.

`retire` takes the names of old files out of the database: the target files of superseded runs (the row of the run keeps
the file's checksum) and the sets of inputs that no kept run names. A run is kept while it is current, or was made,
became current or was superseded within the period. The files themselves are then named by nobody, and
`core.store.remove_leftovers` removes them. In this order a process that is killed in between leaves leftovers, never a
name without its file.

`inputs_kept` tells a set of inputs that was retired from one that is damaged; `damages` reads every file that is named
and says which are not what was stored; `space` says what takes how much room.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from core.errors import StoreError
from core.store.database import reading, writing
from core.store.files import read_file
from core.store.input_files import input_path, stored_inputs
from core.store.leftovers import files_below, until_no_files_are_written
from core.store.ownership import require_own
from core.store.tables import input_frames, promotions, runs

SPACE_TYPES = {"kind": pl.String(), "files": pl.Int64(), "bytes": pl.Int64()}
DAMAGE_TYPES = {"portfolio_id": pl.String(), "as_of": pl.Date(), "run_id": pl.String(), "detail": pl.String()}
KINDS = ("targets, current", "targets, superseded", "inputs of current runs", "inputs of other runs", "named by no run")


@dataclass(frozen=True)
class Retired:
    """How much is no longer named: target files of superseded runs, and sets of inputs."""

    targets: int
    input_sets: int


def retire(engine: Engine, root: Path, before: dt.datetime) -> Retired:
    """Take the names of the files that are older than a moment, with its zone, out of the database; see the module.

    Waits for whoever is publishing: a run that is being made may name inputs that no other names. Raises `StoreError`
    where the folder belongs to another database.
    """
    with writing(engine, lock="leftovers") as connection:
        until_no_files_are_written(connection)
        require_own(connection, root)
        kept = sa.select(runs.c.run_key).where(_is_kept(before))
        old = runs.c.parquet_path.is_not(None) & runs.c.run_key.not_in(kept)
        targets = connection.execute(sa.update(runs).where(old).values(parquet_path=None)).rowcount
        return Retired(targets, _retire_inputs(connection, before))


def _is_kept(before: dt.datetime) -> sa.ColumnElement[bool]:
    """Whether a run is current, or was made, became current or was superseded since a moment."""
    changed = promotions.c.promoted_at >= before
    promoted = sa.select(promotions.c.run_key).where(changed)
    replaced = sa.select(promotions.c.replaced).where(changed, promotions.c.replaced.is_not(None))
    recent = (runs.c.finished_at >= before) | runs.c.run_key.in_(promoted) | runs.c.run_key.in_(replaced)
    return (runs.c.status == "published") | recent


def _retire_inputs(connection: Connection, before: dt.datetime) -> int:
    named = sa.select(runs.c.inputs_id).where(_is_kept(before), runs.c.inputs_id.is_not(None))
    old = input_frames.c.inputs_id.not_in(named)
    count = connection.scalar(sa.select(sa.func.count(input_frames.c.inputs_id.distinct())).where(old))
    connection.execute(sa.delete(input_frames).where(old))
    return int(count or 0)


def inputs_kept(engine: Engine, set_id: str) -> bool:
    """Whether a set of inputs is named still."""
    with reading(engine) as connection:
        return bool(connection.scalar(sa.select(sa.exists().where(input_frames.c.inputs_id == set_id))))


# what is there


def damages(engine: Engine, root: Path) -> pl.DataFrame:
    """One row per run whose target file, or a file of whose inputs, is missing or not what was stored, with what is.

    Every file that a run names is read, those of inputs once per set: portfolio_id, as_of, run_id, detail.
    """
    with reading(engine) as connection:
        found = connection.execute(sa.select(runs).order_by(runs.c.run_key)).all()
        sets = set(connection.scalars(sa.select(input_frames.c.inputs_id).distinct()))
    needed = sets | {run.inputs_id for run in found if run.status == "published"} - {None}
    dates = {run.inputs_id: run.as_of for run in found}
    of_inputs = {name: _wrong_inputs(engine, root, name, dates[name]) for name in needed & dates.keys()}
    rows = [
        (run.portfolio_id, run.as_of, run.run_id, detail)
        for run in found
        for detail in (_wrong_targets(root, run), of_inputs.get(run.inputs_id))
        if detail is not None
    ]
    return pl.DataFrame(rows, schema=DAMAGE_TYPES, orient="row")


def _wrong_targets(root: Path, run: sa.Row[tuple[object, ...]]) -> str | None:
    if run.parquet_path is None:
        return "its row names no file of its targets" if run.status == "published" else None
    try:
        read_file(root, run.parquet_path, run.parquet_sha256)
    except StoreError as error:
        return str(error)
    return None


def _wrong_inputs(engine: Engine, root: Path, set_id: str, as_of: dt.date) -> str | None:
    try:
        stored_inputs(engine, root, set_id, as_of)
    except StoreError as error:
        return str(error)
    return None


def space(engine: Engine, root: Path) -> pl.DataFrame:
    """What takes how much room: kind, files, bytes; one row per kind of file below `root`, and the database."""
    sizes = {str(path.relative_to(root)): path.stat().st_size for path in files_below(root)}
    with reading(engine) as connection:
        kinds = _kinds(connection)
        database = _database_size(connection)
    of_kind: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for path, size in sizes.items():
        of_kind[kinds.get(path, KINDS[-1])].append(size)
    rows = [*((kind, len(found), sum(found)) for kind, found in of_kind.items()), ("database", None, database)]
    return pl.DataFrame(rows, schema=SPACE_TYPES, orient="row")


def _kinds(connection: Connection) -> dict[str, str]:
    """The kind of each file that a row names."""
    current = runs.c.status == "published"
    of_runs = sa.select(runs.c.parquet_path).where(runs.c.parquet_path.is_not(None))
    frames = sa.select(input_frames.c.content_hash)
    own = frames.join(runs, runs.c.inputs_id == input_frames.c.inputs_id).where(current)
    named: Sequence[Iterable[str]] = (
        connection.scalars(of_runs.where(current)).all(),
        connection.scalars(of_runs.where(~current)).all(),
        map(input_path, connection.scalars(own).all()),
        map(input_path, connection.scalars(frames).all()),
    )
    kinds: dict[str, str] = {}
    for kind, paths in zip(KINDS, named, strict=False):
        kinds = dict.fromkeys(paths, kind) | kinds  # inputs of current runs may be those of others too
    return kinds


def _database_size(connection: Connection) -> int:
    if connection.dialect.name == "postgresql":
        return int(connection.scalar(sa.select(sa.func.pg_database_size(sa.func.current_database()))) or 0)
    pages, size = (connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("page_count", "page_size"))
    return int(pages or 0) * int(size or 0)
