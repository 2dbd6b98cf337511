"""The model says what the mathematics says: slots, marginal PUE, money, classes, bounds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problem_builders import a_job, a_lot, a_pool, a_problem, a_random_problem, a_site

from optimizer.certificate import lagrangian_bound, violation
from optimizer.classes import classify
from optimizer.columns import columns_of
from optimizer.direct_route import solve_direct
from optimizer.formulation import Formulation, formulate
from optimizer.instance import instance_of
from optimizer.problem import Policy, Problem, slots_of
from optimizer.solution import Limits
from optimizer.timeline import timeline_of

_EXACT = Limits(time_s=60.0, gap=1e-9)


def _formulation(problem: Problem) -> Formulation:
    instance = instance_of(problem)
    return formulate(instance, columns_of(instance))


def _relaxed_optimum(problem: Problem) -> float:
    return solve_direct(_formulation(problem).model.relaxed(), _EXACT).objective


def test_a_run_touches_every_slot_it_is_in_for_an_instant() -> None:
    span = timeline_of(slots_of((60.0, 240.0, 600.0))).span(90.0)
    assert span.last.tolist() == [1, 1, 2]
    assert span.last_share.tolist() == pytest.approx([30 / 240, 90 / 240, 90 / 600])
    assert span.tail_s.tolist() == [0.0, 0.0, 0.0]


def test_a_run_that_ends_with_a_slot_does_not_touch_the_next() -> None:
    span = timeline_of(slots_of((60.0, 240.0))).span(60.0)
    assert span.last.tolist() == [0, 1]
    assert span.last_share.tolist() == pytest.approx([1.0, 0.25])


def test_what_lies_beyond_the_horizon_is_the_tail() -> None:
    span = timeline_of(slots_of((60.0, 240.0))).span(400.0)
    assert span.tail_s.tolist() == [100.0, 160.0]
    assert span.last_share.tolist() == [1.0, 1.0]


def test_slots_with_a_gap_are_refused() -> None:
    first, second = slots_of((60.0, 60.0))
    with pytest.raises(ValueError, match="must join"):
        timeline_of((first, replace(second, start_s=70.0)))


def test_energy_is_paid_for_the_time_in_use_and_not_for_whole_slots() -> None:
    job = a_job(run_s=5_400.0)
    free = a_pool(price_uyuan_per_unit_hour=0)
    problem = a_problem(
        jobs=[job], pools=[free], policy=Policy(waiting_yuan_per_unit_hour=1.0, time_limit_s=30.0)
    )
    assert _relaxed_optimum(problem) == pytest.approx(1.5 * 1.5 * 0.60)


def test_energy_beyond_the_horizon_is_paid_too() -> None:
    job = a_job(run_s=8 * 3_600.0)
    problem = a_problem(jobs=[job], pools=[a_pool(price_uyuan_per_unit_hour=0)])
    assert _relaxed_optimum(problem) == pytest.approx(8 * 1.5 * 0.60)


def test_the_second_job_pays_the_marginal_and_not_the_average_pue() -> None:
    bent = ((0.0, 500.0), (1_000.0, 1_600.0), (2_000.0, 3_600.0))
    site = a_site(facility_w=(bent,) * 4)
    free = a_pool(price_uyuan_per_unit_hour=0)
    window = {"deadline_s": 3_600.0}
    one = a_problem(jobs=[a_job("a", **window)], sites=[site], pools=[free])
    two = replace(one, jobs=(*one.jobs, a_job("b", **window)))
    assert _relaxed_optimum(one) == pytest.approx(1.1 * 0.60)
    assert _relaxed_optimum(two) == pytest.approx((1.1 + 2.0) * 0.60)


def test_a_negative_price_never_buys_idle_load() -> None:
    site = a_site(price_uyuan_per_kwh=(-500_000,) * 4)
    problem = a_problem(
        jobs=[a_job(deadline_s=3_600.0)],
        sites=[site],
        pools=[a_pool(price_uyuan_per_unit_hour=0)],
    )
    assert _relaxed_optimum(problem) == pytest.approx(-1.5 * 0.5)
    assert _relaxed_optimum(replace(problem, jobs=())) == pytest.approx(0.0)


def test_a_relaxed_lot_pays_no_more_than_its_ratio_and_its_amount() -> None:
    jobs = [a_job(f"j{at}") for at in range(10)]
    problem = a_problem(jobs=jobs, lots=(a_lot(available_fen=1_500),), cash_fen={"acme": 2_000})
    served_yuan = 15 + 20
    served = served_yuan / 10
    unserved = (10 - served) * problem.policy.unserved_yuan_per_unit_hour
    energy = served * 1.5 * 0.60
    assert _relaxed_optimum(problem) == pytest.approx(unserved + served_yuan + energy, rel=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_classes_lose_nothing_against_single_jobs(seed: int) -> None:
    problem = a_random_problem(seed, jobs=40, classes=8)
    single = replace(
        problem,
        jobs=tuple(
            replace(job, avoid={f"nowhere-{at}": "makes the job a class of its own"})
            for at, job in enumerate(problem.jobs)
        ),
    )
    assert len(classify(problem.jobs, problem.policy)) <= 8
    assert len(classify(single.jobs, problem.policy)) == 40
    assert _relaxed_optimum(problem) == pytest.approx(_relaxed_optimum(single), rel=1e-7)


def test_those_who_waited_longest_come_first_in_their_class() -> None:
    jobs = [a_job("b"), a_job("a"), a_job("c", waited_s=50.0)]
    (only,) = classify(jobs, Policy())
    assert [job.id for job in only.members] == ["c", "a", "b"]


def test_a_job_that_waits_for_hours_weighs_more() -> None:
    fresh, old = classify([a_job("a"), a_job("b", waited_s=10 * 3_600.0)], Policy())
    assert old.unserved_yuan == pytest.approx(2.0 * fresh.unserved_yuan)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), noise=st.integers(0, 10_000), scale=st.floats(0.0, 100.0))
def test_no_duals_whatever_give_a_bound_above_the_optimum(
    seed: int, noise: int, scale: float
) -> None:
    model = _formulation(a_random_problem(seed, jobs=12, classes=6)).model.relaxed()
    optimum = solve_direct(model, _EXACT)
    wild = optimum.duals + scale * np.random.default_rng(noise).normal(size=model.row_count)
    assert lagrangian_bound(model, wild) <= optimum.objective + 1e-6 * abs(optimum.objective)


@pytest.mark.parametrize("seed", range(5))
def test_the_bound_from_good_duals_is_the_optimum(seed: int) -> None:
    model = _formulation(a_random_problem(seed, jobs=40, classes=20)).model.relaxed()
    optimum = solve_direct(model, _EXACT)
    assert lagrangian_bound(model, optimum.duals) == pytest.approx(optimum.objective, rel=1e-6)
    assert violation(model, optimum.values, integral=False) < 1e-6


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), more=st.integers(1, 8))
def test_more_capacity_never_makes_the_optimum_worse(seed: int, more: int) -> None:
    problem = a_random_problem(seed, jobs=15, classes=8)
    larger = replace(
        problem,
        pools=tuple(
            replace(
                pool,
                units=pool.units + more,
                units_free=tuple(free + more for free in pool.units_free),
            )
            for pool in problem.pools
        ),
    )
    assert _relaxed_optimum(larger) <= _relaxed_optimum(problem) * (1 + 1e-7) + 1e-6


@pytest.mark.parametrize(
    ("points", "extra_w"),
    [
        pytest.param((), 1_000.0, id="none: IT power itself"),
        pytest.param(((10_000.0, 13_000.0),), 1_300.0, id="one: a constant ratio"),
        pytest.param(((0.0, 700.0),), 1_000.0, id="one at zero: a constant overhead"),
        pytest.param(((0.0, 0.0), (500.0, 600.0)), 1_200.0, id="the last line goes on"),
    ],
)
def test_few_breakpoints_still_make_a_facility(
    points: tuple[tuple[float, float], ...], extra_w: float
) -> None:
    instance = instance_of(a_problem(sites=[a_site(facility_w=(points,) * 4)]))
    assert instance.facilities.extra_w(np.full((1, 4), 1_000.0))[0, 0] == pytest.approx(extra_w)


def test_breakpoints_that_do_not_grow_are_refused() -> None:
    with pytest.raises(ValueError, match="must grow"):
        instance_of(a_problem(sites=[a_site(facility_w=(((5.0, 1.0), (5.0, 2.0)),) * 4)]))
