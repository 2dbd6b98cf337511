"""Which scoring suits a workload: each is rehearsed on needs drawn from it, the fullest wins."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.random import default_rng

from optimizer.arrays import Floats, Ints
from optimizer.packing import BROAD, DEEP, Node, Packer, Scoring, Workload

CANDIDATES: Final = (DEEP, BROAD)
ROUNDS: Final = 2
_SEED: Final = 20_260_101


def rehearsed(
    nodes: Sequence[Node], workload: Workload, candidates: Sequence[Scoring] = CANDIDATES
) -> Scoring:
    """Return the scoring that fills most of the accelerators when all of them are asked for.

    The needs are drawn from the workload by its counts, always the same way; nothing is known of
    what will really come. Without accelerators, or needs of any, the first candidate is returned.
    """
    capacity = sum(sum(node.free_milli) for node in nodes)
    demands = np.array([need.demand for need in workload.needs])
    counts = np.array(workload.counts, dtype=np.float64)
    if not capacity or not (demands * counts).any():
        return candidates[0]
    filled = [0.0] * len(candidates)
    for number in range(ROUNDS):
        drawn = _drawn(counts, demands, capacity, number)
        for at, scoring in enumerate(candidates):
            packer = Packer(nodes, workload, scoring)
            placed = [which for which in drawn if packer.place(workload.needs[which]) is not None]
            filled[at] += float(demands[placed].sum())
    return candidates[int(np.argmax(filled))]


def _drawn(counts: Floats, demands: Ints, capacity: int, number: int) -> list[int]:
    """Return needs, by their place, that together ask for the capacity."""
    chances = counts / counts.sum()
    mean = float(chances @ demands)
    random = default_rng(_SEED + number)
    drawn = random.choice(len(counts), size=int(2 * capacity / mean) + 1, p=chances)
    asked = np.cumsum(demands[drawn])
    return [int(which) for which in drawn[: int(np.searchsorted(asked, capacity)) + 1]]
