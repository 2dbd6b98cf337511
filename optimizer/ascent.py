"""Better row prices by small steps: between two rounds of the restricted master.

The bound is a concave function of the row prices, with kinks wherever a class changes its mind.
Smoothed (a class spreads its jobs over its starts, the cheaper the more), it has a gradient: what
the rows ask for less what they get at these prices. A step is one product with the matrix and one
with its transpose, so fifty steps cost less than a tenth of a solver's round on few columns, and
see all columns. How smooth, and how long the steps, follows the gap that is left: longer ones
would only jump about the optimum, shorter ones would not arrive.
"""

from typing import Final, NamedTuple

import numpy as np

from optimizer.arrays import Bools, Floats
from optimizer.deadline import Deadline
from optimizer.pricing import OtherValues, Pricing

GAP_MAX: Final = 0.03
"""A gap above this makes steps no longer."""
_SOFTNESS: Final = 0.02
_LENGTH: Final = 0.3
"""Softness and length of steps, as shares of the gap. Both may be a third or three times as much
before it costs a round of the anchor instance."""
_MOMENTUM: Final = 0.9
_MEMORY: Final = 0.99
_TINY: Final = 1e-12


class Climbed(NamedTuple):
    """The best prices of a climb, and the starts that were the cheapest of their class on it."""

    prices: Floats
    cheapest: Bools


class Ascent:
    """Climbs the bound of one model."""

    def __init__(self, pricing: Pricing) -> None:
        self._pricing = pricing
        model = pricing.model
        self._is_floor = np.isfinite(model.row_lower)
        self._is_ceiling = np.isfinite(model.row_upper) & (model.row_lower != model.row_upper)

    def climb(self, prices: Floats, steps: int, gap: float, deadline: Deadline) -> Climbed:
        """Return the best prices of some ``steps`` from ``prices``, whose bound is off by ``gap``.

        Adam's steps: each price moves by about the same share of what is usual in its family.
        """
        gap = min(gap, GAP_MAX)
        usual, others = self._usual(prices), self._others(prices, _SOFTNESS * gap)
        place = self._pricing.layout.place.where
        at, best, best_bound = prices.copy(), prices, -np.inf
        cheapest = np.zeros(self._pricing.layout.start.count, dtype=np.bool_)
        mean, square = np.zeros_like(at), np.zeros_like(at)
        for step in range(1, steps + 1):
            if deadline.is_over:
                break
            looked = self._pricing.lean(at, _SOFTNESS * gap, others)
            cheapest[looked.cheapest] = True
            if looked.bound > best_bound:
                best, best_bound = looked.prices, looked.bound
            slope = (self._wanted(looked.prices) - looked.slope) * usual
            slope[place] = 0.0
            mean += (1 - _MOMENTUM) * (slope - mean)
            square += (1 - _MEMORY) * (slope**2 - square)
            deviation = np.sqrt(square / (1 - _MEMORY**step)) + _TINY
            length = _LENGTH * gap * (1 - step / (steps + 1)) / (1 - _MOMENTUM**step)
            at = at + length * usual * mean / deviation
        return Climbed(best, cheapest)

    def _usual(self, prices: Floats) -> Floats:
        """Return for each row the median of the prices of its family that are not zero."""
        usual = np.zeros_like(prices)
        for block in self._pricing.model.rows:
            sizes = np.abs(prices[block.where])
            if (sizes > 0).any():
                usual[block.where] = np.median(sizes[sizes > 0])
        return usual

    def _others(self, prices: Floats, softness: float) -> OtherValues:
        """Return by how much the cost of each other variable may vary before it takes a side."""
        pricing = self._pricing
        sums: Floats = abs(pricing.other_weights) @ np.abs(prices)
        return OtherValues(
            lower=pricing.model.lower[pricing.others],
            upper=pricing.model.upper[pricing.others],
            soft=softness * np.maximum(sums, _TINY) + _TINY,
        )

    def _wanted(self, prices: Floats) -> Floats:
        """Return for each row the side that its price pushes against."""
        model = self._pricing.model
        is_up = self._is_ceiling & ((prices < 0) | ~self._is_floor)
        return np.where(is_up, model.row_upper, model.row_lower)
