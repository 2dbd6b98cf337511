"""The relaxation of a large model: a restricted master, and our own pricing of all columns.

Of the columns of ``start`` only some are given to the solver. Its row prices say what every other
column is worth (one product with the matrix); those that would help are added, and so on. The same
prices bound the whole model from below (``certificate``), so the gap that ends the rounds needs no
trust in the solver: neither in its status nor in its prices.

The solver is interior point without crossover. Its prices lie in the middle of all that are
optimal for the restricted model; those of a simplex lie at a corner, far from what the whole model
wants, and would take several times as many rounds. Between rounds the best prices so far climb by
small steps that see all columns (``ascent``). A large model begins from the prices of a sample of
its classes (``sample``).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.ascent import GAP_MAX, Ascent, Climbed
from optimizer.certificate import TOLERANCE, objective, violation
from optimizer.core import core_of
from optimizer.crew import IN_PROCESS, Crew
from optimizer.deadline import Deadline
from optimizer.highs_route import solve_inside
from optimizer.model import Model
from optimizer.nearby import Nearby
from optimizer.pricing import Priced, Pricing
from optimizer.sample import sample_of

ROUNDS_MAX: Final = 30
SPREAD: Final = 3
"""Columns of each group that the first round has: the first, the last, and between."""
PER_CLASS: Final = 10
"""Columns of a class that a round adds at most, besides the best of each of its groups."""
_BY_LOSS: Final = 0.3
_BY_LOSS_AGAIN: Final = 0.03
"""And further columns, this share of those there are, to the classes that the bound loses by: often
most of the gap is of a few classes of very many jobs, which need many places at once. Less where
columns of an earlier model are at hand."""
_FIRST_PER_CLASS: Final = 6
_FIRST_NEAR: Final = 0.05
"""After a sample the first round has the best columns of each class, and of each group the best
that is dearer by no more than this share of leaving the job out."""
_SAMPLE_CLIMBS: Final = (GAP_MAX, GAP_MAX / 3)
_SAMPLE_STEPS: Final = 50
_STEPS: Final = 60
_NEAR: Final = 3e-3
"""Climbs see the starts that are kept, and those dearer than the best of their class by at most
this share of leaving the job out; all starts are priced once at the end."""
_FIRST_GAP: Final = 3e-3
"""The gap that a climb from the prices of the model before starts with: a usual one."""
_HALF_WAY: Final = 0.5
_ROUGH: Final = 1e-3
_FINE: Final = 3e-4
_FINEST: Final = 1e-8
_OF_GAP: Final = 0.3
_ROUGH_ROUNDS: Final = 2
_FAR: Final = 0.01
"""A column dearer than its class's best by this share of leaving the job out is forgotten at the
end. The first round of the next model has only a core of the others (``core``)."""
_IDLE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Relaxed:
    """A point of the whole model, its cost, and a true lower bound of what any point costs.

    ``prices`` are the row prices of the bound. ``kept`` says which starts matter: those of the last
    round, and those that the next model may want.
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
        return _gap(self.objective, self.bound)


@dataclass(frozen=True, slots=True)
class Keys:
    """What starts and rows are called from one model to the next, each by a number of its own."""

    start: Ints
    row: Ints


class Master:
    """A model that is solved over and over, each time from the columns that mattered last."""

    def __init__(self, model: Model, keys: Keys | None = None, crew: Crew = IN_PROCESS) -> None:
        """The columns are priced by ``crew``; whose it is changes no result."""
        self._crew, self._keys = crew, keys
        self._pricing = Pricing(model, crew=crew)
        self._kept = self._pricing.groups.spread(SPREAD)
        self._best: Floats | None = None
        self._core: Bools | None = None

    def change(self, model: Model, keys: Keys | None = None) -> None:
        """Go on with a model of other costs, bounds or coefficients.

        Its starts and rows are those of the model before, in the same order; or both models have
        ``keys``, and what is called the same is taken over: columns that mattered, and prices.
        """
        before = self._pricing
        before.close()
        self._pricing = Pricing(model, before, self._crew)
        old, self._keys = self._keys, keys
        if old is not None and keys is not None:
            self._take_over(old, keys)
        elif before.model.row_count != model.row_count or len(self._kept) != len(
            self._pricing.groups.owner
        ):
            raise ValueError("a model of another shape needs keys, and so does the one before it")
        else:
            self._go_on(before)

    def close(self) -> None:
        """Let the crew forget the columns."""
        self._pricing.close()

    def solve(self, gap: float, deadline: Deadline) -> Relaxed | None:
        """Return a point within ``gap`` of its bound; None if no point was found in time.

        Where time or rounds run out, the best point so far is returned, not certified.
        """
        ascent = Ascent(self._pricing)
        best = self._begin(ascent, deadline)
        inside = self._kept if self._core is None else self._core
        found: Relaxed | None = None
        finenesses = (_ROUGH, min(_FINE, _OF_GAP * gap), _FINEST)
        fineness = 0
        for number in range(ROUNDS_MAX):
            if number == _ROUGH_ROUNDS:
                fineness = max(fineness, 1)
            answer = self._restricted(inside, max(_FINEST, finenesses[fineness]), deadline)
            if answer is None:
                return found
            values, duals = answer
            newest = self._pricing.price(duals)
            best, useful = self._look(best, newest, duals)
            cost = objective(self._pricing.model, values)
            if _gap(cost, best.bound) > gap:
                best, climbed = self._climb(best, _gap(cost, best.bound), deadline)
                best, more = self._look(best, newest, duals)
                useful |= more | climbed.cheapest
            found = self._relaxed(values, best, number + 1, gap)
            if found.is_certified or deadline.is_over:
                break
            if found.is_close or not (useful & ~inside).any():
                fineness += 1
                if fineness == len(finenesses):
                    break
            inside = inside | useful
            self._kept |= useful
        self._finish(best)
        return found

    def _begin(self, ascent: Ascent, deadline: Deadline) -> Priced:
        """Return the best prices at hand; the first time, those of a sample, if that pays."""
        pricing = self._pricing
        if self._best is not None:
            best, climbed = self._climb(pricing.price(self._best), _FIRST_GAP, deadline)
            self._kept |= climbed.cheapest
            if self._core is not None:
                self._core |= climbed.cheapest
            return best
        best = pricing.price(np.zeros(pricing.model.row_count))
        sample = sample_of(pricing, self._kept)
        if sample is None:
            return best
        answer = solve_inside(sample.model, tolerance=_ROUGH, time_s=deadline.left_s())
        if answer is None:
            return best
        best = max(best, pricing.price(answer[1]), key=_bound_of)
        kept = sample.starts.copy()
        for gap in _SAMPLE_CLIMBS:
            climbed = ascent.climb(best.prices, _SAMPLE_STEPS, gap, deadline)
            kept |= climbed.cheapest
            best = max(best, pricing.price(climbed.prices), key=_bound_of)
        anything = np.full(pricing.layout.place.count, np.inf)
        kept |= pricing.pick(best, anything, of_classes=_FIRST_PER_CLASS)
        kept |= pricing.pick(best, _FIRST_NEAR * pricing.worth, of_groups=True)
        self._kept = kept
        return best

    def _climb(self, best: Priced, gap: float, deadline: Deadline) -> tuple[Priced, Climbed]:
        """Return the best prices of a climb over the starts nearby, and what it went by."""
        climbed = self._nearby(best).climb(best.prices, _STEPS, gap, deadline)
        return max(best, self._pricing.price(climbed.prices), key=_bound_of), climbed

    def _nearby(self, best: Priced) -> Nearby:
        near = self._pricing.pick(best, _NEAR * self._pricing.worth)
        return Nearby(self._pricing, self._kept | near)

    def _look(self, best: Priced, newest: Priced, duals: Floats) -> tuple[Priced, Bools]:
        """Return the best prices so far, and which starts the newest make useful.

        Half-way between both, and where the bound is best between them, is looked at as well: it
        smooths the jumps of prices.
        """
        asked = duals[self._pricing.layout.place.where]
        useful = self._useful(newest, asked)
        if best.bound < newest.bound:
            best, newest = newest, best
        on_the_way = self._nearby(best).between(best, newest)
        for prices in (best.prices + _HALF_WAY * (newest.prices - best.prices), on_the_way):
            between = self._pricing.price(prices)
            useful |= self._useful(between, asked)
            best = max(best, between, key=_bound_of)
        return best, useful

    def _relaxed(self, values: Floats, best: Priced, rounds: int, gap: float) -> Relaxed:
        model = self._pricing.model
        cost = objective(model, values)
        is_close = cost - best.bound <= gap * abs(cost)
        return Relaxed(
            values=values,
            objective=cost,
            bound=best.bound,
            prices=best.prices,
            kept=self._kept.copy(),
            rounds=rounds,
            is_close=is_close,
            is_certified=is_close and violation(model, values, integral=False) <= TOLERANCE,
        )

    def _restricted(
        self, starts: Bools, tolerance: float, deadline: Deadline
    ) -> tuple[Floats, Floats] | None:
        """Solve with some starts; return a point of the whole model and the row prices."""
        model, layout = self._pricing.model, self._pricing.layout
        is_in = np.ones(model.columns, dtype=np.bool_)
        is_in[layout.start.where] = starts
        inside = np.flatnonzero(is_in)
        part = model.only(inside, self._pricing.matrix)
        answer = solve_inside(part, tolerance=tolerance, time_s=deadline.left_s())
        if answer is None:
            return None
        values = np.zeros(model.columns)
        values[inside], duals = answer
        return values, duals

    def _useful(self, priced: Priced, asked: Floats) -> Bools:
        """Return which starts are worth less than the solver ``asked`` for a job of their class.

        Of these the best of each group, and the best few of each class.
        """
        pricing, layout = self._pricing, self._pricing.layout
        above = asked - priced.prices[layout.place.where]
        lost = np.maximum(0.0, above) * pricing.model.row_upper[layout.place.where]
        share = lost / max(_IDLE, float(lost.sum()))
        more = self._kept.sum() * (_BY_LOSS if self._best is None else _BY_LOSS_AGAIN)
        wanted = PER_CLASS + (more * share).astype(np.int64)
        return pricing.pick(priced, above - _IDLE, of_classes=wanted, of_groups=True)

    def _finish(self, best: Priced) -> None:
        """Drop the starts that are far from the best of their class; a later round may want them.

        At the optimum those in use cost no more than the best, so at good prices they all stay.
        """
        self._best = best.prices
        self._kept &= self._pricing.pick(best, _FAR * self._pricing.worth)
        self._core = core_of(self._pricing, self._kept, self._pricing.reduced(best))
        self._kept |= self._core

    def _go_on(self, before: Pricing) -> None:
        """Move the prices by what units cost more; classes of other counts begin with all kept."""
        layout = self._pricing.layout
        if self._best is None or self._core is None:
            return
        self._best = self._pricing.shifted(self._best, before)
        counts, place = self._pricing.model.row_upper, layout.place.where
        is_other = before.model.row_upper[place] != counts[place]
        self._core |= self._kept & is_other[layout.klass]

    def _take_over(self, old: Keys, new: Keys) -> None:
        """Keep the columns that mattered and the prices, by name; new groups begin spread out."""
        self._core = None
        groups = self._pricing.groups
        kept = np.isin(new.start, old.start[self._kept])
        is_new = groups.least(np.where(np.isin(new.start, old.start), 0.0, 1.0), 1.0) > 0
        self._kept = kept | (groups.spread(SPREAD) & is_new[groups.owner])
        if self._best is not None:
            _, here, there = np.intersect1d(new.row, old.row, return_indices=True)
            prices = np.zeros(len(new.row))
            prices[here] = self._best[there]
            self._best = prices


def _bound_of(priced: Priced) -> float:
    return priced.bound


def _gap(cost: float, bound: float) -> float:
    return (cost - bound) / max(1e-9, abs(cost))
