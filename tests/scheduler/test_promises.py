"""What a plan told a user is what the next plan begins with."""

from dataclasses import replace
from datetime import timedelta

from problem_builders import ORIGIN, a_job, a_problem

from optimizer.planner import plan
from optimizer.problem import Promise
from scheduler.promises import keep_promises


def test_a_later_start_becomes_a_promise_by_its_slot() -> None:
    problem = a_problem(jobs=[a_job(earliest_s=3_600.0)])
    planned = plan(problem).later
    a_little_later = replace(problem, origin=ORIGIN + timedelta(minutes=10))
    (job,) = keep_promises(a_little_later, planned).jobs
    assert job.promised == Promise(pool_id="near-gpu", start_s=0.0)


def test_a_start_that_was_meant_for_now_is_no_promise() -> None:
    problem = a_problem(jobs=[a_job()])
    assert keep_promises(problem, plan(problem).starts) == problem
