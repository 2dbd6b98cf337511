"""What time alone does to an application: once, at its moment, with its row and its message."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from grant_builders import WAN, WORKFLOW, Office, a_draft, a_spend
from sqlalchemy import Engine

from suanwang.clock import VirtualClock
from suanwang.errors import Forbidden
from suanwang.ids import SeededIds
from voucher import store as voucher_store
from voucher.actor import Actor
from voucher.grants import payout, service, store, store_audit, sweep
from voucher.grants.application import advance
from voucher.grants.case import Action, DueKind, Event, State
from voucher.grants.records import Record
from voucher.grants.service import Verdict
from voucher.grants.store_programmes import load_usage
from voucher.writer import DirectWriter

DAY = timedelta(days=1).total_seconds()
CLAIM = {"kind": "compute", "mode": "claim_then_redeem", "beneficiary": "demander"}


@pytest.fixture
def office(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Iterator[Office]:
    with DirectWriter(engine, clock).turn() as turn:
        yield Office(turn, clock, ids)


def swept(office: Office) -> int:
    """Do what is due now, twice; return to how many the first time."""
    now = office.clock.now()
    due = sweep.due_now(office.connection, now)
    done = sum(sweep.do_due(office.turn, one, now) for one in due)
    assert sweep.due_now(office.connection, now) == ()
    assert not any(sweep.do_due(office.turn, one, now) for one in due)
    return done


def now_of(office: Office, record: Record) -> Record:
    return store.find(office.connection, record.id)


def told(office: Office, record: Record) -> list[str]:
    inbox = store_audit.messages(office.connection, record.case.tenant_id)
    return [one.message.code for one in reversed(inbox)]


def actions(office: Office, record: Record) -> list[tuple[str, str]]:
    rows = store_audit.events(office.connection, record.id)
    return [(row.action, row.actor.person) for row in rows]


def test_an_application_whose_publicity_is_over_goes_on_by_itself(office: Office) -> None:
    office.adopt()
    record = office.to_publicity()
    ends_at = record.case.publicity_ends_at
    assert ends_at is not None
    office.clock.sleep((ends_at - office.clock.now()).total_seconds() - 1)
    assert swept(office) == 0
    office.clock.sleep(1)
    assert swept(office) == 1
    granted = now_of(office, record)
    assert (granted.state, granted.case.due) == (State.GRANTED, None)
    assert actions(office, record)[-1] == ("end-publicity", "clock")
    assert told(office, record)[-1] == "granted"
    assert payout.issue(office.city("wang"), record.id, payout.LotTerms()).state is State.ISSUED


def test_a_publicity_that_was_ended_by_somebody_is_not_ended_again(office: Office) -> None:
    office.adopt()
    record = office.to_granted()
    before = actions(office, record)
    assert swept(office) == 0
    assert actions(office, record) == before


def test_an_upheld_objection_stops_the_clock(office: Office) -> None:
    office.adopt()
    record = office.to_publicity()
    verdict = Verdict(action=Action.RETURN, reason="公示期间收到异议")
    service.review(office.city("wang"), record.id, verdict)
    office.clock.sleep(30 * DAY)
    assert swept(office) == 0
    assert now_of(office, record).state is State.RETURNED


def test_a_publicity_without_its_papers_is_overdue_and_then_done_by_people(office: Office) -> None:
    office.adopt(workflow=[*WORKFLOW[:3], {**WORKFLOW[3], "evidence": ["公示截图"]}])
    record = office.to_publicity()
    office.clock.sleep(7 * DAY)
    assert swept(office) == 1
    late = now_of(office, record)
    assert late.state is State.PUBLICITY
    assert late.case.due is not None
    assert late.case.due.kind is DueKind.OVERDUE
    row = store_audit.events(office.connection, record.id)[-1]
    assert (row.action, "公示截图" in row.reason) == ("overdue", True)
    assert told(office, record)[-1] == "overdue"
    (newest, *_) = store_audit.messages(office.connection, "haiyun")
    assert newest.message.text_zh == (
        f"申请 {record.id} 在环节 publicity 逾期未办：缺少材料：公示截图。已提醒经办单位。"
    )
    listed = store.page(office.connection, store.Filter(due_by=office.clock.now()))
    assert [one.id for one in listed] == [record.id]
    office.clock.sleep(DAY)
    assert swept(office) == 0
    office.attach(office.city("wang"), record.id, "公示截图")
    assert office.approve(office.city("wang"), record.id, "已公示").state is State.GRANTED


def test_a_review_that_takes_too_long_is_overdue_and_decides_nothing(office: Office) -> None:
    office.adopt(workflow=[WORKFLOW[0], {**WORKFLOW[1], "review_days": 10}, *WORKFLOW[2:]])
    record = office.file()
    service.submit(office.firm(), record.id)
    office.clock.sleep(10 * DAY)
    assert swept(office) == 0
    office.clock.sleep(DAY)
    assert swept(office) == 1
    late = now_of(office, record)
    assert (late.state, late.case.stage) == (State.REVIEW, "district")
    assert told(office, record)[-1] == "overdue"
    office.attach(office.district(), record.id, "初审表")
    office.approve(office.district(), record.id, "属实")
    assert now_of(office, record).case.due is None


def test_the_end_of_a_voucher_is_announced_and_told(office: Office) -> None:
    office.adopt(validity={"days_from_issue": 90})
    record = office.to_granted()
    issued = payout.issue(office.city("wang"), record.id, payout.LotTerms())
    (lot,) = voucher_store.lots(office.connection, tenant_id="haiyun", now=office.clock.now())
    assert issued.case.ends_at == lot.expires_at
    office.clock.sleep(60 * DAY)
    assert swept(office) == 0
    office.clock.sleep(DAY)
    assert swept(office) == 1
    assert told(office, record)[-1] == "warn"
    (newest, *_) = store_audit.messages(office.connection, "haiyun")
    assert "200,000.00 CNY" in newest.message.text_en
    assert "2027-01-20 00:00" in newest.message.text_zh
    office.clock.sleep(30 * DAY)
    assert swept(office) == 1
    assert now_of(office, record).state is State.EXPIRED
    assert told(office, record)[-1] == "expired"
    assert [act for act, _ in actions(office, record)][-3:] == ["issue", "warn", "end"]


@pytest.mark.parametrize(("unused", "taken"), [("pool", 0), ("lapse", 20), (None, 20)])
def test_what_an_ended_voucher_did_not_pay_can_be_granted_again_if_the_policy_says_so(
    office: Office, unused: str | None, taken: int
) -> None:
    rule = {} if unused is None else {"unused": unused}
    office.adopt(validity={"days_from_issue": 10, **rule})
    record = office.to_granted()
    payout.issue(office.city("wang"), record.id, payout.LotTerms())
    office.clock.sleep(20 * DAY)
    assert swept(office) == 1
    usage = load_usage(office.connection, "plain").taken
    by_cap = {key.cap_id: amount for key, amount in usage.items()}
    assert by_cap == {"firm": 20 * WAN, "pool": taken * WAN}


def test_a_short_voucher_is_announced_at_half_time(office: Office) -> None:
    office.adopt(validity={"days_from_issue": 9})
    record = office.to_granted()
    issued = payout.issue(office.city("wang"), record.id, payout.LotTerms())
    due, ends_at = issued.case.due, issued.case.ends_at
    assert due is not None
    assert ends_at is not None
    assert (due.kind, due.at - office.clock.now()) == (
        DueKind.WARNING, ends_at - due.at,
    )  # fmt: skip


def test_a_claim_that_nobody_redeems_lapses_and_frees_caps_pool_and_invoice(
    office: Office,
) -> None:
    office.adopt(benefit=CLAIM, validity={"redeem_within_days": 60})
    record = office.to_granted()
    office.clock.sleep(40 * DAY)
    assert swept(office) == 1
    assert told(office, record)[-1] == "warn"
    office.clock.sleep(20 * DAY)
    assert swept(office) == 1
    lapsed = now_of(office, record)
    assert (lapsed.state, lapsed.case.award_fen) == (State.LAPSED, 0)
    assert told(office, record)[-1] == "lapsed"
    usage = load_usage(office.connection, "plain")
    assert (set(usage.taken.values()), usage.spent) == ({0}, set())
    again = office.file(a_draft("r2", a_spend()))
    assert service.submit(office.firm(), again.id).state is State.REVIEW


def test_what_was_redeemed_in_time_is_still_paid_after_the_end(office: Office) -> None:
    office.adopt(benefit=CLAIM, validity={"redeem_within_days": 60})
    record = office.to_granted()
    half = payout.Claim(ref="p1", line_facts={"1": {"line.paid_fen": 50 * WAN}})
    payout.claim(office.firm(), record.id, half)
    office.clock.sleep(60 * DAY)
    assert swept(office) == 1
    ended = now_of(office, record)
    assert (ended.state, ended.case.award_fen, ended.case.redeemed_fen) == (
        State.GRANTED, 10 * WAN, 10 * WAN,
    )  # fmt: skip
    assert set(load_usage(office.connection, "plain").taken.values()) == {10 * WAN}
    paid = payout.settle(office.city("wang"), record.id, "R-1", 1)
    assert (paid.state, paid.case.settled_fen) == (State.SETTLED, 10 * WAN)


def test_a_claim_paid_in_part_is_settled_at_its_end(office: Office) -> None:
    office.adopt(benefit=CLAIM, validity={"redeem_within_days": 60})
    record = office.to_granted()
    half = payout.Claim(ref="p1", line_facts={"1": {"line.paid_fen": 50 * WAN}})
    payout.claim(office.firm(), record.id, half)
    payout.settle(office.city("wang"), record.id, "R-1", 1)
    office.clock.sleep(80 * DAY)
    assert swept(office) == 1
    assert now_of(office, record).state is State.SETTLED
    assert told(office, record)[-1] == "end"


def test_a_voucher_that_has_ended_can_still_be_taken_back(office: Office) -> None:
    office.adopt(validity={"days_from_issue": 10})
    record = office.to_granted()
    payout.issue(office.city("wang"), record.id, payout.LotTerms())
    office.clock.sleep(20 * DAY)
    assert swept(office) == 1
    demand = payout.Demand(trigger="fraud", reason="举报")
    assert payout.request_clawback(office.city(), record.id, demand).state is State.CLAWBACK
    kept = payout.decide_clawback(office.city("wang"), record.id, is_approved=False, reason="无据")
    assert (kept.state, kept.case.due) == (State.EXPIRED, None)


def test_an_end_that_came_while_no_centre_ran_is_told_as_an_end(office: Office) -> None:
    office.adopt(validity={"days_from_issue": 60})
    record = office.to_granted()
    payout.issue(office.city("wang"), record.id, payout.LotTerms())
    office.clock.sleep(400 * DAY)
    assert swept(office) == 1
    assert [act for act, _ in actions(office, record)][-2:] == ["issue", "end"]
    assert "warn" not in told(office, record)


def test_a_refused_demand_does_not_announce_the_end_twice(office: Office) -> None:
    office.adopt(validity={"days_from_issue": 60})
    record = office.to_granted()
    payout.issue(office.city("wang"), record.id, payout.LotTerms())
    office.clock.sleep(40 * DAY)
    assert swept(office) == 1
    payout.request_clawback(office.city(), record.id, payout.Demand(trigger="fraud", reason="x"))
    payout.decide_clawback(office.city("wang"), record.id, is_approved=False, reason="无据")
    assert swept(office) == 0
    office.clock.sleep(21 * DAY)
    assert swept(office) == 1
    assert now_of(office, record).state is State.EXPIRED


@pytest.mark.parametrize("action", [Action.END_PUBLICITY, Action.OVERDUE])
def test_nobody_does_what_is_times_alone(office: Office, action: Action) -> None:
    programme = office.adopt()
    record = office.to_publicity()
    event = Event(action=action, actor=office.city().actor)
    with pytest.raises(Forbidden, match="time's alone"):
        advance(record.case, event, programme.policy, office.clock.now())
    assert isinstance(event.actor, Actor)
