"""Which starts the first round of a changed model has: a core of those that mattered before."""

from typing import Final

import numpy as np

from optimizer.arrays import Bools, Floats
from optimizer.pricing import Pricing

_NEAR: Final = 2e-4
"""Starts dearer than the best of their class by at most this share of leaving a job out."""
_PER_CLASS: Final = 6
"""And so many of each class, and one of each group: without them whole hours have no price."""
_HEAVY: Final = 0.6
_HEAVY_MAX: Final = 15_000
"""And further starts, this share of those that are kept, but not more than so many, to the classes
by what leaving them out would cost: a bound loses most by a few heavy ones, and these need all
their places."""


def core_of(pricing: Pricing, kept: Bools, reduced: Floats) -> Bools:
    """Return the core of the starts that are ``kept``, by what each costs at the newest prices."""
    layout, worth = pricing.layout, pricing.worth
    own = np.flatnonzero(kept)
    core = kept & (reduced <= _NEAR * worth[layout.klass])
    core[pricing.classes.among_least(reduced, own, _PER_CLASS)] = True
    core[pricing.groups.among_least(reduced, own, 1)] = True
    weight = np.maximum(0.0, worth) * pricing.model.row_upper[layout.place.where]
    total = float(weight.sum())
    if total > 0:
        more = min(_HEAVY * len(own), _HEAVY_MAX)
        wanted = (more * weight / total).astype(np.int64)
        heavy = np.flatnonzero((wanted > _PER_CLASS)[layout.klass])
        core[pricing.classes.among_least(reduced, heavy, wanted)] = True
    return core
