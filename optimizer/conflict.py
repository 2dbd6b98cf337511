"""Why a job (or all of them) cannot be placed: the fewest demands that contradict each other.

A demand is a wish of the job or a limit of the network that can be dropped in the data. By trying
(a deletion filter) we find demands that together leave no place while each of them, dropped, would.
Then the smallest sets of demands whose dropping gives a place in the problem as it is, with what
that place would be: what to ask for instead. Every statement is a solved problem, so a test can
solve it again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations
from types import MappingProxyType
from typing import Final

import numpy as np

from optimizer.certificate import lagrangian_bound
from optimizer.columns import columns_of
from optimizer.direct_route import solve_direct
from optimizer.formulation import formulate
from optimizer.greedy import plan_greedy
from optimizer.instance import instance_of
from optimizer.problem import After, Problem
from optimizer.solution import Limits
from suanwang.model.plan import Placement, ReasonCode
from suanwang.model.site import DataClass

REMEDY_DEMANDS_MAX: Final = 3
"""Most demands that are dropped together to find a place for one job."""
_ENOUGH_FEN: Final = 10**15
_ENOUGH_W: Final = 1e15
_ANY_COST_YUAN: Final = 1e9
"""Price of leaving a unit-hour out at which no place is too dear."""
_LEFT_MIN: Final = 1e-6
"""Jobs left out, by our bound, from which not all can be served even in fractions."""


class Demand(StrEnum):
    """What can stand between a job and a place; the network's limits first, then the wishes."""

    OPEN = "open"
    POWER = "power"
    RESERVATION = "reservation"
    CAPACITY = "capacity"
    SIZE = "size"
    MONEY = "money"
    RETRY = "retry"
    AFTER = "after"
    CASH_LIMIT = "cash-limit"
    EARLIEST = "earliest"
    DEADLINE = "deadline"
    SITES = "sites"
    DATA = "data"
    ACCELERATOR = "accelerator"
    DOMESTIC = "domestic"
    LATENCY = "latency"


CODES: Final[Mapping[Demand, ReasonCode]] = MappingProxyType(
    {
        Demand.OPEN: ReasonCode.SITE_DOWN,
        Demand.POWER: ReasonCode.SITE_POWER,
        Demand.RESERVATION: ReasonCode.RESERVED,
        Demand.CAPACITY: ReasonCode.CAPACITY,
        Demand.SIZE: ReasonCode.TOO_LARGE,
        Demand.MONEY: ReasonCode.VOUCHER,
        Demand.RETRY: ReasonCode.RETRY_ELSEWHERE,
        Demand.AFTER: ReasonCode.WAITS_FOR,
        Demand.CASH_LIMIT: ReasonCode.CASH_BUDGET,
        Demand.EARLIEST: ReasonCode.NOT_YET,
        Demand.DEADLINE: ReasonCode.DEADLINE,
        Demand.SITES: ReasonCode.SITE_NOT_ASKED,
        Demand.DATA: ReasonCode.DATA_LAW,
        Demand.ACCELERATOR: ReasonCode.ACCELERATOR,
        Demand.DOMESTIC: ReasonCode.DOMESTIC_ONLY,
        Demand.LATENCY: ReasonCode.LATENCY,
    }
)
"""The reason code of a place that fails a demand."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """Demands that, dropped together, give a place; ``placement`` is it, for a single job."""

    dropped: tuple[Demand, ...]
    placement: Placement | None


@dataclass(frozen=True, slots=True)
class Conflict:
    """Demands that contradict each other, none of them to spare, and the ways out.

    ``demands`` is empty where there is no pool at all. ``remedies`` are all of the least size.
    ``problem`` is what was solved: of one job, beside what others take.
    """

    demands: tuple[Demand, ...]
    remedies: tuple[Remedy, ...]
    problem: Problem


def conflict_of(problem: Problem, job_id: str, others: Sequence[Placement] = ()) -> Conflict | None:
    """Return why a job of the problem has no place beside ``others``; None where it has one.

    ``others`` are the placements that keep what they take: of a plan, all but the job's own.
    """
    own = _alone(problem, job_id)
    beside = _beside(own, problem, [one for one in others if one.job_id != job_id])
    if _placed(beside) is not None:
        return None
    active = _active(beside)
    demands = _minimal(beside, active, lambda tried: _placed(tried) is not None)
    remedies = _remedies(beside, active)
    return Conflict(demands, remedies, beside)


def conflict_of_all(problem: Problem) -> Conflict | None:
    """Return why not all jobs can be placed, even in fractions; None where they can.

    Proved by our own bound of the fewest jobs left out. Jobs that fit in fractions and not whole
    have no conflict here: their pools are too narrow for their widths.
    """
    if _all_fit(problem):
        return None
    active = _active(problem)
    demands = _minimal(problem, active, _all_fit)
    ways = [(one,) for one in active if _all_fit(without(problem, (one,)))]
    return Conflict(demands, tuple(Remedy(way, None) for way in ways), problem)


# --- The search ---------------------------------------------------------------------------------


def _active(problem: Problem) -> tuple[Demand, ...]:
    """Demands that the problem makes at all."""
    return tuple(demand for demand in Demand if _WITHOUT[demand](problem) != problem)


def _minimal(
    problem: Problem, active: tuple[Demand, ...], fits: Callable[[Problem], bool]
) -> tuple[Demand, ...]:
    """Drop one demand after the other as long as nothing fits: what is left is the conflict.

    The network's limits are tried first, so that they are only blamed where the wishes alone are
    not enough.
    """
    tried, kept = problem, list(active)
    for demand in active:
        looser = _WITHOUT[demand](tried)
        if not fits(looser):
            tried = looser
            kept.remove(demand)
    return tuple(kept) if fits(without(tried, kept)) else ()


def _remedies(problem: Problem, active: tuple[Demand, ...]) -> tuple[Remedy, ...]:
    """The smallest sets of demands without which there is a place: all of the least size."""
    for size in range(1, REMEDY_DEMANDS_MAX + 1):
        found: list[Remedy] = []
        for dropped in combinations(active, size):
            placement = _placed(without(problem, dropped))
            if placement is not None:
                found.append(Remedy(dropped, placement))
        if found:
            return tuple(found)
    return ()


def _placed(problem: Problem) -> Placement | None:
    """The cheapest place of the problem's one job; exact, since it is alone."""
    made = plan_greedy(problem)
    return next(iter((*made.starts, *made.later)), None)


def _all_fit(problem: Problem) -> bool:
    """Whether all jobs can be served in fractions: the fewest left out, by our own bound."""
    instance = instance_of(problem)
    columns = columns_of(instance)
    if len({int(k) for k in columns.klass}) < len(instance.classes):
        return False
    model = formulate(instance, columns).model
    if model.layout is None:
        raise AssertionError("a formulated model says where its starts are")
    cost = np.zeros(model.columns)
    cost[model.layout.left.where] = 1.0
    fewest = replace(model.relaxed(), cost=cost)
    answer = solve_direct(fewest, Limits(gap=1e-9))
    return lagrangian_bound(fewest, answer.duals) <= _LEFT_MIN


# --- One job beside others ----------------------------------------------------------------------


def _alone(problem: Problem, job_id: str) -> Problem:
    """The problem of one job, which no price keeps from a place."""
    jobs = tuple(job for job in problem.jobs if job.id == job_id)
    if not jobs:
        raise KeyError(job_id)
    policy = replace(problem.policy, unserved_yuan_per_unit_hour=_ANY_COST_YUAN, time_limit_s=60.0)
    return replace(problem, jobs=jobs, policy=policy)


def _beside(own: Problem, problem: Problem, others: Sequence[Placement]) -> Problem:
    """The same with what other placements take gone: units, power, money."""
    runs_s = {(job.id, shape.units): shape.run_s for job in problem.jobs for shape in job.options}
    units = {pool.id: list(pool.units_free) for pool in own.pools}
    base_w = {site.id: list(site.it_base_w) for site in own.sites}
    cash, lots = dict(own.cash_fen), {lot.id: lot.available_fen for lot in own.lots}
    tenants = {job.id: job.tenant_id for job in problem.jobs}
    ends: dict[str, tuple[float, str]] = {}
    busy_w = {pool.id: max(0.0, pool.busy_extra_w) for pool in own.pools}
    for one in others:
        start_s = (one.start - own.origin).total_seconds()
        end_s = start_s + runs_s[one.job_id, one.units]
        for t, slot in enumerate(own.slots):
            if slot.end_s > start_s and slot.start_s < end_s:
                units[one.pool_id][t] -= one.units
                base_w[one.site_id][t] += one.units * busy_w[one.pool_id]
        ends[one.job_id] = (end_s, one.site_id)
        tenant = tenants[one.job_id]
        cash[tenant] = cash.get(tenant, 0) - one.cash_fen
        for lot_id, amount in one.lots.items():
            lots[lot_id] -= amount
    return replace(
        own,
        jobs=tuple(replace(job, after=_known(job.after, ends)) for job in own.jobs),
        pools=tuple(replace(pool, units_free=tuple(units[pool.id])) for pool in own.pools),
        sites=tuple(replace(site, it_base_w=tuple(base_w[site.id])) for site in own.sites),
        cash_fen=cash,
        lots=tuple(replace(lot, available_fen=lots[lot.id]) for lot in own.lots),
    )


def _known(after: tuple[After, ...], ends: Mapping[str, tuple[float, str]]) -> tuple[After, ...]:
    """The same with the ends and sites of those that are placed."""
    return tuple(
        replace(one, end_s=ends[one.job_id][0], site_id=ends[one.job_id][1])
        if one.job_id in ends
        else one
        for one in after
    )


# --- Dropping a demand --------------------------------------------------------------------------


def without(problem: Problem, demands: Sequence[Demand]) -> Problem:
    """Return the problem without demands."""
    for demand in demands:
        problem = _WITHOUT[demand](problem)
    return problem


def _jobs(problem: Problem, **changes: object) -> Problem:
    return replace(
        problem,
        jobs=tuple(replace(job, **changes) for job in problem.jobs),  # type: ignore[arg-type]  # fields of JobSpec
    )


def _sites(problem: Problem, **changes: object) -> Problem:
    return replace(
        problem,
        sites=tuple(replace(site, **changes) for site in problem.sites),  # type: ignore[arg-type]  # fields of SiteSpec
    )


def _without_capacity(problem: Problem) -> Problem:
    """Room for all jobs at once, whatever runs."""
    asked = sum(max(shape.units for shape in job.options) for job in problem.jobs)
    return replace(
        problem,
        pools=tuple(
            replace(pool, units_free=tuple(max(free, asked) for free in pool.units_free))
            for pool in problem.pools
        ),
    )


def _without_size(problem: Problem) -> Problem:
    """Pools that are as wide as the widest job; what runs in them goes on."""
    widest = max((job.units for job in problem.jobs), default=0)
    return replace(
        problem,
        pools=tuple(
            replace(
                pool,
                units=max(pool.units, widest),
                units_free=tuple(free + max(0, widest - pool.units) for free in pool.units_free),
            )
            for pool in problem.pools
        ),
    )


def _without_data(problem: Problem) -> Problem:
    anywhere = _jobs(problem, data_class=DataClass.GENERAL, data_home="")
    if anywhere == problem:
        return problem
    return _sites(anywhere, accepts=frozenset(DataClass))


def _without_money(problem: Problem) -> Problem:
    return replace(problem, cash_fen={job.tenant_id: _ENOUGH_FEN for job in problem.jobs})


_WITHOUT: Final[Mapping[Demand, Callable[[Problem], Problem]]] = MappingProxyType(
    {
        Demand.OPEN: lambda problem: _sites(problem, is_open=True),
        Demand.POWER: lambda problem: _sites(
            problem, power_w_max=(_ENOUGH_W,) * len(problem.slots), events=()
        ),
        Demand.RESERVATION: lambda problem: replace(problem, reservations=()),
        Demand.CAPACITY: _without_capacity,
        Demand.SIZE: _without_size,
        Demand.MONEY: _without_money,
        Demand.RETRY: lambda problem: _jobs(problem, avoid={}),
        Demand.AFTER: lambda problem: _jobs(problem, after=()),
        Demand.CASH_LIMIT: lambda problem: _jobs(problem, cash_fen_max=None),
        Demand.EARLIEST: lambda problem: _jobs(problem, earliest_s=0.0),
        Demand.DEADLINE: lambda problem: _jobs(problem, deadline_s=None),
        Demand.SITES: lambda problem: _jobs(problem, sites=frozenset()),
        Demand.DATA: _without_data,
        Demand.ACCELERATOR: lambda problem: _jobs(problem, accelerators=frozenset()),
        Demand.DOMESTIC: lambda problem: _jobs(problem, domestic_only=False),
        Demand.LATENCY: lambda problem: _jobs(problem, latency_ms_max=None),
    }
)
