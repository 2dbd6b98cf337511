"""Which node of a Ray cluster each run uses, read from what Ray tells of its actors: pure.

A run's processes are its supervisor (it holds what the entrypoint asked for) and the actors of its
driver. Room that a placement group keeps counts for the job that made it, and what runs inside the
group is not counted again. Tasks are left out: they come and go within seconds.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from agent.executors.port import NodeUse, Used
from agent.executors.ray_status import SUPERVISOR

Row = Mapping[str, object]

_KIND: Final = "accelerator_type:"
"""Ray's resource that names the model of a node's accelerators."""


def read_nodes(
    nodes: Iterable[Row], actors: Iterable[Row], groups: Iterable[Row], drivers: Mapping[str, str]
) -> tuple[NodeUse, ...]:
    """Return the living nodes, in the order of their names, with what each run uses of them.

    ``drivers`` maps Ray's own job ids to runs. What belongs to no run of ours stands under ``""``.
    """
    cpus: dict[str, Counter[str]] = defaultdict(Counter)
    gpus: dict[str, Counter[str]] = defaultdict(Counter)
    for node_id, run, resources in (*_of_actors(actors, drivers), *_of_groups(groups, drivers)):
        cpus[node_id][run] += _milli(resources, "CPU")
        gpus[node_id][run] += _milli(resources, "GPU")
    living = [row for row in nodes if row.get("state") == "ALIVE"]
    found = [_node(row, cpus[str(row["node_id"])], gpus[str(row["node_id"])]) for row in living]
    return tuple(sorted(found, key=lambda node: node.name))


def _node(row: Row, cpus: Mapping[str, int], gpus: Mapping[str, int]) -> NodeUse:
    total = _object(row.get("resources_total"))
    kinds = [name.removeprefix(_KIND) for name in sorted(total) if name.startswith(_KIND)]
    runs = sorted(run for run in {*cpus, *gpus} if cpus.get(run, 0) or gpus.get(run, 0))
    # Addresses may repeat behind a translation of addresses; node ids never do.
    return NodeUse(
        name=f"{row.get('node_name')}/{str(row['node_id'])[:12]}",
        address=str(row.get("node_ip") or ""),
        kind=kinds[0].lower() if kinds else "",
        cpus=_milli(total, "CPU") / 1_000,
        gpus=_milli(total, "GPU") / 1_000,
        used={
            run: Used(cpus=cpus.get(run, 0) / 1_000, gpus=gpus.get(run, 0) / 1_000) for run in runs
        },
    )


def _of_actors(actors: Iterable[Row], drivers: Mapping[str, str]) -> Iterator[tuple[str, str, Row]]:
    for actor in actors:
        if actor.get("state") != "ALIVE" or actor.get("placement_group_id"):
            continue
        name = str(actor.get("name") or "")
        run = drivers.get(str(actor.get("job_id")), "")
        if name.startswith(SUPERVISOR):
            run = name.removeprefix(SUPERVISOR)
        yield str(actor.get("node_id")), run, _object(actor.get("required_resources"))


def _of_groups(groups: Iterable[Row], drivers: Mapping[str, str]) -> Iterator[tuple[str, str, Row]]:
    for group in groups:
        bundles = group.get("bundles")
        if group.get("state") != "CREATED" or not isinstance(bundles, list):
            continue
        run = drivers.get(str(group.get("creator_job_id")), "")
        for bundle in bundles:
            if isinstance(bundle, Mapping):
                resources = _object(bundle.get("unit_resources"))
                yield str(bundle.get("node_id")), run, resources


def _milli(resources: Row, name: str) -> int:
    amount = resources.get(name)
    return round(amount * 1_000) if isinstance(amount, int | float) else 0


def _object(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, Mapping) else {}
