"""Nodes for the gangs that start now: which nodes each takes, so that later ones still fit.

A gang no larger than a node sits on one node; a larger one takes whole nodes, and its rest sits on
one more. That binds more than the number of free units does: eight free units may be two on each of
four nodes. So a start of the first slot that no node can hold is undone, and its job is placed
again anywhere else. Later slots are not seated: nobody knows which nodes will be free then.

A job that runs keeps its seat, and its units are not among the free ones of a node, even where it
is to leave: that takes a moment.

For every pool p with known nodes:  sum over gangs on node n of units  <=  free units of n.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.instance import Instance
from optimizer.occupancy import Occupancy, Seats
from optimizer.packing import Need, Node, Packer, Workload
from optimizer.residue import WHOLE

_NOW: Final = 0
_ROUNDS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class _Gang:
    column: int
    units: int


def seat(state: Occupancy, fill: Callable[[], object]) -> None:
    """Give the starts of the first slot their nodes; jobs that find none go elsewhere.

    ``state.seats`` says which nodes each start takes, ``state.barred`` which columns no node could
    hold. ``fill`` places jobs that were left out. Where no pool has known nodes nothing is done.
    """
    pools = [p for p, pool in enumerate(state.instance.pools) if pool.nodes]
    for _ in range(_ROUNDS_MAX if pools else 0):
        unseated = [gang for p in pools for gang in _seat_pool(state, p)]
        if not unseated:
            return
        for gang in unseated:
            _bar(state, gang)
        fill()
    for p in pools:
        for gang in _seat_pool(state, p):
            _bar(state, gang)


def _seat_pool(state: Occupancy, p: int) -> list[_Gang]:
    """Seat the gangs of a pool, the largest first; return those that no node can hold."""
    pool = state.instance.pools[p]
    size = max(pool.units_per_node, *pool.nodes)
    packer = Packer(_nodes(pool.nodes), _typical(state.instance, size))
    unseated = []
    gangs = sorted(_gangs(state, p), key=lambda gang: (-gang.units, gang.column))
    seats: dict[int, list[Seats]] = {}
    for gang in gangs:
        found = _place(packer, gang.units, size)
        if found is None:
            unseated.append(gang)
        else:
            seats.setdefault(gang.column, []).append(found)
    here = np.flatnonzero((state.columns.pool == p) & (state.columns.slot == _NOW))
    for column in here:
        state.seats.pop(int(column), None)
    state.seats.update(seats)
    return unseated


def _gangs(state: Occupancy, p: int) -> Iterator[_Gang]:
    columns = state.columns
    for column in sorted(state.payments):
        is_here = columns.pool[column] == p and columns.slot[column] == _NOW
        if is_here and not state.is_kept(column):
            for _ in state.payments[column]:
                yield _Gang(column, int(columns.units[column]))


def _place(packer: Packer, units: int, size: int) -> Seats | None:
    """Take whole nodes and one for the rest; None, with nothing taken, where that cannot be."""
    whole, rest = divmod(units, size)
    if whole and len(packer.fitting(_need(size))) < whole:
        return None
    if rest and len(packer.fitting(_need(rest))) < whole + 1:
        return None
    parts = [size] * whole + ([rest] if rest else [])
    seats: Counter[str] = Counter()
    for part in parts:
        spot = packer.place(_need(part))
        if spot is None:
            raise AssertionError(f"no node for {part} units, where room was seen")
        seats[spot.node] += part
    return tuple(sorted(seats.items()))


def _need(units: int) -> Need:
    return Need(cpu_milli=0, memory_mib=0, accelerators=units)


def _nodes(free: tuple[int, ...]) -> list[Node]:
    return [
        Node(id=f"node-{at}", cpu_milli=1, memory_mib=1, free_milli=(WHOLE,) * units)
        for at, units in enumerate(free, start=1)
    ]


def _typical(instance: Instance, size: int) -> Workload:
    """The queue itself is what will want to sit here next."""
    counts: Counter[int] = Counter()
    for klass in instance.classes:
        counts[min(size, klass.spec.units)] += klass.count
    ordered = sorted(counts)
    return Workload(tuple(_need(units) for units in ordered), tuple(counts[u] for u in ordered))


def _bar(state: Occupancy, gang: _Gang) -> None:
    """Undo a start, and all that waits for its job; its column is not tried again."""
    column = gang.column
    largest = max(state.instance.pools[int(state.columns.pool[column])].nodes)
    k = int(state.columns.klass[column])
    for later in _waiting_for(state.instance, k):
        own = state.columns.of_class(later)
        for other in [at for at in sorted(state.payments) if own.start <= at < own.stop]:
            for _ in range(len(state.payments[other])):
                state.give_back(other)
    if state.payments.get(column):
        state.give_back(column)
    state.barred[column] = largest


def _waiting_for(instance: Instance, k: int) -> list[int]:
    """Return the classes that wait for a class, at any distance, the furthest first."""
    found: list[int] = []
    edge = [k]
    while edge:
        edge = [
            later
            for later, arcs in sorted(instance.precedence.into.items())
            if any(arc.before in edge for arc in arcs) and later not in found
        ]
        found += edge
    return found[::-1]
