"""The store: the only wing that knows SQL and Parquet."""

from core.store.database import engine_from_url, is_outage
from core.store.load import load_folder, load_frames
from core.store.publish import Published, RunRecord, publish
from core.store.published import (
    read_current,
    read_runs,
    read_targets,
    run_days,
    run_rows,
    symbol_rows,
    symbols_considered,
)
from core.store.read import read_inputs
from core.store.upgrade import init, require_current

__all__ = [
    "Published",
    "RunRecord",
    "engine_from_url",
    "init",
    "is_outage",
    "load_folder",
    "load_frames",
    "publish",
    "read_current",
    "read_inputs",
    "read_runs",
    "read_targets",
    "require_current",
    "run_days",
    "run_rows",
    "symbol_rows",
    "symbols_considered",
]
