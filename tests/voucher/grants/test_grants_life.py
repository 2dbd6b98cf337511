"""The life of a voucher: each step, who may do it, and what it leaves behind."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from grant_builders import (
    OTHER_CODE,
    WAN,
    WORKFLOW,
    Office,
    a_draft,
    a_spend,
    an_organisation,
)
from sqlalchemy import Engine, delete, update
from sqlalchemy.exc import DBAPIError

from suanwang.clock import VirtualClock
from suanwang.db.engine import writing
from suanwang.db.tables import grant_event
from suanwang.errors import BadInput, Conflict, Forbidden, InvalidTransition, NotFound, Refused
from suanwang.ids import LotId, SeededIds
from suanwang.model.tenant import Role
from suanwang.model.voucher import HoldSlice
from voucher import ledger, store_funders
from voucher import store as voucher_store
from voucher.commands import Appropriate, Capture, Deposit, OpenHold, Repay
from voucher.grants import payout, service, store, store_audit
from voucher.grants.case import Action, State
from voucher.grants.service import Verdict
from voucher.grants.store_programmes import load_usage
from voucher.store_audit import stored_balances
from voucher.writer import DirectWriter


@pytest.fixture
def office(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Iterator[Office]:
    with DirectWriter(engine, clock).turn() as turn:
        yield Office(turn, clock, ids)


def test_a_voucher_goes_from_a_draft_to_a_lot(office: Office) -> None:
    office.adopt()
    record = office.to_publicity()
    assert (record.state, record.case.award_fen) == (State.PUBLICITY, 20 * WAN)
    assert record.case.publicity_ends_at == datetime(2026, 10, 19, 16, tzinfo=UTC)
    with pytest.raises(InvalidTransition, match="public until"):
        office.approve(office.city("wang"), record.id)
    office.clock.sleep(6 * 86_400)
    assert office.approve(office.city("wang"), record.id).state is State.GRANTED
    issued = payout.issue(office.city("wang"), record.id, payout.LotTerms())
    assert issued.state is State.ISSUED
    (lot,) = voucher_store.lots(office.connection, tenant_id="haiyun", now=office.clock.now())
    assert (lot.id, lot.issued_fen, lot.ratio_num, lot.ratio_den) == (record.id, 20 * WAN, 1, 5)
    assert lot.expires_at == datetime(2026, 11, 19, 16, tzinfo=UTC)
    with pytest.raises(InvalidTransition, match="is in state issued"):
        payout.issue(office.city("wang"), record.id, payout.LotTerms())
    actions = [row.action for row in store_audit.events(office.connection, record.id)]
    assert actions == [
        "create", "attach", "submit", "attach", "approve", "approve", "decide", "approve", "issue",
    ]  # fmt: skip
    codes = [one.message.code for one in store_audit.messages(office.connection, "haiyun")]
    assert sorted(codes) == ["granted", "issued", "publicity", "review", "review"]
    assert voucher_store.lots(office.connection, tenant_id="lanxin", now=office.clock.now()) == ()


def test_what_is_missing_is_told_at_once_and_nothing_moves(office: Office) -> None:
    office.adopt(
        eligibility=[{"fact": "applicant.region", "op": "eq", "value": "Qingdao"}],
        valid={"from": date(2027, 1, 1)},
    )
    record, _ = service.create(
        office.firm(), "haiyun", a_draft(facts={"applicant.region": "Jinan"}), office.ids
    )
    with pytest.raises(BadInput, match="申报表"):
        service.submit(office.firm(), record.id)
    office.attach(office.firm(), record.id, "申报表")
    with pytest.raises(Refused) as caught:
        service.submit(office.firm(), record.id)
    findings = caught.value.facts["findings"]
    assert isinstance(findings, list)
    assert [one["code"] for one in findings] == ["not-in-force", "predicate-failed"]
    assert findings[1]["facts"]["stated"] == "Jinan"
    assert "要求：注册地（applicant.region）为Qingdao" in findings[1]["message_zh"]
    assert store.find(office.connection, record.id).state is State.DRAFT


def test_a_fact_that_only_reviewers_know_may_come_later(office: Office) -> None:
    office.adopt(eligibility=[{"fact": "applicant.is_dishonest", "op": "is_false"}])
    record = office.file()
    service.submit(office.firm(), record.id)
    office.attach(office.district(), record.id, "初审表")
    verdict = Verdict(action=Action.APPROVE, facts={"applicant.is_dishonest": False})
    service.review(office.district(), record.id, verdict)
    assert office.approve(office.city(), record.id).case.award_fen == 20 * WAN
    rows = store_audit.events(office.connection, record.id)
    assert [row.facts["set"] for row in rows if row.actor.person == "zhang" and "set" in row.facts]


def test_an_award_that_comes_to_nothing_is_a_rejection_with_reasons(office: Office) -> None:
    office.adopt(eligibility=[{"fact": "applicant.is_dishonest", "op": "is_false"}])
    record = office.to_publicity()
    assert record.state is State.REJECTED
    (told, *_) = store_audit.messages(office.connection, "haiyun")
    assert "applicant.is_dishonest is not known" in told.message.text_en
    assert "未通过：是否失信（applicant.is_dishonest）未填报；要求：" in told.message.text_zh
    (decided,) = [one for one in store_audit.events(office.connection, record.id)
                  if one.action == "decide"]  # fmt: skip
    findings = decided.facts["findings"]
    assert isinstance(findings, list)
    found = findings[0]
    assert (found["code"], found["facts"]["op"]) == ("fact-unknown", "is_false")
    stored = store.find(office.connection, record.id)
    assert stored.award is not None
    assert [one.document() for one in stored.award.reasons] == decided.facts["findings"]
    with pytest.raises(Forbidden, match="four eyes"):
        service.review(office.city(), record.id, Verdict(action=Action.REOPEN, reason="again"))
    reopened = service.review(
        office.city("wang"), record.id, Verdict(action=Action.REOPEN, reason="证明已补")
    )
    assert reopened.state is State.RETURNED


def test_an_award_that_a_cap_makes_smaller_says_so_in_both_languages(office: Office) -> None:
    office.adopt(
        caps=[{"id": "each", "scope": "applicant", "period": "year", "amount_fen": 15 * WAN}]
    )
    record = office.to_publicity()
    assert record.case.award_fen == 15 * WAN
    (told, *_) = store_audit.messages(office.connection, "haiyun")
    assert told.message.text_en.endswith("Cut: caps.each leaves 150,000.00 CNY of 200,000.00 CNY.")
    assert told.message.text_zh.endswith(
        "核减原因：受限额 caps.each 限制，由 200,000.00 元 减至 150,000.00 元。"
    )


def test_nobody_reviews_what_the_same_person_or_organisation_made(office: Office) -> None:
    office.adopt()
    record = office.file()
    service.submit(office.firm(), record.id)
    office.attach(office.district(), record.id, "初审表")
    with pytest.raises(Forbidden, match="own organisation"):
        office.approve(office.desk("x", Role.ADMIN, "haiyun"), record.id)
    with pytest.raises(Forbidden, match="reviewer-district"):
        office.approve(office.city(), record.id)
    office.approve(office.desk("boss", Role.ADMIN, "platform"), record.id)
    with pytest.raises(Forbidden, match="four eyes"):
        office.approve(office.desk("boss", Role.ADMIN, "platform"), record.id)
    decided = office.approve(office.city(), record.id)
    office.clock.sleep(7 * 86_400)
    granted = office.approve(office.city(), decided.id)
    assert granted.state is State.GRANTED
    with pytest.raises(Forbidden, match="four eyes"):
        payout.issue(office.city(), record.id, payout.LotTerms())


def test_another_district_does_not_see_it(office: Office) -> None:
    office.adopt()
    record = office.file()
    with pytest.raises(NotFound):
        service.review(
            office.desk("x", Role.REVIEWER_DISTRICT, "lanxin"),
            record.id,
            Verdict(action=Action.APPROVE),
        )
    with pytest.raises(NotFound):
        service.withdraw(office.firm("lanxin"), record.id, "")


def test_a_return_gives_the_caps_back_and_a_corrected_one_comes_again(office: Office) -> None:
    office.adopt()
    record = office.to_publicity()
    verdict = Verdict(action=Action.RETURN, reason="合同金额与发票不符")
    returned = service.review(office.city("wang"), record.id, verdict)
    assert (returned.state, returned.case.award_fen) == (State.RETURNED, 0)
    usage = load_usage(office.connection, "plain")
    assert set(usage.taken.values()) == {0}
    assert not usage.spent
    draft = a_draft("r1", a_spend(amount_fen=50 * WAN))
    service.edit(office.firm(), record.id, draft)
    service.submit(office.firm(), record.id)
    office.approve(office.district(), record.id)
    assert office.approve(office.city(), record.id).case.award_fen == 10 * WAN


def test_a_withdrawal_frees_the_invoice_for_another(office: Office) -> None:
    office.adopt()
    first = office.to_publicity()
    second = office.file(a_draft(identity=an_organisation(OTHER_CODE, "蓝芯智算")), "lanxin")
    with pytest.raises(Refused, match="in another application already"):
        service.submit(office.firm("lanxin"), second.id)
    service.withdraw(office.firm(), first.id, "误报")
    assert service.submit(office.firm("lanxin"), second.id).state is State.REVIEW


def test_the_pool_is_never_granted_twice(office: Office) -> None:
    office.adopt()
    big = a_spend(amount_fen=500 * WAN)
    other = a_spend(amount_fen=500 * WAN, contract_no="HT-2", invoice_no="2")
    first = office.to_publicity(a_draft("r1", big))
    second = office.to_publicity(
        a_draft("r2", other, identity=an_organisation(OTHER_CODE, "蓝芯智算")), "lanxin"
    )
    assert (first.case.award_fen, second.case.award_fen) == (100 * WAN, 50 * WAN)
    service.withdraw(office.firm(), first.id, "")
    third = a_spend(amount_fen=500 * WAN, contract_no="HT-3", invoice_no="3")
    assert office.to_publicity(a_draft("r3", third)).case.award_fen == 100 * WAN


def test_a_round_is_decided_together(office: Office) -> None:
    office.adopt(
        shortage={"rule": "prorata"},
        caps=[{"id": "pool", "scope": "pool", "period": "year", "amount_fen": 30 * WAN}],
    )
    mine = office.to_publicity(a_draft("r1", a_spend(amount_fen=100 * WAN)))
    theirs = office.to_publicity(
        a_draft(
            "r2",
            a_spend(amount_fen=200 * WAN, contract_no="HT-2", invoice_no="2"),
            identity=an_organisation(OTHER_CODE, "蓝芯智算"),
        ),
        "lanxin",
    )
    assert (mine.state, theirs.state) == (State.READY, State.READY)
    with pytest.raises(Forbidden):
        service.decide_round(office.firm(), "plain")
    decided = service.decide_round(office.city(), "plain")
    assert [one.case.award_fen for one in decided] == [10 * WAN, 20 * WAN]
    assert {one.state for one in decided} == {State.PUBLICITY}
    with pytest.raises(Conflict):
        service.decide_round(office.city(), "plain")


def test_a_claim_is_redeemed_in_parts_and_paid_by_somebody_else(office: Office) -> None:
    office.adopt(benefit={"kind": "compute", "mode": "claim_then_redeem",
                          "beneficiary": "demander"})  # fmt: skip
    record = office.to_granted()
    half = payout.Claim(ref="p1", line_facts={"1": {"line.paid_fen": 50 * WAN}})
    redeemed, payment = payout.claim(office.firm(), record.id, half)
    assert (payment.amount_fen, redeemed.case.redeemed_fen) == (10 * WAN, 10 * WAN)
    assert payout.claim(office.firm(), record.id, half)[1] == payment
    with pytest.raises(Conflict, match="another request"):
        payout.claim(office.firm(), record.id, payout.Claim(ref="p1", line_facts={}))
    with pytest.raises(Refused, match="nothing more was paid") as again:
        payout.claim(office.firm(), record.id, payout.Claim(ref="p2", line_facts={}))
    reasons = again.value.facts["findings"]
    assert isinstance(reasons, list)
    assert [one["code"] for one in reasons] == ["nothing-new"]
    with pytest.raises(Forbidden, match="four eyes"):
        payout.settle(office.city(), record.id, "R-1", 1)
    paid = payout.settle(office.city("wang"), record.id, "R-1", 1)
    assert paid.case.settled_fen == 10 * WAN
    told = store_audit.messages(office.connection, "haiyun")[0]
    assert "100,000.00 CNY" in told.message.text_en
    assert "bank receipt R-1" in told.message.text_en
    balances = stored_balances(office.connection)
    assert (balances["paid:plain"], balances[f"claim_due:{paid.lots[0]}"]) == (10 * WAN, 0)
    assert payout.settle(office.city("wang"), record.id, "R-1", 1).case.settled_fen == 10 * WAN
    with pytest.raises(Conflict, match="R-1"):
        payout.settle(office.city("wang"), record.id, "R-2", 1)
    closed = payout.close(office.city("wang"), record.id, "合同终止")
    assert (closed.state, closed.case.award_fen) == (State.SETTLED, 10 * WAN)
    assert [share.amount_fen for share in closed.funding] == [10 * WAN]
    assert set(load_usage(office.connection, "plain").taken.values()) == {10 * WAN}
    with pytest.raises(InvalidTransition):
        payout.issue(office.city("wang"), record.id, payout.LotTerms())


def test_what_was_paid_is_reimbursed_at_once(office: Office) -> None:
    office.adopt(benefit={"kind": "compute", "mode": "reimburse", "beneficiary": "demander"})
    record = office.to_granted()
    with pytest.raises(InvalidTransition, match="only deduct issues lots"):
        payout.issue(office.city("wang"), record.id, payout.LotTerms())
    settled = payout.settle(office.city("wang"), record.id, "R-9")
    assert (settled.state, settled.case.settled_fen) == (State.SETTLED, 20 * WAN)
    assert payout.settle(office.city("wang"), record.id, "R-9").state is State.SETTLED


def test_a_pool_that_is_short_stops_the_grant_and_a_full_one_lets_it_through(
    office: Office,
) -> None:
    office.adopt(benefit={"kind": "compute", "mode": "reimburse", "beneficiary": "demander"})
    appropriate(office, 20 * WAN - 1)
    record = office.to_publicity()
    office.clock.sleep(7 * 86_400)
    with pytest.raises(Refused, match=r"pool of city for plain has 199,999\.99") as refused:
        office.approve(office.city("wang"), record.id, "公示无异议")
    assert refused.value.facts["ledger_code"] == "pool-short"
    appropriate(office, 1)
    granted = office.approve(office.city("wang"), record.id, "公示无异议")
    assert stored_balances(office.connection)["pool:plain/city"] == 0
    service.withdraw(office.firm(), record.id, "不再需要")
    assert stored_balances(office.connection)["pool:plain/city"] == 20 * WAN
    assert granted.lots[0].startswith(record.id)


def appropriate(office: Office, amount_fen: int) -> None:
    """Let the city fill the pool."""
    given = Appropriate(
        key=f"a{amount_fen}", programme="plain", funder="city", amount_fen=amount_fen, document="d"
    )
    (outcome,) = ledger.apply(office.turn, [given], office.clock.now())
    assert isinstance(outcome, ledger.Accepted)


def test_a_paid_claim_that_is_taken_back_is_owed_until_it_is_repaid(office: Office) -> None:
    office.adopt(benefit={"kind": "compute", "mode": "reimburse", "beneficiary": "demander"})
    record = office.to_granted()
    payout.settle(office.city("wang"), record.id, "R-9")
    payout.request_clawback(office.city(), record.id, payout.Demand(trigger="fraud", reason="举报"))
    payout.decide_clawback(office.city("wang"), record.id, is_approved=True, reason="")
    (debt,) = store_funders.debts(office.connection, "haiyun")
    assert (debt.open_fen, debt.programme) == (20 * WAN, "plain")
    repaid = Repay(
        key="r", tenant_id="haiyun", lot_id=debt.lot_id, amount_fen=debt.open_fen, receipt="R-10"
    )
    (outcome,) = ledger.apply(office.turn, [repaid], office.clock.now())
    assert isinstance(outcome, ledger.Accepted)
    assert store_funders.debts(office.connection) == ()
    assert voucher_store.check(office.connection).findings == ()


def test_a_clawback_takes_lot_and_debt_and_bans(office: Office) -> None:
    office.adopt()
    record = office.to_granted()
    payout.issue(office.city("wang"), record.id, payout.LotTerms())
    spend(office, record.id)
    demand = payout.Demand(trigger="fraud", reason="材料造假")
    asked = payout.request_clawback(office.city(), record.id, demand)
    assert asked.state is State.CLAWBACK
    with pytest.raises(Forbidden, match="four eyes"):
        payout.decide_clawback(office.city(), record.id, is_approved=True, reason="")
    done = payout.decide_clawback(office.city("wang"), record.id, is_approved=True, reason="")
    assert done.state is State.RECLAIMED
    (lot,) = voucher_store.lots(office.connection, tenant_id="haiyun", now=office.clock.now())
    assert (lot.available_fen, lot.spent_fen, lot.recalled_fen) == (0, 0, 20 * WAN)
    assert voucher_store.debt_fen(office.connection, "haiyun") == 5 * WAN
    entries = voucher_store.entries(office.connection, "haiyun")
    by = {one.kind: one.by.person for one in entries if one.by is not None}
    assert by == {"issue": "wang", "clawback": "wang"}
    with pytest.raises(Refused, match="kept out until 2029-10-2"):
        service.create(office.firm(), "haiyun", a_draft("r9"), office.ids)


def test_a_refused_clawback_changes_nothing(office: Office) -> None:
    office.adopt()
    record = office.to_granted()
    payout.issue(office.city("wang"), record.id, payout.LotTerms())
    payout.request_clawback(office.city(), record.id, payout.Demand(trigger="fraud", reason="举报"))
    kept = payout.decide_clawback(
        office.city("wang"), record.id, is_approved=False, reason="查无实据"
    )
    assert kept.state is State.ISSUED
    with pytest.raises(Refused, match="takes nothing back for mood"):
        payout.request_clawback(
            office.city(), record.id, payout.Demand(trigger="mood", reason="举报")
        )


def spend(office: Office, lot_id: str) -> None:
    """Let a job take 5万 of the lot and 20万 of cash."""
    slices = (
        HoldSlice(lot_id=LotId(lot_id), amount_fen=5 * WAN),
        HoldSlice(lot_id=None, amount_fen=20 * WAN),
    )
    outcomes = ledger.apply(
        office.turn,
        [
            Deposit(key="d", tenant_id="haiyun", amount_fen=20 * WAN),
            OpenHold(key="h", hold_id="h", tenant_id="haiyun", attempt_id="a", slices=slices),
            Capture(key="c", hold_id="h", amount_fen=25 * WAN),
        ],
        office.clock.now(),
    )
    assert all(isinstance(one, ledger.Accepted) for one in outcomes), outcomes


def test_the_audit_can_neither_be_changed_nor_deleted(engine: Engine, clock: VirtualClock,
                                                      ids: SeededIds) -> None:  # fmt: skip
    with DirectWriter(engine, clock).turn() as turn:
        office = Office(turn, clock, ids)
        office.adopt()
        office.file()
    for statement in (update(grant_event).values(reason="x"), delete(grant_event)):
        with pytest.raises(DBAPIError, match="never changed"), writing(engine) as connection:
            connection.execute(statement)


def test_a_changed_policy_needs_a_new_version_and_old_files_keep_theirs(office: Office) -> None:
    office.adopt()
    record = office.file()
    with pytest.raises(Conflict, match="was used with digest"):
        office.adopt(tiers=[{"id": "all", "ratio": {"num": 1, "den": 2}}])
    office.adopt(version=2, tiers=[{"id": "all", "ratio": {"num": 1, "den": 2}}])
    service.submit(office.firm(), record.id)
    office.attach(office.district(), record.id, "初审表")
    office.approve(office.district(), record.id)
    assert office.approve(office.city(), record.id).case.award_fen == 20 * WAN
    assert [stage["id"] for stage in WORKFLOW] == ["file", "district", "city", "publicity"]


def test_evidence_keeps_its_digest_and_a_repeat_changes_nothing(office: Office) -> None:
    office.adopt()
    record = office.file()
    office.attach(office.firm(), record.id, "申报表")
    (file,) = store_audit.evidence(office.connection, record.id)
    assert (file.seq, file.size_bytes, len(file.sha256)) == (1, 14, 64)
    content = store_audit.content_of(office.connection, record.id, 1)
    assert content == "%PDF 申报表".encode()
    service.submit(office.firm(), record.id)
    with pytest.raises(InvalidTransition):
        office.attach(office.firm(), record.id, "补充")


def test_a_proof_is_a_file_and_not_the_applicants_word(office: Office) -> None:
    office.adopt(
        benefit={"kind": "compute", "mode": "claim_then_redeem", "beneficiary": "demander"},
        spend={
            "base": "contract",
            "require": [],
            "redeem_require": [{"fact": "line.has_invoice", "op": "is_true"}],
        },
    )
    record = office.to_granted()
    facts = {"line.paid_fen": 50 * WAN, "line.has_invoice": True}
    request = payout.Claim(ref="p1", line_facts={"1": facts})
    with pytest.raises(Refused, match="has_invoice is no"):
        payout.claim(office.firm(), record.id, request)
    office.attach(office.firm(), record.id, "发票")
    assert payout.claim(office.firm(), record.id, request)[1].amount_fen == 10 * WAN


def test_a_stage_of_the_applicants_own_may_come_in_the_middle(office: Office) -> None:
    office.adopt(
        workflow=[
            {"id": "city", "name": "受理", "role": "city-bureau"},
            {"id": "pledge", "name": "承诺", "role": "applicant", "evidence": ["承诺书"]},
            {"id": "final", "name": "审定", "role": "city-bureau", "not_same_as": ["city"]},
        ]
    )
    record = office.file()
    service.submit(office.firm(), record.id)
    assert office.approve(office.city(), record.id).case.stage == "pledge"
    with pytest.raises(BadInput, match="承诺书"):
        service.submit(office.firm(), record.id)
    office.attach(office.firm(), record.id, "承诺书")
    assert service.submit(office.firm(), record.id).case.stage == "final"
    assert office.approve(office.city("wang"), record.id).state is State.GRANTED
