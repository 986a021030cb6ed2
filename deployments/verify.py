"""`evenkeel verify`: that what is published is what was published, and comes about again from the stored inputs.

`runs_to_verify` finds the runs that are meant, `checked` has them checked (core.reproduce), day by day, and lists files
that no run names. `lines` and `document` tell it: a line per run, or everything.
"""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy.engine import Engine

from core import store
from core.errors import StoreError, nearest_hint
from core.reproduce import DIFFERS, leftovers, verdicts, verification
from core.results.tables import Row
from core.wording import counted

COUNTING = ("published", "superseded")


def checked(engine: Engine, root: Path, parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Every check of the runs, in parts as `runs_to_verify` gives them, and the files that no run names."""
    return pl.concat([*(verification(engine, root, part) for part in parts), leftovers(engine, root)])


def runs_to_verify(
    engine: Engine, as_of: dt.date | None, portfolio: str | None, run: str | None, *, every: bool
) -> list[pl.DataFrame]:
    """Rows of `runs`, in parts of one date: one run by its id, all that were ever published, or the current ones of the
    date asked for or else of the latest that has any. Raises `StoreError` where there are none."""
    if run is not None and (as_of or portfolio or every):
        raise StoreError("--run names one run by itself: leave out --as-of, --portfolio and --all.")
    if run is not None:
        return [store.find_run(engine, run)]
    days = store.run_days(engine)
    known = set(days["portfolio_id"])
    if portfolio is not None and portfolio not in known:
        raise StoreError(f"portfolio {portfolio!r} has no run; {nearest_hint(portfolio, known)}")
    asked = days["as_of"].unique().sort(descending=True).to_list() if as_of is None else [as_of]
    statuses = COUNTING if every else COUNTING[:1]
    found = (
        store.read_runs(engine, day, portfolio).filter(pl.col("status").is_in(statuses)).sort("portfolio_id", "run_key")
        for day in asked
    )
    parts = (part for part in found if not part.is_empty())
    chosen = list(parts)[::-1] if every else [part for part in [next(parts, None)] if part is not None]
    if not chosen:
        on = "" if as_of is None else f" on {as_of}"
        raise StoreError(f"no run is published{on}: there is nothing to verify. See `evenkeel show`.")
    return chosen


def lines(checks: pl.DataFrame) -> list[Row]:
    """One line per run: its verdict, and how exactly it came about again or what differs."""
    return [
        {
            "portfolio": row["portfolio_id"],
            "as of": str(row["as_of"]),
            "run": row["run_id"],
            "verdict": row["verdict"],
            "detail": row["detail"],
        }
        for row in verdicts(checks).iter_rows(named=True)
    ]


def closing(checks: pl.DataFrame) -> list[str]:
    """The runs, counted by their verdict, and the files that no run names."""
    summed = verdicts(checks)
    counts = summed.group_by("verdict").len().sort("verdict", descending=True)
    told = ", ".join(f"{count:,} {verdict}" for verdict, count in counts.iter_rows())
    unnamed = checks.filter(pl.col("run_id").is_null())["detail"]
    return [
        f"{counted(summed.height, 'run')}: {told}.",
        *(f"File {detail}." for detail in unnamed),
    ]


def document(checks: pl.DataFrame) -> dict[str, Any]:
    """All checks, ready for JSON."""
    told = checks.with_columns(pl.col("as_of").cast(pl.String))
    runs = verdicts(checks).with_columns(pl.col("as_of").cast(pl.String))
    of_run = ("check", "verdict", "detail")
    return {
        "runs": [
            run | {"checks": told.filter(run_id=run["run_id"]).select(of_run).to_dicts()}
            for run in runs.iter_rows(named=True)
        ],
        "leftovers": told.filter(pl.col("run_id").is_null())["detail"].to_list(),
    }


def differs(checks: pl.DataFrame) -> bool:
    """Whether anything is not what it was."""
    return not checks.filter(verdict=DIFFERS).is_empty()
