"""The centre's loop does what time alone does to applications for vouchers."""

import pytest
from grant_builders import Office
from scheduler_builders import Centre, a_centre
from sqlalchemy import Engine

from suanwang.clock import VirtualClock
from suanwang.db.engine import reading
from suanwang.ids import SeededIds
from voucher.grants import payout, store, store_audit
from voucher.grants.case import State

DAY_S = 86_400


@pytest.fixture
def centre(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Centre:
    return a_centre(engine, clock, ids)


def test_the_loop_ends_publicity_warns_and_ends_vouchers_each_once(centre: Centre) -> None:
    with centre.writer.turn() as turn:
        office = Office(turn, centre.clock, centre.ids)
        office.adopt(validity={"days_from_issue": 90})
        name = office.to_publicity().id
    centre.clock.advance(7 * DAY_S)
    assert [centre.reconcile().grants for _ in range(2)] == [1, 0]
    with centre.writer.turn() as turn:
        office.turn = turn
        payout.issue(office.city("wang"), name, payout.LotTerms())
    for days in (60, 10, 30, 10):
        centre.clock.advance(days * DAY_S)
        centre.reconcile()
    report = centre.reconcile()
    assert (report.grants, report.expired) == (0, 0)
    with reading(centre.engine) as connection:
        assert store.find(connection, name).state is State.EXPIRED
        acts = [row.action for row in store_audit.events(connection, name)]
    assert acts[-4:] == ["end-publicity", "issue", "warn", "end"]
