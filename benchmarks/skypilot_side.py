"""SkyPilot's optimizer on problems from standard input: run by an interpreter that has `skypilot`.

Its two functions for chains and for graphs are called as they are. Only what they ask about clouds
is answered from the problem: the egress between two sites. Costs and seconds go to standard output.
"""

import json
import os
import sys
from typing import Any

import networkx
from sky.optimizer import Optimizer

_REPEATS = 3


class Place:
    """A site, as a choice of resources; hashable by itself."""

    def __init__(self, site: int) -> None:
        self.site = site


class Task:
    """What the optimizer touches of a task; the dummy ends are its own names."""

    def __init__(self, name: str, places: list[Place]) -> None:
        self.name, self.resources, self.best_resources = name, places, None


def solved(problem: dict[str, Any]) -> dict[str, float]:
    """Return the cost that SkyPilot finds, and the processor time that it took."""
    took, cost = [], 0.0
    for _ in range(_REPEATS):
        tasks, costs, sent = _tasks(problem)

        def egress(_cost: bool, parent: Task, here: Place, task: Task, there: Place) -> float:
            gigabytes = sent.get((parent.name, task.name), 0.0)  # noqa: B023 - called at once
            return float(gigabytes * problem["egress"][here.site][there.site]) if gigabytes else 0.0

        Optimizer._egress_cost_or_time = staticmethod(egress)
        began_s = _processor_s()
        repeats = 1
        if problem["is_chain"]:
            repeats = 200
            for _ in range(repeats):
                cost = Optimizer._optimize_by_dp(tasks, costs, True)[1]
        else:
            graph = networkx.DiGraph()
            graph.add_nodes_from(tasks)
            by_name = {task.name: task for task in tasks}
            graph.add_edges_from((by_name[a], by_name[b]) for a, b in sent)
            cost = Optimizer._optimize_by_ilp(graph, tasks, costs, True)[1]
        took.append((_processor_s() - began_s) / repeats)
    return {"cost": cost, "seconds": sorted(took)[_REPEATS // 2]}


def _processor_s() -> float:
    """Processor time of this process and of the solver's, which is a process of its own."""
    return sum(os.times()[:4])


def _tasks(problem: dict[str, Any]) -> tuple[list[Task], dict[Task, Any], dict[Any, float]]:
    """Tasks between the two dummy ends that SkyPilot puts around every graph."""
    rows = problem["price"]
    source = Task("skypilot-dummy-source", [Place(0)])
    sink = Task("skypilot-dummy-sink", [Place(0)])
    inner = [
        Task(f"t{at}", [Place(site) for site in range(len(row))]) for at, row in enumerate(rows)
    ]
    costs = {
        task: dict(zip(task.resources, row, strict=True))
        for task, row in zip(inner, rows, strict=True)
    }
    costs[source] = {source.resources[0]: 0.0}
    costs[sink] = {sink.resources[0]: 0.0}
    sent = {(f"t{a}", f"t{b}"): gigabytes for a, b, gigabytes in problem["edges"]}
    targets, sources = {b for _, b in sent}, {a for a, _ in sent}
    sent |= {(source.name, task.name): 0.0 for task in inner if task.name not in targets}
    sent |= {(task.name, sink.name): 0.0 for task in inner if task.name not in sources}
    return [source, *inner, sink], costs, sent


if __name__ == "__main__":
    print(json.dumps([solved(problem) for problem in json.load(sys.stdin)]))
