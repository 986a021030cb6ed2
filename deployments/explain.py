"""`evenkeel explain`: why a weight is what it is, read from the store alone.

`runs_to_explain` finds the run of each portfolio that counts: the current one of the date, else the one last refused.
`stories` reads what they decided about one symbol, and `told` prints it: a waterfall for each portfolio that holds or
wants it, one line for each of the others.
"""

import datetime as dt

import polars as pl
from sqlalchemy.engine import Engine

from core import store
from core.errors import StoreError, nearest_hint
from core.results.story import Named, Story, story


def told(engine: Engine, symbol: str, portfolio: str | None, as_of: dt.date | None, *, markdown: bool) -> str:
    """What is known of a symbol in the runs of one date, as text. Raises `StoreError` where nothing is."""
    found = stories(engine, symbol, runs_to_explain(engine, portfolio, as_of))
    weighted, rest = ([each for each in found if bool(each.lines) == has] for has in (True, False))
    if not weighted:
        weighted, rest = rest[:1], rest[1:]
    others = [f"- {each.brief}" for each in rest]
    full = [each.markdown() if markdown else each.terminal() for each in weighted]
    return "\n\n\n".join([*full, "\n".join(["In other portfolios it has no weight:", *others])] if others else full)


def stories(engine: Engine, symbol: str, runs: pl.DataFrame) -> list[Story]:
    """The story of a symbol in each of the runs that considered it."""
    keys = runs["run_key"].to_list()
    decided, changed, targets = (
        store.symbol_rows(engine, table, keys, symbol) for table in ("decisions", "explanations", "targets")
    )
    if decided.is_empty():
        raise StoreError(_nothing_known(engine, symbol, runs))
    by_key: dict[int, Named] = {row["run_key"]: row for row in runs.iter_rows(named=True)}
    wanted: dict[int, Named] = {row["run_key"]: row for row in targets.iter_rows(named=True)}
    return [
        story(by_key[row["run_key"]], row, changed.filter(run_key=row["run_key"]), wanted.get(row["run_key"]))
        for row in decided.sort("portfolio_id").iter_rows(named=True)
    ]


def _nothing_known(engine: Engine, symbol: str, runs: pl.DataFrame) -> str:
    day = runs["as_of"][0]
    known = store.symbols_considered(engine, runs["run_key"].to_list())
    if known:
        return f"{symbol!r} was not considered on {day}; {nearest_hint(symbol, known)}"
    reasons = [f"{row['portfolio_id']}: {row['reason']}" for row in runs.iter_rows(named=True) if row["reason"]]
    if reasons:
        return f"nothing was decided on {day}. {' '.join(reasons[:3])}"
    return f"the runs of {day} are of a version that kept no decisions: run that day again with `evenkeel run`."


def runs_to_explain(engine: Engine, portfolio: str | None, as_of: dt.date | None) -> pl.DataFrame:
    """One row of `runs` per portfolio, of the date asked for or else of the latest one."""
    days = store.run_days(engine)
    if days.is_empty():
        raise StoreError("there is no run yet: make one with `evenkeel run`.")
    mine = days if portfolio is None else days.filter(portfolio_id=portfolio)
    if mine.is_empty():
        raise StoreError(
            f"portfolio {portfolio!r} has no run; {nearest_hint(str(portfolio), set(days['portfolio_id']))}"
        )
    dates: list[dt.date] = sorted(set(mine["as_of"]))
    day = as_of or dates[-1]
    if day not in dates:
        whose = "" if portfolio is None else f" of portfolio {portfolio!r}"
        raise StoreError(f"there is no run{whose} on {day}; {_nearest_days(day, dates)}")
    found = store.read_runs(engine, day, portfolio).filter(pl.col("status").is_in(["published", "refused"]))
    counting = found.sort(pl.col("status") == "published", "run_key").unique("portfolio_id", keep="last")
    return counting.sort("portfolio_id")


def _nearest_days(day: dt.date, dates: list[dt.date]) -> str:
    before = [f"{known} before it" for known in dates if known < day][-1:]
    after = [f"{known} after it" for known in dates if known > day][:1]
    return f"the nearest: {', '.join([*before, *after])}."
