"""Families of limits, switched off in the data, so that model, state and check agree by nature."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from optimizer.problem import Family, JobSpec, Problem
from suanwang.model.site import DataClass

_ENOUGH_FEN: Final = 10**15
_ENOUGH_W: Final = 1e15


def in_force(problem: Problem) -> Problem:
    """Return the problem without the data of the families that its policy switches off."""
    for family in sorted(problem.policy.families_off):
        problem = _WITHOUT[family](problem)
    return problem


def _without_power(problem: Problem) -> Problem:
    unlimited = (_ENOUGH_W,) * len(problem.slots)
    return replace(
        problem, sites=tuple(replace(site, power_w_max=unlimited) for site in problem.sites)
    )


def _without_money(problem: Problem) -> Problem:
    tenants = {job.tenant_id for job in problem.jobs} | set(problem.cash_fen)
    return replace(
        problem,
        lots=(),
        cash_fen=dict.fromkeys(sorted(tenants), _ENOUGH_FEN),
        jobs=tuple(replace(job, cash_fen_max=None) for job in problem.jobs),
    )


def _without_latency(problem: Problem) -> Problem:
    return replace(problem, jobs=tuple(replace(job, latency_ms_max=None) for job in problem.jobs))


def _without_data(problem: Problem) -> Problem:
    return replace(
        problem,
        jobs=tuple(
            replace(job, data_class=DataClass.GENERAL, data_home="") for job in problem.jobs
        ),
        sites=tuple(replace(site, accepts=frozenset(DataClass)) for site in problem.sites),
    )


def _without_deadline(problem: Problem) -> Problem:
    return replace(
        problem, jobs=tuple(replace(job, earliest_s=0.0, deadline_s=None) for job in problem.jobs)
    )


def _without_elastic(problem: Problem) -> Problem:
    return replace(problem, jobs=tuple(replace(job, shapes=()) for job in problem.jobs))


def _without_reservation(problem: Problem) -> Problem:
    return replace(problem, reservations=())


def _without_after(problem: Problem) -> Problem:
    return replace(problem, jobs=tuple(replace(job, after=()) for job in problem.jobs))


def _without_sleep(problem: Problem) -> Problem:
    return replace(problem, pools=tuple(replace(pool, sleep=None) for pool in problem.pools))


def _without_storage(problem: Problem) -> Problem:
    return replace(problem, sites=tuple(replace(site, battery=None) for site in problem.sites))


def _without_solar(problem: Problem) -> Problem:
    return replace(problem, sites=tuple(replace(site, solar_w=()) for site in problem.sites))


def _without_peak(problem: Problem) -> Problem:
    return replace(problem, sites=tuple(replace(site, peak=None) for site in problem.sites))


def _without_events(problem: Problem) -> Problem:
    return replace(problem, sites=tuple(replace(site, events=()) for site in problem.sites))


def _without_fairness(problem: Problem) -> Problem:
    return replace(problem, policy=replace(problem.policy, unfair_yuan_per_unit_hour=0.0))


def _without_expiry(problem: Problem) -> Problem:
    return replace(problem, policy=replace(problem.policy, expiring_weight=0.0))


def _without_moves(problem: Problem) -> Problem:
    return replace(problem, jobs=tuple(_settled(job) for job in problem.jobs))


def _settled(job: JobSpec) -> JobSpec:
    if job.running is None:
        return job
    return replace(job, running=replace(job.running, may_move=False))


def _without_stability(problem: Problem) -> Problem:
    policy = replace(problem.policy, move_threshold_yuan=0.0, change_yuan=0.0)
    return replace(problem, policy=policy)


_WITHOUT: Final[Mapping[Family, Callable[[Problem], Problem]]] = MappingProxyType(
    {
        Family.POWER: _without_power,
        Family.MONEY: _without_money,
        Family.LATENCY: _without_latency,
        Family.DATA: _without_data,
        Family.DEADLINE: _without_deadline,
        Family.ELASTIC: _without_elastic,
        Family.RESERVATION: _without_reservation,
        Family.AFTER: _without_after,
        Family.FAIRNESS: _without_fairness,
        Family.EXPIRY: _without_expiry,
        Family.MOVES: _without_moves,
        Family.STABILITY: _without_stability,
        Family.SLEEP: _without_sleep,
        Family.STORAGE: _without_storage,
        Family.SOLAR: _without_solar,
        Family.PEAK: _without_peak,
        Family.EVENTS: _without_events,
    }
)
