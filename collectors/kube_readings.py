"""What a Kubernetes cluster's nodes and pods say. Pure: documents in, readings out.

Free is what the scheduler could still give: ``allocatable`` (which the device plugin lowers when a
chip is lost) less the requests of the pods on the node that have not ended; nothing where the node
is not ready or closed to new pods. MIG slices are a resource of their own, never added to GPUs.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Final

from collectors.json_values import at_pointer
from suanwang.model.reading import Reading

ACCELERATORS: Final = (
    "nvidia.com/gpu",
    "nvidia.com/gpu.shared",
    "nvidia.com/mig-*",
    "amd.com/gpu",
    "gpu.intel.com/*",
    "google.com/tpu",
    "aws.amazon.com/neuron*",
    "huawei.com/Ascend*",
    "cambricon.com/*",
    "hygon.com/dcu*",
    "iluvatar.com/gpu",
    "metax-tech.com/gpu",
    "mthreads.com/*gpu",
    "enflame.com/gcu",
    "kunlunxin.com/xpu",
)
"""Extended resources that are accelerators, by the names of their makers' device plugins."""

METRICS: Final = (
    *("nodes_ready", "nodes_not_ready", "nodes_cordoned", "pods_pending", "pods_running"),
    *("cpus_used", "cpus_total", "ready_ratio", "schedulable_ratio"),
    *("schedulable_memory_bytes_used", "schedulable_memory_bytes_total"),
    *("units_installed", "units_total", "units_used", "units_free"),
)
"""What a Kubernetes source tells."""

_CLOSING: Final = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""Taints with such a key close a node to everybody; others only to pods that do not bear them."""
_COUNTS: Final = (
    *("nodes_ready", "nodes_not_ready", "nodes_cordoned"),
    *("pods_pending", "pods_running"),
)
_ENDED: Final = ("Succeeded", "Failed")
_GENERAL: Final = {"cpu": "cpus", "memory": "schedulable_memory_bytes"}

Quantity = Callable[[object], Decimal]
"""Turns ``191500m`` or ``64Gi`` into a number; raises ValueError for anything else."""


@dataclass(slots=True)
class _Resource:
    """Units of one resource: built in, given to Kubernetes, asked for, and to be had."""

    installed: float = 0.0
    total: float = 0.0
    used: float = 0.0
    free: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """How a cluster is read: its name in the subjects, its accelerators, and the numbers' form."""

    name: str
    quantity: Quantity
    resources: Sequence[str] = ()

    def is_accelerator(self, resource: str) -> bool:
        """Return whether a resource counts as an accelerator here."""
        patterns = (*ACCELERATORS, *self.resources)
        return any(fnmatchcase(resource, pattern) for pattern in patterns)

    def amounts(self, quantities: object) -> dict[str, float]:
        """Return the numbers of a map of quantities, without those that are none."""
        found = {}
        for resource, text in quantities.items() if isinstance(quantities, dict) else ():
            try:
                amount = float(self.quantity(text))
            except (ValueError, OverflowError, InvalidOperation):
                continue
            if 0 <= amount < float("inf"):
                found[str(resource)] = amount
        return found


@dataclass(slots=True)
class _Tally:
    counts: Counter[str] = field(default_factory=Counter)
    resources: dict[str, _Resource] = field(default_factory=dict)


def readings(
    cluster: Cluster, nodes: Sequence[object], pods: Sequence[object], at: datetime
) -> Iterator[Reading]:
    """Return the readings of the cluster, of each node, and of each accelerator resource."""
    tally = _Tally(Counter(dict.fromkeys(_COUNTS, 0)))
    asked = _asked(cluster, pods, tally.counts)
    for node in nodes:
        name = at_pointer(node, "/metadata/name")
        if isinstance(name, str) and name:
            yield from _node(cluster, node, asked.get(name, {}), (tally, at))
    subject = f"k8s:{cluster.name}"
    for metric, count in tally.counts.items():
        yield Reading(subject=subject, metric=metric, value=float(count), at=at)
    for resource, units in tally.resources.items():
        yield from _units(f"k8sunits:{cluster.name}::{resource}", units, at)


def pod_requests(cluster: Cluster, pod: object) -> dict[str, float]:
    """Return what the scheduler sets aside for a pod, by resource.

    Containers and sidecars together, or an init container with the sidecars started before it,
    whichever is more; and the overhead of the runtime class. A request for the whole pod, where
    there is one, takes the place of its containers'. (KEP-753, KEP-2837.)
    """
    spec = at_pointer(pod, "/spec")
    sidecars: dict[str, float] = {}
    highest: dict[str, float] = {}
    for container in _listed(at_pointer(spec, "/initContainers")):
        now = _plus(sidecars, _requests(cluster, container))
        highest = _most(highest, now)
        if at_pointer(container, "/restartPolicy") == "Always":
            sidecars = now
    running = sidecars
    for container in _listed(at_pointer(spec, "/containers")):
        running = _plus(running, _requests(cluster, container))
    whole = cluster.amounts(at_pointer(spec, "/resources/requests"))
    needed = _most(running, highest) | whole
    return _plus(needed, cluster.amounts(at_pointer(spec, "/overhead")))


def _asked(
    cluster: Cluster, pods: Sequence[object], counts: Counter[str]
) -> dict[str, dict[str, float]]:
    """Return the requests on each node, and count the pods that run and that wait for a node."""
    asked: dict[str, dict[str, float]] = {}
    for pod in pods:
        phase, node = at_pointer(pod, "/status/phase"), at_pointer(pod, "/spec/nodeName")
        if phase in _ENDED:
            continue
        if not isinstance(node, str) or not node:
            counts["pods_pending"] += 1
            continue
        counts["pods_running"] += phase == "Running"
        asked[node] = _plus(asked.get(node, {}), pod_requests(cluster, pod))
    return asked


def _node(
    cluster: Cluster, node: object, asked: Mapping[str, float], into: tuple[_Tally, datetime]
) -> Iterator[Reading]:
    tally, at = into
    name = str(at_pointer(node, "/metadata/name"))
    is_ready, is_cordoned = _is_ready(node), at_pointer(node, "/spec/unschedulable") is True
    takes_pods = is_ready and not is_cordoned and not _is_closed(node)
    tally.counts["nodes_ready" if is_ready else "nodes_not_ready"] += 1
    tally.counts["nodes_cordoned"] += is_cordoned
    capacity = cluster.amounts(at_pointer(node, "/status/capacity"))
    allocatable = cluster.amounts(at_pointer(node, "/status/allocatable"))
    values = {"ready_ratio": float(is_ready), "schedulable_ratio": float(takes_pods)}
    for resource, word in _GENERAL.items():
        values[f"{word}_total"] = allocatable.get(resource, 0.0)
        values[f"{word}_used"] = asked.get(resource, 0.0)
    for metric, value in values.items():
        yield Reading(subject=f"k8snode:{cluster.name}:{name}", metric=metric, value=value, at=at)
    for resource in sorted({*capacity, *allocatable}):
        if not cluster.is_accelerator(resource) or not capacity.get(resource):
            continue
        total, used = allocatable.get(resource, 0.0), asked.get(resource, 0.0)
        free = max(0.0, total - used) if takes_pods else 0.0
        units = _Resource(capacity[resource], total, used, free)
        yield from _units(f"k8sunits:{cluster.name}:{name}:{resource}", units, at)
        _add(tally.resources.setdefault(resource, _Resource()), units)


def _units(subject: str, units: _Resource, at: datetime) -> Iterator[Reading]:
    for metric, value in (
        ("units_installed", units.installed),
        ("units_total", units.total),
        ("units_used", units.used),
        ("units_free", units.free),
    ):
        yield Reading(subject=subject, metric=metric, value=value, at=at)


def _add(total: _Resource, more: _Resource) -> None:
    total.installed += more.installed
    total.total += more.total
    total.used += more.used
    total.free += more.free


def _is_ready(node: object) -> bool:
    return any(
        at_pointer(condition, "/type") == "Ready" and at_pointer(condition, "/status") == "True"
        for condition in _listed(at_pointer(node, "/status/conditions"))
    )


def _is_closed(node: object) -> bool:
    return any(
        str(at_pointer(taint, "/key")).startswith(_CLOSING)
        and at_pointer(taint, "/effect") in ("NoSchedule", "NoExecute")
        for taint in _listed(at_pointer(node, "/spec/taints"))
    )


def _requests(cluster: Cluster, container: object) -> dict[str, float]:
    """Return what a container asks for; a limit without a request is a request."""
    limits = cluster.amounts(at_pointer(container, "/resources/limits"))
    return limits | cluster.amounts(at_pointer(container, "/resources/requests"))


def _plus(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {*one, *other}}


def _most(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: max(one.get(name, 0.0), other.get(name, 0.0)) for name in {*one, *other}}


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()
