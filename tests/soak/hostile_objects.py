"""The faces that take lists of objects and frames of weights, with one thing wrong in what they are given.

`ending` makes a valid call, corrupts one argument, or one field of one asset, and judges what comes back.
"""

import datetime as dt
import traceback
from collections.abc import Iterator
from dataclasses import fields, replace
from decimal import Decimal
from math import isfinite
from random import Random
from typing import Any

import numpy as np
import polars as pl

from core import (
    AssetPriority,
    AssetScore,
    BucketLimitsConfig,
    BucketLimitsEnforcer,
    BucketManager,
    ConstraintSet,
    CoreRebalancerEngine,
    LongOnlyConstraint,
    MaxBucketWeightConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    RebalancingLimits,
    TurnoverConstraint,
)
from core.errors import EvenkeelError
from tests.soak.corruptions import HUGE_AND_TINY, INJECTIONS, ODD_TEXTS
from tests.soak.hostile_checks import EPSILON, message_faults
from tests.soak.hostile_files import recast
from tests.soak.hostile_market import AS_OF, BUCKETS, SYMBOLS

LIMITS = RebalancingLimits(
    max_total_positions=8, max_new_positions=5, min_score_threshold=0.3, min_score_new_position=0.4,
    enable_bucket_diversification=True, max_positions_per_bucket=3, max_allocation_per_bucket=0.35,
)  # fmt: skip
ODD: tuple[Any, ...] = (
    *(None, True, "0.5", "high", b"0.5", [], {}, (0.5,), float("nan"), float("inf"), float("-inf"), *HUGE_AND_TINY),
    *(Decimal("0.5"), Decimal("NaN"), np.float64("nan"), np.float32(0.5), np.int64(1), np.array([0.5]), 0.5j, 10**400),
    *(
        dt.date.min,
        dt.date.max,
        dt.datetime(2026, 11, 20, tzinfo=dt.UTC),
        "portfolio",
        range(3),
        pl.Series([0.5]),
        "\ud800",
    ),
    *ODD_TEXTS,
    *INJECTIONS,
)
OUTCOME = tuple[str, list[str]]


def ending(draw: Random) -> tuple[str, str, str, list[str]]:
    """One call: the kind of corruption, what was done, how it ended, and what is wrong with that."""
    face = draw.choice((_engine, _engine, _scoring, _enforcer, _weights, _weights))
    kind = f"object {face.__name__.strip('_')}"
    told: list[str] = []
    try:
        outcome, faults = face(draw, told)
    except EvenkeelError as error:
        return kind, f"{told} -> {error}", "error", list(message_faults(str(error)))
    except BaseException as error:  # Polars' panics are no `Exception`
        return kind, str(told), "FAULT", ["".join(traceback.format_exception(error)[-4:])]
    return kind, str(told), outcome, faults


def _assets() -> list[AssetScore]:
    return [
        AssetScore(
            asset=symbol,
            combined_score=round(0.95 - 0.05 * at, 4),
            priority=AssetPriority.PORTFOLIO if at % 4 == 0 else AssetPriority.TRENDING,
            position_size_percentage=0.08,
            date=AS_OF,
            confidence=0.8,
            previous_allocation=0.1,
        )
        for at, symbol in enumerate(SYMBOLS)
    ]


def _manager() -> BucketManager:
    return BucketManager({bucket: SYMBOLS[at :: len(BUCKETS)] for at, bucket in enumerate(BUCKETS)})


def _spoiled(assets: list[Any], draw: Random, told: list[str]) -> list[Any]:
    """One thing wrong with a list of assets."""
    at, name, odd = draw.randrange(len(assets)), draw.choice([f.name for f in fields(AssetScore)]), draw.choice(ODD)
    what = draw.choice(("field", "field", "field", "twice", "no asset", "order", "few"))
    told.append(f"{what} {at} {name} {odd!r:.80}")
    match what:
        case "field":
            assets[at] = replace(assets[at], **{name: odd})
        case "twice":
            assets.append(assets[at])
        case "no asset":
            assets[at] = odd
        case "order":
            draw.shuffle(assets)
        case _:
            del assets[draw.choice((0, 1)) :]
    return assets


def _engine(draw: Random, told: list[str]) -> OUTCOME:
    arguments: dict[str, Any] = {
        "as_of": AS_OF,
        "current_positions": dict.fromkeys(SYMBOLS[::4], 0.1),
        "scored_assets": _assets(),
        "limits": LIMITS,
    }
    if draw.random() < 0.6:
        arguments["scored_assets"] = _spoiled(arguments["scored_assets"], draw, told)
    elif draw.random() < 0.5:
        _spoil_positions(arguments["current_positions"], draw, told)
    else:
        name, odd = draw.choice(sorted(arguments)), draw.choice(ODD)
        told.append(f"{name} is {odd!r:.80}")
        arguments[name] = odd
    return _judged_plan(arguments)


def _scoring(draw: Random, told: list[str]) -> OUTCOME:
    values: dict[Any, Any] = {
        name: {symbol: (at * 5 % 12) / 12 for at, symbol in enumerate(SYMBOLS)} for name in ("technical", "fundamental")
    }
    arguments: dict[str, Any] = {
        "as_of": AS_OF,
        "current_positions": dict.fromkeys(SYMBOLS[::4], 0.1),
        "limits": LIMITS,
        "candidates": list(SYMBOLS),
        "signal_values": values,
    }
    odd: Any = draw.choice([odd for odd in ODD if _is_hashable(odd)])
    match draw.choice(("value", "symbol", "name", "candidate", "argument", "positions")):
        case "value":
            values["technical"][draw.choice(SYMBOLS)] = odd
        case "symbol":
            values["technical"][odd] = 0.5
        case "name":
            values[odd] = values["technical"]
        case "candidate":
            arguments["candidates"].append(odd)
        case "argument":
            arguments[draw.choice(("candidates", "signal_values", "as_of"))] = odd
        case _:
            _spoil_positions(arguments["current_positions"], draw, told)
    told.append(f"{odd!r:.80}")
    return _judged_plan(arguments)


def _is_hashable(odd: object) -> bool:
    return getattr(type(odd), "__hash__", None) is not None


def _spoil_positions(positions: dict[Any, Any], draw: Random, told: list[str]) -> None:
    odd = draw.choice([odd for odd in ODD if _is_hashable(odd)])
    told.append(f"positions with {odd!r:.80}")
    if draw.random() < 0.5:
        positions[draw.choice(SYMBOLS)] = odd
    else:
        positions[odd] = 0.1


def _judged_plan(arguments: dict[str, Any]) -> OUTCOME:
    plan = CoreRebalancerEngine(_manager(), constraints=[LongOnlyConstraint()]).plan(**arguments)
    plan.to_json()
    if plan.conflict is not None:
        return "refused", [*message_faults(plan.conflict), *(["targets beside a conflict"] if plan.targets else [])]
    if plan.breaches.height:
        return "refused", []
    held = dict(arguments["current_positions"])
    return "published", list(_plan_faults(plan.targets, held))


def _plan_faults(targets: list[Any], held: dict[Any, Any]) -> Iterator[str]:
    weights = {target.asset: target.target_allocation_pct for target in targets}
    if not all(isfinite(weight) for weight in weights.values()):
        yield "a weight that is not finite"
        return
    sizes = [abs(weight) for weight in weights.values()]
    if sum(sizes) > 1 + EPSILON or max(sizes, default=0.0) > LIMITS.max_single_position_pct + EPSILON:
        yield f"weights beyond their limits: {weights}"
    if min(weights.values(), default=0.0) < -EPSILON:
        yield "a short position in a long-only book"
    manager = _manager()
    for bucket in {manager.get_asset_bucket(symbol) for symbol in weights}:
        gross = sum(abs(weights[symbol]) for symbol in weights if manager.get_asset_bucket(symbol) == bucket)
        if gross > LIMITS.max_allocation_per_bucket + EPSILON:
            yield f"bucket {bucket} is {gross}"
    lost = [symbol for symbol, weight in held.items() if abs(weight) > 1e-9 and symbol not in weights]
    if lost:
        yield f"held and not among the targets: {lost}"


def _enforcer(draw: Random, told: list[str]) -> OUTCOME:
    assets = _spoiled(_assets(), draw, told)
    config = BucketLimitsConfig(max_positions_per_bucket=2, max_allocation_per_bucket=0.15)
    manager = _manager()
    result = BucketLimitsEnforcer(manager).apply_bucket_limits(assets, config)
    faults = []
    if sorted(a.asset for a in (*result.selected_assets, *result.rejected_assets)) != sorted(a.asset for a in assets):
        faults.append("assets were lost")
    for bucket in {manager.get_asset_bucket(asset.asset) for asset in result.selected_assets}:
        chosen = [a for a in result.selected_assets if manager.get_asset_bucket(a.asset) == bucket]
        gross = sum(abs(asset.position_size_percentage or 0.0) for asset in chosen)
        fixed = sum(asset.combined_score is None or asset.combined_score != asset.combined_score for asset in chosen)
        if not isfinite(gross) or (gross > 0.15 + EPSILON and not fixed):
            faults.append(f"bucket {bucket} is {gross}")
        if len(chosen) > 2 and not fixed:
            faults.append(f"{len(chosen)} names in {bucket}")
    return "published", faults


CHAIN = ConstraintSet(
    [
        MaxGrossExposureConstraint(0.9),
        MaxPositionConstraint(0.2),
        MaxBucketWeightConstraint(0.4),
        TurnoverConstraint(0.8),
    ]
)


def _weights(draw: Random, told: list[str]) -> OUTCOME:
    rows: list[dict[str, Any]] = [
        {
            "end_time": day,
            "symbol": symbol,
            "weight": 0.1 + 0.01 * at,
            "bucket": BUCKETS[at % len(BUCKETS)],
            "current_weight": 0.05,
            "frozen": False,
        }
        for day in (AS_OF, dt.date(2026, 11, 21))
        for at, symbol in enumerate(SYMBOLS)
    ]
    frame = _spoiled_frame(rows, draw, told)
    by: Any = draw.choice(ODD) if draw.random() < 0.1 else "end_time"
    made = CHAIN.apply(frame, by)
    made.actions  # noqa: B018 - made when asked for
    return _judged_weights(frame, made)


def _spoiled_frame(rows: list[dict[str, Any]], draw: Random, told: list[str]) -> Any:
    column, odd = draw.choice(sorted(rows[0])), draw.choice(ODD)
    what = draw.choice(
        ("cell", "cell", "cell", "missing", "renamed", "extra", "type", "twice", "order", "few", "frame")
    )
    told.append(f"{what} {column} {odd!r:.80}")
    match what:
        case "cell":
            draw.choice(rows)[column] = odd
        case "missing":
            rows = [{name: row[name] for name in row if name != column} for row in rows]
        case "renamed":
            rows = [{(f" {name}" if name == column else name): row[name] for name in row} for row in rows]
        case "extra":
            rows = [row | {draw.choice(("group", "row", "level", "x")): 1} for row in rows]
        case "twice":
            rows.append(rows[0])
        case "order":
            draw.shuffle(rows)
        case "few":
            rows = rows[: draw.choice((0, 1))]
        case "frame":
            return odd
    frame = pl.DataFrame({name: _cells(name, [row.get(name) for row in rows]) for name in (rows[0] if rows else ())})
    return recast(frame, draw)[0] if what == "type" else frame


def _cells(name: str, cells: list[Any]) -> pl.Series:
    try:
        return pl.Series(name, cells)
    except (TypeError, OverflowError, ValueError, pl.exceptions.PolarsError):
        return pl.Series(name, cells, dtype=pl.Object)


def _judged_weights(given: pl.DataFrame, made: Any) -> OUTCOME:
    faults = []
    if made.weights.height != given.height or made.weights["symbol"].to_list() != given["symbol"].to_list():
        faults.append("other rows came back")
    if made.breaches.height or made.infeasible.height:
        return "refused", faults
    numbers = made.weights.with_columns(size=pl.col("weight").abs())
    if numbers.filter(~pl.col("weight").is_finite()).height:
        faults.append("a weight that is not finite")
    if numbers.filter(pl.col("size") > 0.2 + EPSILON).height:
        faults.append("a weight above its cap")
    if numbers.group_by("end_time").agg(pl.col("size").sum()).filter(pl.col("size") > 0.9 + EPSILON).height:
        faults.append("gross above its cap")
    buckets = numbers.group_by("end_time", "bucket").agg(pl.col("size").sum())
    if buckets.filter(pl.col("size") > 0.4 + EPSILON).height:
        faults.append("a bucket above its cap")
    return "published", faults
