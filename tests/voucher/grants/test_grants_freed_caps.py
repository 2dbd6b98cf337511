"""Caps follow the money: what they are free of again, worked out by hand.

Each award is a fifth of 100万: 20万, of a cap of 100万 for the applicant and a pool of 150万.
"""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

import pytest
from grant_builders import WAN, Office, a_draft, a_spend
from sqlalchemy import Engine

from suanwang.clock import VirtualClock
from suanwang.ids import LotId, SeededIds
from suanwang.model.voucher import HoldSlice
from voucher import ledger
from voucher import store as voucher_store
from voucher.commands import Capture, Command, Deposit, OpenHold, Repay
from voucher.expiry import expire_due
from voucher.grants import payout, store, store_audit
from voucher.grants.case import State
from voucher.grants.freeing import Slice, between
from voucher.grants.records import Record
from voucher.grants.steps import free_lots
from voucher.grants.store_programmes import load_usage
from voucher.grants.sweep import do_due, free_ended
from voucher.writer import DirectWriter

Json = Mapping[str, object]
DAY = 86_400
FRAUD: Json = {"id": "fraud", "event": "false papers", "take": "full"}
CLAIM: Json = {"kind": "compute", "mode": "claim_then_redeem", "beneficiary": "demander"}
PART: Json = {"id": "early", "event": "ended early", "take": "prorata"}
BOTH_CAPS = [
    {"id": "firm", "scope": "applicant", "period": "year", "amount_fen": 100 * WAN,
     "counts": "both"},
    {"id": "pool", "scope": "pool", "period": "year", "amount_fen": 150 * WAN},
]  # fmt: skip


@pytest.fixture
def office(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Iterator[Office]:
    with DirectWriter(engine, clock).turn() as turn:
        yield Office(turn, clock, ids)


def booked(office: Office, *commands: Command) -> None:
    outcomes = ledger.apply(office.turn, commands, office.clock.now())
    assert all(isinstance(one, ledger.Accepted) for one in outcomes), outcomes


def issued(office: Office) -> Record:
    record = office.to_granted()
    return payout.issue(office.city("wang"), record.id, payout.LotTerms())


def held(office: Office, lot_id: str) -> None:
    """Set 5万 of the lot and 20万 of cash aside for a job."""
    slices = (
        HoldSlice(lot_id=LotId(lot_id), amount_fen=5 * WAN),
        HoldSlice(lot_id=None, amount_fen=20 * WAN),
    )
    booked(
        office,
        Deposit(key="d", tenant_id="haiyun", amount_fen=20 * WAN),
        OpenHold(key="h", hold_id="h", tenant_id="haiyun", attempt_id="a", slices=slices),
    )


def spent(office: Office, lot_id: str) -> None:
    """Let a job take 5万 of the lot."""
    held(office, lot_id)
    booked(office, Capture(key="c", hold_id="h", amount_fen=25 * WAN))


def reclaimed(office: Office, record: Record, trigger: str = "fraud", **part: int) -> Record:
    demand = payout.Demand(trigger=trigger, reason="举报", **part)
    payout.request_clawback(office.city(), record.id, demand)
    return payout.decide_clawback(office.city("wang"), record.id, is_approved=True, reason="")


def repaid(office: Office, record: Record, amount_fen: int, receipt: str) -> None:
    """Book a repayment as the route does."""
    (lot_id,) = record.lots
    booked(
        office,
        Repay(
            key=receipt, tenant_id="haiyun", lot_id=lot_id, amount_fen=amount_fen, receipt=receipt
        ),
    )
    free_lots(office.city(), {lot_id})


def taken(office: Office) -> dict[str, int]:
    """Return what is taken of each cap, in 万; redemptions apart."""
    usage = load_usage(office.connection, "plain").taken
    words = {"claimed": "", "redeemed": " redeemed"}
    return {f"{key.cap_id}{words[key.measure]}": fen // WAN for key, fen in usage.items()}


@pytest.mark.parametrize(
    ("rule", "firm", "pool"),
    [
        pytest.param({}, 20, 20, id="lapsed money frees nothing"),
        pytest.param({"unused": "pool"}, 20, 5, id="the pool alone, where nothing is said"),
        pytest.param({"unused": "pool", "frees": "pool"}, 20, 5, id="the pool alone"),
        pytest.param({"unused": "pool", "frees": "all"}, 5, 5, id="all"),
    ],
)
def test_an_ended_voucher_of_which_5_were_spent_frees_15(
    office: Office, rule: Json, firm: int, pool: int
) -> None:
    office.adopt(validity={"days_from_issue": 30, **rule})
    record = issued(office)
    spent(office, record.id)
    office.clock.sleep(40 * DAY)
    assert do_due(office.turn, record.id, office.clock.now())
    assert taken(office) == {"firm": firm, "pool": pool}
    # The sweep that books the end finds nothing more to free.
    expire_due(office.turn, office.clock.now())
    free_ended(office.turn, {record.id}, office.clock.now())
    assert taken(office) == {"firm": firm, "pool": pool}
    assert load_usage(office.connection, "plain").spent


def test_what_a_job_leaves_of_an_ended_voucher_is_freed_when_it_ends(office: Office) -> None:
    office.adopt(
        validity={
            "days_from_issue": 30, "unused": "pool", "frees": "all", "grace_days_running_jobs": 30,
        }
    )  # fmt: skip
    record = issued(office)
    held(office, record.id)
    office.clock.sleep(40 * DAY)
    do_due(office.turn, record.id, office.clock.now())
    assert taken(office) == {"firm": 5, "pool": 5}
    # The job takes 1万 of the 5万 that were set aside; 4万 come home to the ended voucher.
    booked(office, Capture(key="c", hold_id="h", amount_fen=5 * WAN))
    due = voucher_store.due_lots(office.connection, office.clock.now())
    expire_due(office.turn, office.clock.now())
    free_ended(office.turn, due, office.clock.now())
    assert taken(office) == {"firm": 1, "pool": 1}
    row = store_audit.events(office.connection, record.id)[-1]
    assert (row.action, row.actor.person) == ("free", "clock")
    assert row.facts["freed"] == {"pool_fen": 19 * WAN, "own_fen": 19 * WAN, "redeemed_fen": 0}
    (told, *_) = store_audit.messages(office.connection, "haiyun")
    assert told.message.text_zh == f"申请 {record.id} 已收回 40,000.00 元，占用的限额相应释放。"


@pytest.mark.parametrize(
    ("trigger", "after", "repaid_after"),
    [
        # 15万 were left and are back at once; 5万 are owed and come back as they are repaid.
        pytest.param(FRAUD, (20, 5), (20, 2), id="the pool alone, where nothing is said"),
        pytest.param({**FRAUD, "frees": "all"}, (5, 5), (2, 2), id="all"),
    ],
)
def test_a_clawback_frees_what_was_left_at_once_and_a_debt_as_it_is_repaid(
    office: Office, trigger: Json, after: tuple[int, int], repaid_after: tuple[int, int]
) -> None:
    office.adopt(validity={"days_from_issue": 30, "unused": "pool"}, clawback=[trigger])
    record = issued(office)
    spent(office, record.id)
    done = reclaimed(office, record)
    assert done.state is State.RECLAIMED
    assert taken(office) == dict(zip(("firm", "pool"), after, strict=True))
    repaid(office, record, 3 * WAN, "R-1")
    assert taken(office) == dict(zip(("firm", "pool"), repaid_after, strict=True))
    free_lots(office.city(), set(record.lots))
    assert taken(office) == dict(zip(("firm", "pool"), repaid_after, strict=True))
    repaid(office, record, 2 * WAN, "R-2")
    assert taken(office)["pool"] == 0
    # The invoice was used, whatever became of the money.
    assert load_usage(office.connection, "plain").spent
    assert voucher_store.check(office.connection).findings == ()


def test_the_part_that_is_taken_back_of_a_voucher_frees_that_part(office: Office) -> None:
    office.adopt(
        validity={"days_from_issue": 30, "unused": "pool"}, clawback=[{**PART, "frees": "all"}]
    )
    record = issued(office)
    # A quarter of the term was not served: 5万 of 20万 are taken back, and the rest pays on.
    reclaimed(office, record, "early", unserved=1, term=4)
    assert taken(office) == {"firm": 15, "pool": 15}


def test_a_claim_that_is_taken_back_frees_what_was_never_paid_out_and_then_what_is_repaid(
    office: Office,
) -> None:
    office.adopt(
        benefit=CLAIM, caps=BOTH_CAPS, validity={"redeem_within_days": 200},
        clawback=[{**FRAUD, "frees": "all"}],
    )  # fmt: skip
    record = office.to_granted()
    for ref, paid in (("p1", 30), ("p2", 50)):
        request = payout.Claim(ref=ref, line_facts={"1": {"line.paid_fen": paid * WAN}})
        payout.claim(office.firm(), record.id, request)
    # 6万 and 4万 are redeemed, the 6万 are paid; 10万 of the claim were never redeemed.
    payout.settle(office.city("wang"), record.id, "R-1", 1)
    assert taken(office) == {"firm": 20, "pool": 20, "firm redeemed": 10}
    record = reclaimed(office, record)
    assert taken(office) == {"firm": 6, "pool": 6, "firm redeemed": 6}
    repaid(office, record, 2 * WAN, "R-2")
    assert taken(office) == {"firm": 4, "pool": 4, "firm redeemed": 4}
    repaid(office, record, 4 * WAN, "R-3")
    assert set(taken(office).values()) == {0}
    assert voucher_store.check(office.connection).findings == ()


def test_a_claim_whose_policy_says_nothing_keeps_the_caps_of_the_applicant(office: Office) -> None:
    office.adopt(benefit={**CLAIM, "mode": "reimburse"}, clawback=[FRAUD])
    record = office.to_granted()
    payout.settle(office.city("wang"), record.id, "R-1")
    record = reclaimed(office, record)
    assert taken(office) == {"firm": 20, "pool": 20}
    repaid(office, record, 20 * WAN, "R-2")
    assert taken(office) == {"firm": 20, "pool": 0}


def test_what_is_free_again_can_be_granted_again_in_the_same_year(office: Office) -> None:
    caps = [
        {"id": "firm", "scope": "applicant", "period": "year", "amount_fen": 20 * WAN},
        {"id": "pool", "scope": "pool", "period": "year", "amount_fen": 20 * WAN},
    ]
    office.adopt(caps=caps, validity={"days_from_issue": 10, "unused": "pool", "frees": "all"})
    record = issued(office)
    office.clock.sleep(timedelta(days=20).total_seconds())
    do_due(office.turn, record.id, office.clock.now())
    again = a_draft(
        "r2",
        a_spend(contract_no="HT-2", invoice_no="26372000000000000002"),
    )
    assert office.to_publicity(again).case.award_fen == 20 * WAN


def test_lots_that_were_granted_by_hand_belong_to_no_award(office: Office) -> None:
    office.adopt()
    record = issued(office)
    found = store.of_lots(office.connection, {"lot-1", record.id, f"{record.id}-other"})
    assert [one.id for one in found] == [record.id]
    assert store.of_lots(office.connection, {f"{record.id}-other"}) == ()


def test_what_comes_back_of_redemptions_is_the_unpaid_and_then_the_latest(
    clock: VirtualClock,
) -> None:
    def payment(seq: int, fen: int, *, is_paid: bool) -> store_audit.Redemption:
        now = clock.now()
        return store_audit.Redemption(
            seq=seq, ref=f"p{seq}", body_digest="", paid_on=f"2026-0{seq}-01", amount_fen=fen,
            by_line={}, filed_by="f", filed_at=now, settled_at=now if is_paid else None,
        )  # fmt: skip

    payments = [
        payment(1, 10, is_paid=True), payment(2, 20, is_paid=False), payment(3, 30, is_paid=True),
    ]  # fmt: skip
    assert list(between(payments, 0, 60)) == [
        Slice(date(2026, 2, 1), 20), Slice(date(2026, 3, 1), 30), Slice(date(2026, 1, 1), 10),
    ]  # fmt: skip
    assert list(between(payments, 15, 25)) == [
        Slice(date(2026, 2, 1), 5), Slice(date(2026, 3, 1), 5),
    ]  # fmt: skip
    assert list(between(payments, 25, 25)) == []
