"""The reference world as one day of problems: the same jobs, of which plans may use more or less.

The day begins at eight in the morning, when people come to work, and ends at eight: every job of
the world then fits into it, so that all rows of the table do the same work.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from optimizer.check_lines import facility_w
from optimizer.problem import Family, JobSpec, Policy, PoolSpec, Problem
from scheduler.problem import Money, build_problem
from suanwang.energy.bill import bill_of
from suanwang.energy.catalogue import EnergyCatalogue, load_catalogue
from suanwang.energy.demand import EnergyUse
from suanwang.model.energy_plan import SiteEnergy
from suanwang.model.plan import Placement, Plan
from suanwang.scenario.load import load_world
from suanwang.scenario.network import network_of
from suanwang.scenario.packaged import world_path
from suanwang.scenario.world import World

SLOTS: Final = 48
SLOT_S: Final = 1_800
DAY_S: Final = SLOTS * SLOT_S
BEGINS_AT_H: Final = 8
LEFT_OUT_SITES: Final = frozenset({"edge-port"})
LEFT_OUT_CLASSES: Final = frozenset({"port-video-inference", "ocean-forecast"})
"""What the experiment of the table left out as well: edge, port video and ocean jobs."""
WEST: Final = "zhongwei-hub"


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the world: its problem with all energy data, and what bills need."""

    world: World
    catalogue: EnergyCatalogue
    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A row of the table: CNY and kWh of the day, PUE, tonnes of CO2, wakes."""

    yuan: float
    demand_yuan: float
    kwh: float
    pue: float
    carbon_t: float
    wakes: int


def day_of(month: int, *, idle_share: float = 1.0, time_limit_s: float = 60.0) -> Day:
    """Return the world's day in a month of its year; ``idle_share`` scales idle power of units."""
    catalogue = load_catalogue()
    world = _moved(load_world(world_path("qingdao"), catalogue), month, idle_share)
    policy = Policy(
        carbon_yuan_per_kg=0.0,
        latency_yuan_per_ms=0.0,
        waiting_yuan_per_unit_hour=0.0,
        user_price_weight=0.0,
        time_limit_s=time_limit_s,
        mip_time_s=0.0,
        families_off=frozenset({Family.MONEY, Family.STORAGE}),
    )
    jobs = [job for job in world.jobs if world.job_class[job.id] not in LEFT_OUT_CLASSES]
    network = network_of(world, catalogue, with_energy=True)
    problem = build_problem(network, jobs, Money(), catalogue, policy, (SLOT_S,) * SLOTS)
    return Day(world, catalogue, replace(problem, jobs=tuple(_in_day(j) for j in problem.jobs)))


def bill_of_plan(day: Day, problem: Problem, plan: Plan) -> Bill:
    """Return what a plan costs at the meters, whatever it was planned for."""
    schedules = {one.site_id: one for one in plan.energy}
    loads = _loads(problem, (*plan.starts, *plan.later))
    yuan = demand_yuan = kwh = it_kwh = carbon_t = 0.0
    for site in day.world.sites:
        schedule = schedules.get(site.id)
        it_w, power_w, peak_w = _powers(problem, site.id, loads, schedule)
        hours = SLOT_S / 3_600
        begins = [problem.origin + timedelta(seconds=t * SLOT_S) for t in range(SLOTS)]
        uses = [
            EnergyUse(
                start=at,
                end=at + timedelta(seconds=SLOT_S),
                energy_wh=round(mean * hours),
                peak_w=peak,
            )
            for at, mean, peak in zip(begins, power_w, peak_w, strict=True)
        ]
        versions = day.catalogue.tariff_versions(site.tariff_id)
        bill = bill_of(versions, site.voltage, site.demand_terms, uses)
        energy_kwh = sum(power_w) * hours / 1_000
        factor = day.catalogue.carbon.factor(site.carbon_region, problem.origin.year)
        yuan += bill.total_fen / 100
        demand_yuan += bill.demand_fen / 100
        kwh += energy_kwh
        it_kwh += sum(it_w) * hours / 1_000
        carbon_t += energy_kwh * factor.g_per_kwh / 1e6
    return Bill(
        yuan=yuan,
        demand_yuan=demand_yuan,
        kwh=kwh,
        pue=kwh / it_kwh,
        carbon_t=carbon_t,
        wakes=sum(one.wakes for one in plan.energy),
    )


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _moved(world: World, month: int, idle_share: float) -> World:
    """The world without what is left out, in another month, from eight in the morning."""
    local = world.start.astimezone(_zone(world.timezone))
    begin = datetime(local.year, month, local.day, BEGINS_AT_H, tzinfo=_zone(world.timezone))
    offset = begin - local - timedelta(hours=BEGINS_AT_H)
    jobs = []
    for job in world.jobs:
        wishes = job.wishes
        earliest, deadline = wishes.earliest_start, wishes.deadline
        moved = replace(
            wishes,
            earliest_start=None if earliest is None else earliest + offset,
            deadline=None if deadline is None else deadline + offset,
        )
        jobs.append(replace(job, wishes=moved, submitted_at=job.submitted_at + offset))
    sites = tuple(
        replace(
            site,
            pools=tuple(
                replace(pool, power_w_idle=idle_share * pool.power_w_idle) for pool in site.pools
            ),
        )
        for site in world.sites
        if site.id not in LEFT_OUT_SITES
    )
    start = begin.astimezone(world.start.tzinfo)
    lengths = (SLOT_S,) * SLOTS
    return replace(world, start=start, sites=sites, jobs=tuple(jobs), slot_lengths_s=lengths)


def _in_day(job: JobSpec) -> JobSpec:
    """The job within the day: serving, which begins at midnight in the world, lasts all of it."""
    earliest_s = min(max(0.0, job.earliest_s), DAY_S - SLOT_S)
    run_s = min(job.run_s, DAY_S)
    earliest_s = min(earliest_s, DAY_S - run_s)
    deadline_s = DAY_S if job.deadline_s is None else min(job.deadline_s, DAY_S)
    if job.run_s >= DAY_S:
        deadline_s = float(DAY_S)
    return replace(job, earliest_s=earliest_s, run_s=run_s, deadline_s=float(deadline_s))


@dataclass(frozen=True, slots=True)
class _Loads:
    """IT power of jobs by site and slot, mean and highest."""

    mean_w: Mapping[tuple[str, int], float]
    high_w: Mapping[tuple[str, int], float]


def _loads(problem: Problem, placements: tuple[Placement, ...]) -> _Loads:
    pools: dict[str, PoolSpec] = {pool.id: pool for pool in problem.pools}
    runs_s = {job.id: job.run_s for job in problem.jobs}
    mean_w: dict[tuple[str, int], float] = {}
    high_w: dict[tuple[str, int], float] = {}
    for one in placements:
        pool = pools[one.pool_id]
        begin_s = (one.start - problem.origin).total_seconds()
        end_s = begin_s + runs_s[one.job_id]
        watts = one.units * pool.busy_extra_w
        for t in range(int(begin_s // SLOT_S), min(SLOTS, -int(-end_s // SLOT_S))):
            share = (min(end_s, (t + 1) * SLOT_S) - max(begin_s, t * SLOT_S)) / SLOT_S
            key = (pool.site_id, t)
            mean_w[key] = mean_w.get(key, 0.0) + watts * share
            high_w[key] = high_w.get(key, 0.0) + watts
    return _Loads(mean_w, high_w)


def _powers(
    problem: Problem, site_id: str, loads: _Loads, schedule: SiteEnergy | None
) -> tuple[list[float], list[float], list[float]]:
    """Mean IT power, mean power from the grid, highest power from the grid, by slot."""
    site = next(one for one in problem.sites if one.id == site_id)
    it_w = [site.it_base_w[t] + loads.mean_w.get((site_id, t), 0.0) for t in range(SLOTS)]
    if schedule is not None:
        it_w = [schedule.it_wh / (DAY_S / 3_600)] * SLOTS
        grid_w = [slot.grid_w for slot in schedule.slots]
        return it_w, grid_w, [max(slot.draw_w, slot.grid_w) for slot in schedule.slots]
    high_w = [site.it_base_w[t] + loads.high_w.get((site_id, t), 0.0) for t in range(SLOTS)]
    return (
        it_w,
        [facility_w(site.facility_w[t], watts) for t, watts in enumerate(it_w)],
        [facility_w(site.facility_w[t], watts) for t, watts in enumerate(high_w)],
    )
