"""First row prices of a large model: those of the same model with a sample of its classes."""

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from optimizer.arrays import Bools, Floats
from optimizer.model import Model
from optimizer.pricing import Pricing

SAMPLE_FROM: Final = 1_000
"""Classes from which a sample pays. In a smaller model single classes move the prices too much."""
_SHARE: Final = 0.25
"""How many samples are drawn, as a share of the classes; heavy ones take several each."""


class Sample(NamedTuple):
    """A model of some classes that asks for as much as all, and which starts are in it."""

    model: Model
    starts: Bools


def sample_of(pricing: Pricing, starts: Bools) -> Sample | None:
    """Return a sample of a model, with some of its ``starts``; None if the model is small.

    A class is drawn in proportion to what leaving all its jobs out would cost, by even steps along
    the sum: the same model gives the same sample. Drawn once, a class stands for a whole step.
    """
    model, layout = pricing.model, pricing.layout
    worth = pricing.worth
    total = np.cumsum(np.maximum(0.0, worth) * model.row_upper[layout.place.where])
    drawn = max(1, int(_SHARE * layout.place.count))
    if layout.place.count < SAMPLE_FROM or total[-1] <= 0:
        return None
    step = float(total[-1]) / drawn
    hits = np.diff(np.floor(total / step + 0.5), prepend=0.0)
    is_drawn = hits > 0
    counts: Floats = np.zeros(len(hits))
    counts[is_drawn] = hits[is_drawn] * step / worth[is_drawn]
    upper, row_lower, row_upper = model.upper.copy(), model.row_lower.copy(), model.row_upper.copy()
    upper[layout.start.where], upper[layout.left.where] = counts[layout.klass], counts
    row_lower[layout.place.where] = row_upper[layout.place.where] = counts
    is_in = np.ones(model.columns, dtype=np.bool_)
    is_in[layout.start.where] = starts & is_drawn[layout.klass]
    is_in[layout.left.where] = is_drawn
    sampled = replace(model, upper=upper, row_lower=row_lower, row_upper=row_upper)
    part = sampled.only(np.flatnonzero(is_in), pricing.matrix)
    return Sample(part, is_in[layout.start.where])
