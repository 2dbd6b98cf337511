"""One leader: epochs, a lease that ends, and two schedulers that race on PostgreSQL."""

import threading
from datetime import timedelta

import pytest
from scheduler_builders import CHEAP, START, Centre, a_centre, a_new_job, a_pool, a_site
from sqlalchemy import Engine

from scheduler import leader
from scheduler.cycle import CycleReport
from scheduler.leader import NotLeading
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.ids import SeededIds
from voucher.check import check


def lead(engine: Engine, holder: str, second: float) -> int | None:
    """Try to lead for fifteen seconds."""
    with writing(engine) as connection:
        return leader.lead(connection, holder, START + timedelta(seconds=second), 15.0)


def test_one_leads_until_its_lease_ends(engine: Engine) -> None:
    assert lead(engine, "a", 0) == 1
    assert lead(engine, "b", 1) is None
    assert lead(engine, "a", 10) == 1
    assert lead(engine, "b", 24) is None
    assert lead(engine, "b", 25) == 2
    assert lead(engine, "a", 26) is None


def test_a_leader_that_missed_its_own_end_begins_a_new_epoch(engine: Engine) -> None:
    assert [lead(engine, "a", 0), lead(engine, "a", 30)] == [1, 2]


def test_a_clock_that_jumps_back_does_not_shorten_a_lease(engine: Engine) -> None:
    lead(engine, "a", 100)
    lead(engine, "a", 0)
    assert lead(engine, "b", 60) is None


def test_who_resigns_leaves_the_lead_at_once(engine: Engine) -> None:
    lead(engine, "a", 0)
    with writing(engine) as connection:
        leader.resign(connection, "b", START)
        leader.resign(connection, "a", START)
    assert lead(engine, "b", 0) == 2


def test_a_commit_of_an_old_epoch_is_refused(engine: Engine) -> None:
    lead(engine, "a", 0)
    with reading(engine) as connection:
        leader.check_epoch(connection, 1)
    lead(engine, "b", 20)
    with reading(engine) as connection, pytest.raises(NotLeading) as error:
        leader.check_epoch(connection, 1)
    assert error.value.facts == {"epoch": 1, "newest": 2}


def test_without_any_lease_nobody_commits(engine: Engine) -> None:
    with reading(engine) as connection, pytest.raises(NotLeading):
        leader.check_epoch(connection, 1)


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
