"""The identity of a run: what it was made from, as a hash.

`content_hash` hashes rows by what they say, whatever their order; `run_id` joins the hashes of date, portfolio,
policy, input rows (`inputs_hashes`) and program version. Equal identities mean equal targets: to the bit in one
`environment`, to 1e-9 in another. `inputs_id` names what a whole batch read, by which it is stored.
"""

import hashlib
import json
import platform
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.metadata import version

import polars as pl

from core.models import Inputs
from core.schemas import ALL_PORTFOLIOS
from core.version import __version__

COMPUTES = ("polars", "numpy", "scipy", "clarabel", "highspy")  # the libraries that targets depend on

OF_PORTFOLIO = ("portfolios", "positions", "cash", "overrides", "last_prices")


def content_hash(frame: pl.DataFrame) -> str:
    """SHA-256 of a frame's rows as a set; columns by name, numbers at full precision, null apart from an empty text."""
    ordered = frame.select(sorted(frame.columns))
    ordered = ordered.sort(ordered.columns, nulls_last=True) if ordered.width else ordered
    text = ordered.write_csv(null_value="\\N", quote_style="non_numeric")
    return hashlib.sha256(text.encode()).hexdigest()


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
    own = {name: _by_portfolio(inputs.all_frames[name]) for name in OF_PORTFOLIO}
    return {
        portfolio_id: _joined(shared | {name: _own_hash(parts, portfolio_id) for name, parts in own.items()})
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


def _by_portfolio(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    parts = frame.partition_by("portfolio_id", as_dict=True)
    return {str(key): part for (key,), part in parts.items() if key is not None} | {"": frame.clear()}


def _own_hash(parts: Mapping[str, pl.DataFrame], portfolio_id: str) -> str:
    mine = [parts[key] for key in (portfolio_id, ALL_PORTFOLIOS) if key in parts]
    return content_hash(pl.concat(mine or [parts[""]]))


def _joined(parts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()
