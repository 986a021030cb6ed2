"""Random groups with limits around weights that meet them, more or less; seeded, so that a failure can be run again."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from core.constraints import (
    FrozenNamesConstraint,
    LongOnlyConstraint,
    MarketNeutralConstraint,
    MaxBucketWeightConstraint,
    MaxGrossExposureConstraint,
    MaxPositionConstraint,
    MaxPositionsConstraint,
    MinBucketsConstraint,
    MinBucketWeightConstraint,
    MinPositionWeightConstraint,
    NameLimit,
    NameLimitsConstraint,
    NetExposureConstraint,
    TurnoverConstraint,
    WeightConstraint,
)
from core.constraints.panel import ROW, SYMBOL, Panel
from core.constraints.problem import Problem, problem_of
from tests.core.constraints.convex_oracle import Case, Floats

CONVEX = (
    "max_position", "max_gross_exposure", "market_neutral", "net_exposure", "long_only", "turnover",
    "max_bucket_weight", "name_limits", "frozen_names",
)  # fmt: skip
DISCRETE = ("min_bucket_weight", "max_positions", "min_position_weight", "min_buckets")


def frame_of(case: Case, day: int = 0, order: Sequence[int] | None = None) -> pl.DataFrame:
    """The rows of a case as constraints take them."""
    columns = {"end_time": [day] * len(case), "symbol": case.symbols, "weight": case.wanted.tolist()}
    if case.current is not None:
        columns["current_weight"] = case.current.tolist()
    if len(case.buckets):
        columns["bucket"] = list(case.buckets)
    if case.frozen is not None:
        columns["frozen"] = case.frozen.tolist()
    rows = pl.DataFrame(columns, schema_overrides={"weight": pl.Float64, "current_weight": pl.Float64})
    return rows if order is None else rows[list(order)]


def problem_of_case(case: Case) -> Problem:
    """What the exact solver is asked for a case."""
    needed = sorted({column for each in case.constraints for column in each.needed})
    rows = Panel.of(frame_of(case), "end_time", needed).rows.with_row_index(ROW).sort(SYMBOL)
    return problem_of(rows, case.constraints)


def in_modes(case: Case, rng: np.random.Generator, hard: float = 0.0, soft: float = 0.0) -> Case:
    """The case with its constraints in other modes: a share stays hard, a share becomes soft, the rest no_worse."""
    return replace(case, constraints=tuple(_in_mode(each, rng, hard, soft) for each in case.constraints))


def _in_mode(constraint: WeightConstraint, rng: np.random.Generator, hard: float, soft: float) -> WeightConstraint:
    drawn = rng.random()
    if drawn < hard:
        return constraint
    if drawn < hard + soft and "soft" in constraint.modes:
        counted = constraint.kind == "max_positions"
        room = float(rng.integers(1, 4)) if counted else float(rng.choice([0.02, 0.1, 0.5, 2.0]))
        return replace(constraint, mode="soft", priority=int(rng.integers(1, 4)), max_relaxation=room)
    return replace(constraint, mode="no_worse") if "no_worse" in constraint.modes else constraint


def random_cases(
    seed: int, count: int, *, kinds: Sequence[str] = CONVEX, most_names: int = 10, fewest: int = 2, frozen: bool = True
) -> Iterator[Case]:
    for number in range(count):
        yield random_case(np.random.default_rng([seed, number]), kinds, most_names, fewest, frozen=frozen)


def random_case(
    rng: np.random.Generator,
    kinds: Sequence[str] = CONVEX,
    most_names: int = 10,
    fewest: int = 2,
    *,
    frozen: bool = True,
) -> Case:
    n = int(rng.integers(fewest, most_names + 1))
    long_only = rng.random() < 0.4
    wanted = _weights(rng, n, long_only=long_only)
    current = np.where(
        rng.random(n) < 0.5, wanted * rng.choice([1.0, 0.5, 1.5], n), _weights(rng, n, long_only=long_only)
    )
    current = np.where(rng.random(n) < 0.25, 0.0, current)
    wanted = np.where(rng.random(n) < 0.15, 0.0, wanted)
    buckets = rng.choice(["x", "y", "z", "Unknown"], n, p=[0.35, 0.3, 0.25, 0.1]).tolist()
    fixed = (rng.random(n) < 0.12) if frozen and rng.random() < 0.3 else None
    if fixed is not None:
        wanted = np.where(fixed, current, wanted)
    case = Case(wanted, (), current, buckets, fixed)
    met = reference(rng, case)
    chosen = rng.permutation(list(kinds))[: rng.integers(1, 6)].tolist()
    if "long_only" in chosen and "market_neutral" in chosen:
        chosen.remove("market_neutral")
    if not rng.random() < 0.85:
        met = met * rng.choice([0.5, 0.8, 1.3])
    return replace(case, constraints=tuple(constraint_at(rng, case, met, kind) for kind in chosen))


def _weights(rng: np.random.Generator, n: int, *, long_only: bool) -> Floats:
    """Some with many digits, some round, so that names tie; the gross is about 1."""
    sizes = rng.choice([0.05, 0.1, 0.2, 0.3], n) if rng.random() < 0.3 else rng.dirichlet(np.ones(n))
    signs = np.ones(n) if long_only else rng.choice([1.0, -1.0], n)
    return sizes * signs * (1.0 if rng.random() < 0.7 else rng.uniform(0.5, 1.5))


def reference(rng: np.random.Generator, case: Case) -> Floats:
    """Weights that a name may have, around the wanted ones."""
    met = np.clip(case.wanted + rng.normal(0.0, 0.05, len(case)) * rng.choice([0.0, 1.0, 3.0]), *case.range)
    return np.where(case.fixed, case.wanted, met)


def constraint_at(rng: np.random.Generator, case: Case, met: Floats, kind: str) -> WeightConstraint:
    """A constraint of a kind that `met` meets: exactly, with room, or nearly."""
    room = 1.0 + rng.choice([0.0, 0.0, 0.02, 0.3, -0.01])
    gross, net = max(float(np.abs(met).sum()), 1e-3), float(met.sum())
    bucket_gross = {b: float(np.abs(met[here]).sum()) for b, here in case.of_bucket.items()}
    match kind:
        case "max_position":
            return MaxPositionConstraint(max(float(np.abs(met).max()), 1e-3) * room, bool(rng.random() < 0.5))
        case "max_gross_exposure":
            return MaxGrossExposureConstraint(gross * room)
        case "market_neutral":
            return MarketNeutralConstraint()
        case "net_exposure":
            wide = rng.choice([0.0, 0.02])
            low, high = net - wide, net + wide
            return [NetExposureConstraint(low, high), NetExposureConstraint(low), NetExposureConstraint(None, high)][
                rng.integers(3)
            ]
        case "long_only":
            return LongOnlyConstraint()
        case "turnover":
            return TurnoverConstraint(max(float(np.abs(met - case.today).sum() / 2), 1e-3) * room)
        case "max_bucket_weight":
            limits = {b: max(level, 1e-3) * room for b, level in bucket_gross.items()}
            return MaxBucketWeightConstraint(max(limits.values()) if rng.random() < 0.4 else _some(rng, limits))
        case "min_bucket_weight":
            limits = {b: max(level, 1e-3) / room for b, level in bucket_gross.items()}
            return MinBucketWeightConstraint(min(limits.values()) if rng.random() < 0.4 else _some(rng, limits))
        case "name_limits":
            at = rng.choice(len(case), min(2, len(case)), replace=False)
            return NameLimitsConstraint({case.symbols[i]: _around(rng, float(met[i])) for i in at})
        case "frozen_names":
            return FrozenNamesConstraint((case.symbols[rng.integers(len(case))],))
        case "max_positions":
            count = int((np.abs(met) > 1e-9).sum())
            return MaxPositionsConstraint(max(1, count - int(rng.integers(0, 4))), bool(rng.random() < 0.3))
        case "min_position_weight":
            return MinPositionWeightConstraint(float(rng.choice([0.02, 0.05, 0.1, 0.2])))
        case "min_buckets":
            return MinBucketsConstraint(int(rng.integers(1, 4)), float(rng.choice([0.001, 0.05, 0.15])))
    raise ValueError(kind)


def _some(rng: np.random.Generator, limits: dict[str, float]) -> dict[str, float]:
    kept = {bucket: limit for bucket, limit in limits.items() if rng.random() < 0.7}
    return kept or dict([next(iter(limits.items()))])


def _around(rng: np.random.Generator, level: float) -> NameLimit:
    return [NameLimit(level - 0.02, level + 0.01), NameLimit(None, level), NameLimit(level, None)][rng.integers(3)]
