"""The steps of an application: evidence, review, issue, redemption, settlement, demands.

A step that is asked for twice is done once; see ``api.asking``.
"""

from typing import Final

from fastapi import APIRouter, Response

from api.asking import Asking
from api.context import Context
from api.identity import GrantFiler, GrantPayer, GrantReader, GrantReviewer
from api.routers import grants_answers as answers
from api.routers.grants_front import (
    RAW,
    Counter,
    NamedUpload,
    actor_of,
    front,
    rules_of,
    seen,
)
from api.schemas import grants as bodies
from suanwang.errors import NotFound
from voucher.grants import payout, service, store_audit
from voucher.grants.case import Action
from voucher.grants.steps import Desk

router = APIRouter(prefix="/v1", tags=["grants"])

_VERDICTS: Final = {
    "approve": Action.APPROVE,
    "return": Action.RETURN,
    "reject": Action.REJECT,
    "reopen": Action.REOPEN,
}


@router.post(
    "/applications/{application_id}/evidence",
    status_code=201,
    openapi_extra=RAW,
    summary="Attach a file",
)
def attach_evidence(
    application_id: str,
    file: NamedUpload,
    identity: GrantReader,
    context: Context,
    asked: Asking,
) -> bodies.EvidenceOut:
    """Attach the body of the request as a file of a kind; the same bytes again change nothing."""
    with context.writing() as connection:
        served = front(connection, asked, identity, context)
        desk = served.desk
        evidence = store_audit.Evidence(
            seq=0,
            kind=file.kind,
            file_name=file.name,
            media_type=file.media_type,
            sha256="",
            size_bytes=len(file.content),
            added_by=identity.key_id,
            added_at=desk.now,
            line_id=file.line,
        )
        return served.once.answer(
            bodies.EvidenceOut,
            lambda: answers.evidence_out(
                service.attach(desk, application_id, evidence, file.content)
            ),
        )


@router.get("/applications/{application_id}/evidence/{seq}", summary="Read a file")
def read_evidence(
    application_id: str, seq: int, identity: GrantReader, context: Context
) -> Response:
    """Return a file's bytes, checked against the digest that was stored with it."""
    with context.reading() as connection:
        record = seen(connection, identity, application_id)
        files = {one.seq: one for one in store_audit.evidence(connection, record.id)}
        if seq not in files:
            raise NotFound(f"application {record.id} has no file {seq}")
        content = store_audit.content_of(connection, record.id, seq)
    headers = {"Content-Disposition": "attachment", "X-Content-SHA256": files[seq].sha256}
    return Response(content, media_type="application/octet-stream", headers=headers)


@router.get("/applications/{application_id}/check", summary="What handing in would bring")
def check_application(
    application_id: str, identity: GrantReader, context: Context
) -> bodies.CheckOut:
    """Return the amount to be expected, and every reason, missing file and flag at once."""
    with context.writing() as connection:
        record = seen(connection, identity, application_id)
        desk = Desk(
            connection=connection,
            actor=actor_of(identity),
            now=context.clock.now(),
            rules=rules_of(context.settings),
        )
        checked = service.check(desk, record)
    return bodies.CheckOut(
        expected_fen=checked.award.amount_fen,
        blocking=[answers.reason_out(one) for one in checked.blocking],
        missing=list(checked.missing),
        unknown=[answers.reason_out(one) for one in checked.unknown],
        cuts=[answers.cut_out(one) for one in checked.award.cuts],
        flags=[answers.flag_out(flag) for flag in checked.flags],
    )


@router.post("/applications/{application_id}/submit", summary="Hand in")
def submit_application(
    application_id: str, identity: GrantFiler, counter: Counter
) -> bodies.ApplicationOut:
    """Hand an application in; every reason against it is told at once."""
    return counter.step(identity, application_id, lambda till: service.submit(till, application_id))


@router.post("/applications/{application_id}/withdraw", summary="Withdraw")
def withdraw_application(
    application_id: str,
    body: bodies.ReasonIn,
    identity: GrantFiler,
    counter: Counter,
) -> bodies.ApplicationOut:
    """Take an application back; what it claimed is free again."""
    return counter.step(
        identity, application_id, lambda till: service.withdraw(till, application_id, body.reason)
    )


@router.post("/applications/{application_id}/review", summary="Review")
def review_application(
    application_id: str,
    body: bodies.ReviewIn,
    identity: GrantReviewer,
    counter: Counter,
) -> bodies.ApplicationOut:
    """Approve, return or reject at the open stage, or reopen what was rejected."""
    verdict = service.Verdict(
        action=_VERDICTS[body.verdict],
        reason=body.reason,
        stage=body.stage,
        facts=dict(body.facts),
        line_facts=answers.line_facts(body.line_facts),
    )
    return counter.step(
        identity, application_id, lambda till: service.review(till, application_id, verdict)
    )


@router.post("/applications/{application_id}/issue", summary="Issue")
def issue_application(
    application_id: str,
    body: bodies.IssueIn,
    identity: GrantPayer,
    counter: Counter,
) -> bodies.ApplicationOut:
    """Issue the award into voucher lots (mode deduct); a repeat changes nothing."""
    terms = payout.LotTerms(
        last_day=body.last_day,
        rank=body.rank,
        sites=frozenset(body.sites),
        accelerators=frozenset(body.accelerators),
    )
    return counter.step(
        identity, application_id, lambda till: payout.issue(till, application_id, terms)
    )


@router.post("/applications/{application_id}/redeem", status_code=201, summary="Redeem")
def redeem_application(
    application_id: str,
    body: bodies.RedeemIn,
    identity: GrantFiler,
    counter: Counter,
) -> bodies.PaymentOut:
    """Redeem what was paid since (mode claim_then_redeem); the same request is the same one."""
    claim = payout.Claim(ref=body.ref, line_facts=answers.line_facts(body.lines))
    return counter.serve(
        identity,
        lambda served, till: served.once.answer(
            bodies.PaymentOut,
            lambda: answers.payment_out(payout.claim(till, application_id, claim)[1]),
        ),
    )


@router.post("/applications/{application_id}/settle", summary="Settle")
def settle_application(
    application_id: str,
    body: bodies.SettleIn,
    identity: GrantPayer,
    counter: Counter,
) -> bodies.ApplicationOut:
    """Book that the treasury paid, under the bank's receipt; a repeat changes nothing."""
    return counter.step(
        identity,
        application_id,
        lambda till: payout.settle(till, application_id, body.receipt, body.payment),
    )


@router.post("/applications/{application_id}/close", summary="Close a claim")
def close_application(
    application_id: str,
    body: bodies.ReasonIn,
    identity: GrantPayer,
    counter: Counter,
) -> bodies.ApplicationOut:
    """End a claim; what was never redeemed returns to the pool."""
    return counter.step(
        identity, application_id, lambda till: payout.close(till, application_id, body.reason)
    )


@router.post("/applications/{application_id}/clawback", status_code=201, summary="Demand back")
def request_clawback(
    application_id: str,
    body: bodies.ClawbackIn,
    identity: GrantReviewer,
    context: Context,
    asked: Asking,
) -> bodies.ApplicationOut:
    """Demand money back for a trigger of the policy; somebody else decides."""
    demand = payout.Demand(
        trigger=body.trigger, reason=body.reason, unserved=body.unserved, term=body.term
    )
    with context.writing() as connection:
        return front(connection, asked, identity, context).step(
            application_id, lambda desk: payout.request_clawback(desk, application_id, demand)
        )


@router.post("/applications/{application_id}/clawback/decide", summary="Decide a demand")
def decide_clawback(
    application_id: str,
    body: bodies.ClawbackVerdict,
    identity: GrantPayer,
    counter: Counter,
) -> bodies.ApplicationOut:
    """Approve a demand, which takes the money and starts the ban, or refuse it."""
    return counter.step(
        identity,
        application_id,
        lambda till: payout.decide_clawback(
            till, application_id, is_approved=body.verdict == "approve", reason=body.reason
        ),
    )
