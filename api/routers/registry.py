"""The registry: who organisations are and how they are tied; contracts, invoices and receipts."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.context import Context
from api.identity import GrantPayer, GrantReviewer
from api.routers.grants_front import RAW, Upload, rules_of
from api.schemas import registry as bodies
from api.schemas.common import PAGE_MAX
from api.schemas.grants import RowFaultOut
from suanwang.errors import BadInput
from suanwang.sheets import read_table
from voucher.grants.identity import code_fault
from voucher.programmes.application import china_day
from voucher.registry import store
from voucher.registry.entries import KEYS, Kind, Recorded, document, kind_of
from voucher.registry.graph import Relations
from voucher.registry.importing import import_table
from voucher.registry.reading import read_statement
from voucher.wording import Language

router = APIRouter(prefix="/v1/registry", tags=["registry"])

KindOf = Annotated[Kind, Query(description="kind of the entries")]
Code = Annotated[str, Query(min_length=1, max_length=100)]
OnDay = Annotated[date | None, Query(alias="on", description="a day in China; today if left out")]


def _out(one: Recorded) -> bodies.StatementOut:
    statement = one.statement
    return bodies.StatementOut(
        kind=kind_of(statement.entry),
        entry=document(statement.entry),
        version=one.version,
        valid_from=statement.valid_from,
        valid_to=statement.valid_to,
        source=statement.source,
        recorded_by=one.recorded_by,
        recorded_at=one.recorded_at,
    )


@router.post("", status_code=201, summary="Record an entry")
def record_entry(
    body: bodies.StatementIn, identity: GrantPayer, context: Context, response: Response
) -> bodies.RecordedOut:
    """Record what holds from a day on: 201 when it is new, 200 when it was recorded before."""
    now = context.clock.now()
    with context.writing() as connection:
        hide = store.begin_recording(connection)
        raw = {**body.entry, "valid_from": body.valid_from, "valid_to": body.valid_to}
        statement = read_statement(body.kind, raw, "hand", china_day(now), hide)
        outcome = store.record(connection, statement, identity.key_id, now)
    if not outcome.is_new:
        response.status_code = 200
    told = _out(outcome.recorded).model_dump()
    return bodies.RecordedOut.model_validate({**told, "is_new": outcome.is_new})


@router.get("", summary="What holds on a day")
def list_entries(
    identity: GrantReviewer,
    context: Context,
    kind: KindOf,
    on: OnDay = None,
    after: Annotated[str, Query(max_length=500)] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> bodies.StatementPage:
    """Return a page of the entries of a kind that hold on a day, by key."""
    day = on or china_day(context.clock.now())
    with context.reading() as connection:
        held, more = store.page(connection, kind, day, after=after, limit=limit)
    return bodies.StatementPage(items=[_out(one) for one in held], next=more or None)


@router.get("/history", summary="Everything that was ever stated")
def read_history(
    identity: GrantReviewer, context: Context, kind: KindOf, key: Code
) -> bodies.StatementPage:
    """Return every statement about an organisation's code, or a paper's number, oldest first."""
    fields = ("one", "other") if kind is Kind.RELATION else KEYS[kind][:1]
    with context.reading() as connection:
        found = [one for name in fields for one in store.history(connection, kind, name, key)]
    return bodies.StatementPage(items=[_out(one) for one in found])


@router.get("/path", summary="Whether two organisations are related")
def read_path(
    identity: GrantReviewer, context: Context, one: Code, other: Code, on: OnDay = None
) -> bodies.TieOut:
    """Return a shortest way of ties between two organisations on a day, in words."""
    day = on or china_day(context.clock.now())
    for name, code in (("one", one), ("other", other)):
        fault = code_fault(code)
        if fault:
            raise BadInput(f"{name}: {fault}", next_step="copy it from the licence", field=name)
    with context.reading() as connection:
        network = store.network(connection, [one, other], day)
    relations = Relations(network, rules_of(context.settings).share_ppm_min)
    path = relations.path(one, other)
    return bodies.TieOut(
        is_related=path is not None,
        path="" if path is None else relations.words(path, one, Language.ENGLISH),
        path_zh="" if path is None else relations.words(path, one, Language.CHINESE),
        unknown=[code for code in (one, other) if code not in network.names],
    )


@router.post("/import", openapi_extra=RAW, summary="Record a table")
def import_entries(
    upload: Upload,
    identity: GrantPayer,
    context: Context,
    kind: KindOf,
    dry_run: bool = False,
) -> bodies.RegistryImportOut:
    """Record every sound row of a CSV or xlsx file; name each bad row with its column."""
    if not upload.content:
        raise BadInput("the file is empty", next_step="send a CSV or xlsx file")
    table, now = read_table(upload.content), context.clock.now()
    with context.writing() as connection:
        trial = connection.begin_nested()
        report = import_table(connection, kind, table, identity.key_id, now, china_day(now))
        if dry_run:
            trial.rollback()
        else:
            trial.commit()
    return bodies.RegistryImportOut(
        rows=len(report.rows),
        new=sum(one.outcome.is_new for one in report.rows),
        faults=[
            RowFaultOut(line=one.line, column=one.column, reason=one.reason)
            for one in report.faults
        ],
        is_dry_run=dry_run,
    )
