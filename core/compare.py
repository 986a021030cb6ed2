"""Two stored runs beside each other: `diff_of` reads both from the store, and `core.results.diff` compares them.

`diffs_of_days` compares the current runs of two dates, portfolio by portfolio.
"""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy.engine import Engine

from core import store
from core.errors import StoreError
from core.models import Inputs
from core.results.diff import RunDiff, RunFacts, StoredRun, difference


def diff_of(engine: Engine, root: Path, run_id_a: str, run_id_b: str) -> RunDiff:
    """What changed from one run to another of the same portfolio; ids may be shortened to their first 6 characters.

    `root` is the folder of all targets. Raises `StoreError` for a run that is not there, or of another portfolio.
    """
    before, after = (store.find_run(engine, run_id).row(0, named=True) for run_id in (run_id_a, run_id_b))
    if before["portfolio_id"] != after["portfolio_id"]:
        told = " and ".join(f"run {run['run_id']} is of {run['portfolio_id']!r}" for run in (before, after))
        raise StoreError(f"{told}: name two runs of one portfolio.")
    return _difference(engine, root, before, after)


def diffs_of_days(
    engine: Engine, root: Path, day_a: dt.date, day_b: dt.date, portfolio_id: str | None = None
) -> Iterator[RunDiff]:
    """What changed between the current runs of two dates, of each portfolio that has one on both.

    Raises `StoreError` where no portfolio has.
    """
    before, after = (_current(engine, day, portfolio_id) for day in (day_a, day_b))
    both = sorted(set(before) & set(after))
    if not both:
        found = [f"{day}: {', '.join(sorted(runs)) or 'none'}" for day, runs in ((day_a, before), (day_b, after))]
        raise StoreError(f"no portfolio has a current run on both dates. Portfolios with one on {'; on '.join(found)}.")
    return (_difference(engine, root, before[name], after[name]) for name in both)


def _current(engine: Engine, day: dt.date, portfolio_id: str | None) -> dict[str, dict[str, Any]]:
    found = store.read_runs(engine, day, portfolio_id).filter(status="published")
    return {row["portfolio_id"]: row for row in found.iter_rows(named=True)}


def _difference(engine: Engine, root: Path, before: dict[str, Any], after: dict[str, Any]) -> RunDiff:
    old, new, notes = _inputs_of_both(engine, root, before, after)
    return difference(_stored(engine, before, old), _stored(engine, after, new), notes)


def _stored(engine: Engine, run: dict[str, Any], inputs: Inputs | None) -> StoredRun:
    rows = {table: store.run_rows(engine, table, run["run_id"]) for table in ("targets", "decisions", "explanations")}
    facts = RunFacts(**{name: run[name] for name in RunFacts.__annotations__})
    return StoredRun(facts, _document(run), inputs, **rows)


def _document(run: dict[str, Any]) -> dict[str, Any]:
    """The stored policy as it stands, for it may be that of another version of the program."""
    try:
        content = yaml.safe_load(run["policy"])
    except yaml.YAMLError:
        content = None
    if not isinstance(content, dict):
        raise StoreError(f"the policy stored with run {run['run_id']} is none: restore it from a backup.")
    return content


def _inputs_of_both(
    engine: Engine, root: Path, before: dict[str, Any], after: dict[str, Any]
) -> tuple[Inputs | None, Inputs | None, list[str]]:
    """The inputs of both runs, where they are not the same; what cannot be read is noted, and nothing is compared."""
    if before["inputs_hash"] == after["inputs_hash"]:
        return None, None, []
    found, notes = [], []
    for run in (before, after):
        if run["inputs_id"] is None:
            notes.append(f"Run {run['run_id']} is of a program that kept no inputs: input rows are not compared.")
            continue
        try:
            found.append(store.stored_inputs(engine, root, run["inputs_id"], run["as_of"]))
        except StoreError as error:
            notes.append(f"Input rows are not compared: {error}")
    return (found[0], found[1], []) if len(found) == 2 else (None, None, notes)
