"""What a policy says about lots is what the lots say: end, grace, kind."""

from collections.abc import Iterator

import pytest
from grant_builders import Office
from sqlalchemy import Engine

from suanwang.clock import VirtualClock
from suanwang.errors import Refused
from suanwang.ids import SeededIds
from voucher import store as voucher_store
from voucher.grants import payout, service
from voucher.programmes.sentences import Code
from voucher.wording import Language
from voucher.writer import DirectWriter


@pytest.fixture
def office(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Iterator[Office]:
    with DirectWriter(engine, clock).turn() as turn:
        yield Office(turn, clock, ids)


def test_the_grace_of_the_policy_is_that_of_the_lot(office: Office) -> None:
    office.adopt(validity={"days_from_issue": 30, "grace_days_running_jobs": 3})
    record = office.to_granted()
    payout.issue(office.city("wang"), record.id, payout.LotTerms())
    lot = voucher_store.find_lot(office.connection, record.id, office.clock.now())
    assert lot.grace_s == 3 * 86_400


def test_a_grace_that_nobody_could_read_keeps_the_lot_back(office: Office) -> None:
    office.adopt(
        validity={"days_from_issue": 30, "grace_days_running_jobs": None},
        marks={"*": {"mark": "decided"}, "validity.grace_days_running_jobs": {"mark": "not_seen"}},
    )
    record = office.to_granted()
    with pytest.raises(Refused, match="grace_days_running_jobs of plain was not seen"):
        payout.issue(office.city("wang"), record.id, payout.LotTerms())


@pytest.mark.parametrize("kind", ["model", "token", "corpus"])
def test_only_compute_becomes_lots_that_pay_for_jobs(office: Office, kind: str) -> None:
    office.adopt(benefit={"kind": kind, "mode": "deduct", "beneficiary": "demander"})
    record = office.file()
    checked = service.check(office.firm(), record)
    (reason,) = [one for one in checked.blocking if one.document()["code"] == Code.WRONG_KIND]
    assert f"{kind} 类的券不能抵扣作业费用" in reason.text(Language.CHINESE)
    with pytest.raises(Refused, match=f"kind {kind} cannot pay for jobs"):
        service.submit(office.firm(), record.id)


def test_another_kind_may_be_reimbursed(office: Office) -> None:
    office.adopt(benefit={"kind": "token", "mode": "reimburse", "beneficiary": "demander"})
    record = office.to_granted()
    assert payout.settle(office.city("wang"), record.id, "R-1").case.settled_fen > 0
