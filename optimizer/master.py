"""The relaxation of a large model: a restricted master, and our own pricing of all columns.

Of the columns of ``start`` only some are given to the solver. Its row prices say what every other
column is worth (one product with the matrix); those that would help are added, and so on. The same
prices bound the whole model from below (``certificate``), so the gap that ends the rounds needs no
trust in the solver: neither in its status nor in its prices.

The solver is interior point without crossover. Its prices lie in the middle of all that are
optimal for the restricted model; those of a simplex lie at a corner, far from what the whole model
wants, and would take several times as many rounds. A point half-way between the prices of the best
bound so far and the newest is priced as well.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.certificate import TOLERANCE, bound_of_rows, lawful, objective, violation
from optimizer.deadline import Deadline
from optimizer.highs_route import solve_inside
from optimizer.model import Layout, Model

ROUNDS_MAX: Final = 30
SPREAD: Final = 3
"""Columns of each group that the first round has: the first, the last, and between."""
PER_CLASS: Final = 10
"""Columns of a class that a round adds at most, besides the best of each of its groups."""
_HALF_WAY: Final = 0.5
_TOLERANCES: Final = (1e-3, 1e-5, 1e-8)
"""How exactly the solver works: at first roughly, and the finer the less there is to add."""
_ROUGH_ROUNDS: Final = 2
_FAR: Final = 0.3
"""A column dearer than its class's best by this share of leaving the job out is forgotten at the
end. Forgetting more makes the next model smaller, and takes it more rounds than that saves."""
_IDLE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Relaxed:
    """A point of the whole model, its cost, and a true lower bound of what any point costs.

    ``prices`` are the row prices of the bound. ``kept`` says which starts the last round had.
    ``is_close``: within the gap that was asked for; ``is_certified``: and it breaks no row.
    """

    values: Floats
    objective: float
    bound: float
    prices: Floats
    kept: Bools
    rounds: int
    is_close: bool
    is_certified: bool

    @property
    def gap(self) -> float:
        """By what share of its cost the point can be above the optimum."""
        return (self.objective - self.bound) / max(1e-9, abs(self.objective))


class _Priced(NamedTuple):
    prices: Floats
    bound: float
    reduced: Floats


class Master:
    """A model that is solved over and over, each time from the columns that mattered last."""

    def __init__(self, model: Model) -> None:
        layout = model.layout
        if layout is None:
            raise ValueError("the model does not say where its starts are")
        self._layout: Layout = layout
        self._classes = _Runs(layout.klass, layout.place.count)
        self._groups = _runs_of(layout.group)
        self._kept = self._groups.spread(SPREAD)
        self._best: Floats | None = None
        self.change(model)

    def change(self, model: Model) -> None:
        """Go on with a model of the same shape: other costs, bounds or coefficients."""
        self._model = model
        self._matrix = model.matrix()
        self._transposed = self._matrix.T

    def solve(self, gap: float, deadline: Deadline) -> Relaxed | None:
        """Return a point within ``gap`` of its bound; None if no point was found in time.

        Where time or rounds run out, the best point so far is returned, not certified.
        """
        best = self._price(np.zeros(self._model.row_count) if self._best is None else self._best)
        found: Relaxed | None = None
        fineness = 0
        for number in range(ROUNDS_MAX):
            if number == _ROUGH_ROUNDS:
                fineness = max(fineness, 1)
            answer = self._restricted(_TOLERANCES[fineness], deadline)
            if answer is None:
                return found
            values, duals = answer
            newest = self._price(duals)
            best = max(best, newest, key=_bound_of)
            between = self._price(best.prices + _HALF_WAY * (newest.prices - best.prices))
            best = max(best, between, key=_bound_of)
            found = self._relaxed(values, best, number + 1, gap)
            if found.is_certified or deadline.is_over:
                break
            asked = duals[self._layout.place.where]
            useful = self._useful(newest, asked) | self._useful(between, asked)
            if found.is_close or not (useful & ~self._kept).any():
                fineness += 1
                if fineness == len(_TOLERANCES):
                    break
            self._kept |= useful
        self._best = best.prices
        self._purge(best)
        return found

    def _relaxed(self, values: Floats, best: _Priced, rounds: int, gap: float) -> Relaxed:
        cost = objective(self._model, values)
        is_close = cost - best.bound <= gap * abs(cost)
        return Relaxed(
            values=values,
            objective=cost,
            bound=best.bound,
            prices=best.prices,
            kept=self._kept.copy(),
            rounds=rounds,
            is_close=is_close,
            is_certified=is_close and violation(self._model, values, integral=False) <= TOLERANCE,
        )

    def _restricted(self, tolerance: float, deadline: Deadline) -> tuple[Floats, Floats] | None:
        """Solve with the kept columns; return a point of the whole model and the row prices."""
        is_in = np.ones(self._model.columns, dtype=np.bool_)
        is_in[self._layout.start.where] = self._kept
        inside = np.flatnonzero(is_in)
        part = self._model.only(inside, self._matrix)
        answer = solve_inside(part, tolerance=tolerance, time_s=deadline.left_s())
        if answer is None:
            return None
        values = np.zeros(self._model.columns)
        values[inside], duals = answer
        return values, duals

    def _price(self, duals: Floats) -> _Priced:
        """Return the bound of row prices, after those of the classes were set as best they can be.

        At given prices of everything else, a job of a class costs what its cheapest column costs:
        that is what the price of its row should be.
        """
        layout, model = self._layout, self._model
        prices = lawful(model, duals)
        place = layout.place.where
        prices[place] = 0.0
        weighed = self._transposed @ prices
        reduced = model.cost - weighed
        cheapest = self._classes.least(reduced[layout.start.where], np.inf)
        prices[place] = np.minimum(cheapest, reduced[layout.left.where])
        reduced[layout.start.where] -= prices[place][layout.klass]
        reduced[layout.left.where] -= prices[place]
        at_bounds = np.minimum(reduced * model.lower, reduced * model.upper)
        bound = bound_of_rows(model, prices) + float(at_bounds.sum())
        return _Priced(prices, bound, reduced)

    def _useful(self, priced: _Priced, asked: Floats) -> Bools:
        """Return which starts are worth less than the solver ``asked`` for a job of their class.

        Of these the best of each group, and the best few of each class.
        """
        layout = self._layout
        reduced = priced.reduced[layout.start.where]
        least = (asked - priced.prices[layout.place.where])[layout.klass]
        is_better = reduced < least - _IDLE
        chosen = self._groups.is_least(reduced) | self._classes.is_among_least(reduced, PER_CLASS)
        return chosen & is_better

    def _purge(self, priced: _Priced) -> None:
        """Drop the starts that are far from the best of their class; a later round may want them.

        At the optimum those in use cost no more than the best, so at good prices they all stay.
        """
        layout = self._layout
        worth = self._model.cost[layout.left.where][layout.klass]
        self._kept &= priced.reduced[layout.start.where] <= _FAR * worth


class _Runs:
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

    def is_least(self, values: Floats) -> Bools:
        """Return for each place whether it is the first of those with its owner's least value."""
        hits = np.flatnonzero(values == self.least(values, np.inf)[self.owner])
        chosen = np.zeros(len(values), dtype=np.bool_)
        chosen[hits[np.diff(self.owner[hits], prepend=-1) != 0]] = True
        return chosen

    def is_among_least(self, values: Floats, wanted: int) -> Bools:
        """Return for each place whether it is among the ``wanted`` least of its owner."""
        order = np.lexsort((values, self.owner))
        chosen = np.zeros(len(values), dtype=np.bool_)
        chosen[order] = np.arange(len(values)) - self._first[self.owner] < wanted
        return chosen

    def spread(self, wanted: int) -> Bools:
        """Return the first and the last place of each owner, and some evenly between."""
        chosen = np.zeros(len(self.owner), dtype=np.bool_)
        sizes = np.diff(self._first)[self._is_filled]
        for number in range(wanted):
            chosen[self._starts + (sizes - 1) * number // max(1, wanted - 1)] = True
        return chosen


def _runs_of(labels: Ints) -> _Runs:
    """Return the runs of equal labels."""
    owner = np.cumsum(np.diff(labels, prepend=labels[:1]) != 0)
    return _Runs(owner, int(owner[-1]) + 1 if len(owner) else 0)


def _bound_of(priced: _Priced) -> float:
    return priced.bound
