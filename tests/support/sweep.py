"""A plan looked at in real time, not in slots: who uses what at every moment at which that changes.

An oracle for property tests: it knows the problem, the placements and the clock, and shares nothing
with the planner or its check. A job uses its units from its start for as long as it may run.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from optimizer.problem import LotSpec, Problem
from suanwang.model.plan import Placement, Plan


@dataclass(frozen=True, slots=True)
class Run:
    """A placement with its times in seconds from the problem's origin."""

    placement: Placement
    tenant_id: str
    start_s: float
    end_s: float


def runs_of(problem: Problem, plan: Plan) -> list[Run]:
    """All placements with the longest that each may run at the width that it was given."""
    jobs = {job.id: job for job in problem.jobs}
    runs = []
    for one in (*plan.starts, *plan.later):
        job = jobs[one.job_id]
        run_s = {shape.units: shape.run_s for shape in reversed(job.options)}[one.units]
        start_s = (one.start - problem.origin).total_seconds()
        runs.append(Run(one, job.tenant_id, start_s, start_s + run_s))
    return runs


def moments(problem: Problem, runs: list[Run]) -> list[float]:
    """Every moment at which a use or a limit changes, and one between each two of them."""
    horizon_s = problem.slots[-1].end_s
    edges = {slot.start_s for slot in problem.slots}
    edges |= {run.start_s for run in runs} | {run.end_s for run in runs}
    inside = sorted(edge for edge in edges if 0.0 <= edge < horizon_s)
    between = [(a + b) / 2 for a, b in zip(inside, [*inside[1:], horizon_s], strict=True)]
    return sorted({*inside, *between})


def excesses(problem: Problem, plan: Plan) -> Iterator[str]:
    """A line for everything that is used beyond its limit at some moment, or paid beyond it."""
    runs = runs_of(problem, plan)
    for at_s in moments(problem, runs):
        t = next(t for t, slot in enumerate(problem.slots) if slot.start_s <= at_s < slot.end_s)
        live = [run for run in runs if run.start_s <= at_s < run.end_s]
        yield from _units(problem, live, at_s, t)
        yield from _power(problem, live, at_s, t)
    yield from _money(problem, runs)


def _units(problem: Problem, live: list[Run], at_s: float, t: int) -> Iterator[str]:
    used = Counter[str]()
    for run in live:
        used[run.placement.pool_id] += run.placement.units
    for pool in problem.pools:
        free = max(0, pool.units_free[t])
        if used[pool.id] > free:
            yield f"{pool.id} at {at_s:.1f} s: {used[pool.id]} units of {free}"


def _power(problem: Problem, live: list[Run], at_s: float, t: int) -> Iterator[str]:
    watts: defaultdict[str, float] = defaultdict(float)
    busy_w = {pool.id: max(0.0, pool.busy_extra_w) for pool in problem.pools}
    for run in live:
        watts[run.placement.site_id] += run.placement.units * busy_w[run.placement.pool_id]
    for site in problem.sites:
        if not watts[site.id]:
            continue
        drawn_w = interpolated(site.facility_w[t], site.it_base_w[t] + watts[site.id])
        if drawn_w > site.power_w_max[t] * (1 + 1e-9) + 0.02:
            yield f"{site.id} at {at_s:.1f} s: {drawn_w:.0f} W of {site.power_w_max[t]:.0f} W"


def interpolated(points: tuple[tuple[float, float], ...], it_w: float) -> float:
    """Facility power by following the line from point to point, on beyond the last one."""
    at = 0
    while at < len(points) - 2 and points[at + 1][0] <= it_w:
        at += 1
    (x0, y0), (x1, y1) = points[at], points[at + 1]
    return y0 + (it_w - x0) * (y1 - y0) / (x1 - x0)


def _money(problem: Problem, runs: list[Run]) -> Iterator[str]:
    drawn, cash = Counter[str](), Counter[str]()
    lots = {lot.id: lot for lot in problem.lots}
    for run in runs:
        cash[run.tenant_id] += run.placement.cash_fen
        drawn.update(run.placement.lots)
        for lot_id, amount in run.placement.lots.items():
            yield from _paid(lots[lot_id], run, amount)
    for lot_id, amount in drawn.items():
        if amount > lots[lot_id].available_fen:
            yield f"{lot_id}: {amount} fen of {lots[lot_id].available_fen}"
    for tenant, amount in cash.items():
        if amount > max(0, problem.cash_fen.get(tenant, 0)):
            yield f"{tenant}: {amount} fen of {problem.cash_fen.get(tenant, 0)} in cash"


def _paid(lot: LotSpec, run: Run, amount: int) -> Iterator[str]:
    if amount > Fraction(lot.ratio_num, lot.ratio_den) * run.placement.price_fen_max:
        yield f"{lot.id} pays {amount} of {run.placement.price_fen_max} fen"
    if lot.tenant_id != run.tenant_id or run.start_s >= lot.expires_s:
        yield f"{lot.id} pays for {run.placement.job_id}, which is not its to pay"
