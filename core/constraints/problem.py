"""What the exact solver is asked for one group: names, the limits on them, and between what each may end.

`problem_of` takes the rows of one group, in any order, and puts names and limits into an order of their own, so that
the answer depends on neither. A name that is neither held nor wanted is pinned at 0; a held one that is wanted at 0 may
end anywhere between 0 and its current weight; a frozen one keeps its weight, which is a limit that can conflict with
others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from core.constraints.base import WeightConstraint
from core.constraints.forms import Count, Each, Floats, Limit, Names, Total, Truths, is_convex
from core.constraints.panel import BUCKET, CURRENT, FROZEN, SYMBOL, WEIGHT
from core.limits import TOLERANCE

FROZEN_KIND = "frozen"  # of the limit that keeps a frozen name where it is


@dataclass(frozen=True)
class Problem:
    """Names, limits, and the range of each name; see the module."""

    names: Names
    frozen: Truths
    constraints: Sequence[WeightConstraint]
    limits: tuple[Limit, ...]
    lower: Floats
    upper: Floats

    def with_limits(self, limits: Sequence[Limit]) -> "Problem":
        """The same names under other limits."""
        return replace(self, limits=tuple(limits))

    def with_more_names(self, count: int) -> "Problem":
        """The same problem with so many names more, each in a bucket of its own, that may have any weight."""
        names, more = self.names, np.zeros(count)
        labels = [f"new name {at}" for at in range(count)]
        grown = Names(
            [*names.symbols, *labels],
            np.array([*names.buckets, *labels], dtype=np.str_),
            np.concatenate([names.wanted, more]),
            np.concatenate([names.current, more]),
        )
        frozen = np.concatenate([self.frozen, more > 0])
        problem = _under(grown, frozen, self.constraints)
        new = np.arange(len(grown)) >= len(names)
        return replace(problem, lower=np.where(new, -np.inf, problem.lower), upper=np.where(new, np.inf, problem.upper))

    @property
    def reaches(self) -> tuple[float, ...]:
        """The largest size that each name may have by itself, of as many as may have one, falling: infinite, but for
        what is to be closed and may keep a part."""
        sizes = np.maximum(self.upper, -self.lower)
        counts = [
            form.most for limit in self.limits for form in limit.forms if isinstance(form, Count) if not limit.scope
        ]
        return tuple(np.sort(sizes[sizes > 0])[::-1][: min(counts, default=None)].tolist())

    @property
    def reach(self) -> float:
        """A size beyond which no weight is considered where names are counted or sizes asked for: twice what is
        wanted, held, or limited, and never less than 2."""
        bounds = [abs(form.bound) for limit in self.limits for form in limit.forms if isinstance(form, Total)]
        held = (float(np.abs(weights).sum()) for weights in (self.names.wanted, self.names.current))
        return 2.0 * max(1.0, *held, *bounds)


def problem_of(rows: pl.DataFrame, constraints: Sequence[WeightConstraint]) -> Problem:
    """The problem of one group; `rows` as in a `Panel`, without null weights, in the order of their symbols."""
    wanted = rows[WEIGHT].to_numpy().copy()
    wanted[np.abs(wanted) <= TOLERANCE] = 0.0
    current = rows[CURRENT].to_numpy() if CURRENT in rows.columns else np.zeros(len(wanted))
    buckets = rows[BUCKET].to_list() if BUCKET in rows.columns else [""] * len(wanted)
    names = Names(rows[SYMBOL].cast(pl.String).to_list(), np.array(buckets, dtype=np.str_), wanted, current)
    frozen = rows[FROZEN].to_numpy() if FROZEN in rows.columns else np.zeros(len(wanted), dtype=bool)
    return _under(names, frozen, constraints)


def convex_part(problem: Problem) -> Problem:
    """The problem without what is not convex: its nearest weights are at least as near as those of any choice."""
    parts = [
        replace(limit, forms=tuple(form for form in limit.forms if is_convex(form))) for limit in problem.limits
    ]  # fmt: skip
    return problem.with_limits(parts)


def _under(names: Names, frozen: Truths, constraints: Sequence[WeightConstraint]) -> Problem:
    limits = [
        replace(limit, source=source)
        for source, constraint in enumerate(constraints)
        for limit in constraint.limits_in_force(names)
    ]
    limits += [_frozen(names, at) for at in np.flatnonzero(frozen).tolist()]
    pinned = (names.wanted == 0.0) & ~frozen
    return Problem(
        names,
        frozen,
        constraints,
        tuple(sorted(limits, key=_place)),
        np.where(pinned, np.minimum(names.current, 0.0), -np.inf),
        np.where(pinned, np.maximum(names.current, 0.0), np.inf),
    )


def _frozen(names: Names, at: int) -> Limit:
    here = np.arange(len(names)) == at
    weight = names.wanted[at]
    form = Each(np.where(here, weight, -np.inf), np.where(here, weight, np.inf))
    symbol = names.symbols[at]
    return Limit(FROZEN_KIND, symbol, f"{symbol} fixed at {100 * weight:.4g} %", None, (form,))


def _place(limit: Limit) -> tuple[object, ...]:
    """An order of limits that does not depend on how they were listed."""
    return limit.kind, limit.scope, limit.noun, limit.direction, limit.value or 0.0, limit.mode, limit.priority
