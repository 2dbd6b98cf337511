"""Neighbouring places of an array that belong together: the starts of a class, or of its pool."""

import numpy as np

from optimizer.arrays import Bools, Floats, Ints


class Runs:
    """Neighbouring places that belong together: ``owner`` of each, ascending, of ``count``."""

    def __init__(self, owner: Ints, count: int) -> None:
        self.owner, self.count = owner, count
        self._first = np.searchsorted(owner, np.arange(count + 1))
        self._is_filled = self._first[1:] > self._first[:-1]
        self._starts = self._first[:-1][self._is_filled]

    def least(self, values: Floats, default: float) -> Floats:
        """Return the least value of each owner."""
        least = np.full(self.count, default)
        least[self._is_filled] = np.minimum.reduceat(values, self._starts)
        return least

    def sum(self, values: Floats) -> Floats:
        """Return the sum of each owner."""
        total = np.zeros(self.count)
        total[self._is_filled] = np.add.reduceat(values, self._starts)
        return total

    def among_least(self, values: Floats, among: Ints, wanted: int | Ints) -> Ints:
        """Return which of the places ``among`` are the ``wanted`` least of those of their owner.

        ``wanted`` is one number, or one for each owner.
        """
        owner = self.owner[among]
        order = np.lexsort((values[among], owner))
        owner = owner[order]
        rank = np.arange(len(order)) - np.searchsorted(owner, owner)
        return among[order[rank < np.broadcast_to(wanted, self.count)[owner]]]

    def spread(self, wanted: int) -> Bools:
        """Return the first and the last place of each owner, and some evenly between."""
        chosen = np.zeros(len(self.owner), dtype=np.bool_)
        sizes = np.diff(self._first)[self._is_filled]
        for number in range(wanted):
            chosen[self._starts + (sizes - 1) * number // max(1, wanted - 1)] = True
        return chosen


def runs_of(labels: Ints) -> Runs:
    """Return the runs of equal labels."""
    owner = np.cumsum(np.diff(labels, prepend=labels[:1]) != 0)
    return Runs(owner, int(owner[-1]) + 1 if len(owner) else 0)
