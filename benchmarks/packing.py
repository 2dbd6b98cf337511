"""Packing of pods on nodes of the openb trace: accelerators allocated when all are asked for.

Pods of the trace, and more drawn from it until they ask for 130 % of the accelerators, come in
random order; one that finds no room is gone. ``packing.gpu_allocated_pct`` is what share of the
accelerators is allocated when the pods so far asked for 100 %, the mean of the seeds; beside it
what was published for fragmentation-gradient descent with the same files (ten seeds, Weng and
others 2023). ``packing.ms_per_pod`` is processor time of one thread for a decision, with its share
of building the packer; ``packing.rehearsal_s`` chooses the scoring once for a workload. Rules
beside ours, on the first file: ``best-fit`` (least is left of processors, memory and accelerators),
``gradient`` (our own fragmentation-gradient descent), ``random``. Files are given with ``--file``:
one of nodes, any number of pods.
"""

import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import mean, stdev
from time import process_time
from typing import Final

import numpy as np
from numpy.random import default_rng

from benchmarks.frame import Figure, Options, Scalar
from benchmarks.openb import is_nodes, read_nodes, read_pods, workload_of
from optimizer.packing import GRADIENT, Need, Node, Packer, Workload
from optimizer.rehearsal import rehearsed

_SHARED: Final = Path(__file__).parents[2] / "shared" / "data" / "alibaba-gpu-2023"
_NODES: Final = "openb_node_list_all_node.csv.gz"
_PODS: Final = "openb_pod_list_"
_PUBLISHED: Final = "fgd_published_alloc.csv"
_INFLATED: Final = 1.3
_SEEDS: Final = 10
_SEEDS_QUICK: Final = 2
_ALL: Final = 1.0

Rule = Callable[[Sequence[Node], Workload], Callable[[Need], bool]]


@dataclass(frozen=True, slots=True)
class _Case:
    variant: str
    nodes: tuple[Node, ...]
    pods: tuple[Need, ...]
    published: float | None

    @property
    def capacity(self) -> int:
        return sum(sum(node.free_milli) for node in self.nodes)


def run(options: Options) -> Iterator[Figure]:
    """Yield the figures of every pod file; ``quick`` takes the first with two seeds."""
    cases = list(_cases(options))
    if not cases:
        print(f"packing: left out, there are no openb files in {_SHARED}; name some with --file",
              file=sys.stderr)  # fmt: skip
    seeds = _SEEDS_QUICK if options.quick else _SEEDS
    for at, case in enumerate(cases[:1] if options.quick else cases):
        yield from _figures(case, seeds, {} if at else _OTHERS)


def _cases(options: Options) -> Iterator[_Case]:
    files = options.files or tuple(sorted(_SHARED.glob(f"{_PODS}*"), key=_default_first))
    own = [path for path in options.files if is_nodes(path)]
    nodes_file = own[0] if own else _SHARED / _NODES
    if not files or not nodes_file.exists():
        return
    nodes, published = read_nodes(nodes_file), _published(nodes_file.with_name(_PUBLISHED))
    for path in files:
        if not is_nodes(path):
            name = path.name.removesuffix(".gz").removesuffix(".csv")
            variant = name.removeprefix(_PODS)
            yield _Case(variant, nodes, read_pods(path), published.get(name))


def _default_first(path: Path) -> tuple[bool, str]:
    return ("_default." not in path.name, path.name)


def _published(path: Path) -> dict[str, float]:
    """Return the published figure of fragmentation-gradient descent by workload."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["sc_policy"].endswith("FGD")]
    return {row["workload"]: float(row["alloc_pct_at_100_mean"]) for row in rows}


def _figures(case: _Case, seeds: int, others: Mapping[str, Rule]) -> Iterator[Figure]:
    on = {"variant": f"openb {case.variant}"}
    workload = workload_of(case.pods)
    began_s = process_time()
    scoring = rehearsed(case.nodes, workload)
    yield Figure("packing.rehearsal_s", process_time() - began_s, "s", **on)
    orders = [_arrivals(case, seed) for seed in range(seeds)]

    def ours(nodes: Sequence[Node], typical: Workload) -> Callable[[Need], bool]:
        return _placing(Packer(nodes, typical, scoring))

    rules: dict[str, Rule] = {"ours": ours, **others}
    for name, rule in rules.items():
        shares, ms = [], []
        for order in orders:
            began_s = process_time()
            shares.append(_allocated(case, order, rule(case.nodes, workload)))
            ms.append((process_time() - began_s) / len(order) * 1_000)
        spread = stdev(shares) if len(shares) > 1 else 0.0
        labels: dict[str, Scalar] = {**on, "rule": name, "seeds": seeds, "spread": round(spread, 3)}
        yield Figure("packing.gpu_allocated_pct", mean(shares), "%", **labels)
        yield Figure("packing.ms_per_pod", mean(ms), "ms", **on, rule=name)
    if case.published is not None:
        yield Figure("packing.gpu_allocated_pct", case.published, "%", **on, rule="FGD, published")


def _arrivals(case: _Case, seed: int) -> list[Need]:
    """Return the pods of the trace, and more of them, in random order."""
    random = default_rng(seed)
    asked = sum(pod.demand for pod in case.pods)
    more = []
    while asked < _INFLATED * case.capacity:
        more.append(int(random.integers(len(case.pods))))
        asked += case.pods[more[-1]].demand
    order = np.concatenate([np.arange(len(case.pods)), np.array(more, dtype=np.int64)])
    random.shuffle(order)
    return [case.pods[at] for at in order]


def _allocated(case: _Case, order: Sequence[Need], place: Callable[[Need], bool]) -> float:
    """Place all; return the per cent allocated when the accelerators were all asked for."""
    taken = list(accumulate(pod.demand if place(pod) else 0 for pod in order))
    asked = list(accumulate(pod.demand for pod in order))
    at = next(number for number, milli in enumerate(asked) if milli >= _ALL * case.capacity)
    return 100.0 * taken[at] / case.capacity


def _placing(packer: Packer) -> Callable[[Need], bool]:
    return lambda need: packer.place(need) is not None


def _best_fit(nodes: Sequence[Node], workload: Workload) -> Callable[[Need], bool]:
    """Where the least is left, each resource as a share of the largest node's."""
    packer = Packer(nodes, workload, GRADIENT)
    largest = np.array([_amounts(node) for node in nodes], dtype=np.float64).max(axis=0)
    left = np.array([_amounts(node) for node in nodes]) / largest

    def place(need: Need) -> bool:
        fitting = packer.fitting(need)
        if not len(fitting):
            return False
        at = int(fitting[left[fitting].sum(axis=1).argmin()])
        packer.take(nodes[at].id, need)
        left[at] = np.array(_amounts(packer.free(at))) / largest
        return True

    return place


def _amounts(node: Node) -> tuple[int, int, int]:
    return node.cpu_milli, node.memory_mib, sum(node.free_milli)


def _random(nodes: Sequence[Node], workload: Workload) -> Callable[[Need], bool]:
    packer, random = Packer(nodes, workload, GRADIENT), default_rng(0)

    def place(need: Need) -> bool:
        fitting = packer.fitting(need)
        if not len(fitting):
            return False
        packer.take(nodes[int(random.choice(fitting))].id, need)
        return True

    return place


def _gradient(nodes: Sequence[Node], workload: Workload) -> Callable[[Need], bool]:
    return _placing(Packer(nodes, workload, GRADIENT))


_OTHERS: Final[Mapping[str, Rule]] = {
    "gradient": _gradient,
    "best-fit": _best_fit,
    "random": _random,
}
