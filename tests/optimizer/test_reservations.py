"""Reservations: holders get their units, others do not, and unused time before them is lent."""

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from plan_laws import relaxed_cost
from problem_builders import ORIGIN, a_job, a_pool, a_problem, a_random_problem

from optimizer.check import violations
from optimizer.planner import plan
from optimizer.problem import JobSpec, Problem, ReservationSpec
from suanwang.model.plan import ReasonCode

_DAY_S = 86_400.0


def _reserved(name: str = "r", units: int = 8, **changes: Any) -> ReservationSpec:
    """Units of the near pool for tenant ``other``, from the second hour on."""
    spec = ReservationSpec(
        id=name,
        pool_id="near-gpu",
        units=units,
        from_s=3_600.0,
        until_s=_DAY_S,
        tenants=frozenset({"other"}),
    )
    return replace(spec, **changes)


def _problem(jobs: list[JobSpec], *reservations: ReservationSpec, **changes: Any) -> Problem:
    cash = {"acme": 1_000_000, "other": 1_000_000}
    return a_problem(jobs=jobs, cash_fen=cash, reservations=reservations, **changes)


def test_a_job_that_ends_before_takes_reserved_units() -> None:
    made = plan(_problem([a_job(units=8, run_s=3_600.0)], _reserved()))
    assert len(made.starts) == 1


def test_a_job_that_would_run_into_it_waits_and_is_told() -> None:
    (rejection,) = plan(_problem([a_job(units=4, run_s=3_601.0)], _reserved(units=6))).rejections
    assert rejection.reason is ReasonCode.RESERVED
    assert rejection.facts == {"units": 4, "units_free": 8}


def test_what_other_jobs_leave_of_the_rest_is_told_too() -> None:
    window = {"run_s": 7_200.0, "deadline_s": 7_200.0}
    jobs = [a_job("a", units=2, **window), a_job("b", units=2, **window)]
    (rejection,) = plan(_problem(jobs, _reserved(units=6))).rejections
    assert rejection.reason is ReasonCode.RESERVED


def test_the_holder_gets_its_units_and_what_is_free_besides() -> None:
    late = {"earliest_s": 3_600.0, "deadline_s": 7_200.0}
    jobs = [a_job("o", tenant_id="other", units=7, **late), a_job("a", units=1, **late)]
    made = plan(_problem(jobs, _reserved(units=4)))
    assert len(made.later) == 2


def test_a_job_that_is_named_sits_in_its_own_reservation() -> None:
    late = {"earliest_s": 3_600.0, "deadline_s": 7_200.0}
    mine = _reserved("mine", units=5, tenants=frozenset(), jobs=frozenset({"a"}))
    jobs = [a_job("a", units=5, **late), a_job("b", units=5, **late)]
    made = plan(_problem(jobs, mine))
    assert [placement.job_id for placement in made.later] == ["a"]


def test_reservations_of_more_than_there_is_leave_others_nothing() -> None:
    late = {"earliest_s": 3_600.0, "deadline_s": 7_200.0}
    short = a_pool(units_free=(8, 3, 8, 8))
    jobs = [a_job("o", tenant_id="other", units=3, **late), a_job("a", units=1, **late)]
    made = plan(_problem(jobs, _reserved(units=6), pools=[short]))
    assert [placement.job_id for placement in made.later] == ["o"]


def test_a_start_in_reserved_units_is_found() -> None:
    problem = _problem([a_job(units=4)], _reserved(from_s=7_200.0))
    made = plan(problem)
    late = replace(made.starts[0], start=ORIGIN + timedelta(hours=2))
    moved = replace(made, starts=(), later=(late,))
    assert any("outside reservations" in line for line in violations(problem, moved))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_plans_keep_reservations_and_stay_above_their_relaxation(seed: int) -> None:
    problem = _with_reservations(a_random_problem(seed, jobs=30, classes=15, load=2.0), seed)
    made = plan(problem)
    assert violations(problem, made) == ()
    assert relaxed_cost(problem) <= made.objective + 1e-6 * abs(made.objective)


def _with_reservations(problem: Problem, seed: int) -> Problem:
    random = Random(seed)
    horizon_s = problem.slots[-1].end_s
    made = []
    for at in range(4):
        pool = random.choice(problem.pools)
        from_s = random.uniform(-horizon_s / 2, horizon_s)
        made.append(
            ReservationSpec(
                id=f"r{at}",
                pool_id=pool.id,
                units=random.randint(1, pool.units),
                from_s=from_s,
                until_s=from_s + random.uniform(600.0, horizon_s),
                tenants=frozenset(random.sample(["t0", "t1", "t2"], random.randint(0, 2))),
                jobs=frozenset({random.choice(problem.jobs).id}),
            )
        )
    return replace(problem, reservations=tuple(made))
