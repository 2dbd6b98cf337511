"""Running jobs move only where that pays, and promised starts change only for a gain."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_laws import relaxed_cost
from problem_builders import ORIGIN, a_job, a_pool, a_problem, a_random_problem, a_site

from optimizer.check import violations
from optimizer.planner import plan
from optimizer.problem import JobSpec, Policy, Problem, Promise, RunningAt
from suanwang.model.plan import ReasonCode


def _running(**changes: object) -> JobSpec:
    """An hour is left of a job that runs near, moves within a minute, and costs a yuan to move."""
    at = RunningAt(pool_id="near-gpu", checkpoint_s=60.0, checkpoint_fen=100, may_move=True)
    return a_job(running=replace(at, **changes))  # type: ignore[arg-type]  # a builder


def _two_sites(job: JobSpec, far_yuan: float, **changes: object) -> Problem:
    """Ten yuan an hour near, where the job runs, and another price far away."""
    far = a_pool("far", price_uyuan_per_unit_hour=round(far_yuan * 1_000_000))
    problem = a_problem(jobs=[job], sites=[a_site(), a_site("far")], pools=[a_pool(), far])
    return replace(problem, **changes)  # type: ignore[arg-type]  # a builder takes any field


@pytest.mark.parametrize(
    ("far_yuan", "moves"),
    [
        pytest.param(3.0, True, id="seven yuan saved are more than checkpoint and threshold"),
        pytest.param(4.5, False, id="five and a half are not"),
        pytest.param(12.0, False, id="dearer"),
    ],
)
def test_a_running_job_moves_where_the_saving_is_above_the_threshold(
    far_yuan: float, moves: bool
) -> None:
    made = plan(_two_sites(_running(), far_yuan))
    assert (len(made.moves), len(made.kept)) == ((1, 0) if moves else (0, 1))
    assert made.starts == made.later == ()


def test_a_job_that_may_not_move_goes_on_whatever_it_costs() -> None:
    made = plan(_two_sites(_running(may_move=False), 0.1))
    (kept,) = made.kept
    assert kept.price_fen_max == 0
    reasons = {row.pool_id: row.reason for row in kept.verdicts}
    assert reasons == {"near-gpu": ReasonCode.PLACED, "far-gpu": ReasonCode.STAYS}


def test_going_on_needs_no_money_and_no_open_site() -> None:
    problem = _two_sites(_running(), 3.0, cash_fen={})
    closed = replace(problem, sites=(a_site(is_open=False), a_site("far")))
    assert len(plan(closed).kept) == 1


def test_a_move_is_paid_for_the_rest_and_the_checkpoint() -> None:
    (move,) = plan(_two_sites(_running(), 3.0)).moves
    assert move.price_fen_max == 305


def test_it_stops_and_goes_on_later_where_that_saves_more() -> None:
    dear_now = a_site(price_uyuan_per_kwh=(60_000_000, 600_000, 600_000, 600_000))
    made = plan(a_problem(jobs=[_running()], sites=[dear_now]))
    (move,) = made.moves
    assert (move.pool_id, move.start) == ("near-gpu", ORIGIN + timedelta(hours=1))


def test_it_makes_room_for_a_job_that_fits_nowhere_else() -> None:
    wide = a_job("wide", units=8, deadline_s=3_600.0, sites=frozenset({"near"}))
    problem = _two_sites(_running(), 10.0)
    made = plan(replace(problem, jobs=(*problem.jobs, wide)))
    assert [one.job_id for one in made.starts] == ["wide"]
    assert [one.pool_id for one in made.moves] == ["far-gpu"]


def test_a_promised_start_is_kept_for_small_gains_only() -> None:
    told = Promise(pool_id="near-gpu", start_s=3_600.0)
    job = a_job(promised=told, earliest_s=3_600.0)
    assert plan(_two_sites(job, 9.8)).later[0].pool_id == "near-gpu"
    assert plan(_two_sites(job, 9.0)).later[0].pool_id == "far-gpu"


def test_an_earlier_start_breaks_no_promise() -> None:
    told = Promise(pool_id="near-gpu", start_s=7_200.0)
    assert len(plan(a_problem(jobs=[a_job(promised=told)])).starts) == 1


def test_a_job_in_the_wrong_list_or_moved_without_leave_is_found() -> None:
    problem = _two_sites(_running(), 3.0)
    made = plan(problem)
    wrong = replace(made, moves=(), kept=made.moves)
    assert any("wrong list" in line for line in violations(problem, wrong))
    bound = replace(problem, jobs=(_running(may_move=False),))
    assert any("may not be" in line for line in violations(bound, made))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_plans_with_running_jobs_are_sound_and_above_their_relaxation(seed: int) -> None:
    problem = _with_running(a_random_problem(seed, jobs=24, classes=12, load=1.5), seed)
    made = plan(problem)
    assert violations(problem, made) == ()
    bound = {job.id for job in problem.jobs if job.running and not job.running.may_move}
    assert bound <= {str(one.job_id) for one in made.kept}
    assert relaxed_cost(problem) <= made.objective + 1e-6 * abs(made.objective)


def _with_running(problem: Problem, seed: int) -> Problem:
    """Some jobs run: one in each pool that has room for it at all times, alone."""
    random = Random(seed)
    jobs, policy = list(problem.jobs), problem.policy
    for at, pool in enumerate(problem.pools):
        running = RunningAt(
            pool_id=pool.id,
            checkpoint_s=random.choice((0.0, 300.0)),
            may_move=random.random() < 0.5,
        )
        jobs[at] = replace(
            jobs[at], running=running, units=1, earliest_s=0.0, deadline_s=None, cash_fen_max=None
        )
    quiet: Policy = replace(policy, move_threshold_yuan=random.choice((0.0, 20.0)))
    return replace(problem, jobs=tuple(jobs), policy=quiet)


def test_a_job_that_may_not_wait_goes_at_once_or_stays() -> None:
    dear_now = a_site(price_uyuan_per_kwh=(60_000_000, 600_000, 600_000, 600_000))
    made = plan(a_problem(jobs=[_running(may_wait=False)], sites=[dear_now]))
    assert (len(made.kept), made.moves) == (1, ())
    problem = _two_sites(_running(may_wait=False), 3.0)
    made = plan(problem)
    (move,) = made.moves
    assert (move.pool_id, move.start) == ("far-gpu", ORIGIN)
    late = replace(made, moves=(replace(move, start=ORIGIN + timedelta(hours=1)),))
    assert any("is put off" in line for line in violations(problem, late))


def test_a_running_job_keeps_its_seat_and_no_gang_is_sent_onto_it() -> None:
    """Four units run on one of two nodes; the other has two of four left."""
    pool = a_pool(units=8, units_free=(6,) * 4, nodes=(0, 2), units_per_node=4)
    runs = _running(may_wait=False)
    problem = a_problem(jobs=[replace(runs, units=4), a_job("gang", units=2)], pools=[pool])
    made = plan(problem)
    assert len(made.kept) == 1
    assert [dict(one.nodes) for one in made.starts] == [{"node-2": 2}]
    assert violations(problem, made) == ()
