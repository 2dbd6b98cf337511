"""Two schedulers that race on PostgreSQL place every job once."""

import threading

import pytest
from scheduler_builders import CHEAP, Centre, a_centre, a_new_job, a_pool, a_site
from sqlalchemy import Engine

from scheduler.cycle import CycleReport
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading
from suanwang.ids import SeededIds
from voucher.check import check


@pytest.mark.postgresql
def test_two_schedulers_place_every_job_once(
    postgres_engine: Engine, clock: VirtualClock, ids: SeededIds
) -> None:
    first = a_centre(postgres_engine, clock, ids, holder="first")
    second = a_centre(postgres_engine, clock, ids, holder="second")
    first.register(a_site(CHEAP, a_pool(CHEAP, units=100, yuan=6)))
    first.add_tenant(cash_fen=1_000_000)
    names = [f"job{number}" for number in range(20)]
    for name in names:
        first.submit(a_new_job(name))
    barrier = threading.Barrier(2)
    reports: list[CycleReport] = []

    def race(centre: Centre) -> None:
        barrier.wait(10)
        reports.append(centre.cycle())

    threads = [threading.Thread(target=race, args=(centre,)) for centre in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(report.is_leader for report in reports) == [False, True]
    assert [len(first.attempts(name)) for name in names] == [1] * 20
    with reading(postgres_engine) as connection:
        assert check(connection).is_sound


@pytest.mark.postgresql
def test_two_that_both_believe_to_lead_place_every_job_once(
    postgres_engine: Engine, clock: VirtualClock, ids: SeededIds
) -> None:
    """Even under one holder's name, rows and versions let only one of two commits stand."""
    centre = a_centre(postgres_engine, clock, ids)
    centre.register(a_site(CHEAP, a_pool(CHEAP, units=100, yuan=6)))
    centre.add_tenant(cash_fen=1_000_000)
    names = [f"job{number}" for number in range(10)]
    for name in names:
        centre.submit(a_new_job(name))
    barrier = threading.Barrier(2)
    started: list[int] = []

    def race() -> None:
        barrier.wait(10)
        started.append(len(centre.cycle().started))

    threads = [threading.Thread(target=race) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    centre.cycle()
    assert sum(started) <= 10
    assert [len(centre.attempts(name)) for name in names] == [1] * 10
    with reading(postgres_engine) as connection:
        audit = check(connection)
    assert audit.is_sound
    assert audit.holds_open == 10
