"""What may be published: rows as their schemas declare them, and exactly the weights that were verified.

The runs of a batch are judged together, so that each column is looked at once, however many runs there are.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from core.errors import PublishingRefusedError
from core.limits import TOLERANCE
from core.schemas import CASH_SYMBOL, Targets
from core.store.columns import types_of
from core.store.records import RunRecord
from core.store.tables import SCHEMAS
from core.timing import timed

FEW = 10  # so many symbols a message lists
DECLARED = {table: (types_of(schema).names(), types_of(schema).dtypes()) for table, schema in SCHEMAS.items()}
RUN = "run"  # the number of a row's run, where the rows of several stand in one frame


@timed("last check")
def require_publishable(records: Sequence[RunRecord]) -> None:
    """Raise `PublishingRefusedError` for the first run whose rows cannot be meant.

    `records` are of different portfolios or dates.
    """
    for record in records:
        _require_types(record)
    published = [record for record in records if not record.refused]
    if published and _fault(published) is not None:
        for record in published:
            fault = _fault([record])
            if fault is not None:
                raise PublishingRefusedError(f"targets of {record.named} {fault}")


def numbered(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The rows of several runs in one frame, with the number of each row's run in a column `run`."""
    heights = [frame.height for frame in frames]
    runs = pl.Series(RUN, np.repeat(np.arange(len(frames), dtype=np.int32), heights))
    return pl.concat(frames).with_columns(runs)


def _require_types(record: RunRecord) -> None:
    for table, declared in DECLARED.items():
        rows = record.rows(table)
        if (rows.columns, rows.dtypes) != declared:
            strange = set(rows.schema.items()) ^ set(zip(*declared, strict=True))
            columns = ", ".join(sorted({name for name, _ in strange})) or "the order of the columns"
            raise PublishingRefusedError(
                f"the {table} of {record.named} are not as {SCHEMAS[table].__name__} declares them: see {columns}."
            )


def _fault(records: Sequence[RunRecord]) -> str | None:
    """What is wrong with the targets of runs, as the rest of a sentence."""
    targets = numbered([record.targets for record in records])
    _, failures = Targets.filter(targets)
    rules = failures.counts()
    if rules:
        symbols = failures.invalid()["symbol"].unique().sort().to_list()
        return f"fail {', '.join(rules)}: symbols {symbols[:FEW]}."
    if not _are_own(targets, records):
        return "must be rows of this run, one at least."
    strange = _strange_targets(targets, numbered([record.decisions for record in records]))
    if strange:
        return (
            f"are not the weights that were verified: see {', '.join(strange[:FEW])}. "
            "Nothing was published; make them anew from the verified weights."
        )
    return None


def _are_own(targets: pl.DataFrame, records: Sequence[RunRecord]) -> bool:
    """Whether each run has targets, and only of its portfolio and date."""
    named = targets.group_by(RUN, "portfolio_id", "as_of").len().sort(RUN)
    own = [(number, record.portfolio_id, record.as_of) for number, record in enumerate(records)]
    return named.drop("len").rows() == own


def _strange_targets(targets: pl.DataFrame, decisions: pl.DataFrame) -> list[str]:
    """The symbols whose target is not the weight that was decided on and verified; cash is what the names leave."""
    decided = decisions.select(RUN, "symbol", decided="target_weight").filter(pl.col("decided").abs() > 0.0)
    names = targets.filter(~pl.col("is_cash")).select(RUN, "symbol", "target_weight")
    compared = names.join(decided, on=[RUN, "symbol"], how="full", coalesce=True).fill_null(0.0)
    strange = compared.filter(pl.col("target_weight") != pl.col("decided"))["symbol"].unique().sort().to_list()
    wholes = targets.group_by(RUN).agg(pl.col("target_weight").sum())["target_weight"]
    return strange or ([] if ((wholes - 1.0).abs() <= TOLERANCE).all() else [CASH_SYMBOL])
