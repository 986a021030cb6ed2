"""Which day a database is at, and who is late: what a watchdog and a first look ask."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.source import Source
from core.store.database import reading
from core.store.published import read_runs
from core.store.read import portfolio_ids
from core.store.tables import inputs


def is_empty(engine: Engine) -> bool:
    """Whether the database has no portfolio and no snapshot yet."""
    with reading(engine) as connection:
        rows = (sa.exists(inputs[name].select()) for name in ("portfolios", "cash"))
        return not connection.scalar(sa.select(sa.or_(*rows)))


def latest_snapshot(engine: Engine) -> dt.date | None:
    """The latest date of which a portfolio has its snapshot, which its cash row dates; None where there is none."""
    with reading(engine) as connection:
        found: dt.date | None = connection.scalar(sa.select(sa.func.max(inputs["cash"].c.as_of)))
    return found


def without_current_run(engine: Engine, source: Source, as_of: dt.date) -> list[str]:
    """The ids of the active portfolios that have no published run of a day, in order."""
    current = read_runs(engine, as_of).filter(status="published")["portfolio_id"]
    return sorted(set(portfolio_ids(engine, source, None)) - set(current))
