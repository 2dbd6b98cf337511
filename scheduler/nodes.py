"""Free units by node, from what a site's agent says of its executor's nodes: pure.

What an attempt holds and does not use yet is expected on the nodes where it sits already, then
spread over those with most room. That is the careful side: a gang is rather told to wait than sent
to a node that its executor is about to fill.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heapreplace
from typing import Final

from suanwang.model.attempt import Attempt
from suanwang.model.site import Pool

CORES: Final = "cpu"
"""The accelerator of pools whose units are cores."""
OTHERS: Final = ""
"""Stands for all that is no attempt of ours."""
_WHOLE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteNode:
    """A node as its agent reported it, in thousandths; ``used`` is by attempt, of others by ``""``.

    ``kind`` is the model of its accelerators, empty where nobody says.
    """

    name: str
    address: str = ""
    kind: str = ""
    cpu_milli: int = 0
    gpu_milli: int = 0
    used: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def units_milli(self, pool: Pool) -> int:
        """Return what it has of a pool's kind of unit, in thousandths."""
        return self.cpu_milli if pool.accelerator == CORES else self.gpu_milli

    def used_milli(self, pool: Pool, attempt: str) -> int:
        """Return what an attempt uses of a pool's kind of unit, in thousandths."""
        cpu_milli, gpu_milli = self.used.get(attempt, (0, 0))
        return cpu_milli if pool.accelerator == CORES else gpu_milli


def free_by_node(
    pool: Pool, pools: Sequence[Pool], nodes: Sequence[SiteNode], running: Sequence[Attempt]
) -> tuple[int, ...]:
    """Return the whole free units of each of a pool's nodes, in the order of their names.

    Empty where that is not known: the agent says nothing of nodes, they have fewer units than the
    pool (some are off, or come on demand), or nobody can tell the nodes of two pools apart.
    """
    own = _nodes_of(pool, pools, nodes)
    if sum(node.units_milli(pool) for node in own) < pool.units * _WHOLE:
        return ()
    free = {node.name: node.units_milli(pool) - node.used_milli(pool, OTHERS) for node in own}
    seats: dict[str, dict[str, int]] = defaultdict(dict)
    for node in own:
        for attempt_id in node.used:
            seats[attempt_id][node.name] = node.used_milli(pool, attempt_id)
    left = {one.id: _sit(free, seats[one.id], one.units * _WHOLE) for one in running}
    for one in running:
        left[one.id] = _expect(free, left[one.id], sorted(seats[one.id]))
    _spread(free, sum(left.values()))
    return tuple(max(0, free[node.name]) // _WHOLE for node in own)


def _sit(free: dict[str, int], seats: Mapping[str, int], units_milli: int) -> int:
    """Take what an attempt uses, at most what it holds; return what it holds beyond that."""
    for name, used_milli in sorted(seats.items()):
        taken = min(units_milli, used_milli, max(0, free[name]))
        free[name] -= taken
        units_milli -= taken
    return units_milli


def _expect(free: dict[str, int], left: int, names: Sequence[str]) -> int:
    """Take as much as is free from these nodes; return what is left."""
    for name in names:
        taken = min(left, max(0, free[name]))
        free[name] -= taken
        left -= taken
    return left


def _spread(free: dict[str, int], left: int) -> None:
    """Take unit by unit from the node where most is free."""
    heap = [(-amount, name) for name, amount in sorted(free.items())]
    heapify(heap)
    while left > 0 and heap and heap[0][0] < 0:
        amount, name = heap[0]
        taken = min(left, _WHOLE, -amount)
        free[name] -= taken
        left -= taken
        heapreplace(heap, (amount + taken, name))


def _nodes_of(pool: Pool, pools: Sequence[Pool], nodes: Sequence[SiteNode]) -> list[SiteNode]:
    """Return the nodes with a pool's kind of unit; empty where two pools may share them."""
    having = sorted(
        (node for node in nodes if node.units_milli(pool) > 0), key=lambda node: node.name
    )
    is_cores = pool.accelerator == CORES
    alike = [one for one in pools if (one.accelerator == CORES) == is_cores]
    if len(alike) == 1:
        return having
    if len({one.accelerator for one in alike}) < len(alike):
        return []
    return [node for node in having if _plain(node.kind) == _plain(pool.accelerator)]


def _plain(kind: str) -> str:
    return "".join(letter for letter in kind.lower() if letter.isalnum())
