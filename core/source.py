"""Where a batch's frames come from: Evenkeel's own input tables, or a query of the desk's in place of a table.

A query returns the columns of the table it stands for (`core.schemas.INPUTS`); further columns are ignored. Two bound
parameters are at its disposal: `:as_of`, the date of the run, and `:since`, the earliest date that any step reads. The
store applies the same dates to its rows as to a table's, so a query that returns too much is slow, never wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import ConfigDict

from core.errors import ConfigurationError, nearest_hint
from core.schemas import INPUTS


@dataclass(frozen=True)
class Source:
    """Queries in place of input tables, and signals that are one query each; by default, the tables as they stand.

    `queries` maps the name of an input table to the SQL that replaces it. `signal_queries` maps the name of a signal to
    SQL that returns (as_of, symbol, value); its rows are added to those of `signals`.

    Raises `ConfigurationError` for a name that is no input table, or a query without text.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    queries: Mapping[str, str] = field(default_factory=dict)
    signal_queries: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for table in self.queries:
            if table not in INPUTS:
                raise ConfigurationError(
                    f"queries names {table!r}, which is not an input table; {nearest_hint(table, INPUTS)}"
                )
        for name, sql in (*self.queries.items(), *self.signal_queries.items()):
            if not sql.strip():
                raise ConfigurationError(f"the query of {name!r} is empty: write its SQL, or leave {name!r} out.")
