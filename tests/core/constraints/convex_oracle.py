"""The limits of one group once more, for cvxpy, from the words of the specification; shares no code with `core`.

A `Case` is one group: wanted and current weights, buckets, frozen names, and constraints, of which only the configured
numbers are read. `rules_of` turns these into one `Rule` per limit: expressions that must not be above 0, and above its
room where it gives way. On top of them: `excesses` (plain numpy), `least_violation` (elastic program, with HiGHS, also
where names are counted), `nearest_weights` (Clarabel), and `best_weights`, which looks through all supports and sides.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import cvxpy as cp
import numpy as np
import numpy.typing as npt

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
    NameLimitsConstraint,
    NetExposureConstraint,
    TurnoverConstraint,
    WeightConstraint,
)

Floats = npt.NDArray[np.float64]
DUST = 1e-9
REACH = 4.0  # no weight of a case is larger
ANY_ROOM = 1e3  # as much as no limit is ever exceeded by


@dataclass(frozen=True)
class Case:
    wanted: Floats
    constraints: Sequence[WeightConstraint]
    current: Floats | None = None
    buckets: Sequence[str] = ()
    frozen: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.wanted)

    @cached_property
    def symbols(self) -> list[str]:
        return [f"N{at:03}" for at in range(len(self))]

    @cached_property
    def today(self) -> Floats:
        return np.zeros(len(self)) if self.current is None else self.current

    @cached_property
    def fixed(self) -> npt.NDArray[np.bool_]:
        return np.zeros(len(self), dtype=bool) if self.frozen is None else self.frozen

    @cached_property
    def of_bucket(self) -> dict[str, npt.NDArray[np.bool_]]:
        labels = np.array(self.buckets if len(self.buckets) else [""] * len(self))
        return {str(bucket): labels == bucket for bucket in sorted({*labels.tolist()})}

    @cached_property
    def range(self) -> tuple[Floats, Floats]:
        """Where each name may end, apart from all limits."""
        pinned = (np.abs(self.wanted) <= DUST) & ~self.fixed
        return np.where(pinned, np.minimum(self.today, 0), -np.inf), np.where(pinned, np.maximum(self.today, 0), np.inf)


class Book:
    """Variables of one case: weights, and where sizes are asked for, sizes, and which names have any."""

    def __init__(self, case: Case, *, mixed: bool = False, sided: bool = False) -> None:
        n = len(case)
        self.case = case
        self.x = cp.Variable(n)  # in units of 1/n
        self.w = self.x / n
        low, high = case.range
        self.given = [self.x[at] >= n * low[at] for at in np.flatnonzero(np.isfinite(low))]
        self.given += [self.x[at] <= n * high[at] for at in np.flatnonzero(np.isfinite(high))]
        if mixed:
            long, short = cp.Variable(n, nonneg=True), cp.Variable(n, nonneg=True)
            is_long, is_short = cp.Variable(n, boolean=True), cp.Variable(n, boolean=True)
            self.anchor = cp.Variable(n, boolean=True)
            self.size, self.has = (long + short) / n, is_long + is_short
            self.given += [self.x == long - short, is_long + is_short <= 1]
            self.given += [long <= n * REACH * is_long, short <= n * REACH * is_short]
        if sided:
            self.side, self.low, self.high = cp.Parameter(n), cp.Parameter(n), cp.Parameter(n)
            self.size = cp.multiply(self.side, self.w)
            self.given = [self.x >= self.low, self.x <= self.high]


@dataclass(frozen=True)
class Rule:
    """One limit; `asked` yields expressions that are at most 0 where it holds."""

    kind: str
    scope: str
    value: float | None
    direction: int
    asked: Callable[[Book], list[cp.Expression]] = field(repr=False)
    constraint: WeightConstraint | None = field(default=None, repr=False)
    counted: bool = False
    sized: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.scope

    @property
    def most(self) -> float:
        """How far it may give way."""
        soft = self.constraint is not None and self.constraint.mode == "soft"
        return float(self.constraint.max_relaxation or 0) if soft else 0.0

    @property
    def unit(self) -> float:
        return abs(self.value) if self.value else 1.0


def rules_of(case: Case) -> list[Rule]:
    rules = [rule for constraint in case.constraints for rule in _rules(case, constraint)]
    return rules + [
        Rule("frozen", case.symbols[at], None, 1, lambda b, at=at: _equal(b.w[at], case.wanted[at]))
        for at in np.flatnonzero(case.fixed)
    ]


def _equal(left: cp.Expression, right: float) -> list[cp.Expression]:
    return [left - right, right - left]


def _rules(case: Case, c: WeightConstraint) -> Iterator[Rule]:
    today, drift = case.today, c.mode == "no_worse"
    kind = c.kind

    def top(limit: float, level: float | Floats) -> float | Floats:
        return np.maximum(limit, level) if drift else limit + 0.0 * level

    def bottom(limit: float, level: float | Floats) -> float | Floats:
        return np.minimum(limit, level) if drift else limit + 0.0 * level

    match c:
        case MaxPositionConstraint(max_weight=cap):
            yield Rule(kind, "", cap, 1, lambda b: [b.w - top(cap, today), bottom(-cap, today) - b.w], c)
        case MaxGrossExposureConstraint(max_exposure=most):
            yield Rule(kind, "", most, 1, lambda b: [cp.norm1(b.w) - top(most, abs(today).sum())], c)
        case MarketNeutralConstraint():
            net = today.sum()
            yield Rule(kind, "", 0.0, 1, lambda b: [cp.sum(b.w) - top(0.0, net), bottom(0.0, net) - cp.sum(b.w)], c)
        case NetExposureConstraint(minimum=low, maximum=high):
            net = today.sum()
            if low is not None:
                yield Rule(kind, "minimum", low, -1, lambda b: [bottom(low, net) - cp.sum(b.w)], c)
            if high is not None:
                yield Rule(kind, "maximum", high, 1, lambda b: [cp.sum(b.w) - top(high, net)], c)
        case LongOnlyConstraint():
            yield Rule(kind, "", 0.0, -1, lambda b: [bottom(0.0, today) - b.w], c)
        case TurnoverConstraint(max_turnover=most):
            yield Rule(kind, "", most, 1, lambda b: [cp.norm1(b.w - today) / 2 - most], c)
        case MaxBucketWeightConstraint(max_weight=limit):
            for bucket, here in case.of_bucket.items():
                most = limit.get(bucket) if isinstance(limit, Mapping) else limit
                if most is not None:
                    bound = top(most, abs(today[here]).sum())
                    yield Rule(kind, bucket, most, 1, lambda b, h=here, m=bound: [cp.norm1(b.w[h]) - m], c)
        case MinBucketWeightConstraint(min_weight=limit):
            asked = limit if isinstance(limit, Mapping) else {b: limit for b in case.of_bucket if b != "Unknown"}
            for bucket, least in sorted(asked.items()):
                here = case.of_bucket.get(bucket, np.zeros(len(case), dtype=bool))
                bound = bottom(least, abs(today[here]).sum())
                ask = lambda b, h=here, m=bound: [m - h.astype(float) @ b.size]  # noqa: E731
                yield Rule(kind, bucket, least, -1, ask, c, sized=True)
        case NameLimitsConstraint(names=names):
            for symbol, own in sorted(names.items()):
                at = case.symbols.index(symbol) if symbol in case.symbols else None
                level = 0.0 if at is None else today[at]
                for scope, limit, sign in (("minimum", own.minimum, -1), ("maximum", own.maximum, 1)):
                    if limit is not None:
                        bound = bottom(limit, level) if sign < 0 else top(limit, level)
                        ask = lambda b, at=at, m=bound, s=sign: [s * ((0.0 * b.w[0] if at is None else b.w[at]) - m)]  # noqa: E731
                        yield Rule(kind, f"{symbol} {scope}", limit, sign, ask, c)
        case FrozenNamesConstraint(symbols=symbols):
            for symbol in symbols:
                if symbol in case.symbols:
                    at = case.symbols.index(symbol)
                    yield Rule(kind, symbol, None, 1, lambda b, at=at: _equal(b.w[at], today[at]), c)
        case MaxPositionsConstraint(max_positions=most, per_bucket=apart):
            groups = case.of_bucket if apart else {"": np.ones(len(case), dtype=bool)}
            for scope, here in groups.items():
                bound = top(most, (abs(today[here]) > DUST).sum())
                ask = lambda b, h=here, m=bound: [h.astype(float) @ b.has - m]  # noqa: E731
                yield Rule(kind, scope, float(most), 1, ask, c, counted=True, sized=True)
        case MinPositionWeightConstraint(min_weight=least):
            floor = floor_of(case, c)
            yield Rule(kind, "", least, -1, lambda b: [cp.multiply(floor, b.has) - b.size], c, sized=True)
        case MinBucketsConstraint(min_weight=size):
            least = buckets_to_keep(case, c)
            yield Rule(
                kind, "", float(least), -1, lambda b: _represented(case, b, least, size), c, counted=True, sized=True
            )
        case _:
            raise NotImplementedError(kind)


def floor_of(case: Case, c: MinPositionWeightConstraint) -> Floats:
    held = abs(case.today)
    allowed = (c.mode == "no_worse") & (held > DUST)
    return np.where(allowed, np.minimum(c.min_weight, held), c.min_weight)


def representing(case: Case) -> npt.NDArray[np.bool_]:
    unknown = case.of_bucket.get("Unknown", np.zeros(len(case), dtype=bool))
    return (np.abs(case.wanted) > DUST) & ~unknown


def buckets_to_keep(case: Case, c: MinBucketsConstraint) -> int:
    """As many as are asked for, but no more than the wanted weights represent."""
    large = (np.abs(case.wanted) >= c.min_weight - DUST) & representing(case)
    return min(c.min_buckets, sum((large & here).any() for here in case.of_bucket.values()))


def _represented(case: Case, b: Book, least: int, size: float) -> list[cp.Expression]:
    once = [here.astype(float) @ b.anchor - 1 for here in case.of_bucket.values()]
    large = [cp.multiply(size, b.anchor) - b.size, b.anchor - representing(case).astype(float)]
    b.given += [each <= 0 for each in (*once, *large)]
    return [least - cp.sum(b.anchor)]


# the same limits in plain numpy


def excesses(case: Case, w: Floats) -> dict[tuple[str, str], float]:
    """By how much each limit in force is exceeded."""
    found: dict[tuple[str, str], float] = {}
    for c in case.constraints:
        for scope, level, limit, sign in _levels(case, c, w):
            over = sign * (level - limit)
            found[c.kind, scope] = max(float(np.max(over)), found.get((c.kind, scope), -np.inf))
    for at in np.flatnonzero(case.fixed):
        found["frozen", case.symbols[at]] = abs(float(w[at] - case.wanted[at]))
    return found


def _levels(case: Case, c: WeightConstraint, w: Floats) -> Iterator[tuple[str, float | Floats, float | Floats, int]]:
    """Scope, level, limit in force and sign; of arrays the worst entry counts."""
    t = case.today
    worse = c.mode == "no_worse"

    def hi(limit: float, level: float | Floats) -> float | Floats:
        return np.maximum(limit, level) if worse else limit

    def lo(limit: float, level: float | Floats) -> float | Floats:
        return np.minimum(limit, level) if worse else limit

    match c:
        case MaxPositionConstraint():
            yield "", w, hi(c.max_weight, t), 1
            yield "", -w, hi(c.max_weight, -t), 1
        case MaxGrossExposureConstraint():
            yield "", np.abs(w).sum(), hi(c.max_exposure, np.abs(t).sum()), 1
        case MarketNeutralConstraint():
            yield "", w.sum(), hi(0.0, t.sum()), 1
            yield "", w.sum(), lo(0.0, t.sum()), -1
        case NetExposureConstraint():
            if c.maximum is not None:
                yield "maximum", w.sum(), hi(c.maximum, t.sum()), 1
            if c.minimum is not None:
                yield "minimum", w.sum(), lo(c.minimum, t.sum()), -1
        case LongOnlyConstraint():
            yield "", w, lo(0.0, t), -1
        case TurnoverConstraint():
            yield "", np.abs(w - t).sum() / 2, c.max_turnover, 1
        case MaxBucketWeightConstraint():
            for bucket, here in case.of_bucket.items():
                limit = c.max_weight.get(bucket) if isinstance(c.max_weight, Mapping) else c.max_weight
                if limit is not None:
                    yield bucket, np.abs(w[here]).sum(), hi(limit, np.abs(t[here]).sum()), 1
        case MinBucketWeightConstraint():
            every = {bucket: c.min_weight for bucket in case.of_bucket if bucket != "Unknown"}
            for bucket, limit in (c.min_weight if isinstance(c.min_weight, Mapping) else every).items():
                here = case.of_bucket.get(bucket, np.zeros(len(case), dtype=bool))
                yield bucket, np.abs(w[here]).sum(), lo(limit, np.abs(t[here]).sum()), -1
        case NameLimitsConstraint():
            for symbol, own in c.names.items():
                at = case.symbols.index(symbol) if symbol in case.symbols else None
                level, today = (0.0, 0.0) if at is None else (w[at], t[at])
                if own.maximum is not None:
                    yield f"{symbol} maximum", level, hi(own.maximum, today), 1
                if own.minimum is not None:
                    yield f"{symbol} minimum", level, lo(own.minimum, today), -1
        case FrozenNamesConstraint():
            for symbol in {*c.symbols} & {*case.symbols}:
                at = case.symbols.index(symbol)
                yield symbol, abs(w[at] - t[at]), 0.0, 1
        case MaxPositionsConstraint():
            groups = case.of_bucket if c.per_bucket else {"": np.ones(len(w), dtype=bool)}
            for scope, here in groups.items():
                yield scope, (np.abs(w[here]) > DUST).sum(), hi(c.max_positions, (np.abs(t[here]) > DUST).sum()), 1
        case MinPositionWeightConstraint():
            yield "", np.where(np.abs(w) > DUST, np.abs(w), np.inf), floor_of(case, c), -1
        case MinBucketsConstraint():
            large = (np.abs(w) >= c.min_weight - DUST) & representing(case)
            yield "", sum((large & here).any() for here in case.of_bucket.values()), buckets_to_keep(case, c), -1


# questions


def is_discrete(rules: Sequence[Rule]) -> bool:
    return any(rule.sized for rule in rules)


class Elastic:
    """The limits of a case, each with a room that may be asked for anew; the program is put together once."""

    def __init__(self, case: Case, rules: Sequence[Rule] | None = None) -> None:
        self.rules = rules_of(case) if rules is None else rules
        self.n, self.shared = len(case), cp.Variable(nonneg=True)
        self.room = cp.Parameter(max(len(self.rules), 1), nonneg=True)
        book = Book(case, mixed=is_discrete(self.rules))
        for rule, own in zip(self.rules, self.room, strict=False):
            scale = 1.0 if rule.counted else self.n
            shared = 0.0 if rule.counted else self.shared / self.n
            book.given += [scale * (each - own - shared) <= 0 for each in rule.asked(book)]
        self.problem = cp.Problem(cp.Minimize(self.shared), book.given)

    def least_violation(self, room: Sequence[float] | None = None) -> float:
        """The least violation in weight that all rules share beside their room; infinite where there is none."""
        given = np.zeros(len(self.rules)) if room is None else np.minimum(room, ANY_ROOM)
        self.room.value = given if len(given) else np.zeros(1)
        _solve_linear(self.problem)
        return float(self.shared.value) / self.n if self.problem.status in _SOLVED else np.inf

    def is_feasible(self, room: Sequence[float] | None = None) -> bool:
        return self.least_violation(room) <= DUST


def least_violation(case: Case, rules: Sequence[Rule] | None = None, room: Sequence[float] | None = None) -> float:
    return Elastic(case, rules).least_violation(room)


def is_feasible(case: Case, rules: Sequence[Rule] | None = None, room: Sequence[float] | None = None) -> bool:
    return least_violation(case, rules, room) <= DUST


def least_rooms(case: Case) -> dict[tuple[str, str], float] | None:
    """What soft limits give: the highest priority is settled first, by the least total in units of the limits."""
    rules = rules_of(case)
    most = [rule.most for rule in rules]
    totals: list[tuple[list[int], float]] = []
    priorities = sorted({rule.constraint.priority for rule in rules if rule.most}, reverse=True)
    rooms = None
    for priority in priorities:
        here = [at for at, rule in enumerate(rules) if rule.most and rule.constraint.priority == priority]
        rooms = _least_room(case, rules, most, here, totals)
        if rooms is None:
            return None
        totals.append((here, sum(rooms[at] / rules[at].unit for at in here)))
    return None if rooms is None else {rule.key: room for rule, room in zip(rules, rooms, strict=True)}


def _least_room(case, rules, most, here, totals) -> Floats | None:  # type: ignore[no-untyped-def]
    book, room, n = Book(case, mixed=is_discrete(rules)), cp.Variable(len(rules), nonneg=True), len(case)
    book.given.append(room <= np.array(most))
    for at, rule in enumerate(rules):
        own = room[at]
        if rule.counted and rule.most:
            own = cp.Variable(integer=True)
            book.given.append(own == room[at])
        scale = 1.0 if rule.counted else n
        book.given += [scale * (each - own) <= 0 for each in rule.asked(book)]
    for earlier, total in totals:
        book.given.append(sum(room[at] / rules[at].unit for at in earlier) <= total + 1e-9)
    problem = cp.Problem(cp.Minimize(sum(room[at] / rules[at].unit for at in here)), book.given)
    _solve_linear(problem)
    return np.array(room.value) if problem.status in _SOLVED else None


_SOLVED = ("optimal", "optimal_inaccurate")


def _solve_linear(problem: cp.Problem) -> None:
    tight = {
        "primal_feasibility_tolerance": 1e-10,
        "dual_feasibility_tolerance": 1e-10,
        "mip_feasibility_tolerance": 1e-10,
    }
    problem.solve(solver=cp.HIGHS, highs_options=tight)


def nearest_weights(case: Case, room: Mapping[tuple[str, str], float] | None = None) -> Floats:
    """The nearest weights of a case without counts and sizes, to six digits at least."""
    book, n = Book(case), len(case)
    for rule in rules_of(case):
        book.given += [n * (each - (room or {}).get(rule.key, 0.0)) <= 0 for each in rule.asked(book)]
    _solve_nearest(cp.Problem(cp.Minimize(cp.sum_squares(book.x - n * case.wanted)), book.given))
    return np.array(book.x.value) / n


def _solve_nearest(problem: cp.Problem) -> None:
    """As exactly as the solver can: what it cannot solve to the last digit it leaves worse than it could."""
    for exact in (1e-12, 1e-11, 1e-10, 1e-8):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            problem.solve(solver=cp.CLARABEL, tol_gap_abs=exact, tol_gap_rel=exact, tol_feas=exact, max_iter=200)
        if not problem.status.endswith("inaccurate"):
            return


# every support and side


def best_weights(case: Case) -> Floats | None:
    """The nearest weights of all, with counts and sizes; None where there are none."""
    return _Search(case).best


@dataclass(frozen=True)
class _Settled:
    """What a branch has settled of one name; None: open."""

    has: bool | None = None
    side: int | None = None
    anchored: bool | None = None


class _Search:
    """Depth first: the nearest weights under what is settled; where they miss a count or size, that name is settled.

    A branch is left where its nearest weights are farther away than the best found.
    """

    def __init__(self, case: Case) -> None:
        self.case, self.n = case, len(case)
        self.book = Book(case, sided=True)
        rules = rules_of(case)
        self.mins = [rule for rule in rules if rule.kind == "min_bucket_weight"]
        self.off = cp.Parameter(max(len(self.mins), 1), nonneg=True)
        asked = [self.n * each <= 0 for rule in rules if not rule.sized for each in rule.asked(self.book)]
        asked += [
            self.n * each <= off
            for rule, off in zip(self.mins, self.off, strict=False)
            for each in rule.asked(self.book)
        ]
        nearness = cp.sum_squares(self.book.x - self.n * case.wanted)
        self.problem = cp.Problem(cp.Minimize(nearness), [*self.book.given, *asked])
        floors = [floor_of(case, c) for c in case.constraints if isinstance(c, MinPositionWeightConstraint)]
        self.floor = np.max([np.zeros(self.n), *floors], axis=0)
        self.counts = [c for c in case.constraints if isinstance(c, MaxPositionsConstraint)]
        self.wide = [c for c in case.constraints if isinstance(c, MinBucketsConstraint)]
        self.size = max((c.min_weight for c in self.wide), default=0.0)
        self.best: Floats | None = None
        self.least = np.inf
        self._descend([_Settled()] * self.n)

    def _descend(self, settled: list[_Settled]) -> None:
        weights = self._nearest(settled)
        if weights is None or np.linalg.norm(weights - self.case.wanted) >= self.least - 1e-9:
            return
        branches = self._branches(settled, weights)
        if branches is None:
            self.best, self.least = weights, float(np.linalg.norm(weights - self.case.wanted))
            return
        name, choices = branches
        for choice in choices:
            self._descend([*settled[:name], choice, *settled[name + 1 :]])

    def _branches(self, settled: list[_Settled], weights: Floats) -> tuple[int, list[_Settled]] | None:
        """A name that has to be settled, and how; None where the weights miss no count or size."""
        w = np.where(np.abs(weights) < 1e-7, 0.0, weights)
        size, here = np.abs(w), settled
        small = [at for at in np.flatnonzero((size > 0) & (size < self.floor - 1e-7)) if here[at].side is None]
        if small:
            sides = [replace(here[small[0]], has=True, side=side) for side in (1, -1)]
            return small[0], [*sides, *([] if here[small[0]].has else [replace(here[small[0]], has=False, side=1)])]
        for c in self.counts:
            for scope, level, limit, _ in _levels(self.case, c, w):
                if level > limit:
                    members = self._members(scope) & (size > 0)
                    at = min((at for at in np.flatnonzero(members) if here[at].has is None), key=lambda at: size[at])
                    return at, [replace(here[at], has=False), replace(here[at], has=True)]
        for rule in self.mins:
            open_ones = [at for at in np.flatnonzero(self._members(rule.scope)) if here[at].side is None]
            if open_ones and excesses(self.case, w)[rule.key] > 1e-7:
                at = max(open_ones, key=lambda at: size[at])
                return at, [replace(here[at], side=1), replace(here[at], side=-1)]
        able = representing(self.case)
        for c in self.wide:
            large = (size >= c.min_weight - 1e-7) & able
            if sum((large & members).any() for members in self.case.of_bucket.values()) < buckets_to_keep(self.case, c):
                at = max(
                    (at for at in np.flatnonzero(able & ~large) if here[at].anchored is None), key=lambda at: size[at]
                )
                sides = (1, -1) if here[at].side is None else (here[at].side,)
                chosen = [replace(here[at], has=True, side=side, anchored=True) for side in sides]
                return at, [*chosen, replace(here[at], anchored=False)]
        return None

    def _members(self, scope: str) -> npt.NDArray[np.bool_]:
        everything = np.ones(self.n, dtype=bool)
        return self.case.of_bucket.get(scope, ~everything) if scope or "" in self.case.of_bucket else everything

    def _nearest(self, settled: list[_Settled]) -> Floats | None:
        """The nearest weights under what is settled, without what is not."""
        low, high = (np.clip(end, -REACH, REACH) for end in self.case.range)
        none, side = np.zeros(self.n, dtype=bool), np.array([own.side or 0 for own in settled], dtype=float)
        has = np.array([own.has is True for own in settled], dtype=float)
        none |= [own.has is False for own in settled]
        for c in self.counts:
            for scope, level, limit, _ in _levels(self.case, c, has):
                if level > limit:
                    return None
                none |= self._members(scope) & (has == 0) & (level == limit)
        if not self._can_represent(settled, none):
            return None
        for at, own in enumerate(settled):
            least = max(self.floor[at] if own.has else 0.0, self.size if own.anchored else 0.0)
            low[at] = max(low[at], least) if own.side == 1 else low[at]
            high[at] = min(high[at], -least) if own.side == -1 else high[at]
        low, high = np.where(none, np.maximum(low, 0.0), low), np.where(none, np.minimum(high, 0.0), high)
        return None if (low > high).any() else self._solved(low, high, side)

    def _can_represent(self, settled: list[_Settled], none: npt.NDArray[np.bool_]) -> bool:
        """Whether enough buckets have a name that is not settled to represent nothing."""
        able = representing(self.case) & ~none & [own.anchored is not False for own in settled]
        reached = sum((able & members).any() for members in self.case.of_bucket.values())
        return all(reached >= buckets_to_keep(self.case, c) for c in self.wide)

    def _solved(self, low: Floats, high: Floats, side: Floats) -> Floats | None:
        settled = [all(side[self._members(rule.scope)] != 0) for rule in self.mins]
        self.off.value = np.array([0.0 if here else 100.0 * self.n for here in settled] or [0.0])
        self.book.low.value, self.book.high.value, self.book.side.value = self.n * low, self.n * high, side
        try:
            _solve_nearest(self.problem)
        except cp.SolverError:
            return None
        return np.array(self.book.x.value) / self.n if self.problem.status in _SOLVED else None
