"""What Ray's dashboard says of a cluster and its nodes. Pure: documents in, readings out."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from collectors.json_values import at_pointer, number
from suanwang.model.reading import Reading

_REPORT: Final = "/data/clusterStatus/loadMetricsReport"
_RESOURCES: Final = {
    "CPU": "cpus",
    "GPU": "gpus",
    "memory": "schedulable_memory_bytes",
    "objectStoreMemory": "object_store_bytes",
    "object_store_memory": "object_store_bytes",
}
"""Our word for Ray's resources; the last is spelt in two ways by its versions."""

METRICS: Final = (
    *(f"{word}_{end}" for word in dict.fromkeys(_RESOURCES.values()) for end in ("used", "total")),
    *("nodes_alive", "nodes_dead", "demands_pending"),
)
"""What a Ray source tells."""


class NotYet(ValueError):
    """The cluster does not know its resources, as in its first seconds."""


def cluster(status: object, name: str, at: datetime) -> Iterator[Reading]:
    """Return resources, used and in all, of a cluster and its nodes, and what waits for them."""
    usage = _pairs(at_pointer(status, f"{_REPORT}/usage"))
    if not usage:
        raise NotYet(f"Ray cluster {name} does not know its resources yet")
    for metric, value in usage.items():
        yield Reading(subject=f"ray:{name}", metric=metric, value=value, at=at)
    by_node = at_pointer(status, f"{_REPORT}/usageByNode")
    for node, pairs in (by_node if isinstance(by_node, dict) else {}).items():
        for metric, value in _pairs(pairs).items():
            yield Reading(subject=f"raynode:{name}:{node}", metric=metric, value=value, at=at)
    pending = _pending(at_pointer(status, f"{_REPORT}/resourceDemand"))
    yield Reading(subject=f"ray:{name}", metric="demands_pending", value=pending, at=at)


def nodes(document: object, name: str, at: datetime) -> Iterator[Reading]:
    """Return how many nodes are alive and dead; nothing where the list is not there."""
    rows = at_pointer(document, "/data/result/result")
    if not isinstance(rows, list):
        return
    states = [at_pointer(row, "/state") for row in rows]
    for metric, state in (("nodes_alive", "ALIVE"), ("nodes_dead", "DEAD")):
        count = float(states.count(state))
        yield Reading(subject=f"ray:{name}", metric=metric, value=count, at=at)


def _pairs(usage: object) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for resource, word in _RESOURCES.items():
        pair = usage.get(resource) if isinstance(usage, dict) else None
        if isinstance(pair, list) and len(pair) == 2:
            used, total = number(pair[0]), number(pair[1])
            if used is not None and total is not None:
                found |= {f"{word}_used": used, f"{word}_total": total}
    return found


def _pending(demands: object) -> float:
    """Return how many bundles of resources wait: Ray gives each kind with its count."""
    total = 0.0
    for each in demands if isinstance(demands, list) else ():
        if isinstance(each, list) and len(each) == 2:
            total += number(each[1]) or 0.0
    return total
