"""Elastic jobs: of several widths and lengths the plan takes the one that costs least."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problem_builders import a_job, a_pool, a_problem, a_random_problem, without_search

from optimizer.check import violations
from optimizer.columns import columns_of
from optimizer.instance import instance_of
from optimizer.planner import plan
from optimizer.problem import JobSpec, Policy, Problem, Shape
from suanwang.model.plan import ReasonCode


def test_a_narrow_shape_that_does_more_with_less_is_taken() -> None:
    job = a_job(units=8, run_s=3_600.0, shapes=(Shape(2, 7_200.0),))
    (placement,) = plan(a_problem(jobs=[job])).starts
    assert placement.units == 2
    assert placement.price_fen_max == 4_000


def test_a_wide_shape_is_taken_where_the_deadline_asks_for_it() -> None:
    job = a_job(units=2, run_s=14_400.0, deadline_s=7_200.0, shapes=(Shape(8, 3_600.0),))
    (placement,) = plan(a_problem(jobs=[job])).starts
    assert placement.units == 8


def test_columns_of_a_class_stand_by_shape_and_carry_it() -> None:
    job = a_job(units=8, run_s=3_600.0, shapes=(Shape(2, 7_200.0),))
    columns = columns_of(instance_of(a_problem(jobs=[job])))
    wide, narrow = columns.stretches[0]
    assert columns.units[wide.where].tolist() == [8] * 4
    assert columns.run_s[narrow.where].tolist() == [7_200.0] * 4
    assert columns.price_fen[narrow.where].tolist() == [4_000] * 4
    assert columns.group.tolist() == [0] * 4 + [1] * 4


def test_the_reason_is_that_of_the_shape_that_came_nearest() -> None:
    job = a_job(units=16, shapes=(Shape(4, 7_200.0),))
    full = a_pool(units=8, units_free=(3,) * 4)
    (rejection,) = plan(a_problem(jobs=[job], pools=[full])).rejections
    assert rejection.reason is ReasonCode.CAPACITY
    assert rejection.facts == {"units": 4, "units_free": 3}


def test_two_shapes_of_one_width_are_refused() -> None:
    with pytest.raises(ValueError, match="two shapes of one width"):
        instance_of(a_problem(jobs=[a_job(units=2, shapes=(Shape(2, 60.0),))]))


def test_a_width_that_the_job_did_not_name_is_found() -> None:
    problem = a_problem(jobs=[a_job(units=8, shapes=(Shape(2, 7_200.0),))])
    made = plan(problem)
    wrong = replace(made, starts=(replace(made.starts[0], units=3),))
    assert any("units rule" in line for line in violations(problem, wrong))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.integers(1, 4))
def test_another_shape_never_makes_the_bound_worse_and_plans_stay_sound(
    seed: int, share: int
) -> None:
    problem = a_random_problem(seed, jobs=16, classes=8)
    elastic = _with_halves(problem, share)
    made, plain = plan(elastic), plan(problem)
    assert violations(elastic, made) == ()
    assert made.bound is not None
    assert plain.bound is not None
    assert made.bound <= plain.objective + 1e-6 * abs(plain.objective)


def _with_halves(problem: Problem, share: int) -> Problem:
    """Let every ``share``-th wide job also run at half its width for 1.8 times as long."""

    def halved(at: int, job: JobSpec) -> JobSpec:
        if at % share or job.units < 2:
            return job
        return replace(job, shapes=(Shape(job.units // 2, 1.8 * job.run_s),))

    jobs = tuple(halved(at, job) for at, job in enumerate(problem.jobs))
    policy: Policy = replace(problem.policy, mip_time_s=0.0)
    return without_search(replace(problem, jobs=jobs, policy=policy))
