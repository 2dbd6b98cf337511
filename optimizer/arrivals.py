"""Between two solves: jobs that just came in, placed at the prices of the last one.

A job starts at once where its cheapest start at these prices is now, and is free by the exact
state: units, power and money as they are, less what the last plan means for jobs that wait. Any
other job waits for the next solve. Networks with reservations, fair shares, sleeping nodes or
energy data, and jobs that come after others or may move, always wait for it: their prices hang on
more than a start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from optimizer.arrays import Floats
from optimizer.assembly import Verdict, assemble
from optimizer.certificate import Evidence
from optimizer.check import violations
from optimizer.columns import Columns, columns_of
from optimizer.deadline import Deadline
from optimizer.dispatch import settle
from optimizer.greedy import fill
from optimizer.instance import Instance, instance_of
from optimizer.occupancy import empty_occupancy
from optimizer.problem import LotSpec, PoolSpec, Problem, SiteSpec, Slot
from optimizer.quote import is_of
from optimizer.reduced import reduced_costs, tariff_of
from optimizer.switches import in_force
from suanwang.model.plan import Placement, Plan, PlannerKind, PlanStep
from suanwang.model.prices import PriceBoard

SOLVER: Final = "prices of the last plan"


@dataclass(frozen=True, slots=True)
class Meant:
    """What the last plan means for a job that waits; seconds from the origin of the problem."""

    placement: Placement
    tenant_id: str
    from_s: float
    until_s: float


def place_arrivals(problem: Problem, board: PriceBoard, meant: Sequence[Meant] = ()) -> Plan | None:
    """Return a plan with starts of the problem's jobs, or None where none of them can start so.

    Jobs that are not among its starts are neither planned nor refused: they wait for a solve.
    """
    spared = in_force(_without(problem, meant))
    instance = instance_of(spared)
    if not is_of(board, instance) or _is_tied(spared, instance):
        return None
    deadline = Deadline(problem.policy.time_limit_s)
    state = empty_occupancy(instance, columns_of(instance))
    costs = reduced_costs(instance, state.columns, tariff_of(board))
    fill(state, deadline, costs)
    verdict = Verdict(
        planner=PlannerKind.GREEDY,
        solver=SOLVER,
        build_s=0.0,
        solve_s=deadline.elapsed_s(),
        evidence=Evidence(step=PlanStep.GREEDY),
        note="between two solves, at the prices of the last one",
    )
    plan = assemble(state, verdict, settle(state, deadline))
    if violations(spared, plan):
        return None
    cheapest = _cheapest_now(instance, state.columns, costs)
    starts = tuple(one for one in plan.starts if (one.job_id, one.pool_id) in cheapest)
    return replace(plan, starts=starts, later=(), rejections=()) if starts else None


def _cheapest_now(instance: Instance, columns: Columns, costs: Floats) -> set[tuple[str, str]]:
    """Return (job, pool) of the jobs whose cheapest start at the prices is now."""
    found = set()
    for k, klass in enumerate(instance.classes):
        own = columns.of_class(k)
        if own.start == own.stop:
            continue
        at = own.start + int(np.argmin(costs[own]))
        if columns.slot[at] == 0 and costs[at] < klass.unserved_yuan:
            pool = instance.pools[columns.pool[at]].id
            found |= {(job.id, pool) for job in klass.members}
    return found


def _is_tied(problem: Problem, instance: Instance) -> bool:
    """Whether starts hang on more than units, power and money of their own."""
    return (
        bool(instance.reserved.count)
        or instance.fairness.is_on
        or instance.energy is not None
        or any(pool.sleep is not None for pool in problem.pools)
        or any(job.after or job.running is not None for job in problem.jobs)
    )


def _without(problem: Problem, meant: Sequence[Meant]) -> Problem:
    """The problem without what the meant take of units, power and money."""
    if not meant:
        return problem
    return replace(
        problem,
        pools=tuple(_less_units(problem, pool, meant) for pool in problem.pools),
        sites=tuple(_more_power(problem, site, meant) for site in problem.sites),
        lots=tuple(_less_money(lot, meant) for lot in problem.lots),
        cash_fen={
            tenant: max(0, cash - sum(o.placement.cash_fen for o in meant if o.tenant_id == tenant))
            for tenant, cash in problem.cash_fen.items()
        },
    )


def _less_units(problem: Problem, pool: PoolSpec, meant: Sequence[Meant]) -> PoolSpec:
    own = [one for one in meant if one.placement.pool_id == pool.id]
    if not own:
        return pool
    free = tuple(
        max(0, units - sum(one.placement.units for one in own if _touches(one, slot)))
        for units, slot in zip(pool.units_free, problem.slots, strict=True)
    )
    return replace(pool, units_free=free)


def _more_power(problem: Problem, site: SiteSpec, meant: Sequence[Meant]) -> SiteSpec:
    """Count the power of what is meant as drawn, in every slot that it touches."""
    watts = {pool.id: pool.busy_extra_w for pool in problem.pools if pool.site_id == site.id}
    own = [one for one in meant if one.placement.pool_id in watts]
    if not own:
        return site
    base = tuple(
        base_w
        + sum(
            one.placement.units * watts[one.placement.pool_id] for one in own if _touches(one, slot)
        )
        for base_w, slot in zip(site.it_base_w, problem.slots, strict=True)
    )
    return replace(site, it_base_w=base)


def _less_money(lot: LotSpec, meant: Sequence[Meant]) -> LotSpec:
    taken = sum(one.placement.lots.get(lot.id, 0) for one in meant)
    return replace(lot, available_fen=max(0, lot.available_fen - taken)) if taken else lot


def _touches(one: Meant, slot: Slot) -> bool:
    return one.from_s < slot.end_s and one.until_s > slot.start_s
