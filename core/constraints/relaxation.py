"""How soft limits give way where not all limits of a group can hold.

From the lowest priority up: `granted` settles the highest priority first, with all lower ones free to give way as far
as they may, so that a limit gives way only by what all lower ones together cannot spare. Those of one priority give way
by the least total amount in units of their limits; where that leaves a choice, by less the earlier a limit stands in
the order of the problem.
"""

import numpy as np

from core.constraints.forms import Floats, Limit, Truths
from core.constraints.linear_program import EXACT, ElasticProgram
from core.constraints.problem import Problem
from core.limits import TOLERANCE

PREFERENCE = 1e-6  # how much dearer, relatively, the room of the first limit of a priority is than that of the last


def granted(problem: Problem) -> Floats | None:
    """The room that each limit of a problem is given; None where all that is allowed is too little."""
    limits = problem.limits
    most = np.array([limit.max_relaxation if limit.mode == "soft" else 0.0 for limit in limits])
    if not most.any():
        return None
    program = ElasticProgram(problem, most=most.copy())
    violation = program.least_violation(most)
    if violation > TOLERANCE:
        return None
    priorities = np.array([limit.priority for limit in limits])
    for priority in sorted(set(priorities[most > 0].tolist()), reverse=True):
        settled = (priorities == priority) & (most > 0)
        placed = program.least_room(_costs(limits, settled), most, violation)
        most[settled] = np.where(placed.room[settled] > EXACT, placed.room[settled], 0.0)
    return most


def _costs(limits: tuple[Limit, ...], settled: Truths) -> Floats:
    """What room costs: in units of the limit, nothing for limits that are not being settled."""
    units = np.array([limit.unit for limit in limits])
    dearer = np.linspace(1.0 + PREFERENCE, 1.0, len(limits))
    return np.where(settled, dearer / units, 0.0)
