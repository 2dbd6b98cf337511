"""The rows of the reference scenario's table: what each plan may use, and the plan."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.scenario_day import SLOT_S, SLOTS, WEST, Day
from optimizer.assembly import Verdict, assemble
from optimizer.certificate import Evidence
from optimizer.columns import columns_of
from optimizer.deadline import Deadline
from optimizer.dispatch import settle
from optimizer.instance import instance_of
from optimizer.occupancy import empty_occupancy
from optimizer.planner import plan
from optimizer.problem import Family, JobSpec, PoolSpec, Problem
from optimizer.seating import seat
from optimizer.switches import in_force
from suanwang.model.plan import Plan, PlannerKind, PlanStep, Proof

SLEEP: Final = Family.SLEEP
PEAK: Final = Family.PEAK
STORAGE: Final = Family.STORAGE


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its name, and the plan with the problem that it was made for."""

    name: str
    problem: Problem
    plan: Plan


@dataclass(frozen=True, slots=True)
class Home:
    """Where and when a job runs if it starts as soon as it can at the first place with room."""

    site_id: str
    pool_id: str
    slot: int


def homes_of(problem: Problem) -> dict[str, Home]:
    """Return the home of every job: first come, first served, sites in the order of the city.

    A site in the west is the last choice. A job that finds no room anywhere waits half an hour.
    """
    pools = sorted(problem.pools, key=lambda pool: pool.site_id == WEST)
    free = {pool.id: list(pool.units_free) for pool in problem.pools}
    homes: dict[str, Home] = {}
    for job in sorted(problem.jobs, key=lambda one: (one.earliest_s, one.id)):
        homes[job.id] = _home(problem, job, pools, free)
    return homes


def _home(
    problem: Problem, job: JobSpec, pools: list[PoolSpec], free: dict[str, list[int]]
) -> Home:
    first = -int(-job.earliest_s // SLOT_S)
    length = -int(-job.run_s // SLOT_S)
    for slot in range(first, SLOTS - length + 1):
        for pool in pools:
            window = free[pool.id][slot : slot + length]
            if _may(problem, job, pool) and min(window) >= job.units:
                for t in range(slot, slot + length):
                    free[pool.id][t] -= job.units
                return Home(pool.site_id, pool.id, slot)
    raise AssertionError(f"job {job.id} finds no room in the whole day")


def _may(problem: Problem, job: JobSpec, pool: PoolSpec) -> bool:
    site = next(one for one in problem.sites if one.id == pool.site_id)
    is_home = bool(job.data_home) and job.data_home in site.data_homes
    rtt_ms = problem.rtt_ms.get((job.origin, site.id), float("inf"))
    return (
        pool.accelerator in job.accelerators
        and (not job.domestic_only or pool.is_domestic)
        and (is_home or job.data_class in site.accepts)
        and (job.latency_ms_max is None or rtt_ms <= job.latency_ms_max)
    )


def at_once(problem: Problem, homes: Mapping[str, Home]) -> Plan:
    """Return the plan of the homes, with the energy schedule that it then has."""
    instance = instance_of(in_force(problem))
    columns = columns_of(instance)
    state = empty_occupancy(instance, columns)
    pool_at = {pool.id: p for p, pool in enumerate(instance.pools)}
    for k, klass in enumerate(instance.classes):
        own = columns.of_class(k)
        wanted = sorted((homes[job.id].slot, homes[job.id].pool_id) for job in klass.members)
        for slot, pool_id in wanted:
            is_it = (columns.slot[own] == slot) & (columns.pool[own] == pool_at[pool_id])
            (found,) = is_it.nonzero()
            if state.place(own.start + int(found[0]), 1) != 1:
                raise AssertionError("a job has room at home, that is what home means")
    seat(state, lambda: None)
    verdict = Verdict(
        planner=PlannerKind.GREEDY,
        solver="at once",
        build_s=0.0,
        solve_s=0.0,
        evidence=Evidence(step=PlanStep.GREEDY, proof=Proof.NONE),
    )
    return assemble(state, verdict, settle(state, Deadline(problem.policy.time_limit_s)))


def rows_of(day: Day, homes: Mapping[str, Home], names: Iterable[str]) -> Iterable[Row]:
    """Yield the rows of the table that are named, each planned anew."""
    for name in names:
        problem = _problem_of(day.problem, homes, name)
        made = at_once(problem, homes) if name.startswith("at once") else plan(problem)
        if len(made.starts) + len(made.later) != len(problem.jobs):
            raise AssertionError(
                f"row {name} leaves jobs out, so it does less work than the others"
            )
        yield Row(name, problem, made)


NAMES: Final = (
    "at once at home",
    "time shift only",
    "city sites",
    "all sites, peak ignored",
    "all sites, peak planned",
    "at once, idle asleep",
    "all sites, idle asleep",
    "all sites, asleep, battery",
)
"""The rows of the table, in its order; the last one is ours."""


def _problem_of(problem: Problem, homes: Mapping[str, Home], name: str) -> Problem:
    off = {*problem.policy.families_off, SLEEP}
    if "asleep" in name:
        off.remove(SLEEP)
    if "battery" in name:
        off.remove(STORAGE)
    if "ignored" in name:
        off.add(PEAK)
    city = frozenset(site.id for site in problem.sites if site.id != WEST)
    jobs = problem.jobs
    if name == "time shift only":
        jobs = tuple(replace(job, sites=frozenset({homes[job.id].site_id})) for job in jobs)
    if name == "city sites":
        jobs = tuple(replace(job, sites=city | {homes[job.id].site_id}) for job in jobs)
    policy = replace(problem.policy, families_off=frozenset(off))
    return replace(problem, jobs=jobs, policy=policy)
