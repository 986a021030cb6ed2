"""Publishing a run: everywhere or nowhere.

`publish` judges the record (`_require_publishable`), then, under a lock of its portfolio and date, writes the files of
its inputs (`core.store.input_files`) and of its targets (`core.store.files`), and all rows in one transaction. A file
that no row names does not exist for any reader, so the commit is the moment at which a run appears, whenever the
process is killed; what it left is removed later (`core.store.leftovers`).

A run that is known already changes no row of its own: while it is current nothing happens, and if another had
superseded it, the two change places (`_again`); each time that a run becomes the current one is a row of `promotions`.
What retention had removed of such a run is written again (`_kept_again`).
So publishing the same record again is safe, and that is how an unknown outcome is resolved: where the database went
away at the commit, the record is published again, and the run is found or made. A refused run leaves its row and what
tells why (`_refuse`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from core.errors import PublishingRefusedError
from core.limits import TOLERANCE
from core.models import Inputs
from core.results.identity import inputs_id
from core.schemas import CASH_SYMBOL, Targets
from core.store.bulk import insert_rows
from core.store.columns import typed_frame, types_of
from core.store.database import writing
from core.store.files import digest, encoded, relative_path, write_file
from core.store.input_files import keep_inputs
from core.store.leftovers import while_files_are_written
from core.store.tables import SCHEMAS, input_frames, outputs, promotions, runs

Done = Literal["published", "unchanged", "restored", "refused"]
Status = Literal["published", "refused"]

REFUSED_ROWS = ("findings", "breaches", "relaxations", "decisions")  # beside its row in `runs`


@dataclass(frozen=True)
class RunRecord:
    """One run as it is to be published: what it is, what made it, and its rows (of this run only).

    `inputs` and `frame_hashes` are those of its whole batch. `reason` says why a run is refused before it had weights
    to breach anything; else it is None.
    """

    portfolio_id: str
    as_of: dt.date
    run_id: str
    batch_id: str
    policy_name: str
    policy_hash: str
    policy: str = field(repr=False)  # the document itself
    inputs_hash: str
    program_version: str
    environment: str
    started_at: dt.datetime  # with its zone
    targets: pl.DataFrame = field(repr=False)
    actions: pl.DataFrame = field(repr=False)
    findings: pl.DataFrame = field(repr=False)
    breaches: pl.DataFrame = field(repr=False)
    bucket_statistics: pl.DataFrame = field(repr=False)
    relaxations: pl.DataFrame = field(repr=False)
    explanations: pl.DataFrame = field(repr=False)
    decisions: pl.DataFrame = field(repr=False)
    inputs: Inputs = field(repr=False)
    frame_hashes: Mapping[str, str] = field(repr=False)
    reason: str | None = None

    @property
    def inputs_id(self) -> str:
        """What the run's batch was made from."""
        return inputs_id(self.frame_hashes)

    @property
    def refused(self) -> bool:
        """Whether the run must not be published."""
        return self.reason is not None or not self.breaches.is_empty()

    @property
    def refusal(self) -> str | None:
        """Why the run must not be published, as one sentence."""
        if self.reason is not None or self.breaches.is_empty():
            return self.reason
        limits = self.breaches["constraint"].unique().sort()
        return f"{len(self.breaches)} limits breached: {', '.join(limits)}"

    def rows(self, table: str) -> pl.DataFrame:
        """The run's rows for one of the output tables."""
        rows: pl.DataFrame = getattr(self, table)
        return rows


@dataclass(frozen=True)
class Published:
    """What became of a run, and where it is. `status` is the run's own now: published, or refused.

    `targets` are those that stand in the database: of a run that was there already, not those of the record.
    """

    outcome: Done
    run_id: str
    run_key: int
    path: str | None  # relative to the root of all targets; None for a refused run
    supersedes: str | None  # the run_id of the run whose place it took
    status: Status
    targets: pl.DataFrame = field(repr=False, compare=False)


def publish(engine: Engine, root: Path, record: RunRecord, finished_at: dt.datetime) -> Published:
    """Publish a run, or record its refusal; see the module. `root` is the folder of all targets.

    Raises `PublishingRefusedError` for targets that cannot be meant, and for a run whose verdict is not the one it had
    before; `StoreError` where file or database cannot be written, in which case nothing has been published.
    """
    _require_publishable(record)
    with writing(engine, lock=f"{record.portfolio_id} {record.as_of}") as connection:
        while_files_are_written(connection)
        known = connection.execute(sa.select(runs).where(runs.c.run_id == record.run_id)).one_or_none()
        if known is not None:
            return _again(connection, root, record, known, finished_at)
        keep_inputs(connection, root, record.inputs, record.frame_hashes)
        if record.refused:
            return _refuse(connection, record, finished_at)
        return _publish(connection, root, record, finished_at)


# the record


def _require_publishable(record: RunRecord) -> None:
    for table, schema in SCHEMAS.items():
        strange = set(record.rows(table).schema.items()) ^ set(types_of(schema).items())
        if strange:
            columns = ", ".join(sorted({name for name, _ in strange}))
            raise PublishingRefusedError(
                f"the {table} of {_named(record)} are not as {schema.__name__} declares them: see {columns}."
            )
    if not record.refused:
        _require_targets(record)


def _require_targets(record: RunRecord) -> None:
    _, failures = Targets.filter(record.targets)
    rules = failures.counts()
    if rules:
        symbols = failures.invalid()["symbol"].unique().sort().to_list()
        raise PublishingRefusedError(f"targets of {_named(record)} fail {', '.join(rules)}: symbols {symbols[:10]}.")
    own = (pl.col("portfolio_id") == record.portfolio_id) & (pl.col("as_of") == record.as_of)
    if record.targets.is_empty() or not record.targets.select(own.all()).item():
        raise PublishingRefusedError(f"targets of {_named(record)} must be rows of this run, one at least.")
    strange = _strange_targets(record)
    if strange:
        raise PublishingRefusedError(
            f"targets of {_named(record)} are not the weights that were verified: see {', '.join(strange[:10])}. "
            "Nothing was published; make them anew from the verified weights."
        )


def _strange_targets(record: RunRecord) -> list[str]:
    """The symbols whose target is not the weight that was decided on and verified; cash is what the names leave."""
    decided = record.decisions.select("symbol", decided="target_weight")
    positions = decided.filter(pl.col("decided").abs() > 0.0)
    names = record.targets.filter(~pl.col("is_cash")).select("symbol", "target_weight")
    compared = names.join(positions, on="symbol", how="full", coalesce=True).fill_null(0.0)
    whole = float(record.targets["target_weight"].sum())
    strange = compared.filter(pl.col("target_weight") != pl.col("decided"))["symbol"].sort().to_list()
    return strange or ([] if abs(whole - 1.0) <= TOLERANCE else [CASH_SYMBOL])


def _named(record: RunRecord) -> str:
    return f"portfolio {record.portfolio_id!r} on {record.as_of}"


# what becomes of it


def _again(connection: Connection, root: Path, record: RunRecord, known: sa.Row[Any], now: dt.datetime) -> Published:
    """A run that is known already: unchanged, or current again; published, where this very batch did it."""
    if record.refused != (known.status == "refused"):
        raise PublishingRefusedError(
            f"run {record.run_id} of {_named(record)} was {known.status} and would now be "
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
    path = known.parquet_path
    if known.status == "published":
        replaced = _run_id(connection, known.supersedes) if own else None
        outcome: Done = "published" if own else "unchanged"
    else:
        path = _kept_again(connection, root, record, known, stored)
        current, replaced = _current(connection, record)
        _promote(connection, record, known.run_key, current, now)
        outcome = "restored"
    return Published(outcome, record.run_id, known.run_key, path, replaced, "published", stored)


def _kept_again(connection: Connection, root: Path, record: RunRecord, known: sa.Row[Any], stored: pl.DataFrame) -> str:
    """The path of a superseded run's file; what `core.store.retention` no longer kept is written again, and named."""
    anew: dict[str, str] = {}
    if known.parquet_path is None:
        anew = _file_written(root, record, stored)
    named = sa.select(sa.exists().where(input_frames.c.inputs_id == known.inputs_id))
    if known.inputs_id is not None and not connection.scalar(named):
        keep_inputs(connection, root, record.inputs, record.frame_hashes)
        anew["inputs_id"] = record.inputs_id
    if anew:
        connection.execute(sa.update(runs).where(runs.c.run_key == known.run_key).values(anew))
    return anew.get("parquet_path") or str(known.parquet_path)


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
            f"run {record.run_id} of {_named(record)} was published with other targets for {', '.join(strange[:10])}, "
            "from the same inputs, policy and program version: a changed program needs a new version."
        )


def _refuse(connection: Connection, record: RunRecord, finished_at: dt.datetime) -> Published:
    run_key = _insert_run(connection, record, finished_at, status="refused", reason=record.refusal)
    for table in REFUSED_ROWS:
        _insert_rows(connection, table, run_key, record.rows(table))
    return Published("refused", record.run_id, run_key, None, None, "refused", record.targets.clear())


def _publish(connection: Connection, root: Path, record: RunRecord, finished_at: dt.datetime) -> Published:
    file = _file_written(root, record, record.targets)
    replaced, replaced_id = _current(connection, record)
    run_key = _insert_run(connection, record, finished_at, status="superseded", supersedes=replaced, **file)
    for table in outputs:
        _insert_rows(connection, table, run_key, record.rows(table))
    _promote(connection, record, run_key, replaced, finished_at)
    path = file["parquet_path"]
    return Published("published", record.run_id, run_key, path, replaced_id, "published", record.targets)


def _current(connection: Connection, record: RunRecord) -> tuple[int | None, str | None]:
    """Key and id of the current run of the portfolio and date, if there is one."""
    current = sa.select(runs.c.run_key, runs.c.run_id).where(
        runs.c.portfolio_id == record.portfolio_id, runs.c.as_of == record.as_of, runs.c.status == "published"
    )
    found = connection.execute(current).one_or_none()
    return (found.run_key, found.run_id) if found else (None, None)


def _promote(connection: Connection, record: RunRecord, run_key: int, replaced: int | None, now: dt.datetime) -> None:
    """Make a run the current one of its portfolio and date, in place of the one with the key `replaced`."""
    for key, status in ((replaced, "superseded"), (run_key, "published")):
        connection.execute(sa.update(runs).where(runs.c.run_key == key).values(status=status))
    place = {"portfolio_id": record.portfolio_id, "as_of": record.as_of}
    row = place | {"run_key": run_key, "replaced": replaced, "promoted_at": now}
    connection.execute(sa.insert(promotions).values(row))


# rows


def _run_id(connection: Connection, run_key: int | None) -> str | None:
    run_id: str | None = connection.scalar(sa.select(runs.c.run_id).where(runs.c.run_key == run_key))
    return run_id


def _insert_run(connection: Connection, record: RunRecord, finished_at: dt.datetime, **outcome: Any) -> int:
    described = {column.name: getattr(record, column.name) for column in runs.c if hasattr(record, column.name)}
    row = described | {"finished_at": finished_at} | outcome
    run_key: int = connection.execute(sa.insert(runs).values(row).returning(runs.c.run_key)).scalar_one()
    return run_key


def _insert_rows(connection: Connection, table: str, run_key: int, rows: pl.DataFrame) -> None:
    numbers = {} if "seq" in rows.columns or "seq" not in outputs[table].c else {"seq": pl.int_range(pl.len())}
    insert_rows(connection, outputs[table], rows.with_columns(run_key=pl.lit(run_key), **numbers))
