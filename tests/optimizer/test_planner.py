"""What a plan must never do, over many seeded problems; who answers when a solver misbehaves."""

from collections import Counter
from dataclasses import replace
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problem_builders import a_job, a_lot, a_pool, a_problem, a_random_problem, a_site, timeless

from benchmarks.instances import Size, make_problem
from optimizer.check import violations
from optimizer.columns import columns_of
from optimizer.direct_route import solve_direct
from optimizer.greedy import plan_greedy
from optimizer.instance import instance_of
from optimizer.model import Model
from optimizer.occupancy import empty_occupancy
from optimizer.planner import plan
from optimizer.problem import Problem
from optimizer.pulp_route import by_highs
from optimizer.solution import Limits, Solution, SolveStatus
from suanwang.model.plan import PlannerKind, ReasonCode

_SEEDS = st.integers(0, 100_000)


@settings(max_examples=60, deadline=None)
@given(seed=_SEEDS, load=st.sampled_from([0.3, 0.8, 2.0]))
def test_a_plan_breaks_no_rule_and_answers_every_job_once(seed: int, load: float) -> None:
    problem = a_random_problem(seed, jobs=30, classes=15, load=load)
    made = plan(problem)
    assert violations(problem, made) == ()
    answers = Counter(p.job_id for p in (*made.starts, *made.later))
    answers.update(rejection.job_id for rejection in made.rejections)
    assert answers == Counter(job.id for job in problem.jobs)


@settings(max_examples=40, deadline=None)
@given(seed=_SEEDS)
def test_a_plan_is_never_worse_than_greedy_and_never_below_its_bound(seed: int) -> None:
    problem = a_random_problem(seed, jobs=40, classes=20)
    made, greedy = plan(problem), plan_greedy(problem)
    assert violations(problem, greedy) == ()
    assert made.objective <= greedy.objective + 1e-6
    assert made.bound is not None
    assert made.bound <= made.objective


@settings(max_examples=20, deadline=None)
@given(seed=_SEEDS, shuffle=st.integers(0, 1_000))
def test_the_order_of_the_jobs_does_not_matter(seed: int, shuffle: int) -> None:
    problem = a_random_problem(seed, jobs=30, classes=12)
    jobs = list(problem.jobs)
    Random(shuffle).shuffle(jobs)
    mixed = plan(replace(problem, jobs=tuple(jobs)))
    assert timeless(mixed) == timeless(plan(problem))


def test_new_names_for_the_jobs_give_the_same_plan() -> None:
    problem = a_random_problem(7, jobs=30, classes=12)
    named = replace(problem, jobs=tuple(replace(j, id=f"x{j.id}") for j in problem.jobs))
    shapes = [(p.pool_id, p.start, p.units, p.lots) for p in plan(problem).starts]
    assert [(p.pool_id, p.start, p.units, p.lots) for p in plan(named).starts] == shapes


@settings(max_examples=25, deadline=None)
@given(seed=_SEEDS)
def test_the_shares_of_the_placements_add_up_to_the_objective(seed: int) -> None:
    problem = a_random_problem(seed, jobs=20, classes=12)
    made = plan(problem)
    classes = instance_of(problem).classes
    unserved = {job.id: k.unserved_yuan for k in classes for job in k.members}
    shares = sum(p.cost for p in (*made.starts, *made.later))
    left = sum(unserved[rejection.job_id] for rejection in made.rejections)
    assert shares + left == pytest.approx(made.objective, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_a_plan_called_optimal_is_the_best_of_all_plans(seed: int) -> None:
    problem = a_random_problem(seed, jobs=4, classes=3, sites=1, load=3.0)
    problem = replace(problem, policy=replace(problem.policy, mip_time_s=30.0))
    made = plan(problem)
    assert made.planner is PlannerKind.OPTIMAL
    assert made.objective == pytest.approx(_best_by_hand(problem), rel=1e-4)


def _best_by_hand(problem: Problem) -> float:
    """Try every column (or none) for every job, in the order of the columns."""
    instance = instance_of(problem)
    columns = columns_of(instance)
    choices = [
        [-1, *range(columns.first[k], columns.first[k + 1])]
        for k, klass in enumerate(instance.classes)
        for _ in klass.members
    ]
    seen, best = set(), float("inf")
    for picks in product(*choices):
        chosen = tuple(sorted(pick for pick in picks if pick >= 0))
        if chosen in seen:
            continue
        seen.add(chosen)
        state = empty_occupancy(instance, columns)
        if all(state.place(int(pick), 1) for pick in chosen):
            best = min(best, state.objective())
    return best


def _fails(model: Model, limits: Limits) -> Solution:
    empty = np.empty(0)
    return Solution(SolveStatus.NO_POINT, "broken", empty, empty, float("nan"), 0.0, 0.0)


def _lies(model: Model, limits: Limits) -> Solution:
    """Everything starts everywhere, at any price, and the duals are noise."""
    true = solve_direct(model, limits)
    noise = np.random.default_rng(1).normal(scale=1e6, size=model.row_count)
    return replace(true, status=SolveStatus.OPTIMAL, values=model.upper, duals=noise, basis=None)


def test_a_solver_that_fails_leaves_the_greedy_plan() -> None:
    problem = a_random_problem(3, jobs=60, classes=30, load=2.0)
    made = plan(problem, solve=_fails)
    assert made.planner is PlannerKind.GREEDY
    assert made.objective <= plan_greedy(problem).objective + 1e-6
    assert "no better plan than the greedy one" in made.note


@pytest.mark.parametrize("seed", range(5))
def test_a_solver_that_lies_never_gets_an_unsound_plan_or_bound_out(seed: int) -> None:
    problem = a_random_problem(seed, jobs=60, classes=30, load=2.0)
    made = plan(problem, solve=_lies)
    honest = plan(problem)
    assert violations(problem, made) == ()
    assert made.bound is not None
    assert honest.bound is not None
    assert made.bound <= honest.bound + 1e-6 * abs(honest.bound)
    assert made.objective <= plan_greedy(problem).objective + 1e-6


def test_another_route_to_a_solver_may_be_used() -> None:
    problem = a_random_problem(5, jobs=40, classes=20)
    made = plan(problem, solve=by_highs())
    assert made.solver.startswith("PuLP")
    assert made.bound == pytest.approx(plan(problem).bound, rel=1e-6)


def test_no_time_at_all_still_gives_an_answer_for_every_job() -> None:
    problem = make_problem(Size(jobs=300, classes=60), seed=1)
    hurried = replace(problem, policy=replace(problem.policy, time_limit_s=0.0))
    made = plan(hurried)
    assert violations(hurried, made) == ()
    assert made.planner is PlannerKind.GREEDY
    assert "time limit" in made.note
    assert ReasonCode.TIME_LIMIT in {rejection.reason for rejection in made.rejections}


def test_nothing_to_do_is_done_at_once() -> None:
    made = plan(a_problem())
    assert (made.starts, made.later, made.rejections) == ((), (), ())
    assert made.planner is PlannerKind.OPTIMAL
    assert made.objective == made.bound == 0.0


def test_a_network_without_pools_rejects_and_says_so() -> None:
    made = plan(a_problem(jobs=[a_job()], sites=[], pools=[]))
    (rejection,) = made.rejections
    assert rejection.reason is ReasonCode.SITE_DOWN
    assert not rejection.is_final


def test_a_problem_that_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="job ids stand twice: job"):
        plan(a_problem(jobs=[a_job(), a_job()]))
    with pytest.raises(ValueError, match="does not have 4 slots"):
        plan(a_problem(sites=[a_site(slots=3)]))
    with pytest.raises(ValueError, match="which the problem lacks"):
        plan(a_problem(pools=[a_pool("moon")]))


def test_the_cheap_hour_is_waited_for_when_that_pays() -> None:
    site = a_site(price_uyuan_per_kwh=(1_000_000, 100_000, 100_000, 100_000))
    (later,) = plan(a_problem(jobs=[a_job()], sites=[site])).later
    own = later.verdicts[0]
    assert own.reason is ReasonCode.LATER_IS_CHEAPER
    assert "starts in 60 min, which costs 10.20 yuan against 11.50 now" in own.message


def test_a_placement_says_for_every_other_pool_why_not() -> None:
    sites = [a_site("near"), a_site("far"), a_site("shut", is_open=False)]
    pools = [
        a_pool("near", price_uyuan_per_unit_hour=12_000_000),
        a_pool("far"),
        a_pool("shut"),
        a_pool("near", id="near-npu", accelerator="npu"),
    ]
    rtt_ms = {("laoshan", "near"): 1.0, ("laoshan", "far"): 22.4, ("laoshan", "shut"): 1.0}
    jobs = [
        a_job("tight", origin="laoshan", latency_ms_max=5.0, accelerators=frozenset({"gpu"})),
        a_job("loose", origin="laoshan", accelerators=frozenset({"gpu"})),
    ]
    made = plan(a_problem(jobs=jobs, sites=sites, pools=pools, rtt_ms=rtt_ms))
    by_job = {str(placement.job_id): placement for placement in made.starts}
    assert by_job["tight"].pool_id == "near-gpu"
    assert by_job["loose"].pool_id == "far-gpu"
    tight = {str(row.pool_id): row for row in by_job["tight"].verdicts}
    loose = {str(row.pool_id): row for row in by_job["loose"].verdicts}
    assert tight["far-gpu"].message.startswith("latency 22.4 ms > 5 ms from laoshan")
    assert tight["near-npu"].reason is ReasonCode.ACCELERATOR
    assert tight["shut-gpu"].reason is ReasonCode.SITE_DOWN
    assert loose["near-gpu"].reason is ReasonCode.DEARER
    assert "dearer by 1.96 yuan" in loose["near-gpu"].message
    assert len(loose) == 4


def test_a_job_that_found_no_room_is_told_how_much_there_was() -> None:
    jobs = [a_job(f"big-{at}", units=5, run_s=4 * 3_600.0) for at in range(2)]
    made = plan(a_problem(jobs=jobs))
    (rejection,) = made.rejections
    assert rejection.reason is ReasonCode.CAPACITY
    assert "needs 5 units at a time; other jobs leave at most 3" in rejection.message
    assert rejection.facts == {"units": 5, "units_free": 3.0}
    assert not rejection.is_final


def test_a_job_that_found_no_power_is_told_how_much_there_was() -> None:
    jobs = [a_job(f"big-{at}", units=3, run_s=4 * 3_600.0) for at in range(2)]
    made = plan(a_problem(jobs=jobs, sites=[a_site(power_w_max=(6_000.0,) * 4)]))
    (rejection,) = made.rejections
    assert rejection.reason is ReasonCode.SITE_POWER
    assert "draws 3.0 kW more; other jobs leave at most 1.0 kW" in rejection.message


def test_a_job_whose_money_went_to_others_is_told_the_amounts() -> None:
    jobs = [a_job(f"j{at}") for at in range(3)]
    made = plan(a_problem(jobs=jobs, lots=(a_lot(available_fen=1_000),), cash_fen={"acme": 1_400}))
    assert len(made.starts) == 2
    (rejection,) = made.rejections
    assert rejection.reason is ReasonCode.VOUCHER
    assert "vouchers pay 0.00 and free cash is 4.00: 6.00 yuan are missing" in rejection.message


def test_a_job_that_no_cycle_can_place_is_refused_for_good() -> None:
    made = plan(a_problem(jobs=[a_job(units=99)]))
    (rejection,) = made.rejections
    assert rejection.is_final
    assert rejection.reason is ReasonCode.TOO_LARGE


def test_a_place_dearer_than_the_policy_pays_for_is_not_used() -> None:
    problem = a_problem(jobs=[a_job()])
    policy = replace(problem.policy, unserved_yuan_per_unit_hour=5.0)
    (rejection,) = plan(replace(problem, policy=policy)).rejections
    assert rejection.reason is ReasonCode.DEARER
    assert "a place costs 10.90 yuan, more than the 5.00 yuan" in rejection.message


def test_the_plan_says_when_a_job_asked_to_wait() -> None:
    (later,) = plan(a_problem(jobs=[a_job(earliest_s=3_000.0)])).later
    assert later.verdicts[0].reason is ReasonCode.NOT_YET


def test_a_job_waits_for_units_that_come_free() -> None:
    pool = a_pool(units_free=(0, 8, 8, 8))
    (later,) = plan(a_problem(jobs=[a_job()], pools=[pool])).later
    assert later.verdicts[0].reason is ReasonCode.CAPACITY
    assert later.verdicts[0].message == "starts in 60 min, when the pool has 1 unit free for it"


def test_a_plan_that_our_check_refuses_gives_way_to_greedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter([("pool x is over capacity",), ()])
    monkeypatch.setattr("optimizer.planner.violations", lambda problem, made: next(answers))
    made = plan(a_random_problem(3, jobs=40, classes=20))
    assert made.planner is PlannerKind.GREEDY
    assert made.solver == "greedy"
    assert "refused by our check (pool x is over capacity)" in made.note


def test_an_unsound_greedy_plan_is_a_bug_and_not_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("optimizer.planner.violations", lambda problem, made: ("always",))
    with pytest.raises(AssertionError, match="unsound: always"):
        plan(a_problem(jobs=[a_job()]))
