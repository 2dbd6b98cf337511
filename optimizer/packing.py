"""Packing on nodes: which node, and which of its accelerators, a need goes to.

Every node state has a **burden**: how much of its free accelerators a typical workload could not
use. A need goes where the burden grows least. Three parts make it, over typical needs m of share
w[m] of the workload, for a node with R thousandths of accelerators free:

* depth: ``sum of w[m] (R - copies[m] demand[m])``, where ``copies`` is how many more of m fit, by
  processors and memory in fractions, by accelerators in whole ones. What will run out first counts
  long before it is gone;
* residue: ``sum over accelerators of r - V(r)``, where V(r) is what a rest of r thousandths is
  worth by the prices of ``residue``: rests that typical shares fill up cost nothing;
* fit: ``sum of w[m] x (all of R if m does not fit, else the rests that are too small for m)``. This
  alone is fragmentation-gradient descent (Weng and others, USENIX ATC 2023).

Accelerators are counted in thousandths (milli). Scores of a kind of need are kept for all nodes and
made anew only for nodes that changed since.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from optimizer.arrays import Bools, Floats, Ints
from optimizer.residue import WHOLE, residue_values

TYPICAL_MAX: Final = 64
"""Typical needs that are looked at: the heaviest; more changed nothing that could be measured."""


_DIGITS: Final = 6
"""Growth that differs by less is equal, so that the order of sums decides nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a job takes of one node: whole accelerators, or ``milli`` thousandths of one.

    ``models`` are the kinds of accelerator that it accepts; none means any.
    """

    cpu_milli: int
    memory_mib: int
    accelerators: int = 0
    milli: int = WHOLE
    models: frozenset[str] = frozenset()

    @property
    def demand(self) -> int:
        """Thousandths of accelerators in all."""
        return self.accelerators * self.milli


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What is free of a node; ``free_milli`` has an entry for each accelerator."""

    id: str
    cpu_milli: int
    memory_mib: int
    free_milli: tuple[int, ...] = ()
    model: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """Typical needs, and how often each comes."""

    needs: tuple[Need, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """How much each part of the burden counts, and what makes a typical need weigh.

    A need weighs by how often it comes, times its accelerators to the power of ``size``, over the
    part of the nodes that could take it to the power of ``reach``: who can go to few nodes should
    find them free.
    """

    depth: float = 1.0
    residue: float = 0.8
    fit: float = 0.0
    size: float = 0.5
    reach: float = 0.5


DEEP: Final = Scoring()
BROAD: Final = Scoring(fit=3.0, size=0.25, reach=0.0)
"""For workloads with many gangs that fill a whole node: whether one still fits counts more."""
GRADIENT: Final = Scoring(depth=0.0, residue=0.0, fit=1.0, size=0.0, reach=0.0)
"""Fragmentation-gradient descent as it was published."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place of a need: the node's id, and its accelerators by number."""

    node: str
    accelerators: tuple[int, ...]


class Packer:
    """Nodes that fill up, need by need."""

    def __init__(self, nodes: Sequence[Node], workload: Workload, scoring: Scoring = DEEP) -> None:
        self._ids = [node.id for node in nodes]
        self._model = [node.model for node in nodes]
        width = max((len(node.free_milli) for node in nodes), default=0)
        self._cpu = np.array([node.cpu_milli for node in nodes], dtype=np.int64)
        self._memory = np.array([node.memory_mib for node in nodes], dtype=np.int64)
        self._free = np.zeros((len(nodes), max(1, width)), dtype=np.int64)
        for at, node in enumerate(nodes):
            self._free[at, : len(node.free_milli)] = node.free_milli
        self._burden = _Burden(nodes, workload, scoring)
        self._now = self._burden.of(self._cpu, self._memory, self._free, np.arange(len(nodes)))
        self._scores: dict[Need, _Scores] = {}
        self._changed: list[int] = []

    def place(self, need: Need) -> Spot | None:
        """Take room for a need where the burden grows least; None where no node has room."""
        scores = self._up_to_date(need)
        at = int(scores.growth.argmin()) if len(self._ids) else -1
        if at < 0 or scores.growth[at] == np.inf:
            return None
        spot = self._take(at, need)
        self._now[at] += scores.growth[at]
        return spot

    def take(self, node: str, need: Need) -> Spot:
        """Take room on a node that somebody else chose; raise ValueError where there is none."""
        at = self._ids.index(node)
        if not self._fits(need, np.array([at]))[0]:
            raise ValueError(f"node {node} has no room for {need}")
        spot = self._take(at, need)
        one = slice(at, at + 1)
        self._now[one] = self._burden.of(
            self._cpu[one], self._memory[one], self._free[one], np.array([at])
        )
        return spot

    def fitting(self, need: Need) -> Ints:
        """Return the places (in the order given) of the nodes that have room for a need."""
        every = np.arange(len(self._ids))
        return every[self._fits(need, every)]

    def free(self, at: int) -> Node:
        """Return what is free of the node at a place."""
        return Node(
            id=self._ids[at],
            cpu_milli=int(self._cpu[at]),
            memory_mib=int(self._memory[at]),
            free_milli=tuple(int(rest) for rest in self._free[at]),
            model=self._model[at],
        )

    def _take(self, at: int, need: Need) -> Spot:
        chosen = self._burden.choose(need, self._free[at : at + 1])[0]
        self._cpu[at] -= need.cpu_milli
        self._memory[at] -= need.memory_mib
        self._free[at, chosen] -= need.milli
        self._changed.append(at)
        return Spot(self._ids[at], tuple(int(number) for number in np.flatnonzero(chosen)))

    def _up_to_date(self, need: Need) -> "_Scores":
        scores = self._scores.get(need)
        if scores is None:
            scores = self._scores[need] = _Scores(np.full(len(self._ids), np.inf), 0)
            stale = np.arange(len(self._ids))
        elif scores.seen == len(self._changed):
            return scores
        else:
            stale = np.array(sorted(set(self._changed[scores.seen :])), dtype=np.int64)
        scores.seen = len(self._changed)
        scores.growth[stale] = self._growth(need, stale)
        return scores

    def _growth(self, need: Need, at: Ints) -> Floats:
        """Return by how much a need would make the burden of nodes grow; infinity without room."""
        growth = np.full(len(at), np.inf)
        has_room = self._fits(need, at)
        at = at[has_room]
        if len(at):
            free = self._free[at]
            free[self._burden.choose(need, free)] -= need.milli
            after = self._burden.of(
                self._cpu[at] - need.cpu_milli, self._memory[at] - need.memory_mib, free, at
            )
            growth[has_room] = np.round(after - self._now[at], _DIGITS)
        return growth

    def _fits(self, need: Need, at: Ints) -> Bools:
        fits = (self._cpu[at] >= need.cpu_milli) & (self._memory[at] >= need.memory_mib)
        if need.accelerators:
            fits &= (self._free[at] >= need.milli).sum(axis=1) >= need.accelerators
            fits &= self._burden.accepts(need, at)
        accepted: Bools = fits
        return accepted


@dataclass(slots=True)
class _Scores:
    """Growth of the burden by node for one kind of need, as of a number of changes."""

    growth: Floats
    seen: int


class _Burden:
    """The burden of node states, for many nodes at once."""

    def __init__(self, nodes: Sequence[Node], workload: Workload, scoring: Scoring) -> None:
        self._scoring = scoring
        self._models = sorted({node.model for node in nodes})
        at = {model: number for number, model in enumerate(self._models)}
        self._model = np.array([at[node.model] for node in nodes], dtype=np.int64)
        capacity = sum(sum(node.free_milli) for node in nodes)
        self._worth = residue_values(
            [(need.accelerators, need.milli) for need in workload.needs],
            list(workload.counts),
            capacity,
        )
        self._typical(*_heaviest(nodes, workload, scoring))
        self._accepted: dict[Need, Bools] = {}

    def _typical(self, needs: Sequence[Need], weights: Floats) -> None:
        kinds = sorted({(need.milli, need.accelerators) for need in needs})
        kind_at = {kind: number for number, kind in enumerate(kinds)}
        self._kind = np.array([kind_at[need.milli, need.accelerators] for need in needs], dtype=int)
        rests = np.arange(WHOLE + 1)[:, None]
        milli = np.array([kind[0] for kind in kinds], dtype=np.int64)[None, :]
        self._per_kind = np.array([kind[1] for kind in kinds], dtype=np.float64)
        self._copies_of = (rests // np.maximum(1, milli)).astype(np.float64)
        self._too_small = np.where(rests < milli, rests, 0).astype(np.float64)
        self._weight = weights
        self._weight_of_demand = weights * np.array([need.demand for need in needs])
        self._cpu_share = 1.0 / np.maximum(1e-9, [float(need.cpu_milli) for need in needs])
        self._memory_share = 1.0 / np.maximum(1e-9, [float(need.memory_mib) for need in needs])
        accepts = [
            [not need.models or model in need.models for need in needs] for model in self._models
        ]
        self._may = np.array(accepts, dtype=np.bool_).reshape(len(self._models), len(needs))

    def accepts(self, need: Need, at: Ints) -> Bools:
        """Return whether the need accepts the accelerators of nodes."""
        known = self._accepted.get(need)
        if known is None:
            by_model = [not need.models or model in need.models for model in self._models]
            known = self._accepted[need] = np.array(by_model, dtype=np.bool_)
        accepted: Bools = known[self._model[at]]
        return accepted

    def choose(self, need: Need, free: Ints) -> Bools:
        """Return which accelerators of nodes with room a need takes: the worst rests that do.

        A share goes where the worth of rests falls least, then to the smallest rest.
        """
        chosen = np.zeros(free.shape, dtype=np.bool_)
        if need.accelerators == 0:
            return chosen
        after = np.maximum(0, free - need.milli)
        lost = np.where(free >= need.milli, self._worth[free] - self._worth[after], np.inf)
        if need.accelerators == 1:
            best = (lost * WHOLE * 10 + free).argmin(axis=1)
            chosen[np.arange(len(free)), best] = True
            return chosen
        has = free >= need.milli
        taken: Bools = has & (np.cumsum(has, axis=1) <= need.accelerators)
        return taken

    def of(self, cpu: Ints, memory: Ints, free: Ints, at: Ints) -> Floats:
        """Return the burden of states; ``at`` are the nodes they are of."""
        rest = free.sum(axis=1).astype(np.float64)
        copies = np.floor(self._copies_of[free].sum(axis=1) / self._per_kind)[:, self._kind]
        room = np.minimum(cpu[:, None] * self._cpu_share, memory[:, None] * self._memory_share)
        fits = (room >= 1.0) & self._may[self._model[at]]
        scoring = self._scoring
        burden = np.zeros(len(free))
        if scoring.depth:
            usable = np.minimum(copies, room) * fits
            burden += scoring.depth * (rest * self._weight.sum() - usable @ self._weight_of_demand)
        if scoring.residue:
            burden += scoring.residue * (rest - self._worth[free].sum(axis=1))
        if scoring.fit:
            small = self._too_small[free].sum(axis=1)[:, self._kind]
            stranded = np.where(fits & (copies >= 1.0), small, rest[:, None])
            burden += scoring.fit * (stranded @ self._weight)
        return burden


def _heaviest(
    nodes: Sequence[Node], workload: Workload, scoring: Scoring
) -> tuple[list[Need], Floats]:
    """Return the typical needs with accelerators that weigh most; their weights sum to 1."""
    needs = [need for need in workload.needs if need.demand]
    counts = [c for need, c in zip(workload.needs, workload.counts, strict=True) if need.demand]
    capacity = max(1.0, float(sum(sum(node.free_milli) for node in nodes)))
    reach = np.array([_reach(nodes, need) / capacity for need in needs])
    size = np.array([need.demand / WHOLE for need in needs])
    weights = np.array(counts) * size**scoring.size / np.maximum(1e-4, reach) ** scoring.reach
    kept = np.sort(np.argsort(-weights, kind="stable")[:TYPICAL_MAX])
    total = weights[kept].sum() if len(kept) else 1.0
    return [needs[at] for at in kept], np.asarray(weights[kept] / total, dtype=np.float64)


def _reach(nodes: Sequence[Node], need: Need) -> float:
    """Return how many thousandths of accelerators a need could fill, were it alone."""
    total = 0.0
    for node in nodes:
        if need.models and node.model not in need.models:
            continue
        copies = float(sum(rest // need.milli for rest in node.free_milli) // need.accelerators)
        copies = min(copies, node.cpu_milli / max(1e-9, need.cpu_milli))
        copies = min(copies, node.memory_mib / max(1e-9, need.memory_mib))
        total += copies * need.demand if copies >= 1 else 0.0
    return total
