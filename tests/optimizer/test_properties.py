"""What holds of every plan, whatever the problem: limits, answers, and laws of the optimum.

The laws of the optimum are those of the relaxation, where they are exact; plans of whole jobs are
compared with them through their bound.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problem_builders import a_random_problem, timeless
from sweep import excesses, runs_of

from optimizer.certificate import lagrangian_bound, reduced_costs
from optimizer.columns import columns_of
from optimizer.direct_route import solve_direct
from optimizer.formulation import formulate
from optimizer.greedy import plan_greedy
from optimizer.instance import instance_of
from optimizer.model import Model
from optimizer.planner import plan
from optimizer.problem import Problem, Shape
from optimizer.solution import Limits
from suanwang.model.plan import Plan, ReasonCode

T = TypeVar("T")
_EXACT = Limits(time_s=60.0, gap=1e-9)
_SEEDS = st.integers(0, 1_000_000)
_LOADS = st.sampled_from([0.4, 1.0, 3.0])


def _many(examples: int) -> Callable[[T], T]:
    return settings(max_examples=examples, deadline=None)


def _problem(seed: int, load: float = 1.0, **size: Any) -> Problem:
    """A seeded problem in which some jobs are elastic, and power, cash and vouchers are short."""
    problem = a_random_problem(
        seed, load=load, cash_share=0.3, **{"jobs": 24, "classes": 12} | size
    )
    random = Random(seed)
    jobs = tuple(
        replace(job, shapes=(Shape(job.units * 2, job.run_s * 0.6),))
        if random.random() < 0.3
        else job
        for job in problem.jobs
    )
    return replace(problem, jobs=jobs)


def _model(problem: Problem) -> Model:
    instance = instance_of(problem)
    return formulate(instance, columns_of(instance)).model.relaxed()


def _optimum(problem: Problem) -> float:
    """What the relaxation costs: proved from both sides, by a point and by our own bound."""
    model = _model(problem)
    answer = solve_direct(model, _EXACT)
    assert answer.has_point
    bound = lagrangian_bound(model, answer.duals)
    assert bound == pytest.approx(answer.objective, rel=1e-7, abs=1e-6)
    return answer.objective


@_many(60)
@given(seed=_SEEDS, load=_LOADS)
def test_nothing_is_over_its_limit_at_any_moment(seed: int, load: float) -> None:
    problem = _problem(seed, load)
    assert list(excesses(problem, plan(problem))) == []


@_many(20)
@given(seed=_SEEDS)
def test_the_sweep_finds_a_job_too_many(seed: int) -> None:
    problem = _problem(seed, load=3.0)
    made = plan(problem)
    runs = runs_of(problem, made)
    if not runs:
        return
    one = runs[0].placement
    copies = replace(made, later=(*made.later, *([one] * (1 + _free(problem, one.pool_id)))))
    assert any(one.pool_id in line and "units of" in line for line in excesses(problem, copies))


def _free(problem: Problem, pool_id: str) -> int:
    return max(free for pool in problem.pools if pool.id == pool_id for free in pool.units_free)


@_many(40)
@given(seed=_SEEDS, load=_LOADS)
def test_every_job_is_placed_or_told_why_not(seed: int, load: float) -> None:
    problem = _problem(seed, load)
    made = plan(problem)
    answers = Counter(str(one.job_id) for one in (*made.starts, *made.later))
    for rejection in made.rejections:
        answers[rejection.job_id] += 1
        assert rejection.reason in ReasonCode
        assert rejection.message
        assert {row.pool_id for row in rejection.verdicts} == {pool.id for pool in problem.pools}
    assert answers == Counter(job.id for job in problem.jobs)


@_many(30)
@given(seed=_SEEDS, load=_LOADS)
def test_a_plan_lies_between_its_bound_and_greedy(seed: int, load: float) -> None:
    problem = _problem(seed, load)
    made, greedy = plan(problem), plan_greedy(problem)
    optimum = _optimum(problem)
    slack = 1e-6 * max(1.0, abs(optimum))
    assert made.objective <= greedy.objective + slack
    assert made.bound is not None
    assert made.bound <= optimum + slack
    assert optimum <= made.objective + slack


def _wider(problem: Problem, random: Random) -> Problem:
    at = random.randrange(len(problem.pools))
    pool = problem.pools[at]
    wide = replace(
        pool, units=pool.units + 8, units_free=tuple(free + 8 for free in pool.units_free)
    )
    return replace(problem, pools=(*problem.pools[:at], wide, *problem.pools[at + 1 :]))


def _stronger(problem: Problem, random: Random) -> Problem:
    at = random.randrange(len(problem.sites))
    site = problem.sites[at]
    strong = replace(site, power_w_max=tuple(watts * 1.2 for watts in site.power_w_max))
    return replace(problem, sites=(*problem.sites[:at], strong, *problem.sites[at + 1 :]))


def _richer(problem: Problem, random: Random) -> Problem:
    at = random.randrange(len(problem.lots))
    lot = problem.lots[at]
    rich = replace(lot, available_fen=lot.available_fen * 2 + 10_000)
    return replace(problem, lots=(*problem.lots[:at], rich, *problem.lots[at + 1 :]))


def _with_cash(problem: Problem, random: Random) -> Problem:
    tenant = random.choice(sorted(problem.cash_fen))
    more = {**problem.cash_fen, tenant: problem.cash_fen[tenant] + 100_000}
    return replace(problem, cash_fen=more)


def _later_deadlines(problem: Problem, random: Random) -> Problem:
    jobs = tuple(
        job if job.deadline_s is None else replace(job, deadline_s=job.deadline_s + 3_600.0)
        for job in problem.jobs
    )
    return replace(problem, jobs=jobs)


def _nearer(problem: Problem, random: Random) -> Problem:
    jobs = tuple(
        job if job.latency_ms_max is None else replace(job, latency_ms_max=job.latency_ms_max + 9)
        for job in problem.jobs
    )
    return replace(problem, jobs=jobs)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(_wider, id="units"),
        pytest.param(_stronger, id="power"),
        pytest.param(_richer, id="voucher"),
        pytest.param(_with_cash, id="cash"),
        pytest.param(_later_deadlines, id="time"),
        pytest.param(_nearer, id="latency allowed"),
    ],
)
@_many(15)
@given(seed=_SEEDS)
def test_more_of_anything_never_makes_the_optimum_worse(more: Any, seed: int) -> None:
    problem = _problem(seed, load=2.0)
    before = _optimum(problem)
    after = _optimum(more(problem, Random(seed)))
    assert after <= before + 1e-6 * max(1.0, abs(before))


@_many(15)
@given(seed=_SEEDS, times=st.sampled_from([2, 5, 10]))
def test_prices_that_are_scaled_scale_the_bill(seed: int, times: int) -> None:
    """Every price by one factor, and all money with it: the same plan at so many times the cost."""
    problem = _in_whole_fen(_problem(seed))
    assert _optimum(_scaled(problem, times)) == pytest.approx(times * _optimum(problem), rel=1e-5)


def _scaled(problem: Problem, times: int) -> Problem:
    policy = problem.policy
    return replace(
        problem,
        sites=tuple(
            replace(
                site,
                price_uyuan_per_kwh=tuple(price * times for price in site.price_uyuan_per_kwh),
            )
            for site in problem.sites
        ),
        pools=tuple(
            replace(pool, price_uyuan_per_unit_hour=pool.price_uyuan_per_unit_hour * times)
            for pool in problem.pools
        ),
        jobs=tuple(
            replace(
                job, cash_fen_max=None if job.cash_fen_max is None else job.cash_fen_max * times
            )
            for job in problem.jobs
        ),
        lots=tuple(replace(lot, available_fen=lot.available_fen * times) for lot in problem.lots),
        cash_fen={tenant: amount * times for tenant, amount in problem.cash_fen.items()},
        policy=replace(
            policy,
            carbon_yuan_per_kg=policy.carbon_yuan_per_kg * times,
            latency_yuan_per_ms=policy.latency_yuan_per_ms * times,
            waiting_yuan_per_unit_hour=policy.waiting_yuan_per_unit_hour * times,
            unserved_yuan_per_unit_hour=policy.unserved_yuan_per_unit_hour * times,
        ),
    )


def _in_whole_fen(problem: Problem) -> Problem:
    """The same with runs and prices of which every product is a whole fen: nothing is rounded."""

    def runs(run_s: float) -> float:
        return 36.0 * -(-run_s // 36.0)

    return replace(
        problem,
        pools=tuple(
            replace(
                pool, price_uyuan_per_unit_hour=-(-pool.price_uyuan_per_unit_hour // 10**6) * 10**6
            )
            for pool in problem.pools
        ),
        jobs=tuple(
            replace(
                job,
                run_s=runs(job.run_s),
                shapes=tuple(Shape(one.units, runs(one.run_s)) for one in job.shapes),
            )
            for job in problem.jobs
        ),
    )


@_many(15)
@given(seed=_SEEDS)
def test_the_order_of_what_is_asked_changes_nothing(seed: int) -> None:
    problem = _problem(seed)
    random = Random(seed)
    jobs, lots = list(problem.jobs), list(problem.lots)
    random.shuffle(jobs)
    random.shuffle(lots)
    cash = dict(random.sample(sorted(problem.cash_fen.items()), len(problem.cash_fen)))
    mixed = replace(problem, jobs=tuple(jobs), lots=tuple(lots), cash_fen=cash)
    assert timeless(plan(mixed)) == timeless(plan(problem))


@_many(10)
@given(seed=_SEEDS)
def test_the_order_of_sites_and_pools_changes_no_optimum(seed: int) -> None:
    problem = _problem(seed)
    mixed = replace(
        problem, sites=tuple(reversed(problem.sites)), pools=tuple(reversed(problem.pools))
    )
    assert _optimum(mixed) == pytest.approx(_optimum(problem), rel=1e-8)


@_many(30)
@given(seed=_SEEDS, load=_LOADS)
def test_prices_support_the_optimum(seed: int, load: float) -> None:
    """Complementary slackness: what is used in part has no price, what has a price is full."""
    model = _model(_problem(seed, load))
    answer = solve_direct(model, _EXACT)
    reduced = reduced_costs(model, answer.duals)
    activity = model.activity(answer.values)
    tolerance = 1e-6 * (1 + np.abs(model.cost).max())
    is_above = answer.values > model.lower + 1e-6 * (1 + np.abs(model.lower))
    is_below = answer.values < model.upper - 1e-6 * (1 + np.abs(model.upper))
    assert (reduced[is_above] <= tolerance).all()
    assert (reduced[is_below] >= -tolerance).all()
    has_price = np.abs(answer.duals) > tolerance
    at_side = np.minimum(np.abs(activity - model.row_lower), np.abs(activity - model.row_upper))
    assert (at_side[has_price] <= 1e-5 * (1 + np.abs(activity[has_price]))).all()


@_many(15)
@given(seed=_SEEDS)
def test_what_is_placed_costs_no_more_than_the_policy_gives(seed: int) -> None:
    problem = _problem(seed, load=3.0)
    made = plan(problem)
    unserved = {
        job.id: klass.unserved_yuan
        for klass in instance_of(problem).classes
        for job in klass.members
    }
    assert all(one.cost <= unserved[one.job_id] + 1e-6 for one in _placed(made))


def _placed(made: Plan) -> tuple[Any, ...]:
    return (*made.starts, *made.later)
