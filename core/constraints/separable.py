"""Many groups under limits that are separable: the problem that `core.constraints.newton` solves for all of them.

Limits are separable where every name has a range, and all else is on sums over a group (net, gross, turnover) or over
one of its buckets (gross). Names stand group by group; a *cell* is a bucket of a group, and cells are numbered group by
group. `core.constraints.sources` makes the problem of constraints.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from core.constraints.forms import Floats, Truths

NET, GROSS, TURNOVER = range(3)  # the sums over a whole group

Numbers = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Separable:
    """Names in ranges, and bounds on sums.

    Per name: `wanted`, `current`, `lower`, `upper`, and `cell`, the number of its cell. Per cell: `group`, the number
    of its group, and `most`, the bound on its gross. Per group, and net, gross, turnover: `least` and `greatest`.
    """

    wanted: Floats
    current: Floats
    lower: Floats
    upper: Floats
    cell: Numbers
    group: Numbers
    most: Floats
    least: Floats
    greatest: Floats

    @property
    def groups(self) -> int:
        """How many."""
        return len(self.least)

    def of_cells(self, amounts: Floats) -> Floats:
        """The sums of what each name has, per cell."""
        return np.bincount(self.cell, amounts, len(self.group)).astype(np.float64, copy=False)

    def of_groups(self, amounts: Floats) -> Floats:
        """The sums of what each cell has, per group; of one number each, or of one row."""
        sums: Floats = np.add.reduceat(amounts, self.first_cells, axis=0)
        return sums

    def worst_of_groups(self, amounts: Floats) -> Floats:
        """The largest of what each cell has, per group."""
        worst: Floats = np.maximum.reduceat(amounts, self.first_cells)
        return worst

    @cached_property
    def first_cells(self) -> Numbers:
        """The first cell of each group; every group has one."""
        return np.searchsorted(self.group, np.arange(self.groups))

    @cached_property
    def side_today(self) -> Floats:
        """1 for names that are long today, or not held; −1 for those that are short."""
        return np.where(self.current >= 0.0, 1.0, -1.0)

    @cached_property
    def upper_kink(self) -> Floats:
        """The higher of zero and today's weight."""
        return np.maximum(self.current, 0.0)

    @cached_property
    def lower_kink(self) -> Floats:
        """The lower of the two."""
        return np.minimum(self.current, 0.0)

    def pieces(self, names: int) -> Iterator[Truths]:
        """All groups in parts of about so many names."""
        ends = np.cumsum(np.bincount(self.group[self.cell], minlength=self.groups))
        part = (ends - 1) // names
        return (part == at for at in np.unique(part))

    def only(self, groups: Truths) -> "Separable":
        """The problem of some groups."""
        if groups.all():
            return self
        cells = groups[self.group]
        names = cells[self.cell]
        place_of_cell, place_of_group = np.cumsum(cells) - 1, np.cumsum(groups) - 1
        return Separable(
            self.wanted[names],
            self.current[names],
            self.lower[names],
            self.upper[names],
            place_of_cell[self.cell[names]],
            place_of_group[self.group[cells]],
            self.most[cells],
            self.least[groups],
            self.greatest[groups],
        )
