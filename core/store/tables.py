"""The tables, as SQLAlchemy metadata derived from the schemas, so that every column is declared once.

Input tables keep what the data gate can judge: only their primary key is enforced. Output tables are written by
`publish` alone and enforce what the schemas say. A run's rows name it by `run_key`; `current_targets` is a view of the
targets of published runs. The migrations create all of this without importing it; a test compares the two.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any, get_args

import dataframely as dy
import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from core.approval import Decided
from core.schemas import (
    INPUTS,
    Actions,
    Breaches,
    BucketStatisticsRows,
    Decisions,
    Explanations,
    Findings,
    Relaxations,
    Targets,
)

STATUSES = ("pending", "published", "superseded", "refused")

metadata = sa.MetaData(naming_convention={"pk": "pk_%(table_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s"})

_TYPES: dict[Any, type[sa.types.TypeEngine[Any]]] = {
    pl.String: sa.Text,
    pl.Enum: sa.Text,
    pl.Date: sa.Date,
    pl.Float64: sa.Double,
    pl.Boolean: sa.Boolean,
    pl.Int32: sa.Integer,
    pl.Int8: sa.SmallInteger,
}


class Moment(sa.types.TypeDecorator[dt.datetime]):
    """A moment in UTC, zone included; SQLite, which knows no zones, stores it in UTC without one."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002
        """The moment in UTC; one without a zone is refused, for it could be any."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"the time {value} has no zone: give it in UTC.")
        return None if value is None else value.astimezone(dt.UTC)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002
        """The moment in UTC."""
        if value is None or value.tzinfo is not None:
            return value and value.astimezone(dt.UTC)
        return value.replace(tzinfo=dt.UTC)


def _columns(schema: type[dy.Schema], required: Iterable[str]) -> list[sa.Column[Any]]:
    return [
        sa.Column(name, _TYPES[column.dtype.base_type()](), nullable=name not in required)
        for name, column in schema.columns().items()
    ]


def _input(name: str, schema: type[dy.Schema]) -> sa.Table:
    # The date first: a batch reads one date of all portfolios, or a range of dates of all symbols.
    key = sorted(schema.primary_key(), key=lambda column: column != "as_of")
    return sa.Table(name, metadata, *_columns(schema, key), sa.PrimaryKeyConstraint(*key))


def _output(name: str, schema: type[dy.Schema], key: str) -> sa.Table:
    required = [column for column, spec in schema.columns().items() if not spec.nullable]
    columns = _columns(schema, required)
    if key not in schema.columns():
        columns.insert(0, sa.Column(key, sa.Integer, nullable=False))
    run_key = sa.Column("run_key", sa.Integer, nullable=False)
    return sa.Table(name, metadata, run_key, *columns, sa.PrimaryKeyConstraint("run_key", key))


inputs = MappingProxyType({name: _input(name, schema) for name, schema in INPUTS.items()})
"""Input tables by name."""

NO_DATE = sa.text("date(substr(as_of, 1, 10), '+0 days') IS NOT substr(as_of, 1, 10)")
"""In SQLite, which keeps any cell in any column: a row whose date is none, and so is neither before nor after another.

There each table with dates has an index of such rows; it is used where a query asks for them in these very words.
"""

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_key", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("batch_id", sa.Text, nullable=False),
    sa.Column("portfolio_id", sa.Text, nullable=False),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("policy_name", sa.Text, nullable=False),
    sa.Column("policy_hash", sa.Text, nullable=False),
    sa.Column("policy", sa.Text, nullable=False),  # the document itself
    sa.Column("inputs_hash", sa.Text, nullable=False),
    sa.Column("program_version", sa.Text, nullable=False),
    sa.Column("environment", sa.Text),  # what computed it; null for runs of a program that did not say
    sa.Column("inputs_id", sa.Text),  # what it was made from, see `input_frames`; null for those runs too
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("finished_at", Moment, nullable=False),
    sa.Column("parquet_path", sa.Text),  # relative to the folder of the targets; null where there is none (any more)
    sa.Column("parquet_sha256", sa.Text),
    sa.Column("supersedes", sa.Integer, sa.ForeignKey("runs.run_key", name="fk_runs_supersedes")),
    sa.Column("reason", sa.Text),  # why the run was refused
    sa.UniqueConstraint("run_id", name="uq_runs_run_id"),
    sa.CheckConstraint(f"status IN ({', '.join(map(repr, STATUSES))})", name="status"),
    sqlite_autoincrement=True,  # a key is never used twice
)
sa.Index(
    "uq_runs_published",
    runs.c.portfolio_id,
    runs.c.as_of,
    unique=True,
    sqlite_where=sa.text("status = 'published'"),
    postgresql_where=sa.text("status = 'published'"),
)

promotions = sa.Table(
    "promotions",
    metadata,
    sa.Column("promotion_key", sa.Integer, primary_key=True),
    sa.Column("portfolio_id", sa.Text, nullable=False),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("run_key", sa.Integer, sa.ForeignKey("runs.run_key", name="fk_promotions_run_key"), nullable=False),
    sa.Column("replaced", sa.Integer, sa.ForeignKey("runs.run_key", name="fk_promotions_replaced")),
    sa.Column("promoted_at", Moment, nullable=False),
    sqlite_autoincrement=True,
)
"""What was current when: one row each time that a run became the current one of its portfolio and date."""

input_frames = sa.Table(
    "input_frames",
    metadata,
    sa.Column("inputs_id", sa.Text, nullable=False),
    sa.Column("frame", sa.Text, nullable=False),
    sa.Column("content_hash", sa.Text, nullable=False),  # names the file, see `core.store.input_files`
    sa.PrimaryKeyConstraint("inputs_id", "frame"),
)
"""What a batch read: the content of each of its frames."""

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("approval_key", sa.Integer, primary_key=True),
    sa.Column("question_id", sa.Text, nullable=False),  # of one form, which may ask about several portfolios
    sa.Column("flow_run_id", sa.Text, nullable=False),  # the batch that asked
    sa.Column("portfolio_id", sa.Text, nullable=False),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),  # of the run that was shown; in `runs` once it is published
    sa.Column("shown_hash", sa.Text, nullable=False),
    sa.Column("why_asked", sa.Text, nullable=False),
    sa.Column("asked_at", Moment, nullable=False),
    sa.Column("until", Moment, nullable=False),
    sa.Column("decision", sa.Text),  # null while the question is open
    sa.Column("who", sa.Text),
    sa.Column("decided_at", Moment),
    sa.Column("reason", sa.Text),
    sa.UniqueConstraint("question_id", "portfolio_id", name="uq_approvals_question"),
    sa.CheckConstraint(f"decision IN ({', '.join(map(repr, get_args(Decided)))})", name="decision"),
    sqlite_autoincrement=True,
)
"""What persons were asked before a run was published, and what they said."""

guards = sa.Table(
    "guards",
    metadata,
    sa.Column("portfolio_id", sa.Text, nullable=False),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.PrimaryKeyConstraint("portfolio_id", "as_of"),
)
"""On PostgreSQL, a row that whoever works on this portfolio and date keeps locked."""

holders = sa.Table(
    "holders",
    metadata,
    sa.Column("portfolio_id", sa.Text, nullable=False),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.PrimaryKeyConstraint("portfolio_id", "as_of"),
)
"""On PostgreSQL, who locked the row of `guards` last, and when; it says something only while that row is locked."""

stores = sa.Table(
    "evenkeel_store",
    metadata,
    sa.Column("store_id", sa.Text, nullable=False),
    sa.PrimaryKeyConstraint("store_id"),
)
"""One row: the name of this database, which the folder of its targets bears too."""

SCHEMAS: MappingProxyType[str, type[dy.Schema]] = MappingProxyType(
    {
        "targets": Targets,
        "actions": Actions,
        "findings": Findings,
        "breaches": Breaches,
        "bucket_statistics": BucketStatisticsRows,
        "relaxations": Relaxations,
        "explanations": Explanations,
        "decisions": Decisions,
    }
)
"""The schema of a run's rows, by table."""

_LINE_KEYS = {"targets": "symbol", "bucket_statistics": "bucket", "decisions": "symbol"}  # the others are numbered

outputs = MappingProxyType(
    {name: _output(name, schema, _LINE_KEYS.get(name, "seq")) for name, schema in SCHEMAS.items()}
)
"""Tables of a run's rows, by name."""


def _current_targets() -> sa.Select[Any]:
    targets = outputs["targets"]
    columns: Sequence[sa.Column[Any]] = [targets.c[name] for name in Targets.columns()]
    return (
        sa.select(runs.c.run_id, *columns)
        .join(runs, runs.c.run_key == targets.c.run_key)
        .where(runs.c.status == "published")
    )


current_targets = sa.CreateView(_current_targets(), "current_targets").table
"""The view of the targets of published runs: run_id, and the columns of `Targets`."""
