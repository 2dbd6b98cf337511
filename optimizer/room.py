"""How many jobs still fit, for many starts at once: least values over windows of slots.

``Holder`` is what whole jobs are placed in: the exact state of a plan, or any other that counts.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.occupancy import WATT_SLACK, Occupancy

_UNIT_SLACK: Final = 1e-9


class Holder(Protocol):
    """A state that takes whole jobs and never breaks a limit."""

    def place(self, column: int, wanted: int) -> int:
        """Start up to ``wanted`` jobs of a start; return how many it took."""

    def have_turn(self, classes: Ints) -> Bools:
        """Return for each class whether its jobs may be placed now."""

    def rooms(self, columns: Ints) -> Floats:
        """Return for each start how many more jobs it can take: perhaps too many, never too few."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Where starts sit: a pool, the first and the last slot, and units a job."""

    pool: Ints
    first: Ints
    last: Ints
    units: Floats

    def rooms(self, free: Floats) -> Floats:
        """Return how many jobs of each start find ``free[p,t]`` units in all of its slots."""
        least = _least(free, self.pool, self.first, self.last)
        rooms: Floats = np.maximum(0.0, np.floor((least + _UNIT_SLACK) / self.units))
        return rooms


@dataclass(frozen=True, slots=True)
class ExactHolder:
    """The exact state of a plan as a holder. Money has its say only when a job is placed."""

    state: Occupancy

    def place(self, column: int, wanted: int) -> int:
        """Start up to ``wanted`` jobs as units, power and money allow; return how many."""
        return self.state.place(column, wanted)

    def have_turn(self, classes: Ints) -> Bools:
        """Return for each class whether all that it waits for is placed."""
        known, where = np.unique(classes, return_inverse=True)
        turns: Bools = np.array([self.state.order.has_turn(int(k)) for k in known], dtype=np.bool_)
        return turns[where]

    def rooms(self, columns: Ints) -> Floats:
        """Return how many jobs units and power leave room for."""
        state, all_columns = self.state, self.state.columns
        instance = state.instance
        room_w = (instance.facilities.room_w - state.peak_w)[instance.site_of] + WATT_SLACK
        watts = np.where(instance.busy_w > 0, instance.busy_w, 1.0)[:, None]
        powered = np.where(instance.busy_w[:, None] > 0, room_w / watts, np.inf)
        windows = Windows(
            pool=all_columns.pool[columns],
            first=all_columns.slot[columns],
            last=all_columns.last[columns],
            units=all_columns.units[columns].astype(np.float64),
        )
        rooms = windows.rooms(np.minimum(instance.units_free - state.used, powered))
        return np.minimum(rooms, state.left[all_columns.klass[columns]])


def _least(table: Floats, row: Ints, first: Ints, last: Ints) -> Floats:
    """Return the least of ``table[row, first .. last]``, by minima over windows of 1, 2, 4 ..."""
    levels = [table.astype(np.float64)]
    while (1 << len(levels)) <= table.shape[1]:
        half = 1 << (len(levels) - 1)
        wider = levels[-1].copy()
        wider[:, :-half] = np.minimum(wider[:, :-half], levels[-1][:, half:])
        levels.append(wider)
    stacked = np.stack(levels)
    level = np.frexp((last - first + 1).astype(np.float64))[1] - 1
    left, right = stacked[level, row, first], stacked[level, row, last + 1 - (1 << level)]
    least: Floats = np.minimum(left, right)
    return least
