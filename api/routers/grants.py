"""Programmes in force; lists, tables and messages of applications. Steps: ``grant_steps``."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.asking import Asking
from api.context import Context
from api.identity import GrantFiler, GrantPayer, GrantReader, ProgrammeManager
from api.routers import grants_answers as answers
from api.routers.grants_front import (
    EXPORT_MAX,
    RAW,
    Counter,
    Format,
    Front,
    Lang,
    Upload,
    Wanted,
    front,
    seen,
    table,
)
from api.schemas import grants as bodies
from api.schemas.common import PAGE_MAX, Moment, Name
from suanwang.errors import BadInput
from suanwang.sheets import read_table
from voucher.grants import (
    replaying,
    service,
    store,
    store_audit,
    store_programmes,
    store_requests,
    store_verify,
)
from voucher.grants.batch import export_rows, headings, read_batch
from voucher.grants.importing import import_batch
from voucher.grants.people import CITY
from voucher.grants.records import known_facts
from voucher.grants.steps import Till
from voucher.programmes.facts import Fact
from voucher.programmes.files import shipped_text
from voucher.wording import Language

router = APIRouter(prefix="/v1", tags=["grants"])


@router.get("/programmes", summary="List programmes in force")
def list_programmes(identity: GrantReader, context: Context) -> bodies.ProgrammeList:
    """Return every version of every programme in force, with its stages and empty values."""
    with context.reading() as connection:
        found = store_programmes.programmes(connection)
    return bodies.ProgrammeList(items=[answers.programme_out(one) for one in found])


@router.post("/programmes", status_code=201, summary="Put a programme in force")
def adopt_programme(
    body: bodies.ProgrammeIn, identity: ProgrammeManager, context: Context, asked: Asking
) -> bodies.ProgrammeOut:
    """Adopt a policy. A version never changes: another content under it is a conflict."""
    if (body.shipped is None) == (body.policy is None):
        raise BadInput("give either shipped or policy", next_step="one of the two")
    text = body.policy if body.policy is not None else shipped_text(body.shipped or "")
    name = f"{body.shipped}.yaml" if body.shipped else "policy"
    with context.writing() as connection:
        served = front(connection, asked, identity, context)
        desk = served.desk
        return served.once.answer(
            bodies.ProgrammeOut,
            lambda: answers.programme_out(
                store_programmes.adopt(connection, text, name, desk.actor.person, desk.now)
            ),
        )


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


@router.get("/programmes/{programme_id}/applicants", summary="Decided applications, to replay")
def list_applicants(
    programme_id: Name,
    identity: GrantPayer,
    context: Context,
    after: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 1_000,
) -> bodies.ApplicantPage:
    """Return what was asked and granted under a programme, as a list to try policies on."""
    with context.reading() as connection:
        store_programmes.find_programme(connection, programme_id)
        found = replaying.applicants(
            connection, programme_id, after=after, limit=limit, now=context.clock.now()
        )
    return bodies.ApplicantPage(applications=list(found.applications), next=found.next)


@router.get("/programmes/{programme_id}/template", summary="A file to fill in")
def read_template(
    programme_id: Name, identity: GrantReader, context: Context, format: Format = "xlsx"
) -> Response:
    """Return an empty table with the columns that the programme asks about."""
    with context.reading() as connection:
        programme = store_programmes.find_programme(connection, programme_id)
    return table([list(headings(programme))], format, f"{programme_id}-template")


@router.post("/programmes/{programme_id}/decide", summary="Decide a round")
def decide_round(
    programme_id: Name, identity: GrantPayer, counter: Counter
) -> bodies.ApplicationPage:
    """Decide every application that waits, together: pro rata, or in the order of their rank."""

    def act(served: Front, till: Till) -> bodies.ApplicationPage:
        connection = till.connection

        def again() -> bodies.ApplicationPage | None:
            request = served.once.asked.by(identity.key_id)
            moved = store_requests.steps_of(connection, request)
            return (
                answers.page_out([store.find(connection, one) for one in moved]) if moved else None
            )

        return served.once.answer(
            bodies.ApplicationPage,
            lambda: answers.page_out(service.decide_round(till, programme_id)),
            again,
        )

    return counter.serve(identity, act)


@router.post("/applications", status_code=201, summary="File an application")
def file_application(
    body: bodies.ApplicationIn, identity: GrantFiler, context: Context, asked: Asking
) -> bodies.ApplicationOut:
    """File a draft: 201 when it is new, 200 when the same one is there under its reference."""
    tenant_id = body.tenant_id or identity.tenant_id
    with context.writing() as connection:
        served = front(connection, asked, identity, context)

        def act() -> bodies.ApplicationOut:
            draft = answers.draft_of(connection, body)
            record, is_new = service.create(served.desk, tenant_id, draft, context.ids)
            if not is_new:
                asked.response.status_code = 200
            return answers.application_out(record)

        return served.once.answer(bodies.ApplicationOut, act)


@router.get("/applications", summary="List applications")
def list_applications(
    identity: GrantReader,
    context: Context,
    wanted: Wanted,
    after: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> bodies.ApplicationPage:
    """Return a page, oldest first: one's own, one's district's, or (city, admin) all."""
    with context.reading() as connection:
        found = store.page(connection, wanted.of(identity), after=after, limit=limit)
    return bodies.ApplicationPage(
        items=[answers.application_out(one) for one in found],
        next=found[-1].id if len(found) == limit else None,
    )


@router.post("/applications/import", openapi_extra=RAW, summary="File a table of applications")
def import_applications(
    upload: Upload, identity: GrantFiler, context: Context, asked: Asking, dry_run: bool = False
) -> bodies.ImportOut:
    """File every sound application of a CSV or xlsx file; name each bad row and its column."""
    sheet = read_table(upload.content)
    with context.writing() as connection:
        served = front(connection, asked, identity, context)

        def act() -> bodies.ImportOut:
            batch = read_batch(
                sheet,
                lambda name: store_programmes.find_programme(connection, name),
                identity.tenant_id,
            )
            trial = connection.begin_nested()
            report = import_batch(served.desk, batch, context.ids)
            if dry_run:
                trial.rollback()
            else:
                trial.commit()
            return answers.import_out(report, is_dry_run=dry_run)

        return served.once.answer(bodies.ImportOut, act)


@router.get("/applications/export", summary="Applications as a table")
def export_applications(
    identity: GrantReader,
    context: Context,
    wanted: Wanted,
    format: Format = "xlsx",
    after: Annotated[str, Query(max_length=64)] = "",
    lang: Lang = Language.ENGLISH,
) -> Response:
    """Return up to 1,000 applications, a row for each line; ``after`` an id, the next ones."""
    with context.reading() as connection:
        found = store.page(connection, wanted.of(identity), after=after, limit=EXPORT_MAX)
        known: dict[str, Fact] = {}
        for name, version in {(one.programme_id, one.programme_version) for one in found}:
            known |= known_facts(store_programmes.find_programme(connection, name, version))
    answer = table(list(export_rows(found, known, lang)), format, "applications")
    if len(found) == EXPORT_MAX:
        answer.headers["X-Next-After"] = found[-1].id
    return answer


@router.get("/applications/{application_id}", summary="One application")
def read_application(
    application_id: str, identity: GrantReader, context: Context
) -> bodies.ApplicationDetail:
    """Return an application with its files, payments and demands."""
    with context.reading() as connection:
        record = seen(connection, identity, application_id)
        return answers.detail_out(connection, record)


@router.put("/applications/{application_id}", summary="Correct an application")
def edit_application(
    application_id: str,
    body: bodies.ApplicationIn,
    identity: GrantFiler,
    context: Context,
    asked: Asking,
) -> bodies.ApplicationOut:
    """Replace what a draft, or a returned application, says."""
    with context.writing() as connection:
        return front(connection, asked, identity, context).step(
            application_id,
            lambda desk: service.edit(desk, application_id, answers.draft_of(connection, body)),
        )


@router.get("/applications/{application_id}/events", summary="Audit")
def list_events(application_id: str, identity: GrantReader, context: Context) -> bodies.AuditList:
    """Return every step with who, when, why and its figures, oldest first."""
    with context.reading() as connection:
        record = seen(connection, identity, application_id)
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
def mark_messages(
    identity: GrantFiler,
    context: Context,
    asked: Asking,
    up_to: Annotated[Moment | None, Query()] = None,
) -> None:
    """Mark the messages to the caller's organisation as read that came until ``up_to`` (or all)."""
    with context.writing() as connection:
        served = front(connection, asked, identity, context)
        now = served.desk.now
        served.once.answer(
            int,
            lambda: store_audit.mark_read(connection, identity.tenant_id, up_to or now, now),
        )
