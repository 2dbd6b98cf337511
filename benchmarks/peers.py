"""Our plan beside the rules of others on the same jobs, and beside SkyPilot on its own problem.

`--only rules`: a per-job cheapest place (SkyPilot, dstack), first come first served, best fit, EASY
backfill; all place jobs in the order in which they came, into the same exact state as our planner,
so none can be over a limit. The bound is that of perfect knowledge: no plan costs less.

`--only skypilot`: chains and graphs of tasks over priced sites with egress, solved by our arrays
and, where ``SKYPILOT_PYTHON`` names the interpreter of an environment with `skypilot`, by
SkyPilot's own optimizer: `python -m venv sky && sky/bin/pip install skypilot==0.14.1`.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import process_time
from typing import Final

import numpy as np

from benchmarks.chains import Tasks, by_arrays, random_tasks
from benchmarks.frame import Figure, Options
from benchmarks.instances import Size, make_problem
from optimizer.columns import columns_of
from optimizer.instance import instance_of
from optimizer.occupancy import Occupancy, empty_occupancy
from optimizer.planner import plan
from optimizer.problem import JobSpec, Problem

PYTHON: Final = "SKYPILOT_PYTHON"
_REPEATS: Final = 3
_SIDE: Final = Path(__file__).with_name("skypilot_side.py")
_OUTSIDE_S: Final = 300

Rule = Callable[[Problem], Occupancy]


def run(options: Options) -> Iterator[Figure]:
    """Measure the parts that are asked for."""
    if not options.only or "rules" in options.only:
        yield from _rules(options)
    if not options.only or "skypilot" in options.only:
        yield from _graphs(options)


# --- Rules --------------------------------------------------------------------------------------


def cheapest(problem: Problem) -> Occupancy:
    """Each job, as it comes, where it alone costs least among what is free."""
    state = _empty(problem)
    for k in _in_order(state, problem):
        _place(state, k, _cost(state, k))
    return state


def first_come(problem: Problem) -> Occupancy:
    """Each job, as it comes, as early as it fits, and none before the one that came before it."""
    state = _empty(problem)
    not_before = 0
    for k in _in_order(state, problem):
        slots = _slots(state, k)
        placed = _place(state, k, np.where(slots >= not_before, slots, np.inf))
        if placed is not None:
            not_before = int(state.columns.slot[placed])
    return state


def best_fit(problem: Problem) -> Occupancy:
    """Each job, as it comes, as early as it fits, there where it leaves the fewest units over."""
    state = _empty(problem)
    widest = 1.0 + float(state.instance.units_free.max(initial=0))
    for k in _in_order(state, problem):
        own = state.columns.of_class(k)
        pool, slot = state.columns.pool[own], state.columns.slot[own]
        over = state.instance.units_free[pool, slot] - state.used[pool, slot]
        _place(state, k, slot + over / widest)
    return state


def easy_backfill(problem: Problem) -> Occupancy:
    """The head of the queue is promised the earliest place; who fits beside it may start now."""
    state = _empty(problem)
    queue = _in_order(state, problem)
    for slot in range(state.instance.timeline.slots):
        queue = _started(state, queue, slot)
        if not queue:
            break
        head = _place(state, queue[0], _slots(state, queue[0]))
        kept = [queue[0], *_started(state, queue[1:], slot, backfill=True)]
        if head is not None:
            state.give_back(head)
        else:
            kept = kept[1:]
        queue = kept
    return state


def _started(state: Occupancy, queue: list[int], slot: int, *, backfill: bool = False) -> list[int]:
    """Start what fits in a slot; without backfilling the first that waits ends it."""
    waiting: list[int] = []
    for k in queue:
        if waiting and not backfill:
            waiting.append(k)
            continue
        slots = _slots(state, k)
        if _place(state, k, np.where(slots == slot, slots, np.inf)) is None:
            waiting.append(k)
    return waiting


def _empty(problem: Problem) -> Occupancy:
    instance = instance_of(problem)
    return empty_occupancy(instance, columns_of(instance))


def _in_order(state: Occupancy, problem: Problem) -> list[int]:
    """The class of each job, in the order in which jobs came."""
    of_job = {job.id: k for k, one in enumerate(state.instance.classes) for job in one.members}

    def key(job: JobSpec) -> tuple[float, str]:
        return (-job.waited_s, job.id)

    return [of_job[job.id] for job in sorted(problem.jobs, key=key)]


def _slots(state: Occupancy, k: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return state.columns.slot[state.columns.of_class(k)].astype(np.float64)


def _cost(state: Occupancy, k: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    cost: np.ndarray[tuple[int], np.dtype[np.float64]] = state.columns.cost[
        state.columns.of_class(k)
    ] + state.energy_yuan(k)
    return cost


def _place(
    state: Occupancy, k: int, order: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> int | None:
    """Start one job of the class by its first column in the order that has room and can be paid."""
    fits = state.fits(k) & np.isfinite(order)
    first = int(state.columns.first[k])
    for at in np.flatnonzero(fits)[np.argsort(order[fits], kind="stable")]:
        if state.place(first + int(at), 1):
            return first + int(at)
    return None


RULES: Final[dict[str, Rule]] = {
    "cheapest": cheapest,
    "first-come": first_come,
    "best-fit": best_fit,
    "easy-backfill": easy_backfill,
}


def _rules(options: Options) -> Iterator[Figure]:
    sizes = (60,) if options.quick else (200, 1_000)
    for jobs in sizes:
        problem = make_problem(Size(jobs=jobs, classes=jobs // 5, load=0.9), seed=3)
        instance = instance_of(problem)
        asked = sum(job.units * job.run_s for job in problem.jobs)
        began_s = process_time()
        made = plan(problem)
        took_s = process_time() - began_s
        left = {str(one.job_id) for one in made.rejections}
        served = sum(job.units * job.run_s for job in problem.jobs if job.id not in left)
        bound = made.bound if made.bound is not None else float("nan")
        yield Figure("peers.cost_over_bound", made.objective / bound, "ratio", by="ours", jobs=jobs)
        yield Figure("peers.served_share", served / asked, "ratio", by="ours", jobs=jobs)
        yield Figure("peers.plan_s", took_s, "s", by="ours", jobs=jobs)
        for name, rule in RULES.items():
            began_s = process_time()
            state = rule(problem)
            took_s = process_time() - began_s
            over = state.objective() / bound
            unserved = sum(
                one.spec.units * one.spec.run_s * int(count)
                for one, count in zip(instance.classes, state.left, strict=True)
            )
            yield Figure("peers.cost_over_bound", over, "ratio", by=name, jobs=jobs)
            yield Figure("peers.served_share", 1 - unserved / asked, "ratio", by=name, jobs=jobs)
            yield Figure("peers.plan_s", took_s, "s", by=name, jobs=jobs)


# --- Graphs of tasks ----------------------------------------------------------------------------


def _graphs(options: Options) -> Iterator[Figure]:
    sizes = ((6, 4),) if options.quick else ((20, 8), (40, 16), (80, 16))
    made = [
        (f"{shape}-{tasks}x{sites}", random_tasks(tasks, sites, is_chain=shape == "chain", seed=5))
        for shape in ("chain", "graph")
        for tasks, sites in sizes
    ]
    theirs = _by_skypilot([graph for _, graph in made])
    for at, (name, graph) in enumerate(made):
        took, cost = [], 0.0
        for _ in range(_REPEATS):
            began_s = sum(os.times()[:4])
            repeats = 1_000 if graph.is_chain else 1
            for _ in range(repeats):
                cost = by_arrays(graph)
            took.append((sum(os.times()[:4]) - began_s) / repeats)
        yield Figure("peers.tasks_s", median(took), "s", by="ours", on=name)
        if theirs is not None:
            yield Figure("peers.tasks_s", theirs[at]["seconds"], "s", by="skypilot", on=name)
            apart = abs(theirs[at]["cost"] - cost) / cost
            yield Figure("peers.tasks_optimum_apart", apart, "ratio", on=name)


def _by_skypilot(graphs: list[Tasks]) -> list[dict[str, float]] | None:
    """Cost and seconds of each graph by SkyPilot's optimizer, or None where there is none."""
    python = os.environ.get(PYTHON)
    if python is None:
        print(f"SkyPilot is not measured: set {PYTHON} to a python that has the package")
        return None
    asked = json.dumps([graph.document() for graph in graphs])
    ran = subprocess.run(
        [python, str(_SIDE)],
        input=asked,
        capture_output=True,
        text=True,
        timeout=_OUTSIDE_S,
        check=False,
    )
    if ran.returncode:
        print(f"SkyPilot is not measured: {ran.stderr.strip()[-500:]}")
        return None
    answer: list[dict[str, float]] = json.loads(ran.stdout.splitlines()[-1])
    return answer
