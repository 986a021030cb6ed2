"""The identity of a run: what it was made from, as a hash.

`content_hash` hashes rows by what they say, whatever their order; `run_id` joins the hashes of date, portfolio,
policy, input rows (`inputs_hashes`) and program version. Equal identities mean equal targets: to the bit in one
`environment`, to 1e-9 in another. `inputs_id` names what a whole batch read, by which it is stored.
"""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from importlib.metadata import version

import numpy as np
import polars as pl

from core.models import Inputs
from core.schemas import ALL_PORTFOLIOS
from core.version import __version__

COMPUTES = ("polars", "numpy", "scipy", "clarabel", "highspy")  # the libraries that targets depend on

_OWNER = "owner of the row"  # no column of a frame
OF_PORTFOLIO = ("portfolios", "positions", "cash", "overrides", "last_prices")


def content_hash(frame: pl.DataFrame) -> str:
    """SHA-256 of a frame's rows as a set; columns by name, numbers at full precision, null apart from an empty text."""
    ordered = frame.select(sorted(frame.columns))
    ordered = ordered.sort(ordered.columns, nulls_last=True) if ordered.width else ordered
    return hashlib.sha256(_text(ordered)).hexdigest()


def own_hashes(frame: pl.DataFrame, portfolio_ids: Sequence[str]) -> Mapping[str, str]:
    """The `content_hash` of each portfolio's own rows, by portfolio; rows for all portfolios are everybody's own."""
    columns, owner = sorted(frame.columns), pl.col("portfolio_id").cast(pl.String)
    header = _text(frame.select(columns).clear())
    hashes = dict.fromkeys(portfolio_ids, hashlib.sha256(header).hexdigest())
    if frame.is_empty():
        return hashes
    every = frame.filter(owner == ALL_PORTFOLIOS).join(
        pl.DataFrame({_OWNER: portfolio_ids}, {_OWNER: pl.String}), how="cross"
    )
    own = frame.with_columns(owner.alias(_OWNER)).filter(pl.col(_OWNER).is_in(portfolio_ids))
    rows = pl.concat([own, every]).sort(_OWNER, *columns, nulls_last=True)
    text, start = memoryview(_text(rows.select(columns))), len(header)
    for name, end in zip(rows[_OWNER].rle().struct.field("value"), _ends_by_owner(rows, text, start), strict=True):
        hashes[name] = hashlib.sha256(header + text[start:end]).hexdigest()
        start = end
    return hashes


def frame_hashes(inputs: Inputs) -> Mapping[str, str]:
    """The hash of each frame of a batch, `last_prices` included."""
    return {name: content_hash(frame) for name, frame in inputs.all_frames.items()}


def inputs_id(hashes: Mapping[str, str]) -> str:
    """The identity of all frames of a batch, from the hash of each: 32 hexadecimal digits."""
    return _joined(hashes)[:32]


def inputs_hashes(inputs: Inputs, hashes: Mapping[str, str]) -> Mapping[str, str]:
    """The hash of the input rows of each portfolio: its own rows and all shared ones; `hashes` are those of the frames.

    An override for all portfolios is everybody's own.
    """
    shared = {name: known for name, known in hashes.items() if name not in OF_PORTFOLIO}
    own = {name: own_hashes(inputs.all_frames[name], inputs.portfolio_ids) for name in OF_PORTFOLIO}
    return {
        portfolio_id: _joined(shared | {name: known[portfolio_id] for name, known in own.items()})
        for portfolio_id in inputs.portfolio_ids
    }


def run_id(as_of: date, portfolio_id: str, policy_hash: str, inputs_hash: str, program: str | None = None) -> str:
    """The identity of a run: 32 hexadecimal digits. `program` is the version that made it; none: this one."""
    parts = {
        "as_of": as_of.isoformat(),
        "portfolio_id": portfolio_id,
        "policy": policy_hash,
        "inputs": inputs_hash,
        "program": program or __version__,
    }
    return _joined(parts)[:32]


@cache
def environment() -> str:
    """What computes here: Python, the libraries that compute, and the kind of machine, with their versions."""
    libraries = ", ".join(f"{name} {version(name)}" for name in COMPUTES)
    return f"Python {platform.python_version()}, {libraries}, {platform.system()} {platform.machine()}"


def _text(frame: pl.DataFrame) -> bytes:
    return frame.write_csv(null_value="\\N", quote_style="non_numeric").encode()


def _ends_by_owner(rows: pl.DataFrame, text: memoryview, start: int) -> list[int]:
    """Where the text of each owner's rows ends; a cell may have line breaks of its own."""
    words = [name for name, dtype in rows.schema.items() if dtype in (pl.String, pl.Enum) and name != _OWNER]
    breaks = [pl.col(name).cast(pl.String).str.count_matches("\n", literal=True) for name in words]
    counted = rows.select(_OWNER, lines=pl.sum_horizontal(pl.lit(1), *breaks).cum_sum())
    last = counted.group_by(_OWNER, maintain_order=True).last()["lines"].to_numpy()
    line_ends = np.flatnonzero(np.frombuffer(text, np.uint8, offset=start) == ord("\n")) + 1
    return [start + int(end) for end in line_ends[last - 1]]


def _joined(parts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()
