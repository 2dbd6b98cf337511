"""The reference scenario: sleep saves energy and worsens the PUE; each row does the same work."""

from functools import cache

import pytest

from benchmarks.scenario_day import DAY_S, WEST, Bill, Day, bill_of_plan, day_of
from benchmarks.scenario_rows import NAMES, Home, homes_of, rows_of
from optimizer.check import violations
from optimizer.switches import in_force


@cache
def _day() -> Day:
    return day_of(10)


@cache
def _homes() -> dict[str, Home]:
    return homes_of(_day().problem)


@cache
def _bill(name: str) -> Bill:
    (row,) = rows_of(_day(), _homes(), (name,))
    assert violations(in_force(row.problem), row.plan) == ()
    return bill_of_plan(_day(), row.problem, row.plan)


def test_every_job_of_the_day_fits_into_it() -> None:
    jobs = _day().problem.jobs
    assert len(jobs) == 317
    assert all(job.earliest_s + job.run_s <= DAY_S for job in jobs)
    assert all(job.deadline_s is not None and job.deadline_s <= DAY_S for job in jobs)


def test_homes_are_in_the_city_while_there_is_room() -> None:
    far = [home for home in _homes().values() if home.site_id == WEST]
    assert 0 < len(far) < len(_homes()) / 4


def test_idle_nodes_asleep_save_a_quarter_of_the_bill_and_worsen_the_pue() -> None:
    awake, asleep = _bill(NAMES[0]), _bill(NAMES[5])
    assert awake.yuan == pytest.approx(105_133, rel=0.01)
    assert 100 * (asleep.yuan / awake.yuan - 1) == pytest.approx(-23.8, abs=1.0)
    assert asleep.kwh < 0.75 * awake.kwh
    assert asleep.pue > awake.pue + 0.03
    assert asleep.wakes > 0
    assert awake.wakes == 0


def test_no_more_is_saved_than_idles() -> None:
    """What sleeps is at most what idles: the bill cannot fall by more than all idle energy."""
    awake, asleep = _bill(NAMES[0]), _bill(NAMES[5])
    idle_kw = (
        sum(pool.sleep.nodes * pool.sleep.idle_w for pool in _day().problem.pools if pool.sleep)
        / 1_000
    )
    assert (awake.kwh - asleep.kwh) < 24 * idle_kw * awake.pue
