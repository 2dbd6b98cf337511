"""What a unit in use is paid in a slot, set by way of the rows of the running sum.

Units in use are a running sum of starts and ends. So what a unit is paid in a slot is a difference
of two row prices, and to pay more in one slot moves the row prices of all slots before it.
"""

from typing import Final

import numpy as np
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import SuperLU, splu

from optimizer.arrays import Floats
from optimizer.model import Model

_IS_SCARCE: Final = 1e-6
"""A unit that is paid more than it costs by this, in yuan, is one that there are too few of."""


class UnitPrices:
    """The units in use of a model, and the rows that say what they are: one for each."""

    def __init__(self, model: Model, used: slice, usage: slice, matrix: csc_matrix) -> None:
        self._cost, self._usage = model.cost[used], usage
        self._columns = matrix[:, used].T.tocsr()
        self._sums: SuperLU = splu(matrix[usage, used].tocsc())

    @staticmethod
    def of(model: Model, matrix: csc_matrix) -> "UnitPrices | None":
        """Return those of a model, or None where it has no such variables and rows."""
        used = next((one for one in model.variables if one.name == "used"), None)
        usage = next((one for one in model.rows if one.name == "usage"), None)
        if used is None or usage is None or used.count != usage.count or not used.count:
            return None
        return UnitPrices(model, used.where, usage.where, matrix)

    def not_below_cost(self, prices: Floats) -> Floats:
        """Return row prices at which no unit is paid less than it costs.

        A slot that none of a solver's starts reaches may be sold at any price below that; to all
        other starts it would be a present. The bound is never worse: every start costs as much or
        more, and units that earn nothing are not in use, at the old price and at the new.
        """
        return self._paid(prices, np.maximum(0.0, self._reduced(prices)))

    def at_costs_of(self, prices: Floats, now: "UnitPrices") -> Floats:
        """Return row prices that pay each unit by as much more as it costs more now.

        Units that are scarce are paid as before: it is what the jobs can bear, whatever they cost.
        """
        is_scarce = self._reduced(prices) < -_IS_SCARCE
        return self._paid(prices, np.where(is_scarce, 0.0, now._cost - self._cost))

    def _reduced(self, prices: Floats) -> Floats:
        reduced: Floats = self._cost - self._columns @ prices
        return reduced

    def _paid(self, prices: Floats, more: Floats) -> Floats:
        paid = prices.copy()
        paid[self._usage] += self._sums.solve(more, trans="T")
        return paid
