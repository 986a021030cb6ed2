"""The rows of runs on their way into the output tables: judged and converted together, inserted run by run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import polars as pl
from sqlalchemy.engine import Connection, Dialect

from core.store.bulk import BulkRows
from core.store.records import RunRecord
from core.store.tables import outputs
from core.timing import timed


@dataclass(frozen=True)
class RunRows:
    """The rows of one run, ready to be inserted.

    `tables` has those of all runs of its batch, and where those of each run begin; `number` is that of this run.
    """

    number: int
    tables: Mapping[str, tuple[BulkRows, Sequence[int]]]

    @timed("rows")
    def insert(self, connection: Connection, tables: Iterable[str], run_key: int) -> None:
        """Insert the rows for some tables, under the key of the run."""
        for table in tables:
            rows, starts = self.tables[table]
            rows.insert(connection, starts[self.number], starts[self.number + 1], run_key=run_key)


def rows_of_runs(dialect: Dialect, records: Sequence[RunRecord]) -> list[RunRows]:
    """The rows of each run. Raises `StoreError` for a row that the database cannot keep as it is."""
    ready = {table: _ready(dialect, table, [record.rows(table) for record in records]) for table in outputs}
    return [RunRows(number, ready) for number in range(len(records))]


def _ready(dialect: Dialect, table: str, frames: Sequence[pl.DataFrame]) -> tuple[BulkRows, Sequence[int]]:
    """The rows of all runs for a table, and where those of each begin; the last number is where they end."""
    rows, starts = pl.concat(frames), [0, *accumulate(frame.height for frame in frames)]
    if "seq" in outputs[table].c and "seq" not in rows.columns:
        numbers = pl.concat([pl.int_range(frame.height, dtype=pl.Int32, eager=True) for frame in frames])
        rows = rows.with_columns(numbers.alias("seq"))
    return BulkRows(dialect, outputs[table], rows), starts
