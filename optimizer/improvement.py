"""Improvement by single moves: a job goes where it costs less, until no job alone can do better.

So when the reasons say "dearer", it is true of the plan as it stands.
"""

from typing import Final

import numpy as np

from optimizer.deadline import Deadline
from optimizer.money import Payment
from optimizer.occupancy import Occupancy

PASSES_MAX: Final = 4
GAIN_YUAN_MIN: Final = 1e-6
"""Smaller gains are rounding noise and would make equal plans differ."""


def improve(state: Occupancy, deadline: Deadline) -> int:
    """Move jobs one at a time while that lowers the plan's cost; return how many moved."""
    moved = 0
    for _ in range(PASSES_MAX):
        in_pass = 0
        for column in sorted(state.payments):
            if deadline.is_over:
                return moved + in_pass
            while column in state.payments and _move_one(state, column):
                in_pass += 1
        moved += in_pass
        if not in_pass:
            break
    return moved


def _move_one(state: Occupancy, column: int) -> bool:
    """Move one job of the column to its best place if that is cheaper; else leave all as it was."""
    k = int(state.columns.klass[column])
    own = state.columns.of_class(k)
    payment = state.give_back(column)
    cost = state.columns.cost[own] + state.added_yuan(k)
    better = np.flatnonzero(state.fits(k) & (cost < cost[column - own.start] - GAIN_YUAN_MIN))
    for at in better[np.argsort(cost[better], kind="stable")]:
        target = own.start + int(at)
        found = state.split(target)
        if isinstance(found, Payment):
            state.take(target, found)
            return True
    state.take(column, payment)
    return False
