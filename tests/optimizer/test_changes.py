"""What would change a job's cost: every claim is solved again from nothing."""

from dataclasses import replace

import pytest
from problem_builders import a_job, a_lot, a_pool, a_problem, a_site

from benchmarks.instances import Size, make_problem
from optimizer.changes import Change, Wish, changed_job, changes_of, richer
from optimizer.problem import JobSpec, Problem
from optimizer.whatif import Relaxation

SMALL = Size(sites=3, pools_per_site=2, slots=8, classes=25, jobs=60, units_min=16)


def optimum(problem: Problem) -> float:
    """The optimum of the relaxation, solved from nothing."""
    return Relaxation(problem).solved.objective


def found(problem: Problem, job: JobSpec) -> dict[Wish, Change]:
    """The changes of a job of a problem."""
    return {change.wish: change for change in changes_of(Relaxation(problem), job, problem)}


def solved_again(problem: Problem, job: JobSpec, wish: Wish) -> float:
    """What the whole plan costs with the change, solved from nothing."""
    moved = changed_job(job, wish)
    if moved is None:
        more = richer(problem, job, wish)
        assert more is not None
        return optimum(more)
    jobs = tuple(moved if one.id == job.id else one for one in problem.jobs)
    return optimum(replace(problem, jobs=jobs))


@pytest.mark.parametrize("seed", range(6))
def test_every_claim_is_what_solving_everything_says(seed: int) -> None:
    problem = make_problem(SMALL, seed=seed)
    jobs = sorted(problem.jobs, key=lambda job: (-job.units * job.run_s, job.id))[:3]
    told = 0
    for job in jobs:
        for wish, change in found(problem, job).items():
            gained = solved_again(problem, job, wish) - optimum(problem)
            claimed = change.after.cost - change.before.cost
            scale = max(1.0, abs(optimum(problem)))
            if not change.is_solved:
                # Prices alone: nothing can be gained; what it would cost more is not claimed.
                assert gained >= -0.01 - 1e-9 * scale, (wish, change)
                assert change.saved_pct == 0.0
            else:
                assert claimed == pytest.approx(gained, abs=0.01 + 1e-7 * scale), (wish, change)
            told += 1
    assert told >= 6


def test_a_later_deadline_lets_a_job_wait_for_the_cheap_hours() -> None:
    site = a_site(price_uyuan_per_kwh=(900_000, 900_000, 100_000, 100_000))
    job = a_job(deadline_s=7_200.0)
    change = found(a_problem([job], sites=[site]), job)[Wish.DEADLINE]
    # 1.5 kWh at 0.90 against 0.10, and two hours of waiting at 0.05.
    assert change.before.cost == pytest.approx(10.0 + 1.35)
    assert change.after.cost == pytest.approx(10.0 + 0.15 + 0.10)
    assert change.saved_pct == pytest.approx(100 * 1.10 / 11.35)
    assert change.before.start is not None
    assert change.after.start is not None
    assert (change.after.start - change.before.start).total_seconds() == 7_200


def test_a_voucher_that_is_not_short_changes_nothing_and_is_not_solved_for() -> None:
    job = a_job()
    change = found(a_problem([job], lots=(a_lot(),)), job)[Wish.VOUCHER]
    assert (change.is_solved, change.saved_pct) == (False, 0.0)


def test_more_cash_places_a_job_that_nothing_pays() -> None:
    job = a_job()
    changes = found(a_problem([job], cash_fen={"acme": 900}), job)
    assert changes[Wish.CASH].before.start is None
    assert changes[Wish.CASH].after.start is not None
    assert changes[Wish.CASH].saved_pct > 90
    assert Wish.DEADLINE not in changes


def test_fewer_units_find_room_now() -> None:
    job = a_job(units=8)
    pools = [a_pool(units_free=(4, 4, 8, 8))]
    change = found(a_problem([job], pools=pools), job)[Wish.UNITS]
    assert change.before.start is not None
    assert change.after.start is not None
    assert change.after.start < change.before.start


def test_a_rule_that_is_dropped_opens_the_cheaper_site() -> None:
    sites = [a_site("near"), a_site("far", price_uyuan_per_kwh=(100_000,) * 4)]
    job = a_job(sites=frozenset({"near"}))
    change = found(a_problem([job], sites=sites), job)[Wish.SITES]
    assert (change.before.pool_id, change.after.pool_id) == ("near-gpu", "far-gpu")
    assert change.saved_pct > 5


def test_a_job_that_is_not_in_the_queue_can_be_asked_about() -> None:
    problem = a_problem([a_job("other")])
    job = a_job("gone", sites=frozenset({"near"}))
    assert found(problem, job)[Wish.SITES].saved_pct == 0.0
