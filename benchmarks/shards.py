"""The cold relaxation of the anchor instance by one process, and with workers that hold shards.

``cold_s`` is wall time, since it is what workers are for; ``own_cpu_s`` is the processor time of
the centre's process in it. ``loss`` is by how much the bound is worse than that of one process:
nothing, unless something is broken. ``hold_s`` is what handing the shards out takes, ``step_ms`` a
step of price discovery. Hiring workers is not in any of them: ``hire_s`` is for itself.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from time import perf_counter, process_time
from typing import Final

import numpy as np

from benchmarks.anchor import CLASSES, make_anchor
from benchmarks.frame import Figure, Options
from optimizer.ascent import Ascent
from optimizer.crew import IN_PROCESS, Crew, CrewLost
from optimizer.deadline import Deadline
from optimizer.master import Master, Relaxed
from optimizer.model import Model
from optimizer.pricing import Pricing
from scheduler.crew_named import crew_of
from scheduler.crew_remote import RemoteCrew
from suanwang.settings.tree import CrewSettings

WORKERS: Final = 2
GAP: Final = 1e-3
_TIME_S: Final = 1_500.0
_STEPS: Final = 20
_QUICK: Final = ("10k",)
_FULL: Final = ("990k", "5m")


def sharding(options: Options) -> Iterator[Figure]:
    """Yield the figures of every size; ``quick`` takes the smallest and leaves Ray out."""
    kinds = ("processes",) if options.quick else ("processes", "ray")
    for size in _QUICK if options.quick else _FULL:
        model = make_anchor(CLASSES[size]).model.relaxed()
        alone: list[Relaxed] = []
        yield from _measure(model, IN_PROCESS, size, alone)
        for kind in kinds:
            with _hired(kind) as (crew, hire_s):
                yield Figure("plan.shards_hire_s", hire_s, "s", size=size, crew=crew.name)
                yield from _measure(model, crew, size, alone)


def _measure(model: Model, crew: Crew, size: str, found: list[Relaxed]) -> Iterator[Figure]:
    """Yield the figures of one crew; the first of ``found`` is what one process found."""
    on: dict[str, str] = {"size": size, "crew": crew.name}
    began_s = perf_counter()
    with closing(Pricing(model, crew=crew)) as pricing:
        yield Figure("plan.shards_hold_s", perf_counter() - began_s, "s", **on)
        ascent, prices = Ascent(pricing), pricing.price(np.zeros(model.row_count)).prices
        began_s = perf_counter()
        ascent.climb(prices, _STEPS, 0.03, Deadline(_TIME_S))
        step_ms = (perf_counter() - began_s) / _STEPS * 1_000
        yield Figure("plan.shards_step_ms", step_ms, "ms", **on)
    began_s, began_cpu_s = perf_counter(), process_time()
    with closing(Master(model, crew=crew)) as master:
        answer = master.solve(GAP, Deadline(_TIME_S))
    took_s, cpu_s = perf_counter() - began_s, process_time() - began_cpu_s
    if answer is None or not answer.is_certified:
        raise AssertionError(f"{size}: no certified point by {crew.name}")
    found.append(answer)
    loss = (found[0].bound - answer.bound) / abs(found[0].bound)
    yield Figure("plan.shards_cold_s", took_s, "s", rounds=answer.rounds, **on)
    yield Figure("plan.shards_own_cpu_s", cpu_s, "s", **on)
    yield Figure("plan.shards_loss", loss, "", **on)


@contextmanager
def _hired(kind: str) -> Iterator[tuple[Crew, float]]:
    crew = crew_of(CrewSettings.model_validate({"kind": kind, "workers": WORKERS}))
    if not isinstance(crew, RemoteCrew):
        raise CrewLost(f"{kind} has no workers")
    began_s = perf_counter()
    try:
        crew.open()
        yield crew, perf_counter() - began_s
    finally:
        crew.close()
