"""Every family of limits binds where it should, and can be switched off."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from problem_builders import ORIGIN, a_battery, a_job, a_lot, a_pool, a_problem, a_site, a_sleep

from optimizer.planner import plan
from optimizer.problem import (
    After,
    Family,
    PeakSpec,
    Problem,
    Promise,
    ReservationSpec,
    RunningAt,
    Shape,
)
from suanwang.energy.grid import GridEvent
from suanwang.model.plan import Plan
from suanwang.model.site import DataClass


def _power() -> Problem:
    return a_problem(jobs=[a_job()], sites=[a_site(power_w_max=(100.0,) * 4)])


def _money() -> Problem:
    return a_problem(jobs=[a_job()], cash_fen={"acme": 999})


def _latency() -> Problem:
    far = a_job(origin="far", latency_ms_max=5.0)
    return a_problem(jobs=[far], rtt_ms={("far", "near"): 9.0})


def _data() -> Problem:
    closed = a_site(accepts=frozenset({DataClass.GENERAL}))
    return a_problem(jobs=[a_job(data_class=DataClass.GOVERNMENT)], sites=[closed])


def _deadline() -> Problem:
    return a_problem(jobs=[a_job(deadline_s=1_800.0)], pools=[a_pool()])


def _elastic() -> Problem:
    narrow = a_job(units=8, run_s=3_600.0, shapes=(Shape(2, 7_200.0),))
    return a_problem(jobs=[narrow], pools=[a_pool(units=8, units_free=(2,) * 4)])


def _reservation() -> Problem:
    others = ReservationSpec(
        id="r", pool_id="near-gpu", units=8, from_s=0.0, until_s=1e6, tenants=frozenset({"other"})
    )
    return a_problem(jobs=[a_job()], reservations=(others,))


def _after() -> Problem:
    unknown = After(job_id="elsewhere")
    return a_problem(jobs=[a_job(after=(unknown,))])


def _asleep() -> Problem:
    pool = a_pool(sleep=a_sleep(awake_now=0, wake_s=7_200.0))
    return a_problem(jobs=[a_job(deadline_s=5_400.0)], pools=[pool])


def _dear_peak() -> Problem:
    site = a_site(peak=PeakSpec(so_far_w=0.0, yuan_per_kw=1e4))
    return a_problem(jobs=[a_job()], sites=[site])


def _promise() -> Problem:
    whole = GridEvent(id="e", start=ORIGIN, end=ORIGIN + timedelta(hours=4), firm_w=1_000.0)
    return a_problem(jobs=[a_job()], sites=[a_site(events=(whole,))])


def _helped_by_a_battery() -> Problem:
    """A site that promised a kilowatt can keep it beside a job only with power of its own."""
    (site,) = _promise().sites
    return a_problem(jobs=[a_job()], sites=[replace(site, battery=a_battery())])


def _helped_by_the_sun() -> Problem:
    (site,) = _promise().sites
    return a_problem(jobs=[a_job()], sites=[replace(site, solar_w=(600.0,) * 4)])


_BINDING = {
    Family.POWER: _power,
    Family.MONEY: _money,
    Family.LATENCY: _latency,
    Family.DATA: _data,
    Family.DEADLINE: _deadline,
    Family.RESERVATION: _reservation,
    Family.AFTER: _after,
    Family.SLEEP: _asleep,
    Family.PEAK: _dear_peak,
    Family.EVENTS: _promise,
}
_GIVING = {
    Family.ELASTIC: _elastic,
    Family.STORAGE: _helped_by_a_battery,
    Family.SOLAR: _helped_by_the_sun,
}
"""Families that allow something: switched off, the job has no place."""


def _fairness() -> Problem:
    """Two long jobs of one tenant fill the pool, unless the other is due its half."""
    wide = [a_job(f"a{at}", units=4, run_s=3_600.0, deadline_s=3_600.0) for at in range(2)]
    dear = [
        a_job(f"b{at}", tenant_id="other", units=4, run_s=1_800.0, deadline_s=3_600.0)
        for at in range(2)
    ]
    cash = {"acme": 1_000_000, "other": 1_000_000}
    busy_later = a_pool(units_free=(8, 0, 0, 0))
    problem = a_problem(jobs=[*wide, *dear], pools=[busy_later], cash_fen=cash)
    return replace(problem, policy=replace(problem.policy, unfair_yuan_per_unit_hour=5_000.0))


def _expiry() -> Problem:
    """The afternoon is cheaper, but the voucher ends before it."""
    site = a_site(price_uyuan_per_kwh=(600_000, 600_000, 500_000, 500_000))
    lot = a_lot(expires_s=3_600.0)
    problem = a_problem(jobs=[a_job()], sites=[site], lots=(lot,))
    return replace(problem, policy=replace(problem.policy, waiting_yuan_per_unit_hour=0.0))


def _moves() -> Problem:
    running = RunningAt(pool_id="near-gpu", checkpoint_s=60.0, may_move=True)
    cheap = a_pool("far", price_uyuan_per_unit_hour=1_000_000)
    return a_problem(
        jobs=[a_job(running=running)], sites=[a_site(), a_site("far")], pools=[a_pool(), cheap]
    )


def _stability() -> Problem:
    """The other site is cheaper by a little, but the user was told this one."""
    told = Promise(pool_id="near-gpu", start_s=3_600.0)
    far = a_pool("far", price_uyuan_per_unit_hour=9_800_000)
    job = a_job(promised=told, earliest_s=3_600.0)
    return a_problem(jobs=[job], sites=[a_site(), a_site("far")], pools=[a_pool(), far])


_WEIGHING = {
    Family.MOVES: _moves,
    Family.STABILITY: _stability,
    Family.FAIRNESS: _fairness,
    Family.EXPIRY: _expiry,
}
"""Families that put a price on something: switched off, another plan is best."""


def _shape(made: Plan) -> list[tuple[str, str, datetime]]:
    every = (*made.starts, *made.later, *made.kept, *made.moves)
    return sorted((one.job_id, one.pool_id, one.start) for one in every)


def _placed(made: Plan) -> int:
    return len(made.starts) + len(made.later)


@pytest.mark.parametrize("family", list(_BINDING))
def test_a_family_keeps_a_job_out_until_it_is_switched_off(family: Family) -> None:
    problem = _BINDING[family]()
    assert _placed(plan(problem)) == 0
    policy = replace(problem.policy, families_off=frozenset({family}))
    assert _placed(plan(replace(problem, policy=policy))) == 1


@pytest.mark.parametrize("family", list(_GIVING))
def test_a_family_gives_a_job_its_place_until_it_is_switched_off(family: Family) -> None:
    problem = _GIVING[family]()
    assert _placed(plan(problem)) == 1
    policy = replace(problem.policy, families_off=frozenset({family}))
    assert _placed(plan(replace(problem, policy=policy))) == 0


@pytest.mark.parametrize("family", list(_WEIGHING))
def test_a_family_changes_the_best_plan_until_it_is_switched_off(family: Family) -> None:
    problem = _WEIGHING[family]()
    policy = replace(problem.policy, families_off=frozenset({family}))
    assert _shape(plan(problem)) != _shape(plan(replace(problem, policy=policy)))


def test_every_family_has_a_problem_in_which_it_binds() -> None:
    assert {*_BINDING, *_GIVING, *_WEIGHING} == set(Family)
