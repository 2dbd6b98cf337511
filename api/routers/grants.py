"""Programmes in force, and the life of applications for vouchers under them."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import Connection

from api.context import ApiContext, Context
from api.identity import (
    GrantFiler,
    GrantPayer,
    GrantReader,
    GrantReviewer,
    Identity,
    ProgrammeManager,
)
from api.routers import grants_answers as answers
from api.schemas import grants as bodies
from api.schemas.common import PAGE_MAX, Name
from suanwang.errors import BadInput, NotFound
from suanwang.model.tenant import Role
from voucher.grants import payout, service, store, store_audit, store_programmes, store_verify
from voucher.grants.batch import export_rows, headings, read_batch
from voucher.grants.case import Action, Actor, State
from voucher.grants.importing import import_batch
from voucher.grants.people import CITY
from voucher.grants.records import Record, known_facts
from voucher.grants.sheets import read_table, write_csv, write_xlsx
from voucher.grants.steps import Desk, require_sight
from voucher.programmes.facts import Fact
from voucher.programmes.files import shipped_text

router = APIRouter(prefix="/v1", tags=["grants"])

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
EXPORT_MAX: Final = 1_000
Format = Annotated[Literal["csv", "xlsx"], Query()]
_RAW: Final = {
    "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {}}}}
}
_VERDICTS: Final = {
    "approve": Action.APPROVE,
    "return": Action.RETURN,
    "reject": Action.REJECT,
    "reopen": Action.REOPEN,
}


@dataclass(frozen=True, slots=True)
class _Upload:
    """The body of a request, and the type that its sender gave it."""

    content: bytes
    media_type: str


async def _upload(request: Request) -> _Upload:
    media_type = request.headers.get("content-type", "application/octet-stream")
    return _Upload(await request.body(), media_type[:100])


Upload = Annotated[_Upload, Depends(_upload)]


def _desk(connection: Connection, identity: Identity, context: ApiContext) -> Desk:
    actor = Actor(person=identity.key_id, tenant_id=identity.tenant_id, role=identity.role)
    return Desk(connection=connection, actor=actor, now=context.clock.now())


def _seen(connection: Connection, identity: Identity, application_id: str) -> Record:
    record = store.find(connection, application_id)
    actor = Actor(person=identity.key_id, tenant_id=identity.tenant_id, role=identity.role)
    require_sight(record, actor)
    return record


def _filter(identity: Identity, state: State | None, programme: str | None) -> store.Filter:
    """Return what a caller's list may hold."""
    is_district = identity.role is Role.REVIEWER_DISTRICT
    is_applicant = not is_district and identity.role not in CITY
    return store.Filter(
        tenant_id=identity.tenant_id if is_applicant else None,
        district=identity.tenant_id if is_district else None,
        state=state,
        programme_id=programme,
    )


@router.get("/programmes", summary="List programmes in force")
def list_programmes(identity: GrantReader, context: Context) -> bodies.ProgrammeList:
    """Return every version of every programme in force, with its stages and empty values."""
    with context.reading() as connection:
        found = store_programmes.programmes(connection)
    return bodies.ProgrammeList(items=[answers.programme_out(one) for one in found])


@router.post("/programmes", status_code=201, summary="Put a programme in force")
def adopt_programme(
    body: bodies.ProgrammeIn, identity: ProgrammeManager, context: Context
) -> bodies.ProgrammeOut:
    """Adopt a policy. A version never changes: another content under it is a conflict."""
    if (body.shipped is None) == (body.policy is None):
        raise BadInput("give either shipped or policy", next_step="one of the two")
    text = body.policy if body.policy is not None else shipped_text(body.shipped or "")
    name = f"{body.shipped}.yaml" if body.shipped else "policy"
    with context.writing() as connection:
        adopted = store_programmes.adopt(
            connection, text, name, identity.key_id, context.clock.now()
        )
    return answers.programme_out(adopted)


@router.get("/programmes/verify", summary="Verify the policies of all awards")
def verify_programmes(identity: GrantPayer, context: Context) -> bodies.PolicyFaultList:
    """Name every policy that is gone or says something else than when awards were made under it."""
    with context.reading() as connection:
        faults = store_verify.faults(connection)
    return bodies.PolicyFaultList(
        items=[
            bodies.PolicyFaultOut(
                kind=one.kind,
                programme=one.programme_id,
                version=one.version,
                where=one.where,
                used_digest=one.used_digest,
                found_digest=one.found_digest,
                awards=list(one.awards),
            )
            for one in faults
        ],
        is_sound=not faults,
    )


@router.get("/programmes/{programme_id}/template", summary="A file to fill in")
def read_template(
    programme_id: Name, identity: GrantReader, context: Context, format: Format = "xlsx"
) -> Response:
    """Return an empty table with the columns that the programme asks about."""
    with context.reading() as connection:
        programme = store_programmes.find_programme(connection, programme_id)
    return _table([list(headings(programme))], format, f"{programme_id}-template")


@router.post("/programmes/{programme_id}/decide", summary="Decide a round")
def decide_round(
    programme_id: Name, identity: GrantPayer, context: Context
) -> bodies.ApplicationPage:
    """Decide every application that waits, together: pro rata, or in the order of their rank."""
    with context.writing() as connection:
        decided = service.decide_round(_desk(connection, identity, context), programme_id)
    return bodies.ApplicationPage(
        items=[answers.application_out(one) for one in decided], next=None
    )


@router.post("/applications", status_code=201, summary="File an application")
def file_application(
    body: bodies.ApplicationIn, identity: GrantFiler, context: Context, response: Response
) -> bodies.ApplicationOut:
    """File a draft: 201 when it is new, 200 when the same one is there under its reference."""
    tenant_id = body.tenant_id or identity.tenant_id
    with context.writing() as connection:
        draft = answers.draft_of(connection, body)
        desk = _desk(connection, identity, context)
        record, is_new = service.create(desk, tenant_id, draft, context.ids)
    if not is_new:
        response.status_code = 200
    return answers.application_out(record)


@router.get("/applications", summary="List applications")
def list_applications(
    identity: GrantReader,
    context: Context,
    state: State | None = None,
    programme: Annotated[str | None, Query(max_length=64)] = None,
    after: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> bodies.ApplicationPage:
    """Return a page, oldest first: one's own, one's district's, or (city, admin) all."""
    with context.reading() as connection:
        wanted = _filter(identity, state, programme)
        found = store.page(connection, wanted, after=after, limit=limit)
    return bodies.ApplicationPage(
        items=[answers.application_out(one) for one in found],
        next=found[-1].id if len(found) == limit else None,
    )


@router.post("/applications/import", openapi_extra=_RAW, summary="File a table of applications")
def import_applications(
    upload: Upload,
    identity: GrantFiler,
    context: Context,
    dry_run: bool = False,
) -> bodies.ImportOut:
    """File every sound application of a CSV or xlsx file; name each bad row and its column."""
    table = read_table(upload.content)
    with context.writing() as connection:
        desk = _desk(connection, identity, context)
        batch = read_batch(
            table,
            lambda name: store_programmes.find_programme(connection, name),
            identity.tenant_id,
        )
        trial = connection.begin_nested()
        report = import_batch(desk, batch, context.ids)
        if dry_run:
            trial.rollback()
        else:
            trial.commit()
    return answers.import_out(report, is_dry_run=dry_run)


@router.get("/applications/export", summary="Applications as a table")
def export_applications(
    identity: GrantReader,
    context: Context,
    format: Format = "xlsx",
    state: State | None = None,
    programme: Annotated[str | None, Query(max_length=64)] = None,
    after: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Return up to 1,000 applications, a row for each line; ``after`` an id, the next ones."""
    with context.reading() as connection:
        wanted = _filter(identity, state, programme)
        found = store.page(connection, wanted, after=after, limit=EXPORT_MAX)
        known: dict[str, Fact] = {}
        for name, version in {(one.programme_id, one.programme_version) for one in found}:
            known |= known_facts(store_programmes.find_programme(connection, name, version))
    answer = _table(list(export_rows(found, known)), format, "applications")
    if len(found) == EXPORT_MAX:
        answer.headers["X-Next-After"] = found[-1].id
    return answer


@router.get("/applications/{application_id}", summary="One application")
def read_application(
    application_id: str, identity: GrantReader, context: Context
) -> bodies.ApplicationDetail:
    """Return an application with its files, payments and demands."""
    with context.reading() as connection:
        record = _seen(connection, identity, application_id)
        return answers.detail_out(connection, record)


@router.put("/applications/{application_id}", summary="Correct an application")
def edit_application(
    application_id: str, body: bodies.ApplicationIn, identity: GrantFiler, context: Context
) -> bodies.ApplicationOut:
    """Replace what a draft, or a returned application, says."""
    with context.writing() as connection:
        draft = answers.draft_of(connection, body)
        record = service.edit(_desk(connection, identity, context), application_id, draft)
    return answers.application_out(record)


@router.post(
    "/applications/{application_id}/evidence",
    status_code=201,
    openapi_extra=_RAW,
    summary="Attach a file",
)
def attach_evidence(
    application_id: str,
    upload: Upload,
    identity: GrantReader,
    context: Context,
    kind: Annotated[str, Query(min_length=1, max_length=100)],
    name: Annotated[str, Query(min_length=1, max_length=200)] = "file",
) -> bodies.EvidenceOut:
    """Attach the body of the request as a file of a kind; the same bytes again change nothing."""
    with context.writing() as connection:
        desk = _desk(connection, identity, context)
        file = store_audit.Evidence(
            seq=0,
            kind=kind,
            file_name=name,
            media_type=upload.media_type,
            sha256="",
            size_bytes=len(upload.content),
            added_by=identity.key_id,
            added_at=desk.now,
        )
        filed = service.attach(desk, application_id, file, upload.content)
    return answers.evidence_out(filed)


@router.get("/applications/{application_id}/evidence/{seq}", summary="Read a file")
def read_evidence(
    application_id: str, seq: int, identity: GrantReader, context: Context
) -> Response:
    """Return a file's bytes, checked against the digest that was stored with it."""
    with context.reading() as connection:
        record = _seen(connection, identity, application_id)
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
        record = _seen(connection, identity, application_id)
        checked = service.check(_desk(connection, identity, context), record)
    return bodies.CheckOut(
        expected_fen=checked.award.amount_fen,
        blocking=list(checked.blocking),
        missing=list(checked.missing),
        unknown=list(checked.unknown),
        flags=[answers.flag_out(flag) for flag in checked.flags],
    )


@router.post("/applications/{application_id}/submit", summary="Hand in")
def submit_application(
    application_id: str, identity: GrantFiler, context: Context
) -> bodies.ApplicationOut:
    """Hand an application in; every reason against it is told at once."""
    with context.writing() as connection:
        record = service.submit(_desk(connection, identity, context), application_id)
    return answers.application_out(record)


@router.post("/applications/{application_id}/withdraw", summary="Withdraw")
def withdraw_application(
    application_id: str, body: bodies.ReasonIn, identity: GrantFiler, context: Context
) -> bodies.ApplicationOut:
    """Take an application back; what it claimed is free again."""
    with context.writing() as connection:
        desk = _desk(connection, identity, context)
        record = service.withdraw(desk, application_id, body.reason)
    return answers.application_out(record)


@router.post("/applications/{application_id}/review", summary="Review")
def review_application(
    application_id: str, body: bodies.ReviewIn, identity: GrantReviewer, context: Context
) -> bodies.ApplicationOut:
    """Approve, return or reject at the open stage, or reopen what was rejected."""
    verdict = service.Verdict(
        action=_VERDICTS[body.verdict],
        reason=body.reason,
        stage=body.stage,
        facts=dict(body.facts),
        line_facts=answers.line_facts(body.line_facts),
    )
    with context.writing() as connection:
        record = service.review(_desk(connection, identity, context), application_id, verdict)
    return answers.application_out(record)


@router.post("/applications/{application_id}/issue", summary="Issue")
def issue_application(
    application_id: str, body: bodies.IssueIn, identity: GrantPayer, context: Context
) -> bodies.ApplicationOut:
    """Issue the award into voucher lots (mode deduct); a repeat changes nothing."""
    terms = payout.LotTerms(
        last_day=body.last_day,
        rank=body.rank,
        sites=frozenset(body.sites),
        accelerators=frozenset(body.accelerators),
    )
    with context.changing() as connection:
        record = payout.issue(_desk(connection, identity, context), application_id, terms)
    return answers.application_out(record)


@router.post("/applications/{application_id}/redeem", status_code=201, summary="Redeem")
def redeem_application(
    application_id: str, body: bodies.RedeemIn, identity: GrantFiler, context: Context
) -> bodies.PaymentOut:
    """Redeem what was paid since (mode claim_then_redeem); the same request is the same one."""
    claim = payout.Claim(ref=body.ref, line_facts=answers.line_facts(body.lines))
    with context.writing() as connection:
        _, payment = payout.claim(_desk(connection, identity, context), application_id, claim)
    return answers.payment_out(payment)


@router.post("/applications/{application_id}/settle", summary="Settle")
def settle_application(
    application_id: str, body: bodies.SettleIn, identity: GrantPayer, context: Context
) -> bodies.ApplicationOut:
    """Note that the treasury paid, under the bank's receipt; a repeat changes nothing."""
    with context.writing() as connection:
        desk = _desk(connection, identity, context)
        record = payout.settle(desk, application_id, body.receipt, body.payment)
    return answers.application_out(record)


@router.post("/applications/{application_id}/close", summary="Close a claim")
def close_application(
    application_id: str, body: bodies.ReasonIn, identity: GrantPayer, context: Context
) -> bodies.ApplicationOut:
    """End a claim; what was never redeemed returns to the pool."""
    with context.writing() as connection:
        desk = _desk(connection, identity, context)
        record = payout.close(desk, application_id, body.reason)
    return answers.application_out(record)


@router.post("/applications/{application_id}/clawback", status_code=201, summary="Demand back")
def request_clawback(
    application_id: str, body: bodies.ClawbackIn, identity: GrantReviewer, context: Context
) -> bodies.ApplicationOut:
    """Demand money back for a trigger of the policy; somebody else decides."""
    demand = payout.Demand(
        trigger=body.trigger, reason=body.reason, unserved=body.unserved, term=body.term
    )
    with context.writing() as connection:
        desk = _desk(connection, identity, context)
        record = payout.request_clawback(desk, application_id, demand)
    return answers.application_out(record)


@router.post("/applications/{application_id}/clawback/decide", summary="Decide a demand")
def decide_clawback(
    application_id: str, body: bodies.ClawbackVerdict, identity: GrantPayer, context: Context
) -> bodies.ApplicationOut:
    """Approve a demand, which takes the money and starts the ban, or refuse it."""
    with context.changing() as connection:
        record = payout.decide_clawback(
            _desk(connection, identity, context),
            application_id,
            is_approved=body.verdict == "approve",
            reason=body.reason,
        )
    return answers.application_out(record)


@router.get("/applications/{application_id}/events", summary="Audit")
def list_events(application_id: str, identity: GrantReader, context: Context) -> bodies.AuditList:
    """Return every step with who, when, why and its figures, oldest first."""
    with context.reading() as connection:
        record = _seen(connection, identity, application_id)
        rows = store_audit.events(connection, record.id)
    return bodies.AuditList(items=[answers.audit_out(row) for row in rows])


@router.get("/messages", summary="Messages")
def list_messages(
    identity: GrantReader, context: Context, unread: bool = False
) -> bodies.MessageList:
    """Return the newest 200 messages to the caller's organisation (city, admin: to everybody)."""
    with context.reading() as connection:
        tenant_id = None if identity.role in CITY else identity.tenant_id
        found = store_audit.messages(connection, tenant_id, only_unread=unread)
    return bodies.MessageList(
        items=[
            bodies.MessageOut(
                application_id=one.application_id,
                at=one.at,
                code=one.message.code,
                text=one.message.text_en,
                text_zh=one.message.text_zh,
                read_at=one.read_at,
            )
            for one in found
        ]
    )


@router.post("/messages/read", status_code=204, summary="Mark messages as read")
def mark_messages(identity: GrantFiler, context: Context) -> None:
    """Mark all messages to the caller's organisation as read."""
    with context.writing() as connection:
        store_audit.mark_read(connection, identity.tenant_id, context.clock.now())


def _table(rows: list[list[str]], format: str, name: str) -> Response:
    content = write_xlsx(rows) if format == "xlsx" else write_csv(rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}.{format}"'}
    media_type = XLSX if format == "xlsx" else "text/csv; charset=utf-8"
    return Response(content, media_type=media_type, headers=headers)
