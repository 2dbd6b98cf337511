"""The starts of a model that are near the best of their class: a model of its own for climbs.

A climb prices every start in every step, and almost all of them are far from being used. On those
that are near it costs a fraction. What it finds there is no bound of the whole model before all
starts were priced once: the caller's part.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.ascent import Ascent, Climbed
from optimizer.deadline import Deadline
from optimizer.model import Block, Layout, Model
from optimizer.pricing import Priced, Pricing

_SHARES: Final = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75)
"""Where between two rows of prices the bound is looked at: it is concave, and mostly best near the
better end."""


class Nearby:
    """A model with some of its starts."""

    def __init__(self, pricing: Pricing, starts: Bools) -> None:
        self._starts = np.flatnonzero(starts)
        self._count = len(starts)
        self._pricing = Pricing(_part(pricing.model, self._starts, pricing))

    def climb(self, prices: Floats, steps: int, gap: float, deadline: Deadline) -> Climbed:
        """Return the best prices of a climb, and the cheapest starts among all of the model."""
        climbed = Ascent(self._pricing).climb(prices, steps, gap, deadline)
        cheapest = np.zeros(self._count, dtype=np.bool_)
        cheapest[self._starts[climbed.cheapest]] = True
        return Climbed(climbed.prices, cheapest)

    def between(self, best: Priced, other: Priced) -> Floats:
        """Return the best prices on the way from the ``best`` to the ``other``."""
        step = other.prices - best.prices
        looks = [self._pricing.price(best.prices + share * step) for share in _SHARES]
        return max(looks, key=lambda one: one.bound).prices


def _part(model: Model, starts: Ints, pricing: Pricing) -> Model:
    """Return the model of some starts; everything else stays, and the rows as well."""
    layout = pricing.layout
    first, after = layout.start.first, layout.start.first + layout.start.count
    inside = np.concatenate(
        [np.arange(first), first + starts, np.arange(after, model.columns, dtype=np.int64)]
    )
    gone = layout.start.count - len(starts) if layout.left.first > first else 0
    return replace(
        model.only(inside, pricing.matrix),
        layout=Layout(
            start=Block("start", first, len(starts)),
            left=Block("left", layout.left.first - gone, layout.left.count),
            place=layout.place,
            klass=layout.klass[starts],
            group=layout.group[starts],
        ),
    )
