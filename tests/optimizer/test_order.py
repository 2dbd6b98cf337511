"""Dependencies: a job starts after what it waits for, where that is worth it, or says why not."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_laws import relaxed_cost
from problem_builders import ORIGIN, a_job, a_pool, a_problem, a_random_problem, a_site

from optimizer.check import violations
from optimizer.instance import instance_of
from optimizer.planner import plan
from optimizer.problem import After, LinkSpec, Policy, Problem
from suanwang.model.plan import PlannerKind, ReasonCode

_FREE = Policy(time_limit_s=30.0, waiting_yuan_per_unit_hour=0.0)


def _chain(**changes: object) -> Problem:
    second = a_job("b", after=(After(job_id="a"),))
    return replace(a_problem(jobs=[a_job("a"), second]), **changes)  # type: ignore[arg-type]  # a builder


def test_the_second_starts_when_the_first_is_over() -> None:
    made = plan(_chain())
    assert [placement.job_id for placement in made.starts] == ["a"]
    (second,) = made.later
    assert second.start == ORIGIN + timedelta(hours=1)


def test_data_takes_its_time_between_sites() -> None:
    """450 GB over 1 Gbit/s take an hour, so at the other site it starts an hour later."""
    first = a_job("a", sites=frozenset({"near"}))
    second = a_job("b", sites=frozenset({"far"}), after=(After(job_id="a", transfer_gb=450.0),))
    made = plan(a_problem(jobs=[first, second], sites=[a_site(), a_site("far")]))
    (later,) = made.later
    assert later.start == ORIGIN + timedelta(hours=2)


@pytest.mark.parametrize(
    ("gb", "site"),
    [
        pytest.param(1.0, "far", id="little data follows the cheap site"),
        pytest.param(100.0, "near", id="much data keeps it where it is"),
    ],
)
def test_moving_data_is_weighed_against_a_cheaper_site(gb: float, site: str) -> None:
    first = a_job("a", sites=frozenset({"near"}))
    second = a_job("b", after=(After(job_id="a", transfer_gb=gb),))
    cheap = a_pool("far", price_uyuan_per_unit_hour=4_000_000)
    problem = a_problem(
        jobs=[first, second],
        sites=[a_site(), a_site("far")],
        pools=[a_pool(), cheap],
        links={("near", "far"): LinkSpec(gbps=10.0, price_uyuan_per_gb=500_000)},
        policy=_FREE,
    )
    made = plan(problem)
    (later,) = made.later
    assert later.site_id == site
    assert made.planner is PlannerKind.OPTIMAL


def test_what_runs_already_counts_by_its_latest_end() -> None:
    running = After(job_id="old", transfer_gb=225.0, end_s=1_800.0, site_id="near")
    problem = a_problem(
        jobs=[a_job(after=(running,), sites=frozenset({"far"}))], sites=[a_site(), a_site("far")]
    )
    (later,) = plan(problem).later
    assert later.start == ORIGIN + timedelta(hours=1)


def test_a_job_whose_first_has_no_place_waits_for_it() -> None:
    second = a_job("b", after=(After(job_id="a"),))
    made = plan(a_problem(jobs=[a_job("a", units=80), second]))
    reasons = {rejection.job_id: rejection.reason for rejection in made.rejections}
    assert reasons == {"a": ReasonCode.TOO_LARGE, "b": ReasonCode.WAITS_FOR}


def test_a_job_after_one_that_ends_too_late_is_told_when() -> None:
    long = After(job_id="old", end_s=20_000.0, site_id="near")
    (rejection,) = plan(a_problem(jobs=[a_job(after=(long,))])).rejections
    assert rejection.reason is ReasonCode.WAITS_FOR
    assert rejection.facts == {"jobs": "old", "ready_s": 20_000.0}


def test_a_circle_is_refused() -> None:
    first = a_job("a", after=(After(job_id="b"),))
    second = a_job("b", after=(After(job_id="a"),))
    with pytest.raises(ValueError, match="in a circle: a, b"):
        instance_of(a_problem(jobs=[first, second]))


def test_a_start_before_its_data_is_found() -> None:
    problem = _chain()
    made = plan(problem)
    early = replace(made.later[0], start=ORIGIN)
    wrong = replace(made, starts=(*made.starts, early), later=())
    assert any("before its data" in line for line in violations(problem, wrong))


def test_a_start_without_its_first_is_found() -> None:
    problem = _chain()
    made = plan(problem)
    assert any("does not" in line for line in violations(problem, replace(made, starts=())))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_plans_keep_the_order_and_stay_above_their_relaxation(seed: int) -> None:
    problem = _with_order(a_random_problem(seed, jobs=24, classes=12, load=1.5), seed)
    made = plan(problem)
    assert violations(problem, made) == ()
    assert relaxed_cost(problem) <= made.objective + 1e-6 * abs(made.objective)


def _with_order(problem: Problem, seed: int) -> Problem:
    """Let each third job come after one or two that stand before it."""
    random = Random(seed)
    jobs = list(problem.jobs)
    for at in range(2, len(jobs), 3):
        firsts = random.sample(range(at), random.randint(1, 2))
        after = tuple(
            After(job_id=jobs[one].id, transfer_gb=random.choice((0.0, 20.0))) for one in firsts
        )
        jobs[at] = replace(jobs[at], after=after)
    links = {
        (one.id, other.id): LinkSpec(
            gbps=random.uniform(0.5, 10.0), price_uyuan_per_gb=random.randint(0, 800_000)
        )
        for one in problem.sites
        for other in problem.sites
        if one is not other
    }
    return replace(problem, jobs=tuple(jobs), links=links)
