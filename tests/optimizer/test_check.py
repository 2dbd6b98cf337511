"""Our own check finds every kind of broken plan: each tampering is named."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from problem_builders import a_job, a_lot, a_pool, a_problem, a_site

from optimizer.check import violations
from optimizer.planner import plan
from optimizer.problem import Problem
from suanwang.ids import JobId, PoolId
from suanwang.model.plan import Placement, Plan


def _problem() -> Problem:
    site = a_site(power_w_max=(12_000.0,) * 4)
    jobs = [a_job("a", units=4), a_job("b", units=4, cash_fen_max=5_000)]
    return a_problem(jobs=jobs, sites=[site], lots=(a_lot(),), rtt_ms={("", "near"): 1.0})


def _first(made: Plan, change: Callable[[Placement], Placement]) -> Plan:
    return replace(made, starts=(change(made.starts[0]), *made.starts[1:]))


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        pytest.param(lambda p: replace(p, job_id=JobId("x")), "answered", id="another job"),
        pytest.param(lambda p: replace(p, pool_id=PoolId("x")), "unknown", id="another pool"),
        pytest.param(lambda p: replace(p, units=1), "units rule", id="fewer units"),
        pytest.param(
            lambda p: replace(p, start=p.start + timedelta(seconds=5)),
            "where no slot begins",
            id="between slots",
        ),
        pytest.param(
            lambda p: replace(p, start=p.start + timedelta(hours=1)), "wrong list", id="later"
        ),
        pytest.param(
            lambda p: replace(p, price_fen_max=p.price_fen_max - 1), "it can cost", id="cheaper"
        ),
        pytest.param(lambda p: replace(p, cash_fen=p.cash_fen - 1), "add up", id="a fen lost"),
        pytest.param(
            lambda p: replace(p, lots={"lot": p.price_fen_max}, cash_fen=0),
            "more than its share",
            id="all from the lot",
        ),
        pytest.param(
            lambda p: replace(p, lots={"other": 2_000}, cash_fen=2_000),
            "may not pay",
            id="another lot",
        ),
        pytest.param(
            lambda p: replace(p, lots={"lot": 5_000}, cash_fen=-1_000),
            "not positive",
            id="negative cash",
        ),
    ],
)
def test_a_tampered_placement_is_found(
    tamper: Callable[[Placement], Placement], words: str
) -> None:
    problem = _problem()
    made = plan(problem)
    assert violations(problem, made) == ()
    assert any(words in line for line in violations(problem, _first(made, tamper)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda p: replace(p, pools=(a_pool(units=7),)), "in use of 7", id="units"),
        pytest.param(
            lambda p: replace(p, sites=(a_site(power_w_max=(11_000.0,) * 4),)),
            "12000 W of 11000 W",
            id="power",
        ),
        pytest.param(lambda p: replace(p, cash_fen={"acme": 3_999}), "fen cash of", id="cash"),
        pytest.param(
            lambda p: replace(p, lots=(a_lot(available_fen=3_999),)), "fen of 3999", id="lot"
        ),
        pytest.param(
            lambda p: replace(p, lots=(a_lot(expires_s=3_599.0),)), "may not pay", id="expiry"
        ),
        pytest.param(
            lambda p: replace(p, lots=(a_lot(expires_s=0.0, grace_s=9e9),)),
            "may not pay",
            id="grace for a job that starts after the end",
        ),
        pytest.param(
            lambda p: replace(p, jobs=tuple(replace(j, deadline_s=60.0) for j in p.jobs)),
            "deadline rule",
            id="deadline",
        ),
        pytest.param(
            lambda p: replace(p, jobs=tuple(replace(j, earliest_s=60.0) for j in p.jobs)),
            "earliest rule",
            id="earliest",
        ),
        pytest.param(
            lambda p: replace(p, jobs=tuple(replace(j, latency_ms_max=0.5) for j in p.jobs)),
            "latency rule",
            id="latency",
        ),
        pytest.param(
            lambda p: replace(p, jobs=tuple(replace(j, cash_fen_max=10) for j in p.jobs)),
            "its limit is 10",
            id="cash limit of the job",
        ),
        pytest.param(lambda p: replace(p, jobs=p.jobs[:1]), "answered 1", id="a job too many"),
    ],
)
def test_a_plan_for_another_problem_is_found(
    change: Callable[[Problem], Problem], words: str
) -> None:
    problem = _problem()
    made = plan(problem)
    assert len(made.starts) == 2
    assert any(words in line for line in violations(change(problem), made))
