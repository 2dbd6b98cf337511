"""Planning: time and memory of each step on growing problems, directly and through PuLP.

``cpu`` times are of this process (CBC runs in another one and is not in here). Each size is planned
from scratch, on one thread.
"""

import tracemalloc
from collections.abc import Callable, Iterator
from time import process_time
from typing import Final, NamedTuple

from benchmarks.frame import Figure, Options
from benchmarks.instances import Size, make_problem
from benchmarks.replan import relaxations
from benchmarks.shards import sharding
from benchmarks.whole import rounding
from optimizer.columns import columns_of
from optimizer.direct_route import solve_direct
from optimizer.formulation import Formulation, formulate
from optimizer.greedy import plan_greedy
from optimizer.highs_route import LiveModel
from optimizer.instance import instance_of
from optimizer.planner import plan
from optimizer.problem import DEFAULT_SLOT_LENGTHS_S, Problem
from optimizer.pulp_route import by_highs, pulp_problem
from optimizer.quote import quote
from optimizer.solution import Limits

PARTS: Final = ("relaxation", "rounding", "shards", "steps")
"""What ``--only`` may name."""

_LIVE: Final = Size(
    sites=3, jobs=60, classes=40, slot_lengths_s=DEFAULT_SLOT_LENGTHS_S, load=0.3, cash_share=4.0
)
_SIZES: Final = {
    "live": _LIVE,
    "small": Size(sites=4, pools_per_site=2, slots=24, classes=60, jobs=600),
    "city": Size(sites=8, pools_per_site=2, slots=24, classes=100, jobs=521),
    "region": Size(sites=8, pools_per_site=3, slots=48, classes=300, jobs=4_000),
    "nation": Size(sites=8, pools_per_site=3, slots=96, classes=600, jobs=8_000),
}
_QUICK: Final = ("live", "city")
_PULP_COLUMNS_MAX: Final = 80_000
"""Above this PuLP's objects take minutes and gigabytes and say nothing new."""


class _Timed(NamedTuple):
    seconds: float
    mebibytes: float


def run(options: Options) -> Iterator[Figure]:
    """Yield the figures of every size; ``quick`` takes the two small ones."""
    if not options.only or "relaxation" in options.only:
        yield from relaxations(options)
    if not options.only or "rounding" in options.only:
        yield from rounding(options)
    if not options.only or "shards" in options.only:
        yield from sharding(options)
    if not options.only or "steps" in options.only:
        for name, size in _SIZES.items():
            if not options.quick or name in _QUICK:
                yield from _measure(name, make_problem(size, seed=1))


def _measure(size: str, problem: Problem) -> Iterator[Figure]:
    instance = instance_of(problem)
    made: list[Formulation] = []
    build = _timed(lambda: made.append(formulate(instance_of(problem), columns_of(instance))))
    model = made[0].model.relaxed()
    yield Figure("plan.classes", len(instance.classes), "", size=size, jobs=len(problem.jobs))
    yield Figure("plan.columns", model.columns, "", size=size)
    yield Figure("plan.nonzeros", model.nonzeros, "", size=size)
    yield from _both("plan.build", build, size=size, route="all")
    hand_over = _timed(lambda: LiveModel(model))
    yield from _both("plan.hand_over", hand_over, size=size, route="direct")
    solved = solve_direct(model, Limits(time_s=300.0))
    yield Figure("plan.relaxation_s", solved.solve_s, "s", size=size, route="direct")
    if model.columns <= _PULP_COLUMNS_MAX:
        through = _timed(lambda: pulp_problem(model))
        yield from _both("plan.hand_over", through, size=size, route="pulp")
        pulp = by_highs()(model, Limits(time_s=300.0))
        yield Figure("plan.relaxation_s", pulp.solve_s, "s", size=size, route="pulp")
        difference = abs(pulp.objective - solved.objective) / max(1.0, abs(solved.objective))
        yield Figure("plan.routes_differ_by", difference, "", size=size)
    yield from _whole(size, problem)


def _whole(size: str, problem: Problem) -> Iterator[Figure]:
    before_s = process_time()
    made = plan(problem)
    yield Figure("plan.total_s", process_time() - before_s, "s", size=size, planner=made.planner)
    if made.bound is not None:
        gap = (made.objective - made.bound) / max(1.0, abs(made.objective))
        yield Figure("plan.gap", gap, "", size=size)
    before_s = process_time()
    greedy = plan_greedy(problem)
    yield Figure("plan.greedy_s", process_time() - before_s, "s", size=size)
    yield Figure("plan.greedy_cost_ratio", greedy.objective / made.objective, "", size=size)
    before_s = process_time()
    jobs = problem.jobs[:20]
    for job in jobs:
        quote(problem, job)
    yield Figure("plan.quote_ms", (process_time() - before_s) / len(jobs) * 1_000, "ms", size=size)


def _both(figure: str, timed: _Timed, **labels: str) -> Iterator[Figure]:
    yield Figure(f"{figure}_s", timed.seconds, "s", **labels)
    yield Figure(f"{figure}_mib", timed.mebibytes, "MiB", **labels)


def _timed(work: Callable[[], object]) -> _Timed:
    """Time a call without, then its peak of Python and numpy memory with tracing."""
    before_s = process_time()
    kept = work()
    seconds = process_time() - before_s
    del kept
    tracemalloc.start()
    kept = work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return _Timed(seconds, peak / 2**20)
