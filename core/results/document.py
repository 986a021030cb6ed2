"""The JSON output of a run: targets, metadata, and with bucket diversification what its rules did."""

import datetime as dt
import json
from math import isfinite
from typing import Any

import polars as pl

from core.actions import sentences
from core.decisions.bucket_limits_enforcer import violations_fixed
from core.errors import PublishingRefusedError
from core.limits import RebalancingLimits
from core.schemas import TradeAction

PLACES = 4


def document(
    target_rows: pl.DataFrame,
    actions: pl.DataFrame,
    statistics: pl.DataFrame,
    limits: RebalancingLimits,
    timestamp: dt.datetime | None = None,
) -> dict[str, Any]:
    """One run as a document ready for JSON; frames as in `core.engine.Plan`, of one portfolio and date.

    Numbers are rounded to 4 places; the total is summed before. `timestamp`: by default the as-of date at midnight UTC.
    Raises `PublishingRefusedError` where a number is not finite.
    """
    names = target_rows.filter(~pl.col("is_cash"))
    kept = names.filter(pl.col("action") != TradeAction.CLOSE.value)
    counts = names.group_by("action").len().sort("action")
    (as_of,) = target_rows["as_of"].unique()
    moment = timestamp or dt.datetime.combine(as_of, dt.time(), dt.UTC)
    content = {
        "rebalancing_targets": [_target(row) for row in names.iter_rows(named=True)],
        "metadata": {
            "total_targets": names.height,
            "actions_summary": dict(counts.iter_rows()),
            "total_target_allocation": _rounded(float(kept["target_weight"].abs().sum()), "total_target_allocation"),
            "timestamp": moment.isoformat(),
        },
    }
    if limits.enable_bucket_diversification:
        content["bucket_diversification"] = _buckets(actions, statistics)
    return content


def to_json(content: Any) -> str:
    """A document as text; a number that is not finite is refused, never written."""
    return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)


def _target(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "asset": row["symbol"],
        "target_allocation_pct": _rounded(row["target_weight"], row["symbol"]),
        "current_allocation_pct": _rounded(row["current_weight"], row["symbol"]),
        "action": row["action"],
        "priority": row["priority"],
        "score": None if row["score"] is None else _rounded(row["score"], row["symbol"]),
        "reason": row["reason"],
    }


def _buckets(actions: pl.DataFrame, statistics: pl.DataFrame) -> dict[str, Any]:
    enforced = actions.filter(pl.col("step").is_in(["buckets", "selection"]) | (pl.col("rule") == "max_bucket_weight"))
    return {
        "bucket_statistics": {
            row["bucket"]: {
                "asset_count": row["asset_count"],
                "total_allocation": _rounded(row["gross_weight"], row["bucket"]),
                "avg_score": None if row["avg_score"] is None else _rounded(row["avg_score"], row["bucket"]),
            }
            for row in statistics.iter_rows(named=True)
        },
        "enforcement_actions": sentences(enforced),
        "violations_fixed": violations_fixed(actions),
    }


def _rounded(number: float, of: str) -> float:
    if not isfinite(number):
        raise PublishingRefusedError(f"a number of {of} is {number}: only finite numbers are written.")
    return round(number, PLACES) + 0.0  # never -0.0
