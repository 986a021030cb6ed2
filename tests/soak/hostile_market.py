"""A valid market to be corrupted: fourteen names, two portfolios, six mornings; as rows of plain Python objects.

Rows are dictionaries, so that a cell may become anything. `documents` are the policies under which they are used.
"""

import datetime as dt
from typing import Any

from core.policy import Policy
from core.policy_file import parse_policy

AS_OF = dt.date(2026, 11, 20)
MORNINGS = [dt.date(2026, 11, day) for day in (13, 16, 17, 18, 19, 20)]
PORTFOLIOS = ("alpha", "beta")
BUCKETS = ("Energy", "Health Care", "Technology", "Utilities")
SYMBOLS = ("ACME", "BOLT", "CEDAR", "DELTA", "EMBER", "FJORD", "GROVE", "HELIX", "IRIS", "JUNO", "KITE", "LYNX")
LOOSE = ("MOSS", "Ñandú")  # without a bucket, and not of ASCII
HELD = {"alpha": ("ACME", "BOLT", "CEDAR", "Ñandú"), "beta": ("DELTA", "KITE")}

Row = dict[str, Any]
Tables = dict[str, list[Row]]

documents = {
    "listed": """
name: listed
source: {candidates_from: candidates}
limits: {max_total_positions: 8, max_new_positions: 4, min_score_threshold: 0.3, min_score_new_position: 0.5,
  enable_bucket_diversification: true, max_positions_per_bucket: 3, max_allocation_per_bucket: 0.35,
  min_buckets_represented: 2}
constraints: [{kind: long_only}]
""",
    "priced": """
name: priced
scoring:
  signals:
    - {kind: table, name: technical, weight: 0.6}
    - {kind: momentum, name: momentum, weight: 0.4, lookback: 3, skip: 0}
limits: {max_total_positions: 8, min_score_threshold: 0.2, min_score_new_position: 0.4}
sizing: {kind: inverse_volatility, lookback: 4}
constraints: [{kind: long_only}, {kind: max_position, max_weight: 0.18}, {kind: turnover, max_turnover: 0.9}]
""",
    "proposed": """
name: proposed
limits: {max_total_positions: 10, max_new_positions: 10, min_score_threshold: 0.0, min_score_new_position: 0.1}
sizing: {kind: as_proposed}
constraints: [{kind: max_gross_exposure, max_exposure: 0.9}, {kind: net_exposure, minimum: -0.5, maximum: 0.9}]
""",
}


def policy_of(name: str) -> Policy:
    """One of the policies."""
    return parse_policy(documents[name], name)


def market() -> Tables:
    """The input tables by name; each call makes rows of its own."""
    names = (*SYMBOLS, *LOOSE)
    return {
        "portfolios": [
            {"portfolio_id": name, "name": name.title(), "base_currency": "USD", "active": True} for name in PORTFOLIOS
        ],
        "positions": [
            {"portfolio_id": book, "as_of": AS_OF, "symbol": symbol, "quantity": 100.0 + 10 * at}
            for book, symbols in HELD.items()
            for at, symbol in enumerate(symbols)
        ],
        "cash": [{"portfolio_id": name, "as_of": AS_OF, "amount": 60_000.0} for name in PORTFOLIOS],
        "assets": [
            {"symbol": name, "name": f"{name} Company", "bucket": _bucket(name), "tradable": True, "currency": "USD"}
            for name in names
        ],
        "prices": [
            {"as_of": day, "symbol": name, "close": _close(at, morning), "adjusted_close": None}
            for morning, day in enumerate(MORNINGS)
            for at, name in enumerate(names)
        ],
        "signals": [
            {"as_of": day, "symbol": name, "signal": signal, "value": _signal(at, signal)}
            for day in MORNINGS[-2:]
            for at, name in enumerate(names)
            for signal in ("technical", "fundamental", "proposed_weight")
        ],
        "candidates": [{"as_of": AS_OF, "symbol": name, "priority": "trending"} for name in names],
        "corporate_actions": [
            {"effective": dt.date(2026, 11, 17), "symbol": "LYNX", "factor": 1.0, "new_symbol": None},
        ],
        "overrides": [
            {
                "portfolio_id": "all",
                "symbol": "JUNO",
                "kind": "accept-jump",
                "from": MORNINGS[0],
                "to": dt.date(2026, 12, 31),
                "value": None,
                "who": "ann",
                "why": "looked at",
            }
        ],
    }


def _bucket(name: str) -> str | None:
    return None if name in LOOSE else BUCKETS[SYMBOLS.index(name) % len(BUCKETS)]


def _close(at: int, morning: int) -> float:
    return round(40.0 + 7 * at + ((3 * at + 5 * morning) % 7) / 2, 2)


def _signal(at: int, signal: str) -> float:
    score = round(((5 * at + 2 * len(signal)) % 14) / 14 + 0.01, 4)
    return 0.05 if signal == "proposed_weight" else score
