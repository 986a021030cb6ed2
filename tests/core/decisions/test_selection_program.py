"""Selection beside an integer program that is written from the specification alone, and solved one aim after another.

A case is a run of names that are drawn with their scores and states, and limits. `Program` says which choices the count
limits allow, with one binary variable per name and per bucket; `best_choice` maximises the aims of the specification in
their order, each under those before it: buckets represented, up to the minimum; held names kept; their score; new
names; their score; ties by the order in line. Scores are whole multiples of a step, so that every aim is an integer.
"""

from dataclasses import dataclass, field

import highspy
import polars as pl
from hypothesis import event, given, settings
from hypothesis import strategies as st

from core.engine import screened_names, selected_names, within_buckets
from core.limits import RebalancingLimits
from core.policy import Policy
from tests.core.decisions.build import kept, rows
from tests.effort import examples

STEP = 64  # scores are multiples of 1 / STEP
LARGE, DUST = 0.05, 0.0005  # weights of today: one that represents its bucket, and one too small for it
SYMBOLS = [f"{letter}{number}" for letter in "ABCDx" for number in range(4)]  # those of x are in no bucket


@dataclass(frozen=True)
class Name:
    symbol: str
    points: int | None  # the score in steps; None: there is none
    held: bool
    tradable: bool
    weight: float

    @property
    def bucket(self) -> str:
        return self.symbol[0]

    @property
    def fixed(self) -> bool:
        return self.held and (not self.tradable or self.points is None)

    def competes(self, limits: RebalancingLimits) -> bool:
        """Whether a name that may move passes its threshold."""
        if self.fixed or self.points is None or not self.tradable:
            return False
        threshold = limits.min_score_threshold if self.held else limits.min_score_new_position
        return self.points / STEP >= threshold


@st.composite
def names(draw: st.DrawFn, *, tied: bool) -> list[Name]:
    symbols = draw(st.lists(st.sampled_from(SYMBOLS), unique=True, min_size=1, max_size=12))
    few, many = st.integers(40, 44), st.lists(st.integers(30, STEP), unique=True, min_size=12, max_size=12)
    points = [draw(few) for _ in symbols] if tied else draw(many)
    states = st.sampled_from(["new"] * 5 + ["held"] * 4 + ["halted", "unscored", "small", "small", "barred", "unknown"])
    return [_name(symbol, score, draw(states)) for symbol, score in zip(symbols, points, strict=False)]


def _name(symbol: str, points: int, state: str) -> Name:
    held = state in ("held", "halted", "unscored", "small")
    score = None if state in ("unscored", "unknown") else points
    weight = DUST if state == "small" else LARGE
    return Name(symbol, score, held, state not in ("halted", "small", "barred"), weight if held else 0.0)


limits_drawn = st.builds(
    RebalancingLimits,
    enable_bucket_diversification=st.sampled_from([True] * 5 + [False]),
    max_total_positions=st.sampled_from([1, 2, 2, 3, 3, 4, 5, 6, 8]),
    max_new_positions=st.integers(0, 4),
    initial_new_positions=st.one_of(st.none(), st.integers(0, 6)),
    max_positions_per_bucket=st.integers(1, 3),
    min_buckets_represented=st.sampled_from([0, 2, 2, 3, 3, 4]),
    allow_bucket_overflow=st.sampled_from([False, False, True]),
    allow_forced_closures=st.sampled_from([True] * 4 + [False]),
    enforce_position_limits=st.sampled_from([True] * 4 + [False]),
    enforce_min_buckets=st.sampled_from([True] * 5 + [False]),
    min_score_threshold=st.sampled_from([0.0, 40 / STEP, 42 / STEP]),
    min_score_new_position=st.sampled_from([0.0, 41 / STEP, 43 / STEP]),
)


# the integer program


@dataclass
class Program:
    """Which choices of names the count limits allow; `chosen` has a variable for each name that is not out already."""

    every: list[Name]
    limits: RebalancingLimits
    model: highspy.Highs = field(default_factory=highspy.Highs)

    def __post_init__(self) -> None:
        self.model.silent()
        self.model.setOptionValue("mip_rel_gap", 0.0)
        self.model.setOptionValue("mip_feasibility_tolerance", 1e-9)
        self.fixed = [name for name in self.every if name.fixed]
        moving = [name for name in self.every if name.competes(self.limits)]
        self.held = in_line(name for name in moving if name.held)
        self.new = in_line(name for name in moving if not name.held)
        self.chosen = {name.symbol: self.model.addBinary() for name in (*self.held, *self.new)}
        self._limit_totals()
        if self.limits.enable_bucket_diversification and self.limits.enforce_position_limits:
            self._limit_buckets()
        self.represented = self._represented()

    def count(self, of):
        return sum((self.chosen[name.symbol] for name in of), self.model.expr())

    def points(self, of):
        return sum((name.points * self.chosen[name.symbol] for name in of), self.model.expr())

    def _limit_totals(self) -> None:
        any_held = any(name.held for name in self.every)
        initial = self.limits.initial_new_positions
        entries = self.limits.max_new_positions if any_held or initial is None else initial
        self.model.addConstr(self.count(self.new) <= entries)
        left = max(self.limits.max_total_positions - len(self.fixed), 0)
        if self.limits.allow_forced_closures:
            self.model.addConstr(self.count([*self.held, *self.new]) <= left)
        else:
            self.model.addConstr(self.count(self.held) >= len(self.held))
            self.model.addConstr(self.count(self.new) <= max(left - len(self.held), 0))

    @property
    def held_stay(self) -> bool:
        """Whether no held name gives way to another name: neither to its bucket's limit nor to representation."""
        overflow = self.limits.enable_bucket_diversification and self.limits.allow_bucket_overflow
        return overflow or not self.limits.allow_forced_closures

    def _limit_buckets(self) -> None:
        """The limit in force: where held names stay beyond it, their number; fixed names always stay."""
        for bucket in {name.bucket for name in self.every}:
            fixed, held, new = (
                [name for name in of if name.bucket == bucket] for of in (self.fixed, self.held, self.new)
            )
            stay = len(fixed) + (len(held) if self.held_stay else 0)
            room = max(self.limits.max_positions_per_bucket, stay) - len(fixed)
            self.model.addConstr(self.count([*held, *new]) <= room)

    def _represented(self):
        """The number of buckets represented, up to the minimum."""
        total = self.model.addIntegral(0, self.limits.required_buckets)
        flags = self.model.expr()
        for bucket in {name.bucket for name in self.every} - {"x"}:
            flag = self.model.addBinary()
            large = sum(name.bucket == bucket and name.weight == LARGE for name in self.fixed)
            own = [name for name in (*self.held, *self.new) if name.bucket == bucket]
            self.model.addConstr(flag <= self.count(own) + large)
            flags += flag
        self.model.addConstr(total <= flags)
        return 1 * total

    def best_choice(self) -> list[str]:
        """The symbols of the best choice; each aim is held at its optimum while the next one is maximised."""
        buckets, keep = [self.represented], [self.count(self.held), self.points(self.held), self.earliest(self.held)]
        first = [*keep, *buckets] if self.held_stay else [*buckets, *keep[:2]]
        enter = [self.count(self.new), self.points(self.new)]
        for aim in (*first, *enter, self.earliest([*self.held, *self.new])):
            self.model.maximize(aim)
            optimum = round(self.model.getObjectiveValue())
            self.model.addConstr(aim >= optimum)
        taken = [symbol for symbol, variable in self.chosen.items() if self.model.val(variable) > 0.5]
        return sorted([*taken, *(name.symbol for name in self.fixed)])

    def earliest(self, line):
        """An aim that prefers the name that stands earlier in line to all that stand later."""
        weights = {name.symbol: 2 ** (len(line) - place) for place, name in enumerate(line)}
        return sum((weights[name.symbol] * self.chosen[name.symbol] for name in line), self.model.expr())


def in_line(of) -> list[Name]:
    return sorted(of, key=lambda name: (-name.points, name.symbol))


# the engine


def decided_rows(every: list[Name]) -> pl.DataFrame:
    """The names as scored rows."""
    lines = [
        f"{name.symbol} {'-' if name.points is None else name.points / STEP} {'held' if name.held else ''}"
        for name in every
    ]
    own = pl.DataFrame(
        [(name.symbol, name.tradable, name.weight) for name in every],
        schema={"symbol": pl.String, "tradable": pl.Boolean, "current_weight": pl.Float64},
        orient="row",
    )
    return rows(*lines).update(own, on="symbol")


def chosen_by_the_engine(every: list[Name], limits: RebalancingLimits) -> list[str]:
    policy = Policy(name="test", limits=limits)
    screened = screened_names(decided_rows(every), policy)
    return kept(selected_names(within_buckets(screened.rows, policy).rows, policy))


@settings(max_examples=examples(50), deadline=None)
@given(names(tied=False), limits_drawn)
def test_choice_is_the_optimum_of_an_integer_program(every, limits):
    choice = Program(every, limits).best_choice()
    event(f"{len(choice)} chosen of {len(every)}")
    assert chosen_by_the_engine(every, limits) == choice


@settings(max_examples=examples(30), deadline=None)
@given(names(tied=True), limits_drawn)
def test_choice_among_equal_scores_is_the_optimum_of_an_integer_program(every, limits):
    assert chosen_by_the_engine(every, limits) == Program(every, limits).best_choice()
