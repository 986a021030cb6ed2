"""What constraints say of all groups at once, for the groups that are solved together.

`separable_of` reads ranges and bounds from the constraints themselves, where `WeightConstraint.limits` describes one
group: a test shows that both say the same. Constraints that count names or ask for size are not among them
(`is_separable`); whoever solves without them has to look at what comes out. Where two constraints limit one thing, the
tighter holds; of two alike, the first by kind. `Sources` keeps who said what, for the story of each weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from core.constraints.base import WeightConstraint
from core.constraints.bucket import MaxBucketWeightConstraint
from core.constraints.ceilings import limit_of_bucket
from core.constraints.exposure import (
    LongOnlyConstraint,
    MarketNeutralConstraint,
    MaxGrossExposureConstraint,
    NetExposureConstraint,
)
from core.constraints.forms import Floats, Truths
from core.constraints.names import FrozenNamesConstraint, NameLimitsConstraint
from core.constraints.panel import BUCKET, CURRENT, FROZEN, GROUP, SYMBOL, WEIGHT
from core.constraints.position import MaxPositionConstraint
from core.constraints.problem import FROZEN_KIND
from core.constraints.separable import Numbers, Separable
from core.constraints.turnover import TurnoverConstraint
from core.limits import TOLERANCE

_SEPARABLE = (
    FrozenNamesConstraint, LongOnlyConstraint, MarketNeutralConstraint, MaxBucketWeightConstraint,
    MaxGrossExposureConstraint, MaxPositionConstraint, NameLimitsConstraint, NetExposureConstraint, TurnoverConstraint,
)  # fmt: skip


def is_separable(constraint: WeightConstraint) -> bool:
    """Whether all limits of a constraint are on single names, or on sums that `Separable` has."""
    return type(constraint) in _SEPARABLE


@dataclass(frozen=True)
class Range:
    """lower ≤ w ≤ upper, name by name; `at_lower` and `at_upper` are the limits that are told where an end holds."""

    kind: str
    lower: Floats
    upper: Floats
    at_lower: Floats
    at_upper: Floats


@dataclass(frozen=True)
class Bound:
    """A bound on one sum of each group, or of each cell, and the limit that is told where it holds."""

    kind: str
    bound: Floats
    told: Floats


@dataclass(frozen=True)
class Sources:
    """Where the ends of the ranges and the bounds of the sums come from.

    `shared`: per net, gross and turnover, the bounds from below and those from above.
    """

    ranges: tuple[Range, ...]
    shared: tuple[tuple[tuple[Bound, ...], tuple[Bound, ...]], ...]
    cells: tuple[Bound, ...]


@dataclass(frozen=True)
class Rows:
    """The names of some groups: `frame` has the rows of a panel, group by group, each in the order of its symbols.

    `buckets`: the names of the buckets of all groups, sorted; `bucket_of_cell`: which of them each cell is.
    """

    frame: pl.DataFrame
    wanted: Floats
    current: Floats
    frozen: Truths
    cell: Numbers
    group: Numbers
    buckets: list[str]
    bucket_of_cell: Numbers

    @cached_property
    def group_of_name(self) -> Numbers:
        """The number of each name's group."""
        return self.group[self.cell]

    @property
    def groups(self) -> int:
        """How many."""
        return int(self.group[-1]) + 1

    @property
    def own_range(self) -> tuple[Floats, Floats]:
        """Between what each name may end by itself: one that is not wanted, between 0 and today's weight."""
        pinned = (self.wanted == 0.0) & ~self.frozen
        lower, upper = np.minimum(self.current, 0.0), np.maximum(self.current, 0.0)
        return np.where(pinned, lower, -np.inf), np.where(pinned, upper, np.inf)

    def total(self, amounts: Floats) -> Floats:
        """The sums of what each name has, per group."""
        return np.bincount(self.group_of_name, amounts, self.groups).astype(np.float64, copy=False)

    def any(self, names: Truths) -> Truths:
        """Which groups have one of some names."""
        return self.total(names.astype(np.float64)) > 0.0

    def listed(self, symbols: Sequence[str]) -> Truths:
        """Which names are among some symbols."""
        return self.frame[SYMBOL].cast(pl.String).is_in(list(symbols)).to_numpy()


def rows_of(frame: pl.DataFrame) -> Rows:
    """The rows of a panel without null weights, at least one, sorted by group."""
    if not frame[SYMBOL].is_sorted() and _falls(frame):
        frame = frame.sort(GROUP, SYMBOL)
    wanted = frame[WEIGHT].to_numpy().copy()
    wanted[np.abs(wanted) <= TOLERANCE] = 0.0
    current = frame[CURRENT].to_numpy() if CURRENT in frame.columns else np.zeros(len(wanted))
    frozen = frame[FROZEN].to_numpy() if FROZEN in frame.columns else np.zeros(len(wanted), dtype=bool)
    cell, group, buckets, bucket_of_cell = _cells(frame)
    return Rows(frame, wanted, current, frozen, cell, group, buckets, bucket_of_cell)


def _falls(frame: pl.DataFrame) -> bool:
    """Whether the symbols of a group are not in order."""
    same = pl.col(GROUP) == pl.col(GROUP).shift()
    return bool(frame.select((same & (pl.col(SYMBOL) < pl.col(SYMBOL).shift())).any()).item())


def _cells(frame: pl.DataFrame) -> tuple[Numbers, Numbers, list[str], Numbers]:
    """The cell of each name, the group and the bucket of each cell, and the names of the buckets."""
    group = frame[GROUP].rle_id().to_numpy().astype(np.intp)
    if BUCKET not in frame.columns:
        return group, np.arange(group[-1] + 1), [""], np.zeros(group[-1] + 1, dtype=np.intp)
    buckets = frame[BUCKET].unique().sort().to_list()
    bucket = frame[BUCKET].cast(pl.Enum(buckets)).to_physical().to_numpy().astype(np.intp)
    place = group * len(buckets) + bucket
    present = np.flatnonzero(np.bincount(place, minlength=(group[-1] + 1) * len(buckets)))
    number = np.zeros(present[-1] + 1, dtype=np.intp)
    number[present] = np.arange(len(present))
    return number[place], present // len(buckets), buckets, present % len(buckets)


def separable_of(rows: Rows, constraints: Sequence[WeightConstraint]) -> tuple[Separable, Sources, Truths]:
    """The problem of all groups, where its limits come from, and which groups are of this kind at all.

    A group is not where a range is empty, or where a name that is not there would have to have a weight.
    """
    sources = _sources(rows, constraints)
    lower, upper = rows.own_range
    for each in sources.ranges:
        lower, upper = np.maximum(lower, each.lower), np.minimum(upper, each.upper)
    bounds = [(_tightest(below, rows.groups), _tightest(above, rows.groups)) for below, above in sources.shared]
    problem = Separable(
        rows.wanted,
        rows.current,
        lower,
        upper,
        rows.cell,
        rows.group,
        most=_tightest(sources.cells, len(rows.group)),
        least=-np.stack([below for below, _ in bounds], axis=1),
        greatest=np.stack([above for _, above in bounds], axis=1),
    )
    empty = rows.any(lower > upper) | (problem.least > problem.greatest).any(axis=1)
    return problem, sources, ~empty & ~_asks_for_the_absent(rows, constraints)


def _tightest(bounds: Sequence[Bound], count: int) -> Floats:
    tightest: Floats = np.min([np.full(count, np.inf), *(each.bound for each in bounds)], axis=0)
    return tightest


def _asks_for_the_absent(rows: Rows, constraints: Sequence[WeightConstraint]) -> Truths:
    """The groups that lack a name which may not be at 0."""
    asks = np.zeros(rows.groups, dtype=bool)
    for constraint in constraints:
        if isinstance(constraint, NameLimitsConstraint) and constraint.mode != "no_worse":
            for symbol, limit in constraint.names.items():
                if (limit.minimum or 0.0) > 0.0 or (limit.maximum or 0.0) < 0.0:
                    asks |= ~rows.any(rows.listed([symbol]))
    return asks


def _sources(rows: Rows, constraints: Sequence[WeightConstraint]) -> Sources:
    """What each constraint says, in the order of kinds."""
    ranges, cells = [_frozen(rows)] if rows.frozen.any() else [], []
    low: list[Bound] = []
    high: list[Bound] = []
    gross: list[Bound] = []
    turnover: list[Bound] = []
    today, size = rows.total(rows.current), rows.total(np.abs(rows.current))
    for each in sorted(constraints, key=lambda constraint: (constraint.kind, constraint.statement)):
        match each:
            case MarketNeutralConstraint():
                low.append(_bound(each, 0.0, today, -1.0))
                high.append(_bound(each, 0.0, today))
            case NetExposureConstraint():
                low += [] if each.minimum is None else [_bound(each, each.minimum, today, -1.0)]
                high += [] if each.maximum is None else [_bound(each, each.maximum, today)]
            case MaxGrossExposureConstraint():
                gross.append(_bound(each, each.max_exposure, size))
            case TurnoverConstraint():
                turnover.append(_bound(each, each.max_turnover, np.zeros(rows.groups)))
            case MaxBucketWeightConstraint():
                cells.append(_of_buckets(rows, each))
            case _:
                ranges.append(_range(rows, each))
    shared = (tuple(low), tuple(high)), ((), tuple(gross)), ((), tuple(turnover))
    return Sources(tuple(sorted(ranges, key=lambda found: found.kind)), shared, tuple(cells))


def _bound(constraint: WeightConstraint, limit: float | Floats, today: Floats, side: float = 1.0) -> Bound:
    """A bound from above (1), or from below (−1), which is one from above on the opposite sum."""
    bound = side * limit + np.zeros(len(today))
    if constraint.mode == "no_worse":
        bound = np.maximum(bound, side * today)
    return Bound(constraint.kind, bound, side * bound + 0.0)


def _of_buckets(rows: Rows, constraint: MaxBucketWeightConstraint) -> Bound:
    named = pl.DataFrame({BUCKET: rows.buckets}).with_columns(most=limit_of_bucket(constraint.max_weight))
    most = named["most"].fill_null(np.inf).to_numpy()[rows.bucket_of_cell]
    today = np.bincount(rows.cell, np.abs(rows.current), len(rows.group)).astype(np.float64, copy=False)
    return _bound(constraint, most, today)


def _frozen(rows: Rows) -> Range:
    """Names that keep the weight they have."""
    return _pinned(FROZEN_KIND, rows.frozen, rows.wanted)


def _pinned(kind: str, names: Truths, weights: Floats) -> Range:
    untold = np.full(len(weights), np.nan)
    return Range(kind, np.where(names, weights, -np.inf), np.where(names, weights, np.inf), untold, untold)


def _range(rows: Rows, constraint: WeightConstraint) -> Range:
    """What a constraint on single names says; the limit told is the end in force."""
    one = np.ones(len(rows.wanted))
    match constraint:
        case FrozenNamesConstraint():
            return _pinned(constraint.kind, rows.listed(constraint.symbols), rows.current)
        case MaxPositionConstraint():
            lower, upper = -constraint.max_weight * one, constraint.max_weight * one
        case NameLimitsConstraint():
            lower, upper = (
                _of_names(rows, constraint, "minimum", -np.inf),
                _of_names(rows, constraint, "maximum", np.inf),
            )
        case _:
            lower, upper = 0.0 * one, np.inf * one
    if constraint.mode == "no_worse":
        lower, upper = np.minimum(lower, rows.current), np.maximum(upper, rows.current)
    at_lower = upper if isinstance(constraint, MaxPositionConstraint) else lower  # a cap is told as a size
    return Range(constraint.kind, lower, upper, at_lower, upper)


def _of_names(rows: Rows, constraint: NameLimitsConstraint, end: str, none: float) -> Floats:
    ends = {symbol: getattr(own, end) for symbol, own in constraint.names.items()}
    symbols = rows.frame[SYMBOL].cast(pl.String)
    return symbols.replace_strict(ends, default=None, return_dtype=pl.Float64).fill_null(none).to_numpy()
