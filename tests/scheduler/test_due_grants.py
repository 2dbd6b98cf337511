"""The centre's loop does what time alone does to applications for vouchers."""

import pytest
from grant_builders import WAN, Office
from scheduler_builders import Centre, a_centre
from sqlalchemy import Engine

from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.ids import LotId, SeededIds
from suanwang.model.voucher import HoldSlice
from voucher import ledger
from voucher.commands import Capture, Deposit, OpenHold
from voucher.grants import payout, store, store_audit
from voucher.grants.case import State
from voucher.grants.store_programmes import load_usage

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


def test_the_loop_frees_the_caps_of_what_a_job_leaves_of_an_ended_voucher(centre: Centre) -> None:
    rule = {"days_from_issue": 30, "grace_days_running_jobs": 30, "unused": "pool"}
    with centre.writer.turn() as turn:
        office = Office(turn, centre.clock, centre.ids)
        office.adopt(validity={**rule, "frees": "all"})
        name = office.to_granted().id
        payout.issue(office.city("wang"), name, payout.LotTerms())
        slices = (
            HoldSlice(lot_id=LotId(name), amount_fen=5 * WAN),
            HoldSlice(lot_id=None, amount_fen=20 * WAN),
        )
        hold = OpenHold(key="h", hold_id="h", tenant_id="haiyun", attempt_id="a", slices=slices)
        cash = Deposit(key="d", tenant_id="haiyun", amount_fen=20 * WAN)
        ledger.apply(turn, [cash, hold], centre.clock.now())
    centre.clock.advance(40 * DAY_S)
    centre.reconcile()
    assert taken(centre) == {"firm": 5 * WAN, "pool": 5 * WAN}
    with centre.writer.turn() as turn:
        ledger.apply(turn, [Capture(key="c", hold_id="h", amount_fen=0)], centre.clock.now())
    centre.clock.advance(1)
    assert [centre.reconcile().expired for _ in range(2)] == [1, 0]
    assert taken(centre) == {"firm": 0, "pool": 0}


def taken(centre: Centre) -> dict[str, int]:
    with writing(centre.engine) as connection:
        usage = load_usage(connection, "plain").taken
    return {key.cap_id: amount for key, amount in usage.items()}
