"""What a frame of weights must be before it is constrained; each check raises `InvalidWeightsError` or is silent."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from polars.datatypes import DataTypeClass

from core.errors import InvalidWeightsError, nearest_hint

LARGEST = 1e100  # sums of weights up to this size cannot overflow; a larger one is no fraction of anything
SHOWN_ROWS = 5  # how many bad rows a message names

OWN_COLUMNS = ("symbol", "weight", "frozen", "current_weight")  # what a group key cannot be
TEXT: tuple[DataTypeClass, ...] = (pl.String, pl.Categorical, pl.Enum)


def require_columns(weights: pl.DataFrame, by: Sequence[str], needs: Sequence[str]) -> None:
    """Every column that is read is there, once, and of a type that can be meant."""
    if not all(isinstance(column, str) for column in by):
        raise InvalidWeightsError(f"by is {list(by)}: name columns of the weights.")
    if not by or len({*by}) < len(by) or {*by} & {*OWN_COLUMNS}:
        raise InvalidWeightsError(
            f"by is {list(by)}: name the columns of a group, each once, none of them {', '.join(OWN_COLUMNS)}."
        )
    for column in (*by, "symbol", "weight", *needs):
        if column not in weights.columns:
            raise InvalidWeightsError(f"weights have no column {column!r}; {nearest_hint(column, weights.columns)}")
    for column in (*by, "symbol"):
        if weights[column].dtype.is_nested() or weights[column].dtype == pl.Object:
            _require_type(weights, column, "one name or date per row")
    for column in ("weight", *({"current_weight"} & {*needs})):
        if not weights[column].dtype.is_numeric():
            _require_type(weights, column, "numbers")
    if "frozen" in weights.columns:
        _require_type(weights, "frozen", "booleans", pl.Boolean)
    if "bucket" in needs:
        _require_type(weights, "bucket", "text", *TEXT)


def require_frame(weights: object, by: object) -> None:
    """Weights are a frame, and what they are grouped by is the name of a column, or several."""
    if not isinstance(weights, pl.DataFrame):
        raise InvalidWeightsError(f"weights are {type(weights).__name__}: give a Polars DataFrame.")
    if not isinstance(by, str | list | tuple):
        raise InvalidWeightsError(f"by is {by!r}: name a column of the weights, or a list of them.")


def is_text(weights: pl.DataFrame, column: str) -> bool:
    """Whether weights have such a column, and it holds text."""
    return column in weights.columns and isinstance(weights[column].dtype, (*TEXT, pl.Null))


def require_no_nulls(weights: pl.DataFrame, by: Sequence[str], columns: Sequence[str]) -> None:
    """Every row says what it is: its group, its symbol, and what a constraint needs."""
    for column in columns:
        if weights[column].null_count():
            missing = _rows(weights, by, weights[column].is_null())
            raise InvalidWeightsError(f"{column} is null in {missing}. Give every row a {column}, or remove the row.")


def require_finite(weights: pl.DataFrame, by: Sequence[str], column: str = "weight") -> None:
    """No weight is NaN, infinite, or so large that sums could overflow; null is a weight that is not there."""
    if _is_moderate(weights[column]):
        return
    usable = pl.col(column).is_between(-LARGEST, LARGEST)  # NaN is in no range
    if weights.select(usable.all()).item():
        return
    bad = ~weights.select(usable).to_series()
    raise InvalidWeightsError(
        f"{column} is not a finite number up to {LARGEST:g} in {_rows(weights, by, bad)}. "
        f"Correct it{', or set it to null to leave the name out' if column == 'weight' else ''}."
    )


def _is_moderate(column: pl.Series) -> bool:
    """Whether a sum of squares shows at once, as of most columns, that all numbers are finite and of a usable size."""
    if column.dtype != pl.Float64 or column.null_count():
        return False
    with np.errstate(over="ignore"):  # an infinite sum says it as well
        # By einsum, as the threads of np.dot stay awake after it and take the cores from what comes next.
        parts = (chunk.to_numpy() for chunk in column.get_chunks())
        return all(np.einsum("i,i->", part, part) <= LARGEST for part in parts)


def repeated(weights: pl.DataFrame, by: Sequence[str]) -> InvalidWeightsError:
    """What to raise where a symbol stands twice in a group: limits of a name would hold for its parts alone."""
    twice = anonymous(weights, (*by, "symbol")).is_duplicated()
    return InvalidWeightsError(
        f"The same symbol stands more than once in a group: {_rows(weights, by, twice)}. Merge or remove them."
    )


def anonymous(weights: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Some columns under names that no expression could take for a pattern, and that no other column has."""
    return pl.DataFrame([weights[column].alias(f"column_{at}") for at, column in enumerate(columns)])


def _require_type(weights: pl.DataFrame, column: str, meant: str, *types: DataTypeClass) -> None:
    dtype = weights[column].dtype
    if not isinstance(dtype, (*types, pl.Null)):
        raise InvalidWeightsError(f"Column {column!r} of weights is {dtype}: it must hold {meant}. Cast or rename it.")


def _rows(weights: pl.DataFrame, by: Sequence[str], bad: pl.Series) -> str:
    """`2 rows: row 0 (end_time=2026-01-02, symbol='A', weight=nan), row 7 (...)`."""
    count = int(bad.sum())
    shown = [_row(weights, by, at) for at in bad.arg_true().head(SHOWN_ROWS)]
    more = [f"and {count - SHOWN_ROWS} more"] if count > SHOWN_ROWS else []
    return f"{count} row{'s' if count > 1 else ''}: {', '.join(shown + more)}"


def _row(weights: pl.DataFrame, by: Sequence[str], at: int) -> str:
    cells = (f"{column}={weights[column][at]}" for column in (*by, "symbol", "weight"))
    return f"row {at} ({', '.join(cells)})"
