"""Limits as one elastic linear program, with binary columns where counts, floors or sizes are asked for.

`ElasticProgram` has the weights of a problem as columns, and lets every limit give way: `room` of limit u relaxes all
its forms by that amount. Whoever asks decides which limits have room, and what is least: the violation that all share
(`least_violation`, which judges feasibility), the room of some limits (`least_room`), or the total distance to given
weights (`nearest_in_total`). Weights are in units of 1/n, as the solver's tolerances are absolute.

Solved with HiGHS: the simplex method for the linear programs, branch and bound where there are binaries. Source of the
elastic program: Chinneck, Feasibility and Infeasibility in Optimization (2008), chapter 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import highspy
import numpy as np
import numpy.typing as npt

from core.constraints.forms import Count, Each, Floats, Floor, Form, Representation, Total, Truths
from core.constraints.problem import Problem
from core.errors import UnsolvedError
from core.limits import TOLERANCE

INFINITE = highspy.kHighsInf
EXACT = 1e-10  # the least tolerance that the solver takes
MOST_NODES = 1_000  # of branch and bound: steps, not seconds, so that no result hangs on the clock
CHOICE_GAP = 0.02  # a choice of names may need so much more change, relatively, than the least

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Placed:
    """Weights that a program found, the room it gave to each limit, and the names it chose.

    `has`: names that may have a weight; `sides`: 1 or −1; `anchors`: names that represent their bucket.
    """

    weights: Floats
    room: Floats
    violation: float
    has: Truths
    sides: Floats
    anchors: Truths


@dataclass
class _Rows:
    """Rows of a program under construction: coefficients with their places, and the range of each row."""

    at: list[Places] = field(default_factory=list)
    columns: list[Places] = field(default_factory=list)
    coefficients: list[Floats] = field(default_factory=list)
    lower: list[Floats] = field(default_factory=list)
    upper: list[Floats] = field(default_factory=list)
    height: int = 0

    def add(self, upper: Floats, *terms: tuple[Places, Floats], lower: Floats | None = None) -> None:
        """One row per entry of `upper`, with one column of each term in every row, or the same one in all of them."""
        at = self.height + np.arange(len(upper))
        for columns, coefficients in terms:
            self.at.append(at)
            self.columns.append(np.broadcast_to(columns, at.shape))
            self.coefficients.append(np.broadcast_to(coefficients, at.shape).astype(np.float64))
        self._close(upper, lower)

    def add_one(self, upper: float, *terms: tuple[Places, Floats]) -> None:
        """One row over all columns of the terms."""
        for columns, coefficients in terms:
            self.at.append(np.full(len(columns), self.height))
            self.columns.append(columns)
            self.coefficients.append(coefficients.astype(np.float64))
        self._close(np.array([upper]), None)

    def _close(self, upper: Floats, lower: Floats | None) -> None:
        self.lower.append(np.full(len(upper), -INFINITE) if lower is None else lower)
        self.upper.append(upper)
        self.height += len(upper)


class ElasticProgram:
    """The elastic program of one problem; see the module. Columns are numbered blocks, one entry per name or limit."""

    def __init__(self, problem: Problem, aim: Floats | None = None, most: Floats | None = None) -> None:
        """`aim`: the weights that `nearest_in_total` starts from. `most`: the room that each limit may be asked to have
        (none, if left out): the less, the tighter the program where names are counted."""
        self.problem = problem
        self._most = np.zeros(len(problem.limits)) if most is None else most
        self.scale = float(max(len(problem.names), 1))
        self._lower: list[Floats] = []
        self._upper: list[Floats] = []
        self._integer: list[Truths] = []
        self._rows = _Rows()
        self._distances: dict[bytes, Places] = {}
        limits = problem.limits
        self._weight = self._block(problem.lower * self.scale, problem.upper * self.scale)
        counted = np.array([limit.counted for limit in limits], dtype=bool)
        self._room = self._block(np.zeros(len(limits)), np.zeros(len(limits)), counted)
        self._violation = self._block(np.zeros(1), np.full(1, INFINITE))
        self._sized: tuple[Places, Places, Places, Places] | None = None
        self._anchor: Places | None = None
        self._far = self._weight[:0] if aim is None else self._distance(aim)
        for number, limit in enumerate(limits):
            firm = limit.counted or limit.value is None  # exceeded by a whole name, or by nothing
            for form in limit.forms:
                self._add(form, self._room[number : number + 1], firm=firm)
        self._solver = self._built()

    # questions

    def least_violation(self, most: Floats | None = None) -> float:
        """The least violation that all limits share beside a room of up to `most`, in weight; infinite: no answer."""
        self._allow(np.zeros(len(self._room)) if most is None else most)
        # Where names are counted, only whether all limits can hold is asked; how far apart they are, takes too long.
        beyond = TOLERANCE if self._is_integer.any() else INFINITE
        placed = self._minimised({int(self._violation[0]): 1.0}, violation=beyond)
        return np.inf if placed is None else max(placed.violation, 0.0)

    def least_room(self, cost: Floats, most: Floats, violation: float) -> Placed:
        """The weights that need the least Σ cost·room, with no room above `most`.

        `violation`: how far every limit may be exceeded beside its room, at least the least violation under `most`.
        """
        self._allow(most)
        units = np.where(self._counted, 1.0, 1.0 / self.scale)
        costs = dict(zip(self._room.tolist(), (cost * units).tolist(), strict=True))
        return _found(self._minimised(costs, violation) or self._minimised(costs, violation + TOLERANCE / 2))

    def nearest_in_total(self, violation: float) -> Placed:
        """The weights with the least Σ|w − aim| that exceed no limit by more than the least violation."""
        self._allow(np.zeros(len(self._room)))
        self._solver.setOptionValue("mip_rel_gap", CHOICE_GAP)
        return _found(self._minimised(dict.fromkeys(self._far.tolist(), 1.0), violation))

    @property
    def _counted(self) -> Truths:
        return self._is_integer[self._room]

    # columns

    def _block(self, lower: Floats, upper: Floats, integer: Truths | None = None) -> Places:
        start = sum(map(len, self._lower))
        self._lower.append(np.asarray(lower, dtype=np.float64))
        self._upper.append(np.asarray(upper, dtype=np.float64))
        self._integer.append(np.zeros(len(lower), dtype=bool) if integer is None else integer)
        return start + np.arange(len(lower))

    def _distance(self, centre: Floats) -> Places:
        """Columns that are at least |w − centre|, one per name."""
        key = centre.tobytes()
        if key not in self._distances:
            n, scaled, one = len(centre), centre * self.scale, np.ones(1)
            far = self._distances[key] = self._block(np.zeros(n), np.full(n, INFINITE))
            self._rows.add(scaled, (self._weight, one), (far, -one))
            self._rows.add(-scaled, (self._weight, -one), (far, -one))
        return self._distances[key]

    def _sizes(self) -> tuple[Places, Places, Places, Places]:
        """Columns of the long part, the short part, whether there is a weight, and whether it is long."""
        if self._sized is None:
            n, one = len(self.problem.names), np.ones(1)
            above, below = (bound * self.scale for bound in self._bounds())
            whole = np.ones(n, dtype=bool)
            long, short = self._block(np.zeros(n), above), self._block(np.zeros(n), below)
            has = self._block(np.zeros(n), np.ones(n), whole)
            is_long = self._block(np.where(below > 0, 0.0, 1.0), np.where((above > 0) | (below == 0), 1.0, 0.0), whole)
            zeros = np.zeros(n)
            self._rows.add(zeros, (self._weight, one), (long, -one), (short, one), lower=zeros)
            for size, bound in ((long, above), (short, below)):
                self._rows.add(zeros, (size, one), (has, -bound))
            self._rows.add(zeros, (long, one), (is_long, -above))
            self._rows.add(below, (short, one), (is_long, below))
            self._sized = long, short, has, is_long
        return self._sized

    def _bounds(self) -> tuple[Floats, Floats]:
        """How far each name can go up and down, with all the room that limits may be asked to have."""
        lower, upper = self.problem.lower, self.problem.upper
        for limit, most in zip(self.problem.limits, self._most, strict=True):
            for form in limit.forms:
                if isinstance(form, Each):
                    lower, upper = np.maximum(lower, form.lower - most), np.minimum(upper, form.upper + most)
        reach = self.problem.reach
        above, below = (np.where(bound > 0.0, bound + 2 * TOLERANCE, 0.0) for bound in (upper, -lower))
        return np.minimum(above, reach), np.minimum(below, reach)

    def _anchors(self) -> Places:
        if self._anchor is None:
            n = len(self.problem.names)
            self._anchor = self._block(np.zeros(n), np.ones(n), np.ones(n, dtype=bool))
        return self._anchor

    # rows

    def _add(self, form: Form, room: Places, *, firm: bool) -> None:
        give = [(room, -np.ones(1)), (self._violation, np.full(1, 0.0 if firm else -1.0))]
        match form:
            case Total():
                self._add_total(form, give)
            case Each():
                self._add_each(form, give)
            case Count():
                has = self._sizes()[2][form.members]
                self._rows.add_one(form.most, (has, np.ones(len(has))), *give)
            case Floor():
                self._add_floor(form, give)
            case _:
                self._add_representation(form, give)

    def _add_total(self, form: Total, give: list[tuple[Places, Floats]]) -> None:
        terms = [(self._weight, form.linear)]
        size, asked = np.maximum(form.absolute, 0.0), np.minimum(form.absolute, 0.0)
        if size.any():
            terms.append((self._distance(form.centre), size))
        if asked.any():
            long, short, _, _ = self._sizes()
            terms += [(long, asked), (short, asked)]
        self._rows.add_one(form.bound * self.scale, *terms, *give)

    def _add_each(self, form: Each, give: list[tuple[Places, Floats]]) -> None:
        room, (violation, gives) = give
        for bound, sign in ((form.upper, 1.0), (-form.lower, -1.0)):
            limited = np.isfinite(bound)
            weight = self._weight[limited], np.full(1, sign)
            # A bound of zero is never exceeded, not even by a violation: see `Each.loosened`.
            exceeded = violation, np.where(bound[limited] == 0.0, 0.0, gives)
            self._rows.add(bound[limited] * self.scale, weight, room, exceeded)

    def _add_floor(self, form: Floor, give: list[tuple[Places, Floats]]) -> None:
        long, short, has, _ = self._sizes()
        one = np.ones(1)
        self._rows.add(np.zeros(len(long)), (long, -one), (short, -one), (has, form.least * self.scale), *give)

    def _add_representation(self, form: Representation, give: list[tuple[Places, Floats]]) -> None:
        long, short, _, _ = self._sizes()
        anchor, one = self._anchors(), np.ones(1)
        size = np.where(form.bucket >= 0, form.size, self.problem.reach) * self.scale
        self._rows.add(np.zeros(len(anchor)), (long, -one), (short, -one), (anchor, size))
        for bucket in np.unique(form.bucket):
            members = anchor[form.bucket == bucket]
            self._rows.add_one(1.0 if bucket >= 0 else 0.0, (members, np.ones(len(members))))
        self._rows.add_one(-float(form.least), (anchor, -np.ones(len(anchor))), *give)

    # the solver

    def _built(self) -> highspy.Highs:
        lower, upper, rows = np.concatenate(self._lower), np.concatenate(self._upper), self._rows
        self._is_integer = np.concatenate(self._integer)
        order = np.argsort(at := np.concatenate([*rows.at, np.zeros(0, int)]), kind="stable")
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(lower), rows.height
        lp.col_cost_ = np.zeros(len(lower))
        lp.col_lower_, lp.col_upper_ = lower, upper
        lp.row_lower_ = np.concatenate([*rows.lower, np.zeros(0)])
        lp.row_upper_ = np.concatenate([*rows.upper, np.zeros(0)])
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.searchsorted(at[order], np.arange(rows.height + 1)).astype(np.int32)
        lp.a_matrix_.index_ = np.concatenate([*rows.columns, np.zeros(0, int)])[order].astype(np.int32)
        lp.a_matrix_.value_ = np.concatenate([*rows.coefficients, np.zeros(0)])[order]
        if self._is_integer.any():
            kinds = {False: highspy.HighsVarType.kContinuous, True: highspy.HighsVarType.kInteger}
            lp.integrality_ = [kinds[is_integer] for is_integer in self._is_integer.tolist()]
        solver = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, setting in _OPTIONS.items():
            solver.setOptionValue(option, setting)
        solver.passModel(lp)
        return solver

    def _allow(self, most: Floats) -> None:
        scaled = most * np.where(self._counted, 1.0, self.scale)
        self._solver.changeColsBounds(len(scaled), self._room.astype(np.int32), np.zeros(len(scaled)), scaled)

    def _minimised(self, cost: Mapping[int, float], violation: float) -> Placed | None:
        column = int(self._violation[0])
        self._solver.changeColBounds(column, 0.0, violation * self.scale)
        costs = np.zeros(len(self._is_integer))
        costs[list(cost)] = list(cost.values())
        self._solver.changeColsCost(len(costs), np.arange(len(costs), dtype=np.int32), costs)
        self._solver.run()
        status = self._solver.getModelStatus()
        if status in _NO_ANSWER:
            return None
        if status not in _ANSWERS or not self._solver.getInfo().primal_solution_status:
            raise _gave_up("too many choices of names" if status in _ANSWERS else status.name)
        return self._placed(np.array(self._solver.getSolution().col_value))

    def _placed(self, columns: Floats) -> Placed:
        weights = columns[self._weight] / self.scale
        room = columns[self._room] * np.where(self._counted, 1.0, 1.0 / self.scale)
        has, sides, anchors = np.ones(len(weights), dtype=bool), np.sign(weights), np.zeros(len(weights), dtype=bool)
        if self._sized is not None:
            has, sides = columns[self._sized[2]] > 0.5, np.where(columns[self._sized[3]] > 0.5, 1.0, -1.0)
        if self._anchor is not None:
            anchors = columns[self._anchor] > 0.5
        return Placed(weights, room, float(columns[self._violation[0]]) / self.scale, has, sides, anchors)


def feasible(problem: Problem) -> bool:
    """Whether all limits of a problem can hold: their least shared violation is within the tolerance."""
    return ElasticProgram(problem).least_violation() <= TOLERANCE


def _found(placed: Placed | None) -> Placed:
    if placed is None:
        raise _gave_up("contradictory answers")
    return placed


def _gave_up(why: str) -> UnsolvedError:
    return UnsolvedError(
        f"The solver could not settle whether the limits of these names can all hold ({why}). Loosen a limit on counts "
        "or floors, or one that is far larger or smaller than the others."
    )


_OPTIONS = {
    "output_flag": False,
    "threads": 1,
    "primal_feasibility_tolerance": EXACT,
    "dual_feasibility_tolerance": EXACT,
    "mip_feasibility_tolerance": TOLERANCE,  # at the least one there is, searches were seen to contradict themselves
    "mip_rel_gap": 1e-3,
    "mip_abs_gap": TOLERANCE,
    "mip_max_nodes": MOST_NODES,
}
_NO_ANSWER = (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible)
_ANSWERS = (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kSolutionLimit)
