"""Reservations from the table to the plan: others stay out, holders come in, running jobs count."""

from dataclasses import replace
from datetime import timedelta

import pytest
from scheduler_builders import (
    NEAR,
    START,
    TENANT,
    Centre,
    a_centre,
    a_new_job,
    a_pool,
    a_site,
)
from sqlalchemy import Engine

from scheduler import store_reservations
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.errors import BadInput, Conflict, NotFound
from suanwang.ids import PoolId, SeededIds, TenantId
from suanwang.model.job import JobState
from suanwang.model.plan import ReasonCode
from suanwang.model.reservation import Reservation


@pytest.fixture
def centre(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Centre:
    """One site with eight cores; tenants t1 and other have money."""
    made = a_centre(engine, clock, ids)
    made.register(a_site(NEAR, a_pool(NEAR, yuan=6)))
    for tenant in (TENANT, "other"):
        made.add_tenant(tenant, cash_fen=10_000)
    return made


def _reservation(name: str = "r", **changes: object) -> Reservation:
    """All eight cores for tenant ``other``, for a day."""
    made = Reservation(
        id=name,
        pool_id=PoolId("near-cpu"),
        units=8,
        from_at=START,
        until_at=START + timedelta(days=1),
        tenants=("other",),
        jobs=(),
        reason="a course",
        actor="op (key)",
        made_at=START,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # a builder takes any field


def _add(centre: Centre, new: Reservation) -> Reservation:
    with writing(centre.engine) as connection:
        return store_reservations.add(connection, new)


def test_others_wait_and_the_holder_starts(centre: Centre) -> None:
    _add(centre, _reservation())
    centre.submit(a_new_job("train"))
    centre.submit(replace(a_new_job("mine"), tenant_id=TenantId("other")))
    centre.cycle()
    waiting = centre.job("train")
    assert (waiting.state, waiting.reason) == (JobState.QUEUED, ReasonCode.RESERVED)
    with reading(centre.engine) as connection:
        assert store_reservations.listed(connection, START) == (_reservation(),)


def test_a_job_that_ends_before_it_begins_takes_the_units(centre: Centre) -> None:
    _add(centre, _reservation(from_at=START + timedelta(minutes=15)))
    centre.submit(a_new_job("train", units=8))
    centre.cycle()
    assert centre.job("train").state is JobState.PLACED


def test_what_a_holder_s_running_job_uses_is_not_kept_twice(centre: Centre) -> None:
    _add(centre, _reservation(units=4, jobs=("train",), tenants=()))
    centre.submit(a_new_job("train", units=4))
    centre.cycle()
    centre.submit(a_new_job("guest", units=4))
    centre.submit(a_new_job("late", units=1))
    centre.cycle()
    states = {name: centre.job(name).state for name in ("train", "guest")}
    assert states == {"train": JobState.PLACED, "guest": JobState.PLACED}


def test_one_that_was_ended_keeps_nobody_out(centre: Centre) -> None:
    _add(centre, _reservation())
    with writing(centre.engine) as connection:
        ended = store_reservations.end(connection, "r", "op (key)", START)
        assert store_reservations.end(connection, "r", "another", START) == ended
    assert (ended.until_at, ended.ended_by) == (START, "op (key)")
    centre.submit(a_new_job("train"))
    centre.cycle()
    assert centre.job("train").state is JobState.PLACED


def test_the_same_again_is_the_same_and_another_is_refused(centre: Centre) -> None:
    first = _add(centre, _reservation())
    assert _add(centre, _reservation(made_at=START + timedelta(hours=1))) == first
    with pytest.raises(Conflict, match="is another one"):
        _add(centre, _reservation(units=7))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"tenants": ()}, "needs a holder", id="nobody"),
        pytest.param({"until_at": START}, "before it reserves anything", id="over"),
        pytest.param({"until_at": START + timedelta(days=400)}, "366 days at most", id="too long"),
        pytest.param({"units": 9}, "has 8 units, 0 are reserved", id="more than there is"),
    ],
)
def test_a_reservation_that_makes_no_sense_is_refused(
    centre: Centre, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        _add(centre, replace(_reservation(), **changes))  # type: ignore[arg-type]  # any field


def test_reservations_of_one_time_share_the_pool(centre: Centre) -> None:
    _add(centre, _reservation(units=5))
    with pytest.raises(BadInput, match="has 8 units, 5 are reserved in that time already"):
        _add(centre, _reservation("s", units=4))
    _add(centre, _reservation("s", units=3))


def test_a_pool_that_is_not_there_is_named(centre: Centre) -> None:
    with pytest.raises(NotFound, match="no pool 'far'"):
        _add(centre, _reservation(pool_id=PoolId("far")))
