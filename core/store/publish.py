"""Publishing a run: everywhere or nowhere.

`publish_all` judges the records (`core.store.publishable`), and then publishes one after the other: under a lock of its
portfolio and date, it writes the files of its inputs (`core.store.input_files`) and of its targets
(`core.store.files`), and all rows (`core.store.run_rows`) in one transaction. A file that no row names does not exist
for any reader, so the commit is the moment at which a run appears, whenever the process is killed; what it left is
removed later (`core.store.leftovers`).

A run that is known already changes no row of its own: while it is current nothing happens, and if another had
superseded it, the two change places (`_again`); each time that a run becomes the current one is a row of `promotions`.
What is missing of such a run's files, by retention or by accident, is written again (`_kept_again`).
So publishing the same record again is safe, and that is how an unknown outcome is resolved: where the database went
away at the commit, the record is published again, and the run is found or made. A refused run leaves its row and what
tells why (`_refuse`).
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from core.errors import PublishingRefusedError
from core.limits import TOLERANCE
from core.schemas import Targets
from core.store.columns import typed_frame, types_of
from core.store.database import writing
from core.store.files import digest, encoded, is_whole, relative_path, write_file
from core.store.input_files import are_kept, keep_inputs
from core.store.leftovers import while_files_are_written
from core.store.ownership import require_own
from core.store.publishable import require_publishable
from core.store.records import Done, Published, RunRecord
from core.store.run_rows import RunRows, rows_of_runs
from core.store.tables import outputs, promotions, runs
from core.timing import timed

logger = logging.getLogger("core.publish")

_OF_DAY = sa.and_(runs.c.portfolio_id == sa.bindparam("portfolio"), runs.c.as_of == sa.bindparam("day"))
_KNOWN_OR_CURRENT = sa.select(runs).where(
    sa.or_(runs.c.run_id == sa.bindparam("run"), sa.and_(_OF_DAY, runs.c.status == "published"))
)
_INSERT_RUN = sa.insert(runs).returning(runs.c.run_key)

REFUSED_ROWS = ("findings", "breaches", "relaxations", "decisions")  # beside its row in `runs`


def publish(engine: Engine, root: Path, record: RunRecord, finished_at: dt.datetime) -> Published:
    """Publish a run, or record its refusal; as `publish_all`."""
    [published] = publish_all(engine, root, [record], lambda: finished_at)
    return published


def publish_all(
    engine: Engine, root: Path, records: Sequence[RunRecord], clock: Callable[[], dt.datetime]
) -> Iterator[Published]:
    """Publish runs, or record their refusal, one after the other, each in a transaction of its own; see the module.

    `records` are of different portfolios or dates. `root` is the folder of all targets; `clock` tells the time, with
    its zone, at which a run is finished.

    Raises `PublishingRefusedError` for targets that cannot be meant, before anything is written, and for a run whose
    verdict is not the one it had before; `StoreError` where file or database cannot be written, in which case that run
    has not been published.
    """
    require_publishable(records)
    for record, rows in zip(records, rows_of_runs(engine.dialect, records), strict=True):
        yield _published(engine, root, record, rows, clock())


# what becomes of it


def _published(engine: Engine, root: Path, record: RunRecord, rows: RunRows, finished_at: dt.datetime) -> Published:
    with writing(engine, lock=f"{record.portfolio_id} {record.as_of}") as connection:
        while_files_are_written(connection)
        require_own(connection, root)
        known, current = _found(connection, record)
        if known is not None:
            return _again(connection, root, record, known, current, finished_at)
        keep_inputs(connection, root, record.inputs, record.frame_hashes)
        if record.refused:
            return _refuse(connection, record, rows, finished_at)
        return _publish(connection, root, record, rows, current, finished_at)


def _found(connection: Connection, record: RunRecord) -> tuple[sa.Row[Any] | None, sa.Row[Any] | None]:
    """The row of this very run, and that of the current run of its portfolio and date, as far as there are any."""
    named = {"run": record.run_id, "portfolio": record.portfolio_id, "day": record.as_of}
    found = connection.execute(_KNOWN_OR_CURRENT, named).all()
    known = next((row for row in found if row.run_id == record.run_id), None)
    return known, next((row for row in found if row.status == "published"), None)


def _again(
    connection: Connection,
    root: Path,
    record: RunRecord,
    known: sa.Row[Any],
    current: sa.Row[Any] | None,
    now: dt.datetime,
) -> Published:
    """A run that is known already: unchanged, or current again; published, where this very batch did it."""
    if record.refused != (known.status == "refused"):
        raise PublishingRefusedError(
            f"run {record.run_id} of {record.named} was {known.status} and would now be "
            f"{'refused' if record.refused else 'published'} ({record.refusal or known.reason}), with the same inputs, "
            "policy and program version: a changed program needs a new version."
        )
    own = known.batch_id == record.batch_id
    if record.refused:
        return Published(
            "refused" if own else "unchanged",
            record.run_id,
            known.run_key,
            None,
            None,
            "refused",
            record.targets.clear(),
        )
    stored = _stored_targets(connection, known.run_key)
    _require_same(record, stored)
    path = _kept_again(connection, root, record, known, stored)
    if known.status == "published":
        replaced = _run_id(connection, known.supersedes) if own else None
        outcome: Done = "published" if own else "unchanged"
    else:
        replaced = None if current is None else current.run_id
        _step_back(connection, current)
        connection.execute(sa.update(runs).where(runs.c.run_key == known.run_key).values(status="published"))
        _promote(connection, record, known.run_key, current, now)
        outcome = "restored"
    return Published(outcome, record.run_id, known.run_key, path, replaced, "published", stored)


def _kept_again(connection: Connection, root: Path, record: RunRecord, known: sa.Row[Any], stored: pl.DataFrame) -> str:
    """The path of a run's file. What `core.store.retention` no longer kept of its files, and what is not there or
    damaged for any other reason, is written again, and named."""
    anew: dict[str, str] = {}
    if known.parquet_path is None or not is_whole(root, known.parquet_path, known.parquet_sha256):
        anew = _file_written(root, record, stored)
        logger.warning("the targets of %s were not in %s, and are written again", record.named, anew["parquet_path"])
    if known.inputs_id is not None and not are_kept(connection, root, known.inputs_id):
        keep_inputs(connection, root, record.inputs, record.frame_hashes)
        anew["inputs_id"] = record.inputs_id
        logger.warning("the inputs of %s were not all there, and are written again", record.named)
    if anew:
        connection.execute(sa.update(runs).where(runs.c.run_key == known.run_key).values(anew))
    return anew.get("parquet_path") or str(known.parquet_path)


@timed("files")
def _file_written(root: Path, record: RunRecord, targets: pl.DataFrame) -> dict[str, str]:
    """Write the target file of a run; returns what its row says of it."""
    path = relative_path(record.as_of, record.portfolio_id, record.run_id)
    content = encoded(record.run_id, targets)
    write_file(root, path, content)
    return {"parquet_path": path, "parquet_sha256": digest(content)}


def _stored_targets(connection: Connection, run_key: int) -> pl.DataFrame:
    table, types = outputs["targets"], types_of(Targets)
    rows = connection.execute(sa.select(*(table.c[name] for name in types)).where(table.c.run_key == run_key)).all()
    return typed_frame(list(types), rows, types).sort("symbol")


def _require_same(record: RunRecord, stored: pl.DataFrame) -> None:
    """What was decided now is what was published then, to the tolerance of another environment."""
    both = record.targets.join(stored, on="symbol", how="full", coalesce=True, suffix="_then")
    same = (pl.col("target_weight") - pl.col("target_weight_then")).abs() <= TOLERANCE
    strange = both.filter(~same.fill_null(False))["symbol"].sort().to_list()
    if strange:
        raise PublishingRefusedError(
            f"run {record.run_id} of {record.named} was published with other targets for {', '.join(strange[:10])}, "
            "from the same inputs, policy and program version: a changed program needs a new version."
        )


def _refuse(connection: Connection, record: RunRecord, rows: RunRows, finished_at: dt.datetime) -> Published:
    run_key = _insert_run(connection, record, finished_at, status="refused", reason=record.refusal)
    rows.insert(connection, REFUSED_ROWS, run_key)
    return Published("refused", record.run_id, run_key, None, None, "refused", record.targets.clear())


def _publish(
    connection: Connection,
    root: Path,
    record: RunRecord,
    rows: RunRows,
    current: sa.Row[Any] | None,
    finished_at: dt.datetime,
) -> Published:
    file = _file_written(root, record, record.targets)
    replaced, replaced_id = (None, None) if current is None else (current.run_key, current.run_id)
    _step_back(connection, current)
    run_key = _insert_run(connection, record, finished_at, status="published", supersedes=replaced, **file)
    rows.insert(connection, outputs, run_key)
    _promote(connection, record, run_key, current, finished_at)
    path = file["parquet_path"]
    return Published("published", record.run_id, run_key, path, replaced_id, "published", record.targets)


def _step_back(connection: Connection, current: sa.Row[Any] | None) -> None:
    """Make room for another current run of the same portfolio and date."""
    if current is not None:
        connection.execute(sa.update(runs).where(runs.c.run_key == current.run_key).values(status="superseded"))


def _promote(
    connection: Connection, record: RunRecord, run_key: int, replaced: sa.Row[Any] | None, now: dt.datetime
) -> None:
    """Put down that a run has become the current one of its portfolio and date, and in whose place."""
    place = {"portfolio_id": record.portfolio_id, "as_of": record.as_of}
    row = place | {"run_key": run_key, "replaced": replaced and replaced.run_key, "promoted_at": now}
    connection.execute(sa.insert(promotions), row)


# rows


def _run_id(connection: Connection, run_key: int | None) -> str | None:
    run_id: str | None = connection.scalar(sa.select(runs.c.run_id).where(runs.c.run_key == run_key))
    return run_id


def _insert_run(connection: Connection, record: RunRecord, finished_at: dt.datetime, **outcome: Any) -> int:
    described = {column.name: getattr(record, column.name) for column in runs.c if hasattr(record, column.name)}
    row = described | {"finished_at": finished_at} | outcome
    run_key: int = connection.execute(_INSERT_RUN, row).scalar_one()
    return run_key
