"""Fair shares are worked out by hand here, and plans go by them where they have a price."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_laws import relaxed_cost
from problem_builders import a_job, a_lot, a_pool, a_problem, a_random_problem, a_site

from optimizer.check import violations
from optimizer.instance import Instance, instance_of
from optimizer.planner import plan
from optimizer.problem import JobSpec, Policy, Problem

_FAIR = Policy(time_limit_s=30.0, unfair_yuan_per_unit_hour=5_000.0)
_NOW_ONLY = (8, 0, 0, 0)


def _jobs(tenant: str, count: int, **changes: object) -> list[JobSpec]:
    """Jobs of one unit-hour each."""
    names = (f"{tenant}{at}" for at in range(count))
    return [a_job(name, tenant_id=tenant, **changes) for name in names]


def _problem(*jobs: JobSpec, **changes: object) -> Problem:
    """Eight unit-hours in all."""
    cash = dict.fromkeys({job.tenant_id for job in jobs}, 1_000_000)
    problem = a_problem(
        jobs=jobs, pools=[a_pool(units_free=_NOW_ONLY)], cash_fen=cash, policy=_FAIR
    )
    return replace(problem, **changes)  # type: ignore[arg-type]  # a builder takes any field


def _shares(instance: Instance) -> dict[str, float]:
    fairness = instance.fairness
    return dict(zip(fairness.tenants, fairness.share.tolist(), strict=True))


@pytest.mark.parametrize(
    ("asked", "weights", "due"),
    [
        pytest.param({"a": 8, "b": 8}, {}, {"a": 4.0, "b": 4.0}, id="halves"),
        pytest.param({"a": 8, "b": 8}, {"a": 3.0}, {"a": 6.0, "b": 2.0}, id="by weight"),
        pytest.param({"a": 1, "b": 9}, {}, {"a": 1.0, "b": 7.0}, id="nobody past what it asks"),
        pytest.param({"a": 2, "b": 3}, {}, {"a": 2.0, "b": 3.0}, id="enough for all"),
        pytest.param({"a": 8, "b": 8}, {"a": 0.0}, {"a": 0.0, "b": 8.0}, id="no weight, no share"),
    ],
)
def test_shares_are_filled_up_together(
    asked: dict[str, int], weights: dict[str, float], due: dict[str, float]
) -> None:
    jobs = [job for tenant, count in asked.items() for job in _jobs(tenant, count)]
    shares = _shares(instance_of(_problem(*jobs, weights=weights)))
    assert shares == pytest.approx(due, rel=1e-6)


def test_a_kind_that_is_full_stops_only_those_who_need_it() -> None:
    npu = a_pool(id="near-npu", accelerator="npu", units_free=_NOW_ONLY)
    gpu = a_pool(units_free=_NOW_ONLY)
    jobs = [
        *_jobs("a", 8, accelerators=frozenset({"gpu"})),
        *_jobs("b", 8, accelerators=frozenset({"gpu"})),
        *_jobs("c", 8, accelerators=frozenset({"npu"})),
    ]
    shares = _shares(instance_of(_problem(*jobs, pools=(gpu, npu))))
    assert shares == pytest.approx({"a": 4.0, "b": 4.0, "c": 8.0}, rel=1e-6)


def test_a_plan_serves_by_weight() -> None:
    jobs = [*_jobs("a", 8), *_jobs("b", 8)]
    made = plan(_problem(*jobs, weights={"a": 3.0}))
    served = [str(placement.job_id)[0] for placement in made.starts]
    assert (served.count("a"), served.count("b")) == (6, 2)


def test_who_is_left_out_is_told_how_its_tenant_stands() -> None:
    jobs = [*_jobs("a", 8), *_jobs("b", 8)]
    made = plan(_problem(*jobs, weights={"a": 3.0}))
    messages = {rejection.job_id[0]: rejection.message for rejection in made.rejections}
    words = "tenant b has its share: the plan serves 2.0 unit-hours of the 2.0 that it is due"
    assert words in messages["b"]


def test_a_voucher_that_ends_pays_where_it_may() -> None:
    """Both sites cost the same; the voucher may pay at one of them, and ends with the hour."""
    lot = a_lot(expires_s=3_600.0, sites=frozenset({"second"}))
    problem = a_problem(
        jobs=[a_job(deadline_s=3_600.0)], sites=[a_site("first"), a_site("second")], lots=(lot,)
    )
    (placement,) = plan(problem).starts
    assert placement.site_id == "second"
    assert placement.lots == {"lot": 500}


def test_a_voucher_that_lasts_is_worth_no_detour() -> None:
    lot = a_lot(sites=frozenset({"second"}))
    dear = replace(a_pool("second"), price_uyuan_per_unit_hour=10_100_000)
    problem = a_problem(
        jobs=[a_job()],
        sites=[a_site("first"), a_site("second")],
        pools=[a_pool("first"), dear],
        lots=(lot,),
    )
    assert plan(problem).starts[0].site_id == "first"
    ending = replace(problem, lots=(replace(lot, expires_s=3_600.0),))
    assert plan(ending).starts[0].site_id == "second"


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), price=st.sampled_from((0.0, 10.0, 3_000.0)))
def test_plans_stay_above_their_relaxation(seed: int, price: float) -> None:
    problem = a_random_problem(seed, jobs=24, classes=12, load=2.0)
    policy = replace(problem.policy, unfair_yuan_per_unit_hour=price, expiring_weight=0.5)
    problem = replace(problem, policy=policy, weights={"t0": 2.0, "t1": 0.5})
    made = plan(problem)
    assert violations(problem, made) == ()
    assert relaxed_cost(problem) <= made.objective + 1e-6 * abs(made.objective)
    instance = instance_of(problem)
    assert (
        instance.fairness.share
        <= np.bincount(
            instance.fairness.tenant_of,
            instance.fairness.work * instance.fairness.counts,
            len(instance.fairness.tenants),
        )
        + 1e-9
    ).all()
