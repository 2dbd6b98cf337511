"""The starts of a model in blocks of whole classes, and what is asked of a block.

A class asks nothing of its neighbours but the rows that all share (units, power, money, shares). At
given prices of these its cheapest start, its part of the bound and the slope of the smoothed bound
can be found by whoever has its columns. A **block** is some neighbouring classes with their
columns; which ones depends on the model alone. A **shard** is the blocks that one worker holds.
Every number comes from one block and is added up in the order of the blocks, so the result is the
same to the last bit, whatever the number of shards.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from scipy.sparse import csc_matrix

from optimizer.arrays import Floats, Ints
from optimizer.model import Layout, Model
from optimizer.runs import Runs, runs_of

BLOCK: Final = 65_536
"""Starts of a block: more blocks make longer messages, fewer can go to fewer workers."""
_REMEMBERED: Final = 3
"""Prices whose reduced costs a block remembers: a round of the master looks at so many."""
_TIE: Final = 1e-9
_TINY: Final = 1e-12


class Lean(NamedTuple):
    """A question: the slope of the bound smoothed by ``softness``, at ``prices`` of shared rows."""

    prices: Floats
    softness: float


class Leaning(NamedTuple):
    """What the classes of a block cost at some prices, and where they lean to.

    ``low`` is the least that a job of each class costs, ``slope`` what they ask of the shared rows,
    ``cheapest`` the starts that are the cheapest of their class.
    """

    low: Floats
    slope: Floats
    cheapest: Ints


class Pick(NamedTuple):
    """A question: starts that cost no more than ``limit`` of their class, at some prices.

    Costs are above what the class pays, ``low``. Of these the ``wanted`` cheapest of each class,
    and with ``of_groups`` the cheapest of each group; ``wanted`` None is all.
    """

    prices: Floats
    low: Floats
    limit: Floats
    wanted: Ints | None
    of_groups: bool


class _Costs(NamedTuple):
    prices: Floats
    starts: Floats
    left: Floats


@dataclass(slots=True)
class Block:
    """Classes ``classes`` of a model, their columns, and which rows are theirs alone (``place``).

    ``starts`` are A's columns of the starts, which cost ``cost`` each; ``left`` those of leaving
    jobs out. ``counts`` is how many jobs a class has.
    """

    classes: slice
    first: int
    place: slice
    starts: csc_matrix
    left: csc_matrix
    cost: Floats
    worth: Floats
    counts: Floats
    by_class: Runs
    by_group: Runs
    remembered: list[_Costs] = field(default_factory=list)

    def costs(self, prices: Floats) -> _Costs:
        """Return what each start, and each job left out, costs at prices of the shared rows."""
        for known in self.remembered:
            if np.array_equal(known.prices, prices):
                return known
        everywhere = np.zeros(self.starts.shape[0])
        everywhere[: self.place.start] = prices[: self.place.start]
        everywhere[self.place.stop :] = prices[self.place.start :]
        starts = self.cost - self.starts.T @ everywhere
        left = self.worth - self.left.T @ everywhere
        self.remembered = [_Costs(prices, starts, left), *self.remembered[: _REMEMBERED - 1]]
        return self.remembered[0]

    def low(self, prices: Floats) -> Floats:
        """Return the least that a job of each class costs: at a start, or left out."""
        costs = self.costs(prices)
        return np.minimum(self.by_class.least(costs.starts, np.inf), costs.left)

    def lean(self, asked: Lean) -> Leaning:
        """Return where the classes lean to."""
        costs, owner = self.costs(asked.prices), self.by_class.owner
        low, worth = self.low(asked.prices), np.abs(self.worth)
        heat = 1.0 / (asked.softness * worth + _TINY)
        above = costs.starts - low[owner]
        cheapest = np.flatnonzero(above <= _TIE * worth[owner])
        weights = np.exp(-above * heat[owner])
        left_weights = np.exp((low - costs.left) * heat)
        of_all = self.counts / (self.by_class.sum(weights) + left_weights)
        slope = self.starts @ (weights * of_all[owner]) + self.left @ (left_weights * of_all)
        return Leaning(low, without(slope, self.place), self.first + cheapest)

    def pick(self, asked: Pick) -> Ints:
        """Return the starts that are asked for."""
        own, owner = self.classes, self.by_class.owner
        above = self.costs(asked.prices).starts - asked.low[own][owner]
        near = np.flatnonzero(above <= asked.limit[own][owner])
        if asked.wanted is None and not asked.of_groups:
            return self.first + near
        chosen = np.zeros(len(owner), dtype=np.bool_)
        if asked.of_groups:
            chosen[self.by_group.among_least(above, near, 1)] = True
        if asked.wanted is not None:
            chosen[self.by_class.among_least(above, near, asked.wanted[own])] = True
        return self.first + np.flatnonzero(chosen)


Shard = tuple[Block, ...]
"""What one worker holds."""


def low_of(shard: Shard, prices: Floats) -> list[Floats]:
    """Return the least cost of the classes, block by block: their part of the bound."""
    return [block.low(prices) for block in shard]


def lean_of(shard: Shard, asked: Lean) -> list[Leaning]:
    """Return where the classes lean to, block by block."""
    return [block.lean(asked) for block in shard]


def pick_of(shard: Shard, asked: Pick) -> list[Ints]:
    """Return the starts that are asked for, block by block."""
    return [block.pick(asked) for block in shard]


def without(rows: Floats, place: slice) -> Floats:
    """Return the numbers of the shared rows alone."""
    shared: Floats = np.concatenate([rows[: place.start], rows[place.stop :]])
    return shared


def blocks_of(
    model: Model, layout: Layout, matrix: csc_matrix, before: Sequence[Block] = ()
) -> list[Block]:
    """Cut a model into blocks of whole classes. ``before`` is of a model with the same layout."""
    edges = _edges(layout)
    if len(before) == len(edges) - 1:
        runs = [(block.by_class, block.by_group) for block in before]
    else:
        runs = [_runs(layout, edges[at], edges[at + 1]) for at in range(len(edges) - 1)]
    return [
        _block(model, layout, matrix, (edges[at], edges[at + 1]), both)
        for at, both in enumerate(runs)
    ]


def shards_of(blocks: Sequence[Block], count: int) -> list[Shard]:
    """Deal out neighbouring blocks to at most ``count`` workers, each about as many starts."""
    sizes = np.array([len(block.cost) + len(block.worth) for block in blocks], dtype=np.int64)
    middle = np.cumsum(sizes) - sizes / 2
    owner = np.minimum(count - 1, (middle * count / max(1, sizes.sum())).astype(np.int64))
    return [
        tuple(block for block, own in zip(blocks, owner, strict=True) if own == worker)
        for worker in np.unique(owner)
    ]


def _edges(layout: Layout) -> list[int]:
    """Return the first class of each block, and behind them how many classes there are."""
    ends = np.searchsorted(layout.klass, np.arange(layout.place.count), side="right")
    whole = np.searchsorted(ends, np.arange(BLOCK, layout.start.count, BLOCK)) + 1
    return [int(at) for at in np.unique([0, *whole, layout.place.count])]


def _runs(layout: Layout, first: int, end: int) -> tuple[Runs, Runs]:
    own = _starts(layout, first, end)
    return Runs(layout.klass[own] - first, end - first), runs_of(layout.group[own])


def _starts(layout: Layout, first: int, end: int) -> slice:
    begin, stop = np.searchsorted(layout.klass, [first, end])
    return slice(int(begin), int(stop))


def _block(
    model: Model,
    layout: Layout,
    matrix: csc_matrix,
    edges: tuple[int, int],
    runs: tuple[Runs, Runs],
) -> Block:
    own = _starts(layout, *edges)
    starts = slice(layout.start.first + own.start, layout.start.first + own.stop)
    left = slice(layout.left.first + edges[0], layout.left.first + edges[1])
    place = layout.place.where
    return Block(
        classes=slice(*edges),
        first=own.start,
        place=place,
        starts=_columns(matrix, starts),
        left=_columns(matrix, left),
        cost=model.cost[starts],
        worth=model.cost[left],
        counts=model.row_upper[place][edges[0] : edges[1]],
        by_class=runs[0],
        by_group=runs[1],
    )


def _columns(matrix: csc_matrix, own: slice) -> csc_matrix:
    """Return neighbouring columns, without a copy of their coefficients."""
    first, end = matrix.indptr[own.start], matrix.indptr[own.stop]
    pointers = matrix.indptr[own.start : own.stop + 1] - first
    parts = (matrix.data[first:end], matrix.indices[first:end], pointers)
    return csc_matrix(parts, shape=(matrix.shape[0], own.stop - own.start), copy=False)
