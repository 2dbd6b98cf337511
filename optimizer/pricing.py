"""What every start of a model costs at given row prices, and the bound that the prices prove.

The columns are priced by a crew, in shards (``shards``); what all classes share is priced here.
"""

from typing import Final, NamedTuple

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.certificate import DUST, bound_of_rows, lawful
from optimizer.crew import IN_PROCESS, Crew, Held
from optimizer.model import Layout, Model
from optimizer.runs import Runs, runs_of
from optimizer.shards import (
    Block,
    Lean,
    Pick,
    Shard,
    blocks_of,
    lean_of,
    low_of,
    pick_of,
    shards_of,
    without,
)
from optimizer.unit_prices import UnitPrices

_EXPONENT_MAX: Final = 50.0


class Priced(NamedTuple):
    """Row prices, and the bound that they prove."""

    prices: Floats
    bound: float


class Leaned(NamedTuple):
    """Row prices without those of the classes, their bound, and the slope of the smoothed bound.

    ``cheapest`` are the starts that are the cheapest of their class.
    """

    prices: Floats
    bound: float
    slope: Floats
    cheapest: Ints


class Pricing:
    """Prices all columns of a model: one product with its matrix, by shards."""

    def __init__(
        self, model: Model, before: "Pricing | None" = None, crew: Crew = IN_PROCESS
    ) -> None:
        """``before`` is of a model with the same starts: what depends on them alone is kept."""
        if model.layout is None:
            raise ValueError("the model does not say where its starts are")
        self.model: Model = model
        self.layout: Layout = model.layout
        self.matrix = model.matrix()
        same = before if before is not None and before.layout is model.layout else None
        self.classes: Runs = same.classes if same else _classes(model.layout)
        self.groups: Runs = same.groups if same else runs_of(model.layout.group)
        known = same._blocks if same else ()
        self._blocks: list[Block] = blocks_of(model, model.layout, self.matrix, known)
        self._held: Held[Shard] = crew.hold(shards_of(self._blocks, crew.size))
        is_other = np.ones(model.columns, dtype=np.bool_)
        is_other[self.layout.start.where] = is_other[self.layout.left.where] = False
        self.others: Ints = np.flatnonzero(is_other)
        self._of_others = self.matrix[:, self.others]
        self.other_weights = self._of_others.T
        self.units = UnitPrices.of(model, self.matrix)

    def close(self) -> None:
        """Let the crew forget the shards."""
        self._held.close()

    @property
    def worth(self) -> Floats:
        """What leaving a job out costs, by class."""
        return self.model.cost[self.layout.left.where]

    def price(self, duals: Floats) -> Priced:
        """Return the bound of row prices, after those of the classes were set as best they can be.

        At given prices of everything else, a job of a class costs what its cheapest column costs:
        that is what the price of its row should be. At this price no start and nobody left out
        costs less than nothing, so the classes add to the bound what their rows do, and no more.
        """
        prices, place = lawful(self.model, duals), self.layout.place.where
        prices[place] = 0.0
        if self.units is not None:
            prices = self.units.not_below_cost(prices)
        answers = self._held.ask(low_of, without(prices, place))
        costs = self._other_costs(prices)
        prices[place] = np.concatenate([low for shard in answers for low in shard])
        at_bounds = self._at_bounds(costs)
        bound = bound_of_rows(self.model, prices) + float(at_bounds.sum())
        dust = DUST * float(np.abs(at_bounds).sum() + abs(bound))
        return Priced(prices, bound - dust)

    def pick(
        self,
        priced: Priced,
        limit: Floats,
        *,
        of_classes: int | Ints | None = None,
        of_groups: bool = False,
    ) -> Bools:
        """Return the starts that are dearer than their class's best by no more than its ``limit``.

        Of these as many of each class as ``of_classes`` says, and with ``of_groups`` the best of
        each group; where neither is asked for, all of them.
        """
        place = self.layout.place.where
        shared = without(priced.prices, place)
        wanted = None
        if of_classes is not None:
            wanted = np.broadcast_to(of_classes, self.layout.place.count).astype(np.int64)
        asked = Pick(shared, priced.prices[place], limit, wanted, of_groups)
        chosen = np.zeros(self.layout.start.count, dtype=np.bool_)
        for shard in self._held.ask(pick_of, asked):
            for starts in shard:
                chosen[starts] = True
        return chosen

    def lean(self, duals: Floats, softness: float, values: "OtherValues") -> Leaned:
        """Return the bound of row prices and the slope of the bound smoothed by ``softness``."""
        prices, place = lawful(self.model, duals), self.layout.place.where
        prices[place] = 0.0
        answers = self._held.ask(lean_of, Lean(without(prices, place), softness))
        leanings = [leaning for shard in answers for leaning in shard]
        costs = self._other_costs(prices)
        slope = without(self._of_others @ values.leaning(costs), place)
        for leaning in leanings:
            slope += leaning.slope
        low = np.concatenate([leaning.low for leaning in leanings])
        counts = self.model.row_upper[place]
        bound = bound_of_rows(self.model, prices) + float(counts @ low)
        everywhere = np.zeros(self.model.row_count)
        everywhere[: place.start] = slope[: place.start]
        everywhere[place.stop :] = slope[place.start :]
        return Leaned(
            prices=prices,
            bound=bound + float(self._at_bounds(costs).sum()),
            slope=everywhere,
            cheapest=np.concatenate([leaning.cheapest for leaning in leanings]),
        )

    def reduced(self, priced: Priced) -> Floats:
        """Return what each start is dearer than the best of its class."""
        start = self.layout.start.where
        costs: Floats = self.model.cost[start] - self.matrix[:, start].T @ priced.prices
        return costs

    def shifted(self, duals: Floats, before: "Pricing") -> Floats:
        """Return row prices of a model of the same shape, moved by what units cost more now."""
        if self.units is None or before.units is None:
            return duals
        return before.units.at_costs_of(duals, self.units)

    def _other_costs(self, prices: Floats) -> Floats:
        costs: Floats = self.model.cost[self.others] - self.other_weights @ prices
        return costs

    def _at_bounds(self, costs: Floats) -> Floats:
        """What each variable that is no start adds to the bound, at the cheaper of its bounds."""
        lower, upper = self.model.lower[self.others], self.model.upper[self.others]
        return np.minimum(costs * lower, costs * upper)


class OtherValues(NamedTuple):
    """Between which bounds variables that are no starts lean, and how softly."""

    lower: Floats
    upper: Floats
    soft: Floats

    def leaning(self, costs: Floats) -> Floats:
        """Return where each stands at a cost: near its lower bound where it is dear."""
        leaning = np.clip(costs / self.soft, -_EXPONENT_MAX, _EXPONENT_MAX)
        values: Floats = self.lower + (self.upper - self.lower) / (1.0 + np.exp(leaning))
        return values


def _classes(layout: Layout) -> Runs:
    return Runs(layout.klass, layout.place.count)
