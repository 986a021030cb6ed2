"""Publishing a run: everywhere or nowhere.

`publish` judges the record (`_require_publishable`), then, under a lock of its portfolio and date, writes the target
file (`core.store.files`) and after it all rows in one transaction. A file that no published run names does not exist
for any reader, so the commit is the moment at which a run appears, whenever the process is killed.

A run that is known already changes no row of its own: while it is current nothing happens, and if another had
superseded it, the two change places (`_again`). A refused run leaves its row and what tells why (`_refuse`).
"""

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from core.errors import PublishingRefusedError
from core.limits import TOLERANCE
from core.schemas import CASH_SYMBOL, Targets
from core.store.columns import types_of
from core.store.database import writing
from core.store.files import digest, encoded, relative_path, write_file
from core.store.tables import SCHEMAS, outputs, runs

REFUSED_ROWS = ("findings", "breaches", "relaxations", "decisions")  # beside its row in `runs`


@dataclass(frozen=True)
class RunRecord:
    """One run as it is to be published: what it is, what made it, and its rows (of this run only).

    `reason` says why a run is refused before it had weights to breach anything; else it is None.
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
    started_at: dt.datetime  # with its zone
    targets: pl.DataFrame = field(repr=False)
    actions: pl.DataFrame = field(repr=False)
    findings: pl.DataFrame = field(repr=False)
    breaches: pl.DataFrame = field(repr=False)
    bucket_statistics: pl.DataFrame = field(repr=False)
    relaxations: pl.DataFrame = field(repr=False)
    explanations: pl.DataFrame = field(repr=False)
    decisions: pl.DataFrame = field(repr=False)
    reason: str | None = None

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
    """What became of a run, and where it is. `status` is the run's own now: published, or refused."""

    outcome: Literal["published", "unchanged", "restored", "refused"]
    run_id: str
    run_key: int
    path: str | None  # relative to the root of all targets; None for a refused run
    supersedes: int | None  # the run_key of the run whose place it took
    status: Literal["published", "refused"]


def publish(engine: Engine, root: Path, record: RunRecord, finished_at: dt.datetime) -> Published:
    """Publish a run, or record its refusal; see the module. `root` is the folder of all targets.

    Raises `PublishingRefusedError` for targets that cannot be meant, and for a run whose verdict is not the one it had
    before; `StoreError` where file or database cannot be written, in which case nothing has been published.
    """
    _require_publishable(record)
    with writing(engine, lock=f"{record.portfolio_id} {record.as_of}") as connection:
        known = connection.execute(sa.select(runs).where(runs.c.run_id == record.run_id)).one_or_none()
        if known is not None:
            return _again(connection, record, known)
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


def _again(connection: Connection, record: RunRecord, known: sa.Row[Any]) -> Published:
    """A run that is known already: unchanged, or current again."""
    if record.refused != (known.status == "refused"):
        raise PublishingRefusedError(
            f"run {record.run_id} of {_named(record)} was {known.status} and would now be "
            f"{'refused' if record.refused else 'published'} ({record.refusal or known.reason}), with the same inputs, "
            "policy and program version: a changed program needs a new version."
        )
    if record.refused:
        return Published("unchanged", record.run_id, known.run_key, None, None, "refused")
    if known.status == "published":
        return Published("unchanged", record.run_id, known.run_key, known.parquet_path, known.supersedes, "published")
    replaced = _supersede_current(connection, record)
    change = {"status": "published", "supersedes": replaced}
    connection.execute(sa.update(runs).where(runs.c.run_key == known.run_key).values(change))
    return Published("restored", record.run_id, known.run_key, known.parquet_path, replaced, "published")


def _refuse(connection: Connection, record: RunRecord, finished_at: dt.datetime) -> Published:
    run_key = _insert_run(connection, record, finished_at, status="refused", reason=record.refusal)
    for table in REFUSED_ROWS:
        _insert_rows(connection, table, run_key, record.rows(table))
    return Published("refused", record.run_id, run_key, None, None, "refused")


def _publish(connection: Connection, root: Path, record: RunRecord, finished_at: dt.datetime) -> Published:
    path = relative_path(record.as_of, record.portfolio_id, record.run_id)
    content = encoded(record.run_id, record.targets)
    write_file(root, path, content)
    file = {"parquet_path": path, "parquet_sha256": digest(content)}
    replaced = _supersede_current(connection, record)
    run_key = _insert_run(connection, record, finished_at, status="published", supersedes=replaced, **file)
    for table in outputs:
        _insert_rows(connection, table, run_key, record.rows(table))
    return Published("published", record.run_id, run_key, path, replaced, "published")


# rows


def _supersede_current(connection: Connection, record: RunRecord) -> int | None:
    """Make the portfolio's published run of the date superseded, if there is one, and return its key."""
    current = sa.and_(
        runs.c.portfolio_id == record.portfolio_id, runs.c.as_of == record.as_of, runs.c.status == "published"
    )
    run_key: int | None = connection.scalar(sa.select(runs.c.run_key).where(current))
    connection.execute(sa.update(runs).where(current).values(status="superseded"))
    return run_key


def _insert_run(connection: Connection, record: RunRecord, finished_at: dt.datetime, **outcome: Any) -> int:
    described = {column.name: getattr(record, column.name) for column in runs.c if hasattr(record, column.name)}
    row = described | {"finished_at": finished_at} | outcome
    run_key: int = connection.execute(sa.insert(runs).values(row).returning(runs.c.run_key)).scalar_one()
    return run_key


def _insert_rows(connection: Connection, table: str, run_key: int, rows: pl.DataFrame) -> None:
    if rows.is_empty():
        return
    numbers = {} if "seq" in rows.columns or "seq" not in outputs[table].c else {"seq": pl.int_range(pl.len())}
    numbered = rows.with_columns(run_key=pl.lit(run_key), **numbers)
    connection.execute(sa.insert(outputs[table]), numbered.to_dicts())
