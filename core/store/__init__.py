"""The store: the only wing that knows SQL and Parquet."""

from core.store.database import engine_from_url
from core.store.guard import Busy, Guard, guarded
from core.store.input_files import InputSet, current_inputs, frames_of_several_contents, stored_inputs
from core.store.leftovers import remove_leftovers
from core.store.load import load_folder, load_frames
from core.store.publish import publish, publish_all
from core.store.published import (
    CurrentRun,
    current_runs,
    day_before,
    days_done,
    find_run,
    last_targets,
    latest_days,
    read_current,
    read_runs,
    read_targets,
    run_days,
    run_rows,
    symbol_rows,
    symbols_considered,
    unnamed_files,
)
from core.store.read import portfolio_ids, read_inputs
from core.store.records import Published, RunRecord
from core.store.refusals import is_outage
from core.store.retention import Retired, damages, inputs_kept, retire, space
from core.store.upgrade import init, require_current

__all__ = [
    "Busy",
    "CurrentRun",
    "Guard",
    "InputSet",
    "Published",
    "Retired",
    "RunRecord",
    "current_inputs",
    "current_runs",
    "damages",
    "day_before",
    "days_done",
    "engine_from_url",
    "find_run",
    "frames_of_several_contents",
    "guarded",
    "init",
    "inputs_kept",
    "is_outage",
    "last_targets",
    "latest_days",
    "load_folder",
    "load_frames",
    "portfolio_ids",
    "publish",
    "publish_all",
    "read_current",
    "read_inputs",
    "read_runs",
    "read_targets",
    "remove_leftovers",
    "require_current",
    "retire",
    "run_days",
    "run_rows",
    "space",
    "stored_inputs",
    "symbol_rows",
    "symbols_considered",
    "unnamed_files",
]
