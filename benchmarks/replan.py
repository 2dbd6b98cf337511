"""The relaxation of the anchor instance: cold, and rolling, each to a certified gap.

``cold_s`` is from the model as arrays to a point within ``GAP`` of a bound of our own; ``whole_s``
is what HiGHS takes for all columns at once, for comparison. ``bytes_per_nonzero`` is the peak of
memory from the making of the arrays to the end of the cold solve. A rolling step changes 5 % of the
classes by up to half and every energy price by up to a tenth, and starts from the columns and
prices that the step before left. Seconds are processor time of one thread.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import quantiles
from time import process_time
from typing import Final

import numpy as np
from numpy.random import Generator, default_rng

from benchmarks.anchor import CLASSES, make_anchor
from benchmarks.frame import Figure, Options
from optimizer.deadline import Deadline
from optimizer.highs_route import LiveModel
from optimizer.master import Master
from optimizer.model import Model
from optimizer.solution import Limits

GAP: Final = 1e-3
TIME_S: Final = 1_500.0
_QUICK: Final = ("10k",)
_FULL: Final = ("107k", "406k", "990k", "5m")
_WHOLE_MAX: Final = 200_000
_STEPS: Final = {"10k": 4, "107k": 20, "406k": 12, "990k": 8}
_CHANGED: Final = 0.05


def relaxations(options: Options) -> Iterator[Figure]:
    """Yield the figures of every size; ``quick`` takes the smallest."""
    for size in _QUICK if options.quick else _FULL:
        yield from _relaxation(size)


def _relaxation(size: str) -> Iterator[Figure]:
    before = _memory_bytes(reset=True)
    model = make_anchor(CLASSES[size]).model.relaxed()
    layout = model.layout
    assert layout is not None
    began_s = process_time()
    master = Master(model)
    found = master.solve(GAP, Deadline(TIME_S))
    cold_s = process_time() - began_s
    peak = _memory_bytes()
    if found is None or not found.is_certified:
        raise AssertionError(f"{size}: no certified point within {TIME_S:g} s")
    yield Figure("plan.cold_s", cold_s, "s", size=size, rounds=found.rounds)
    if before and peak:
        yield Figure("plan.bytes_per_nonzero", (peak - before) / model.nonzeros, "B", size=size)
    on: dict[str, str | int] = {
        "size": size,
        "starts": layout.start.count,
        "nonzeros": model.nonzeros,
    }
    began_s = process_time()
    live = LiveModel(model)
    yield Figure("plan.handover_s", process_time() - began_s, "s", **on)
    if layout.start.count <= _WHOLE_MAX:
        began_s = process_time()
        live.solve(Limits(time_s=TIME_S))
        yield Figure("plan.whole_s", process_time() - began_s, "s", size=size)
    del live
    worst = found.gap
    took_s: list[float] = []
    base, random = model, default_rng(1)
    for _ in range(_STEPS.get(size, 0)):
        model = _changed(model, base, random)
        began_s = process_time()
        master.change(model)
        found = master.solve(GAP, Deadline(TIME_S))
        took_s.append(process_time() - began_s)
        if found is None or not found.is_certified:
            raise AssertionError(f"{size}: a step has no certified point")
        worst = max(worst, found.gap)
    if took_s:
        median_s, p95_s = (
            quantiles(took_s, n=20)[9],
            quantiles(took_s, n=20, method="inclusive")[18],
        )
        yield Figure("plan.rolling_p95_s", p95_s, "s", size=size, steps=len(took_s))
        yield Figure("plan.rolling_median_s", median_s, "s", size=size)
    yield Figure("plan.certified_gap", worst, "", size=size)


def _memory_bytes(*, reset: bool = False) -> int:
    """Return the peak of this process's memory, or what it is now after a reset; 0 if unknown."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    wanted = "VmRSS:" if reset else "VmHWM:"
    lines = status.read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) * 1_024 for line in lines if line.startswith(wanted)), 0)


def _changed(model: Model, base: Model, random: Generator) -> Model:
    """Return the model with other energy prices, and other counts of some classes.

    Both are drawn about those of ``base``, so that many steps do not lead away from it.
    """
    layout = model.layout
    assert layout is not None
    place, used = layout.place.where, next(b for b in model.variables if b.name == "used")
    cost = model.cost.copy()
    cost[used.where] = base.cost[used.where] * random.uniform(0.9, 1.1, used.count)
    counts = model.row_upper[place].copy()
    some = np.flatnonzero(random.random(len(counts)) < _CHANGED)
    other = base.row_upper[place][some] * random.uniform(0.5, 1.5, len(some))
    counts[some] = np.maximum(1.0, np.round(other))
    upper, row_lower, row_upper = model.upper.copy(), model.row_lower.copy(), model.row_upper.copy()
    upper[layout.left.where], upper[layout.start.where] = counts, counts[layout.klass]
    row_lower[place] = row_upper[place] = counts
    return replace(model, cost=cost, upper=upper, row_lower=row_lower, row_upper=row_upper)
