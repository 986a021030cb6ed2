"""The identity of a run: what it was made from, as a hash.

`content_hash` hashes rows by what they say, whatever their order; `run_id` joins the hashes of date, portfolio,
policy, input rows and program version. Equal identities mean equal targets.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import date

import polars as pl

from core.models import Inputs
from core.schemas import ALL_PORTFOLIOS
from core.version import __version__

OF_PORTFOLIO = ("portfolios", "positions", "cash", "overrides")


def content_hash(frame: pl.DataFrame) -> str:
    """SHA-256 of a frame's rows as a set; columns by name, numbers at full precision, null apart from an empty text."""
    ordered = frame.select(sorted(frame.columns))
    ordered = ordered.sort(ordered.columns, nulls_last=True) if ordered.width else ordered
    text = ordered.write_csv(null_value="\\N", quote_style="non_numeric")
    return hashlib.sha256(text.encode()).hexdigest()


def inputs_hashes(inputs: Inputs, portfolio_ids: list[str]) -> Mapping[str, str]:
    """The hash of the input rows of each portfolio: its own rows and all shared ones."""
    shared = {name: content_hash(frame) for name, frame in inputs.frames.items() if name not in OF_PORTFOLIO}
    return {portfolio_id: _joined({**shared, **_own(inputs, portfolio_id)}) for portfolio_id in portfolio_ids}


def run_id(as_of: date, portfolio_id: str, policy_hash: str, inputs_hash: str) -> str:
    """The identity of a run: 32 hexadecimal digits."""
    parts = {
        "as_of": as_of.isoformat(),
        "portfolio_id": portfolio_id,
        "policy": policy_hash,
        "inputs": inputs_hash,
        "program": __version__,
    }
    return _joined(parts)[:32]


def _own(inputs: Inputs, portfolio_id: str) -> dict[str, str]:
    frames = {name: inputs[name] for name in OF_PORTFOLIO} | {"last_prices": inputs.last_prices}
    mine = pl.col("portfolio_id").is_in([portfolio_id, ALL_PORTFOLIOS])
    return {name: content_hash(frame.filter(mine)) for name, frame in frames.items()}


def _joined(parts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
