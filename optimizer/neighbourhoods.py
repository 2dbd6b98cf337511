"""Neighbourhoods: some sites are planned anew in whole jobs, while the rest of the plan stays.

A search over all starts of a large problem finds nothing in its time; over the thousand that matter
at one or two sites it finds much of what there is. Neighbourhoods of one round have no site and no
job in common, so they are searched side by side by a crew. What they share, money above all, each
of them sees as it was: so the joined plan is made anew in the exact state, and counts only if it is
cheaper; else each neighbourhood is tried alone.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.crew import Crew
from optimizer.highs_route import LiveModel
from optimizer.model import Layout, Model
from optimizer.solution import Limits

STARTS_MAX: Final = 1_000
"""Starts of a neighbourhood at most: HiGHS searches so many in seconds (measured)."""
_ROUNDS: Final = (1, 2, 2)
"""Sites of a neighbourhood, round by round; the pairs of the last round are others."""
_GRACE_S: Final = 5.0
_WHOLE: Final = 1e-6


class Ground(NamedTuple):
    """A whole plan that is to be improved: ``counts`` of each start, and the ``site`` of each.

    ``reduced`` is what each start costs at the prices of the relaxation; ``may_move`` False keeps
    a start as it is.
    """

    model: Model
    layout: Layout
    counts: Floats
    site: Ints
    reduced: Floats
    may_move: Bools


class Part(NamedTuple):
    """A small model: ``starts`` are its whole numbers, the first of its variables."""

    model: Model
    starts: Ints
    begin: Floats


Found = tuple[Ints, Floats]
"""Starts, and how many jobs now begin by each."""


def neighbourhoods(ground: Ground, turn: int) -> list[Part]:
    """Cut the sites of a plan into groups, and return the model of each; ``turn`` says how."""
    sites = np.unique(ground.site)
    width = _ROUNDS[turn % len(_ROUNDS)]
    order = np.roll(sites, turn // 2)
    groups = [order[at : at + width] for at in range(0, len(order), width)]
    owner = np.full(int(sites.max(initial=0)) + 1, -1, dtype=np.int64)
    for number, group in enumerate(groups):
        owner[group] = number
    left_to = _left_to(ground, owner[ground.site], turn)
    parts = [_part(ground, owner[ground.site] == at, left_to == at) for at in range(len(groups))]
    return [part for part in parts if len(part.starts)]


def search_side_by_side(parts: Sequence[Part], limits: Limits, crew: Crew) -> list[Found]:
    """Return what was found in each part, where anything was."""
    waits_s = limits.time_s * (1 + len(parts) // max(1, crew.size)) + _GRACE_S
    answers = crew.spread(_searched, limits, parts, waits_s)
    return [
        (part.starts, counts)
        for part, counts in zip(parts, answers, strict=True)
        if counts is not None and not np.array_equal(counts, part.begin)
    ]


def joined(
    counts: Floats, found: Sequence[Found], cost_of: Callable[[Floats], float], cost: float
) -> Floats | None:
    """Return counts with all that was found, or with what helps of it; None where nothing does.

    ``cost_of`` makes a plan of counts in the exact state and returns what it costs.
    """
    together = _with(counts, found)
    if cost_of(together) < cost - _WHOLE:
        return together
    if len(found) < 2:
        return None
    best = None
    for one in found:
        tried = _with(counts if best is None else best, [one])
        price = cost_of(tried)
        if price < cost - _WHOLE:
            best, cost = tried, price
    return best


def _with(counts: Floats, found: Sequence[Found]) -> Floats:
    changed = counts.copy()
    for starts, own in found:
        changed[starts] = own
    return changed


def _left_to(ground: Ground, owner: Ints, turn: int) -> Ints:
    """Return for each class whose neighbourhood may place the jobs that are left out."""
    klass = ground.layout.klass
    order = np.lexsort((ground.reduced, klass))
    first = np.searchsorted(klass, np.arange(ground.layout.place.count))
    size = np.searchsorted(klass, np.arange(ground.layout.place.count), side="right") - first
    given = np.full(ground.layout.place.count, -1, dtype=np.int64)
    has = size > 0
    # Another turn, another of the best starts: it may be at another site.
    given[has] = owner[order[first[has] + (7 * turn) % size[has]]]
    return given


def _part(ground: Ground, is_here: Bools, is_given: Bools) -> Part:
    """The model of the starts that matter here; all other starts stay, and weigh on its rows."""
    model, layout = ground.model, ground.layout
    klass = layout.klass
    placed = np.bincount(klass, ground.counts * (is_here & ground.may_move), layout.place.count)
    left = model.row_upper[layout.place.where] - np.bincount(
        klass, ground.counts, layout.place.count
    )
    free = np.round(placed + left * is_given)
    matters = is_here & ground.may_move & (free[klass] > 0)
    starts = _nearest(ground, np.flatnonzero(matters))
    is_variable = np.ones(model.columns, dtype=np.bool_)
    is_variable[layout.start.where] = is_variable[layout.left.where] = False
    own = np.zeros(layout.place.count, dtype=np.bool_)
    own[klass[starts]] = True
    inside = np.concatenate(
        [
            layout.start.first + starts,
            layout.left.first + np.flatnonzero(own),
            np.flatnonzero(is_variable),
        ]
    )
    fixed = np.zeros(model.columns)
    fixed[layout.start.where] = ground.counts
    fixed[layout.start.first + starts] = 0.0
    fixed[layout.left.where] = np.where(own, left * ~is_given, left)
    weighs = model.activity(fixed)
    part = model.only(inside)
    upper = part.upper.copy()
    upper[: len(starts)] = np.minimum(upper[: len(starts)], free[klass[starts]])
    small = Model(
        cost=part.cost,
        lower=part.lower,
        upper=upper,
        is_integral=np.arange(len(inside)) < len(starts),
        row_lower=part.row_lower - weighs,
        row_upper=part.row_upper - weighs,
        start=part.start,
        index=part.index,
        value=part.value,
        variables=part.variables,
        rows=part.rows,
    )
    return Part(small, starts, ground.counts[starts])


def _nearest(ground: Ground, starts: Ints) -> Ints:
    """Return those in use, and the cheapest of the others as long as there is room."""
    is_used = ground.counts[starts] > 0
    order = np.lexsort((starts, ground.reduced[starts], ~is_used))
    return np.sort(starts[order[: max(STARTS_MAX, int(is_used.sum()))]])


def _searched(limits: Limits, part: Part) -> Floats | None:
    """Search one part, from the plan as it is."""
    live = LiveModel(part.model)
    live.begin_from(np.arange(len(part.starts)), part.begin)
    answer = live.solve(limits)
    return np.round(answer.values[: len(part.starts)]) if answer.has_point else None
