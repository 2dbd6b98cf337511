"""Diving: make the heaviest jobs whole, let the linear relaxation answer, repeat.

What integrality costs comes from a few jobs that are very heavy: the light ones around them must
stay free to make way, so the weights go down level by level, and a level is whole before the next
begins. What becomes whole is placed in an exact state at once, which has the last word; and after
each round every start that the state has no more room for is closed in the relaxation, so that it
does not hope for what cannot be. Each round begins from the last basis.
"""

from typing import Final, NamedTuple

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.certificate import reduced_costs
from optimizer.deadline import Deadline
from optimizer.highs_route import LiveModel, is_basic, part_of_basis
from optimizer.model import Layout, Model
from optimizer.room import Holder
from optimizer.solution import Limits, Solution

ROUNDS_MAX: Final = 400
LIGHT: Final = 1e-2
"""A dive ends when leaving out every job that is still in fractions would cost no more than this
share of the whole: most of them find a gap later."""
LEVEL: Final = 0.6
"""Classes weighing at least this share of the heaviest open one are made whole in one round."""
COARSE_LEVEL: Final = 0.5
"""The same where most classes are settled: fewer rounds, since each takes longer there."""
PER_CLASS: Final = 20
"""Starts of a class that the dive may use, by reduced cost, besides those of the relaxation."""
SETTLE_FROM: Final = 30_000
"""Starts from which the classes that the relaxation serves by whole numbers are left as they are:
with so many classes the others are few, and the model that the dive works on becomes small."""
TIME_SHARE: Final = 0.5
"""Share of the time left that a dive may take; what is then still open is filled greedily."""
_WHOLE: Final = 1e-6


def dive(model: Model, relaxed: Solution, holder: Holder, deadline: Deadline) -> None:
    """Place jobs in ``holder`` until the relaxation is whole, or time, rounds or ideas run out.

    ``relaxed`` is the relaxation's answer with its basis. Raise ValueError for a model without a
    layout.
    """
    if model.layout is None:
        raise ValueError("the model does not say where its starts are")
    own = Deadline(deadline.left_s() * TIME_SHARE)
    work = _Dive(model.relaxed(), model.layout, relaxed, holder)
    values = relaxed.values[model.layout.start.where]
    light = LIGHT * abs(relaxed.objective)
    for _ in range(ROUNDS_MAX):
        chosen = work.heaviest(values)
        if not len(chosen) or own.is_over or work.open_weight(values) <= light:
            break
        work.make_whole(chosen, values)
        answer = work.live.solve(Limits(time_s=own.left_s()))
        if not answer.has_point:
            break
        values = work.starts_of(answer)
    work.place_whole_parts(values)


class _Part(NamedTuple):
    """The variables that the dive works on, ascending, and where its starts are among them."""

    inside: Ints
    starts: Ints
    basis: object


class _Dive:
    """The small model inside the solver, and what was placed so far by start."""

    def __init__(self, model: Model, layout: Layout, relaxed: Solution, holder: Holder) -> None:
        self._layout, self._holder = layout, holder
        self._weight = model.cost[layout.left.where]
        self._upper = model.upper[layout.start.where].copy()
        self._placed = np.zeros(layout.start.count)
        values = relaxed.values[layout.start.where]
        settled = np.zeros(layout.place.count, dtype=np.bool_)
        if PER_CLASS * layout.place.count >= SETTLE_FROM:
            settled = ~_has_fractions(values, layout)
        self._level = COARSE_LEVEL if settled.any() else LEVEL
        part = _part(model, layout, relaxed, settled)
        self._starts = part.starts
        self._at = np.searchsorted(part.inside, layout.start.first + part.starts)
        self.live = LiveModel(model.only(part.inside), part.basis)
        whole = np.flatnonzero(settled[layout.klass] & (values > _WHOLE))
        if len(whole):
            self._settle(whole, values)

    def starts_of(self, answer: Solution) -> Floats:
        """Return the answer's values of all starts; those not in the small model are placed."""
        values = self._placed.copy()
        values[self._starts] = answer.values[self._at]
        return values

    def heaviest(self, values: Floats) -> Ints:
        """Return the starts to make whole: of the heaviest open classes, the surest and all ones.

        Heavy first: what is left over in the end is then light, and light jobs fit into gaps.
        """
        more, klass = values - self._placed, self._layout.klass
        is_open = np.flatnonzero(more > _WHOLE)
        is_open = is_open[self._holder.have_turn(klass[is_open])]
        if not len(is_open):
            return is_open
        weight = self._weight[klass[is_open]]
        level = is_open[weight >= self._level * weight.max()]
        by_class = level[np.lexsort((level, -more[level], klass[level]))]
        is_surest = np.diff(klass[by_class], prepend=-1) != 0
        chosen: Ints = by_class[is_surest | (more[by_class] >= 1.0 - _WHOLE)]
        return chosen

    def open_weight(self, values: Floats) -> float:
        """Return what it costs to leave out what is beyond whole jobs."""
        more = np.maximum(0.0, values - self._placed)
        return float((more - np.floor(more + _WHOLE)) @ self._weight[self._layout.klass])

    def place_whole_parts(self, values: Floats) -> None:
        """Place what the relaxation serves by whole jobs, the heavy ones first."""
        whole = np.flatnonzero(values - self._placed >= 1.0 - _WHOLE)
        weight = self._weight[self._layout.klass[whole]]
        self._place(whole[np.argsort(-weight, kind="stable")], values)

    def make_whole(self, chosen: Ints, values: Floats) -> None:
        """Place jobs of the starts, then close what has no more room."""
        self._place(chosen, values)
        starts = self._starts
        reach = np.minimum(self._upper[starts], self._placed[starts] + self._holder.rooms(starts))
        changed = np.union1d(starts[reach < self._upper[starts] - _WHOLE], chosen)
        self._upper[starts] = reach
        self._hand_over(changed)

    def _settle(self, whole: Ints, values: Floats) -> None:
        """Place starts that stay as they are, and hold them there."""
        self._place(whole, values)
        self._upper[whole] = self._placed[whole]
        self._hand_over(whole)

    def _place(self, chosen: Ints, values: Floats) -> None:
        """Start the whole part of what is open of each start, at least one job."""
        for column in chosen:
            wanted = max(1, int(values[column] - self._placed[column] + _WHOLE))
            done = self._holder.place(int(column), wanted)
            self._placed[column] += done
            if done < wanted:
                self._upper[column] = self._placed[column]

    def _hand_over(self, changed: Ints) -> None:
        at = self._at[np.searchsorted(self._starts, changed)]
        self.live.bound(at, self._placed[changed], self._upper[changed])


def _part(model: Model, layout: Layout, relaxed: Solution, settled: Bools) -> _Part:
    """Keep what is in use or in the basis, and the best few starts of each class to be dived."""
    inside = np.arange(model.columns) if relaxed.inside is None else relaxed.inside
    reduced = reduced_costs(model, relaxed.duals)[layout.start.where]
    reduced[settled[layout.klass]] = np.inf
    best = np.zeros(model.columns, dtype=np.bool_)
    best[layout.start.where] = _is_among_best(reduced, layout.klass)
    is_start = np.zeros(model.columns, dtype=np.bool_)
    is_start[layout.start.where] = True
    wanted = ~is_start[inside] | best[inside] | (relaxed.values[inside] > 0)
    wanted |= is_basic(relaxed.basis)
    kept = inside[wanted]
    return _Part(
        inside=kept,
        starts=kept[is_start[kept]] - layout.start.first,
        basis=part_of_basis(relaxed.basis, np.flatnonzero(wanted)),
    )


def _is_among_best(reduced: Floats, klass: Ints) -> Bools:
    """Return whether a start is among the few of its class with the least reduced cost."""
    order = np.lexsort((reduced, klass))
    first = np.searchsorted(klass, klass)
    chosen = np.zeros(len(klass), dtype=np.bool_)
    chosen[order] = np.arange(len(klass)) - first < PER_CLASS
    return chosen & np.isfinite(reduced)


def _has_fractions(values: Floats, layout: Layout) -> Bools:
    """Return for each class whether a start of it is not a whole number."""
    is_broken = np.abs(values - np.round(values)) > _WHOLE
    has: Bools = np.bincount(layout.klass, is_broken, layout.place.count) > 0
    return has
