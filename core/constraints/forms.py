"""Limits as the exact solver sees them: one `Limit` per thing that can conflict, give way, or explain a weight.

A constraint describes itself to the solver by the limits it sets on the names of one group (`WeightConstraint.limits`):
one for the whole group, or one for each bucket or name that it limits apart from the others. What a limit demands is a
few forms:

- `Total`: Σ linear·w + Σ absolute·|w − centre| ≤ bound;
- `Each`: lower ≤ w ≤ upper, name by name;
- `Count`: at most so many of its names have a weight;
- `Floor`: no weight is smaller in size than its floor, unless zero;
- `Representation`: so many buckets have a name of a certain size.

`relaxed(t)` of any form gives it room t in the unit of its bound; `no_worse(current)` gives it the room that today's
weights take already.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.limits import TOLERANCE

Floats = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Names:
    """The names of one group: arrays of one length, in the order of their symbols.

    `current`: today's weights, 0 for a name not held. `wanted`: the weights handed to the constraint set.
    """

    symbols: Sequence[str]
    buckets: npt.NDArray[np.str_]  # empty texts where weights have no buckets
    wanted: Floats
    current: Floats

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def ones(self) -> Floats:
        """One for each name."""
        return np.ones(len(self))

    @property
    def zeros(self) -> Floats:
        """Zero for each name."""
        return np.zeros(len(self))

    def listed(self, symbols: Sequence[str]) -> Truths:
        """Which names are among `symbols`."""
        return np.isin(np.array(self.symbols, dtype=np.str_), np.array(symbols, dtype=np.str_))


@dataclass(frozen=True)
class Total:
    """Σ linear·w + Σ absolute·|w − centre| ≤ bound; a negative `absolute` asks for size, which is not convex."""

    bound: float
    linear: Floats
    absolute: Floats
    centre: Floats

    @classmethod
    def of(
        cls, bound: float, *, linear: Floats | None = None, absolute: Floats | None = None, centre: Floats | None = None
    ) -> "Total":
        """A total with zeros for the parts that are left out."""
        given = [part for part in (linear, absolute) if part is not None]
        zeros = np.zeros_like(given[0])
        return cls(bound, *(zeros if part is None else part.astype(np.float64) for part in (linear, absolute, centre)))

    def level(self, weights: Floats) -> float:
        """The left side."""
        return float(self.linear @ weights + self.absolute @ np.abs(weights - self.centre))

    def excess(self, weights: Floats) -> float:
        """By how much weights are above the bound; negative: what is left."""
        return self.level(weights) - self.bound

    def relaxed(self, room: float) -> "Total":
        """With a bound higher by `room`."""
        return replace(self, bound=self.bound + room)

    def loosened(self, violation: float) -> "Total":
        """With a bound higher by a violation."""
        return self.relaxed(violation)

    def no_worse(self, current: Floats) -> "Total":
        """With today's level as the bound, where that is higher."""
        return replace(self, bound=max(self.bound, self.level(current)))


@dataclass(frozen=True)
class Each:
    """lower ≤ w ≤ upper for every name; infinite where there is no bound."""

    lower: Floats
    upper: Floats

    def excess(self, weights: Floats) -> float:
        """By how much the worst name is outside."""
        return float(np.max(np.maximum(weights - self.upper, self.lower - weights), initial=-np.inf))

    def relaxed(self, room: float) -> "Each":
        """Wider by `room` at each bound."""
        return Each(self.lower - room, self.upper + room)

    def loosened(self, violation: float) -> "Each":
        """Wider by a violation at each bound but zero: a name that may have no weight must not get a trace of one."""
        lower, upper = (np.where(bound == 0.0, 0.0, violation) for bound in (self.lower, self.upper))
        return Each(self.lower - lower, self.upper + upper)

    def no_worse(self, current: Floats) -> "Each":
        """Wide enough for today's weights."""
        return Each(np.minimum(self.lower, current), np.maximum(self.upper, current))


@dataclass(frozen=True)
class Count:
    """At most `most` of the `members` have a weight."""

    most: int
    members: Truths

    def excess(self, weights: Floats) -> float:
        """How many names are too many."""
        return float(self._level(weights) - self.most)

    def _level(self, weights: Floats) -> int:
        return int(np.sum(np.abs(weights[self.members]) > TOLERANCE))

    def relaxed(self, room: float) -> "Count":
        """With so many names more."""
        return replace(self, most=self.most + round(room))

    def no_worse(self, current: Floats) -> "Count":
        """With today's number of names, where that is higher."""
        return replace(self, most=max(self.most, self._level(current)))


@dataclass(frozen=True)
class Floor:
    """No weight is smaller in size than `least`, unless zero."""

    least: Floats

    def excess(self, weights: Floats) -> float:
        """By how much the worst name is too small."""
        size = np.abs(weights)
        return float(np.max(np.where(size > TOLERANCE, self.least - size, -np.inf), initial=-np.inf))

    def relaxed(self, room: float) -> "Floor":
        """With a floor lower by `room`."""
        return Floor(np.maximum(self.least - room, 0.0))

    def no_worse(self, current: Floats) -> "Floor":
        """With today's size as the floor of a holding that is smaller."""
        size = np.abs(current)
        return Floor(np.where(size > TOLERANCE, np.minimum(self.least, size), self.least))


@dataclass(frozen=True)
class Representation:
    """At least `least` buckets have a wanted name of at least `size`; `bucket` is the number of a name's bucket, −1
    for a name that represents none."""

    least: int
    size: float
    bucket: npt.NDArray[np.int64]

    def excess(self, weights: Floats) -> float:
        """How many buckets are missing."""
        return float(self.least - self._level(weights))

    def _level(self, weights: Floats) -> int:
        large = (np.abs(weights) >= self.size - TOLERANCE) & (self.bucket >= 0)
        return len(np.unique(self.bucket[large]))

    def relaxed(self, room: float) -> "Representation":
        """With so many buckets fewer."""
        return replace(self, least=self.least - round(room))

    def no_worse(self, current: Floats) -> "Representation":
        """With today's number of buckets, where that is lower."""
        return replace(self, least=min(self.least, self._level(current)))


Form = Total | Each | Count | Floor | Representation


@dataclass(frozen=True)
class Limit:
    """One limit on one group.

    `value` is the number that a policy can change (None: there is none); a limit that is relaxed by t is met by forms
    that are relaxed by t, and its value is then `value + direction · t`. `noun` and `bound` say it in words: `max
    position` 5 %, `net exposure` `at least` 95 %.
    """

    kind: str
    scope: str  # the bucket or symbol concerned; empty for the whole group
    noun: str
    value: float | None
    forms: tuple[Form, ...] = field(repr=False)
    direction: Literal[1, -1] = 1
    bound: str = ""
    counted: bool = False  # the value is a number of names or buckets, not a fraction
    mode: Literal["hard", "no_worse", "soft"] = "hard"
    priority: int = 0
    max_relaxation: float = 0.0
    source: int = -1  # the place of its constraint in the constraint set
    strict: tuple[Form, ...] = field(default=(), repr=False)  # of a limit that is no_worse: its forms if it were hard
    today: Floats | None = field(default=None, repr=False)  # of a limit that is no_worse: today's weights

    @property
    def unit(self) -> float:
        """What a relaxation of this limit is measured in: its value, or 1 where that is zero."""
        return abs(self.value) if self.value else 1.0

    @property
    def discrete(self) -> bool:
        """Whether the limit counts names or asks for size, so that the weights that meet it are no convex set."""
        return not all(map(is_convex, self.forms))

    def relaxed(self, room: float) -> "Limit":
        """The same limit with room."""
        return replace(
            self,
            value=None if self.value is None else self.value + self.direction * room,
            forms=tuple(form.relaxed(room) for form in self.forms),
        )

    def no_worse(self, current: Floats) -> "Limit":
        """The same limit, wide enough for today's weights."""
        forms = tuple(form.no_worse(current) for form in self.forms)
        return replace(self, mode="no_worse", forms=forms, strict=self.forms, today=current)

    def with_value(self, value: float) -> "Limit":
        """The same limit in the same mode at another value."""
        room = self.direction * (value - (self.value or 0.0))
        if self.today is None:
            return self.relaxed(room)
        strict = tuple(form.relaxed(room) for form in self.strict)
        return replace(self, value=value, forms=strict).no_worse(self.today)

    def in_force_at(self, name: int) -> float | None:
        """The value in force for one name: where today's weights widen the limit, what they widen it to."""
        if self.today is None or self.value is None:
            return self.value
        match self.forms[0]:
            case Each() as form:
                return float(form.upper[name] if self.direction > 0 else form.lower[name])
            case Total() as form:
                return float(self.direction * form.bound)
            case Floor() as form:
                return float(form.least[name])
            case _:
                return self.value

    def excess(self, weights: Floats) -> float:
        """By how much weights exceed the limit; not positive where they meet it."""
        return max((form.excess(weights) for form in self.forms), default=-np.inf)


def is_convex(form: Form) -> bool:
    """Whether the weights that meet a form are a convex set."""
    return isinstance(form, Each) or (isinstance(form, Total) and not np.any(form.absolute < 0))
