"""Reading what a batch needs, in one snapshot of the database.

`read_inputs` reads each frame from its table (`_Reader._table`) or from the query that stands in for it
(`_Reader._query`), within the same dates (`_Reader._windows`) and, for holdings, of the same portfolios. Nothing
is judged here but what keeps a frame from being one at all: a query that fails or lacks a column, a portfolio that
nobody knows. Cells that do not fit their column's type are handed on as they came; the data gate names them.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.errors import InputError, nearest_hint
from core.models import Inputs, Shard
from core.schemas import INPUTS, Signals
from core.source import Source
from core.store import tables
from core.store.columns import required_columns, types_of
from core.store.published import last_prices
from core.store.queries import query_frame
from core.store.snapshot import Snapshot, snapshot

HOLDINGS = ("positions", "cash")  # the tables of which a batch does not read the rows of other portfolios


def read_inputs(
    engine: Engine,
    source: Source,
    as_of: dt.date,
    portfolios: Sequence[str] | None,
    since: dt.date,
    shard: Shard | None = None,
) -> Inputs:
    """Everything that a batch reads for the morning of `as_of`, from one snapshot of the database.

    `portfolios` are the requested ids, None for all active ones. `since` is the earliest date of prices, signals and
    candidates that is read; of the candidates, the latest date alone is handed on. Each frame has the columns of its
    schema and is sorted by its key. Of a `shard` of the batch, the frames are those of the batch without the rows of
    its other portfolios; a table is asked for no more.

    Raises `InputError` where no portfolio is active, a requested one is unknown, or a query does not give the columns
    of its frame; `StoreError` where the database cannot be read.
    """
    with snapshot(engine) as moment:
        reader = _Reader(moment, source, as_of, since)
        known = reader.frame("portfolios")
        reader = replace(reader, others=_others(known, portfolios if shard is None else shard.portfolio_ids))
        frames = {name: known if name == "portfolios" else reader.frame(name) for name in INPUTS}
        frames["signals"] = _stacked([frames["signals"], *map(reader.signal, source.signal_queries)])
        published = last_prices(moment, as_of, portfolios if shard is None else shard.portfolio_ids)
    chosen = _chosen(known, portfolios)
    frames["portfolios"] = chosen
    frames["candidates"] = _latest(frames["candidates"])
    for name in (*HOLDINGS, "overrides"):
        frames[name] = _without_others(frames[name], known, chosen)
    in_order = {name: frame.sort(INPUTS[name].primary_key()) for name, frame in frames.items()}
    inputs = Inputs(as_of, in_order, _of(chosen, published))
    return inputs if shard is None else _of_shard(inputs, shard)


def _of_shard(inputs: Inputs, shard: Shard) -> Inputs:
    """The inputs of a shard alone. Raises `InputError` where one of its portfolios has gone since the batch began."""
    gone = sorted({*shard.portfolio_ids} - {*inputs.portfolio_ids})
    if gone:
        raise InputError(
            f"{', '.join(gone)} is no longer an active portfolio, and was one when the batch began: run again."
        )
    return inputs.of(shard.portfolio_ids)


def portfolio_ids(engine: Engine, source: Source, requested: Sequence[str] | None = None) -> list[str]:
    """The ids of the requested portfolios, or of all active ones, in order; errors as those of `read_inputs`.

    Raises `InputError` too where a portfolio is there twice.
    """
    with snapshot(engine) as moment:
        known = _Reader(moment, source, dt.date.min, dt.date.min).frame("portfolios")
    ids = _chosen(known, requested)["portfolio_id"].drop_nulls().cast(pl.String).sort()
    twice = ids.filter(ids.is_duplicated()).unique(maintain_order=True)
    if not twice.is_empty():
        raise InputError(f"portfolios: {', '.join(twice)} more than once: keep one of the rows and delete the rest.")
    return ids.to_list()


@dataclass(frozen=True)
class _Window:
    """The dates of a column that are read, both ends included. A row without a date is read too: it is a fault."""

    column: str
    first: dt.date
    last: dt.date

    def of_table(self, table: sa.Table) -> sa.ColumnElement[bool]:
        """The rows within; for SQLite, which keeps dates as text, also those that go on with a time of day."""
        column = table.c[self.column]
        return sa.and_(column >= self.first, column < self.last + dt.timedelta(days=1))

    def of_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows within; all of them where the column holds no dates."""
        if frame.schema[self.column] != pl.Date:
            return frame
        return frame.filter(pl.col(self.column).is_between(self.first, self.last).fill_null(True))


@dataclass(frozen=True)
class _Reader:
    """The database at one moment, as one batch sees it."""

    snapshot: Snapshot
    source: Source
    as_of: dt.date
    since: dt.date
    others: frozenset[str] = frozenset()  # known portfolios whose holdings are not read: the batch is without them

    def frame(self, name: str) -> pl.DataFrame:
        """An input frame, from its table or from the query in its place."""
        if name not in self.source.queries:
            return self._within(name, self._table(name))
        return self._query(f"the query of {name!r}", name, self.source.queries[name], types_of(INPUTS[name]))

    def signal(self, name: str) -> pl.DataFrame:
        """The rows of a signal that is one query."""
        types = types_of(Signals)
        del types["signal"]
        rows = self._query(f"the query of signal {name!r}", "signals", self.source.signal_queries[name], types)
        return rows.with_columns(signal=pl.lit(name)).select(*Signals.columns())

    def _table(self, name: str) -> pl.DataFrame:
        table = tables.inputs[name]
        # Columns without a type: with one, SQLAlchemy stops at the first cell that does not fit and cannot say where.
        columns: list[sa.ColumnElement[Any]] = [sa.column(column.name) for column in table.c]
        rows = sa.select(*columns).select_from(table)
        others = self.snapshot.listed(sorted(self.others)) if name in HOLDINGS and self.others else None
        dates = [window.of_table(table) for window in self._windows(name) if window.column == "as_of"]
        query: sa.Executable = rows.where(*dates)
        if others is not None and not self.snapshot.any_cell:
            query = self._of_holders(table, rows.where(*dates), others)
        elif dates and self.snapshot.any_cell:  # two queries, for each to use its own index
            rows = rows if others is None else rows.where(table.c.portfolio_id.not_in(others))
            query = sa.union_all(rows.where(*dates), rows.where(tables.NO_DATE, sa.not_(sa.and_(*dates))))
        return self.snapshot.result(query).frame(types_of(INPUTS[name]))

    def _of_holders(self, table: sa.Table, rows: sa.Select[Any], others: sa.Select[Any]) -> sa.Select[Any]:
        """The rows of whoever has any on the day, but for the others.

        Who has any is found by as many steps through the primary key, and the rows of each are looked up there, in
        place of a pass over all rows of the day for each shard of a batch. `OFFSET 0` keeps PostgreSQL to that, which
        of a table that was just loaded knows no numbers. In SQLite a day is no single value of the key
        (`_Window.of_table`).
        """
        portfolio_id = table.c.portfolio_id
        next_id = sa.select(sa.func.min(portfolio_id).label("portfolio_id")).where(table.c.as_of == self.as_of)
        holders = next_id.cte("holders", recursive=True)
        after = next_id.where(portfolio_id > holders.c.portfolio_id).scalar_subquery()
        holders = holders.union_all(sa.select(after).where(holders.c.portfolio_id.is_not(None)))
        own = rows.where(portfolio_id == holders.c.portfolio_id).offset(0).lateral("own")
        found = sa.select(*own.c).select_from(holders.join(own, sa.true()))
        return found.where(holders.c.portfolio_id.not_in(others))

    def _query(self, query: str, name: str, sql: str, types: pl.Schema) -> pl.DataFrame:
        dates = {"as_of": self.as_of, "since": self.since}
        required = [column for column in required_columns(name) if column in types]
        return self._within(name, query_frame(self.snapshot, query, sql, dates, types, required))

    def _within(self, name: str, frame: pl.DataFrame) -> pl.DataFrame:
        for window in self._windows(name):
            frame = window.of_frame(frame)
        return frame

    def _windows(self, name: str) -> tuple[_Window, ...]:
        match name:
            case "positions" | "cash":
                return (_Window("as_of", self.as_of, self.as_of),)
            case "prices" | "signals" | "candidates":
                return (_Window("as_of", self.since, self.as_of),)
            case "corporate_actions":
                return (_Window("effective", dt.date.min, self.as_of),)
            case "overrides":
                return (_Window("from", dt.date.min, self.as_of), _Window("to", self.as_of, dt.date.max))
            case _:
                return ()


def _others(known: pl.DataFrame, requested: Sequence[str] | None) -> frozenset[str]:
    """The known portfolios that are not asked for. What belongs to none of the known ones is a fault of any batch."""
    if requested is None:
        return frozenset()
    return frozenset(known["portfolio_id"].drop_nulls().cast(pl.String)) - {*requested}


def _chosen(known: pl.DataFrame, requested: Sequence[str] | None) -> pl.DataFrame:
    """The requested portfolios, or the active ones. One that cannot be said to be inactive is left to the data gate."""
    if requested is None:
        active = known.filter(pl.col("active").fill_null(True)) if known.schema["active"] == pl.Boolean else known
        if active["portfolio_id"].drop_nulls().is_empty():
            raise InputError(
                "no portfolio is active: load `portfolios` with at least one row that has a `portfolio_id` and whose "
                "`active` is true."
            )
        return active
    ids = [str(name) for name in known["portfolio_id"]]
    if not requested:
        raise InputError(f"no portfolio is asked for: name some, or leave them out for all active ones; known: {ids}.")
    for name in requested:
        if name not in ids:
            raise InputError(f"portfolio {name!r} is not in `portfolios`; {nearest_hint(name, set(ids))}")
    return known.filter(pl.col("portfolio_id").cast(pl.String).is_in(list(requested)))


def _of(chosen: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of the chosen portfolios, and those that name none."""
    if frame.schema["portfolio_id"] != chosen.schema["portfolio_id"]:
        return frame
    return frame.filter(pl.col("portfolio_id").is_in(chosen["portfolio_id"].implode()).fill_null(True))


def _without_others(frame: pl.DataFrame, known: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """The rows but for those of known portfolios outside the batch; one of an unknown portfolio is a fault."""
    if frame.schema["portfolio_id"] != known.schema["portfolio_id"]:
        return frame
    others = known.join(chosen, on="portfolio_id", how="anti")
    return frame.join(others, on="portfolio_id", how="anti", maintain_order="left")


def _latest(candidates: pl.DataFrame) -> pl.DataFrame:
    if candidates.schema["as_of"] != pl.Date:
        return candidates
    return candidates.filter((pl.col("as_of") == pl.col("as_of").max()).fill_null(True))


def _stacked(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The frames as one; a column that came as it is in one of them becomes text in all."""
    columns = frames[0].columns
    uneven = [name for name in columns if len({frame.schema[name] for frame in frames}) > 1]
    return pl.concat([frame.select(columns).with_columns(pl.col(uneven).cast(pl.String)) for frame in frames])
