"""Why nothing fits, in the fewest words: every conflict is proved minimal by solving again."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problem_builders import a_job, a_lot, a_pool, a_problem, a_random_problem, a_site

from optimizer.conflict import (
    CODES,
    Demand,
    conflict_of,
    conflict_of_all,
    without,
)
from optimizer.greedy import plan_greedy
from optimizer.planner import plan
from optimizer.problem import After, JobSpec, Problem, ReservationSpec
from suanwang.model.plan import ReasonCode
from suanwang.model.site import DataClass

_SITES = [a_site("near"), a_site("far")]
_POOLS = [a_pool("near"), a_pool("far", accelerator="npu", is_domestic=True)]
_RTT_MS = {("o", "near"): 2.0, ("o", "far"): 22.4}


def _network(job: JobSpec, **changes: object) -> Problem:
    made = a_problem(jobs=[job], sites=_SITES, pools=_POOLS, rtt_ms=_RTT_MS)
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of Problem


def _fits(problem: Problem) -> bool:
    """Whether the whole planner finds a place for the only job, at any cost."""
    policy = replace(problem.policy, unserved_yuan_per_unit_hour=1e9)
    return not plan(replace(problem, policy=policy)).rejections


def _is_minimal(problem: Problem, demands: tuple[Demand, ...]) -> bool:
    """The demands leave no place though all others are dropped; without any of them one is left."""
    rest = without(problem, [demand for demand in Demand if demand not in demands])
    return not _fits(rest) and all(_fits(without(rest, [one])) for one in demands)


def test_two_wishes_that_no_pool_meets_are_named_with_the_way_out_of_each() -> None:
    job = a_job(origin="o", latency_ms_max=5.0, domestic_only=True)
    found = conflict_of(_network(job), "job")
    assert found is not None
    assert found.demands == (Demand.DOMESTIC, Demand.LATENCY)
    places = [(one.dropped, one.placement and one.placement.pool_id) for one in found.remedies]
    assert places == [((Demand.DOMESTIC,), "near-gpu"), ((Demand.LATENCY,), "far-gpu")]


def test_a_job_that_has_a_place_has_no_conflict() -> None:
    assert conflict_of(_network(a_job()), "job") is None


def test_a_network_without_pools_is_said_to_be_one() -> None:
    found = conflict_of(a_problem(jobs=[a_job()], sites=[], pools=[]), "job")
    assert found is not None
    assert found.demands == ()
    assert found.remedies == ()


_CASES = {
    Demand.OPEN: _network(a_job(), sites=tuple(replace(site, is_open=False) for site in _SITES)),
    Demand.POWER: _network(
        a_job(), sites=tuple(replace(site, power_w_max=(100.0,) * 4) for site in _SITES)
    ),
    Demand.RESERVATION: _network(
        a_job(),
        reservations=tuple(
            ReservationSpec(id=pool.id, pool_id=pool.id, units=8, from_s=0.0, until_s=1e6)
            for pool in _POOLS
        ),
    ),
    Demand.CAPACITY: _network(
        a_job(), pools=tuple(replace(pool, units_free=(0,) * 4) for pool in _POOLS)
    ),
    Demand.SIZE: _network(a_job(units=9)),
    Demand.MONEY: _network(a_job(), cash_fen={"acme": 5}),
    Demand.RETRY: _network(a_job(avoid={pool.id: "it failed" for pool in _POOLS})),
    Demand.AFTER: _network(a_job(after=(After(job_id="before"),))),
    Demand.CASH_LIMIT: _network(a_job(cash_fen_max=3)),
    Demand.DEADLINE: _network(a_job(deadline_s=60.0)),
    Demand.EARLIEST: _network(a_job(earliest_s=1e6)),
    Demand.SITES: _network(a_job(sites=frozenset({"moon"}))),
    Demand.DATA: _network(
        a_job(data_class=DataClass.IMPORTANT),
        sites=tuple(replace(site, accepts=frozenset()) for site in _SITES),
    ),
    Demand.ACCELERATOR: _network(a_job(accelerators=frozenset({"tpu"}))),
    Demand.DOMESTIC: a_problem(jobs=[a_job(domestic_only=True)]),
    Demand.LATENCY: _network(a_job(origin="o", latency_ms_max=1.0)),
}


@pytest.mark.parametrize("demand", Demand)
def test_every_demand_can_be_a_conflict_of_its_own(demand: Demand) -> None:
    problem = _CASES[demand]
    found = conflict_of(problem, "job")
    assert found is not None
    assert found.demands == (demand,)
    assert _is_minimal(problem, found.demands)
    assert (demand,) in [remedy.dropped for remedy in found.remedies]
    (rejection,) = plan(problem).rejections
    assert CODES[demand] in {rejection.reason, *(row.reason for row in rejection.verdicts)}


def test_every_demand_has_a_reason_code() -> None:
    assert set(CODES) == set(Demand)
    assert set(CODES.values()) <= set(ReasonCode)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_conflicts_of_rejected_jobs_are_minimal_and_their_remedies_work(seed: int) -> None:
    problem = a_random_problem(seed, jobs=12, classes=12, load=4.0, cash_share=0.2)
    made = plan(problem)
    placed = (*made.starts, *made.later)
    for rejection in made.rejections[:3]:
        found = conflict_of(problem, rejection.job_id, placed)
        if found is None:
            continue  # a place that the plan found too dear for others
        alone = found.problem
        assert _is_minimal(alone, found.demands)
        for remedy in found.remedies[:4]:
            assert _fits(without(alone, remedy.dropped))
            for one in remedy.dropped:
                rest = [other for other in remedy.dropped if other is not one]
                assert not _fits(without(alone, rest))


def test_what_others_take_is_a_conflict_only_while_they_take_it() -> None:
    jobs = [
        a_job("first", units=8, run_s=4 * 3_600.0),
        a_job("second", units=8, deadline_s=3_600.0),
    ]
    problem = a_problem(jobs=jobs, lots=(a_lot(),))
    made = plan_greedy(replace(problem, jobs=(jobs[0],)))
    found = conflict_of(problem, "second", made.starts)
    assert found is not None
    assert found.demands == (Demand.CAPACITY,)
    assert conflict_of(problem, "second") is None


def test_jobs_that_do_not_fit_together_are_told_what_keeps_them() -> None:
    jobs = [a_job(f"j{at}", units=8, run_s=2 * 3_600.0, deadline_s=3 * 3_600.0) for at in range(2)]
    problem = a_problem(jobs=jobs)
    found = conflict_of_all(problem)
    assert found is not None
    assert found.demands == (Demand.CAPACITY, Demand.DEADLINE)
    for one in found.demands:
        assert conflict_of_all(without(problem, [one])) is None
    assert conflict_of_all(a_problem(jobs=jobs[:1])) is None


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_conflicts_of_all_jobs_are_minimal(seed: int) -> None:
    problem = a_random_problem(seed, jobs=15, classes=10, load=3.0)
    found = conflict_of_all(problem)
    if found is None:
        return
    rest = without(problem, [demand for demand in Demand if demand not in found.demands])
    assert conflict_of_all(rest) is not None
    for one in found.demands:
        assert conflict_of_all(without(rest, [one])) is None


def test_a_job_that_waits_for_another_is_told_so_where_that_ends_too_late() -> None:
    first = a_job("first", run_s=2 * 3_600.0)
    then = a_job("then", after=(After(job_id="first"),), deadline_s=2 * 3_600.0)
    problem = a_problem(jobs=[first, then])
    made = plan_greedy(replace(problem, jobs=(first,)))
    found = conflict_of(problem, "then", made.starts)
    assert found is not None
    assert found.demands == (Demand.AFTER, Demand.DEADLINE)
    unknown = conflict_of(problem, "then")
    assert unknown is not None
    assert unknown.demands == (Demand.AFTER,)
