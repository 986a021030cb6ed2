"""Queries of the desk's own in place of input tables: bound, run, and their columns checked.

`query_frame` binds the dates a query asks for (`_bound`), runs it in the snapshot, and refuses a result without the
columns that are needed (`_require_columns`). Dates are bound, never pasted.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from core.errors import InputError, StoreError
from core.store.refusals import is_away, reason_of
from core.store.snapshot import Snapshot


def query_frame(
    snapshot: Snapshot,
    query: str,
    sql: str,
    dates: Mapping[str, dt.date],
    types: Mapping[str, pl.DataType],
    required: Sequence[str],
) -> pl.DataFrame:
    """The rows of a query with the columns of `types`; further columns are dropped. `query` names it in messages.

    Raises `InputError` for an unknown parameter, for a column that is missing, there twice or of a type that cannot be
    read, and for a statement that gives no rows; `StoreError` where the database refuses the query.
    """
    bound = _bound(query, sql, dates)
    try:
        result = snapshot.result(bound)
    except DBAPIError as error:
        if is_away(error):
            raise
        raise StoreError(f"{query} fails: {reason_of(error)}. Correct it in the policy.") from error
    _require_columns(query, result.names, types, required)
    try:
        return result.frame(types)
    except InputError as error:
        raise InputError(f"{query}: {error}") from error


def _bound(query: str, sql: str, dates: Mapping[str, dt.date]) -> sa.TextClause:
    statement = sa.text(sql)
    asked = set(statement.compile().params)
    unknown = sorted(asked - set(dates))
    if unknown:
        raise InputError(
            f"{query} asks for {', '.join(f':{name}' for name in unknown)}; known: "
            f"{', '.join(f':{name}' for name in dates)}. A colon that is meant as such is written \\:."
        )
    return statement.bindparams(*(sa.bindparam(name, dates[name], sa.Date) for name in asked))


def _require_columns(
    query: str, names: Sequence[str], types: Mapping[str, pl.DataType], required: Sequence[str]
) -> None:
    if not names:
        raise InputError(f"{query} returns no rows: write one SELECT statement.")
    missing = [name for name in required if name not in names]
    if missing:
        raise InputError(f"{query} lacks {', '.join(missing)}; it has: {', '.join(names)}. Name them with AS.")
    twice = sorted({name for name in types if names.count(name) > 1})
    if twice:
        raise InputError(f"{query} has {', '.join(twice)} more than once: name each column one time.")
