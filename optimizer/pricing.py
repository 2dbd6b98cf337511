"""What every start of a model costs at given row prices, and the bound that the prices prove."""

from typing import NamedTuple

import numpy as np

from optimizer.arrays import Floats
from optimizer.certificate import DUST, bound_of_rows, lawful
from optimizer.model import Layout, Model
from optimizer.runs import Runs, runs_of


class Priced(NamedTuple):
    """Row prices, the bound that they prove, and what each variable costs at them."""

    prices: Floats
    bound: float
    reduced: Floats


class Pricing:
    """Prices all columns of a model: one product with its matrix."""

    def __init__(self, model: Model, before: "Pricing | None" = None) -> None:
        """``before`` is of a model with the same starts: what depends on them alone is kept."""
        if model.layout is None:
            raise ValueError("the model does not say where its starts are")
        self.model: Model = model
        self.layout: Layout = model.layout
        self.matrix = model.matrix()
        self.transposed = self.matrix.T
        same = before if before is not None and before.layout is model.layout else None
        self.classes: Runs = same.classes if same else _classes(model.layout)
        self.groups: Runs = same.groups if same else runs_of(model.layout.group)

    @property
    def worth(self) -> Floats:
        """What leaving a job out costs, by class."""
        return self.model.cost[self.layout.left.where]

    def price(self, duals: Floats) -> Priced:
        """Return the bound of row prices, after those of the classes were set as best they can be.

        At given prices of everything else, a job of a class costs what its cheapest column costs:
        that is what the price of its row should be.
        """
        layout, model = self.layout, self.model
        prices = lawful(model, duals)
        place = layout.place.where
        prices[place] = 0.0
        reduced = model.cost - self.transposed @ prices
        cheapest = self.classes.least(reduced[layout.start.where], np.inf)
        prices[place] = np.minimum(cheapest, reduced[layout.left.where])
        reduced[layout.start.where] -= prices[place][layout.klass]
        reduced[layout.left.where] -= prices[place]
        at_bounds = np.minimum(reduced * model.lower, reduced * model.upper)
        bound = bound_of_rows(model, prices) + float(at_bounds.sum())
        dust = DUST * float(np.abs(at_bounds).sum() + abs(bound))
        return Priced(prices, bound - dust, reduced)


def _classes(layout: Layout) -> Runs:
    return Runs(layout.klass, layout.place.count)
