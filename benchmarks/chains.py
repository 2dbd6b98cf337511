"""SkyPilot's kind of problem, in our words: tasks that pass data on, over sites with prices.

Each task runs at one site, at a price; data that crosses from site to site is paid by the gigabyte.
Chains are solved by dynamic programming, other graphs as whole numbers: x[v,s] the task's site,
y[e,s,t] both ends of an edge,

    sum over s of x[v,s] = 1,   sum over t of y[e,s,t] = x[u,s],   sum over s of y[e,s,t] = x[v,t].
"""

from dataclasses import dataclass
from random import Random

import numpy as np

from optimizer.arrays import Floats
from optimizer.direct_route import solve_direct
from optimizer.model import ModelBuilder
from optimizer.solution import Limits


@dataclass(frozen=True, slots=True)
class Edge:
    """Data from one task to a later one."""

    before: int
    after: int
    gigabytes: float


@dataclass(frozen=True, slots=True)
class Tasks:
    """``price[v, s]`` of task v at site s; ``egress[s, t]`` a gigabyte from site to site."""

    price: Floats
    egress: Floats
    edges: tuple[Edge, ...]

    @property
    def is_chain(self) -> bool:
        """Whether each task passes data to the next one only."""
        pairs = [(edge.before, edge.after) for edge in self.edges]
        return pairs == [(at, at + 1) for at in range(len(self.price) - 1)]

    def document(self) -> dict[str, object]:
        """Return the problem as JSON."""
        return {
            "price": self.price.tolist(),
            "egress": self.egress.tolist(),
            "edges": [[edge.before, edge.after, edge.gigabytes] for edge in self.edges],
            "is_chain": self.is_chain,
        }


def random_tasks(tasks: int, sites: int, *, is_chain: bool, seed: int) -> Tasks:
    """Return a seeded chain, or a graph in which a task has up to three before it."""
    random = Random(seed)
    price = np.array([[random.uniform(1.0, 20.0) for _ in range(sites)] for _ in range(tasks)])
    egress = np.array([[random.uniform(0.02, 0.2) for _ in range(sites)] for _ in range(sites)])
    np.fill_diagonal(egress, 0.0)
    edges = []
    for after in range(1, tasks):
        known = range(max(0, after - 5), after)
        before = [after - 1] if is_chain else random.sample(known, min(len(known), 3))
        edges += [Edge(one, after, random.uniform(1.0, 120.0)) for one in sorted(before)]
    return Tasks(price, egress, tuple(edges))


def by_arrays(tasks: Tasks) -> float:
    """Return the least cost of the tasks."""
    return _by_stages(tasks) if tasks.is_chain else _by_whole_numbers(tasks)


def _by_stages(tasks: Tasks) -> float:
    best = tasks.price[0]
    for edge, price in zip(tasks.edges, tasks.price[1:], strict=True):
        best = price + (best[:, None] + edge.gigabytes * tasks.egress).min(axis=0)
    return float(best.min())


def _by_whole_numbers(tasks: Tasks) -> float:
    """Only the tasks' sites need whole numbers: then the row sums leave an edge one value."""
    builder = ModelBuilder()
    v, s = tasks.price.shape
    e = len(tasks.edges)
    before = np.array([edge.before for edge in tasks.edges])
    after = np.array([edge.after for edge in tasks.edges])
    gigabytes = np.array([edge.gigabytes for edge in tasks.edges])
    at = builder.add_variables(
        "at", upper=np.ones(v * s), cost=tasks.price.ravel(), is_integral=True
    )
    both = builder.add_variables(
        "both",
        upper=np.ones(e * s * s),
        cost=np.outer(gigabytes, tasks.egress.ravel()).ravel(),
    )
    one = builder.add_rows("one", v, lower=1.0, upper=1.0)
    builder.add_entries(one.first + np.repeat(np.arange(v), s), at.first + np.arange(v * s), 1.0)
    edge, source, target = np.unravel_index(np.arange(e * s * s), (e, s, s))
    own = np.arange(e * s)
    for name, end, site in (("leaves", before, source), ("comes", after, target)):
        rows = builder.add_rows(name, e * s, lower=0.0, upper=0.0)
        builder.add_entries(rows.first + edge * s + site, both.first + np.arange(e * s * s), 1.0)
        builder.add_entries(rows.first + own, at.first + end[own // s] * s + own % s, -1.0)
    answer = solve_direct(builder.build(), Limits(time_s=120.0, gap=1e-9))
    if not answer.has_point:
        raise AssertionError(f"every task has a site, the solver says {answer.said}")
    return answer.objective
