"""Statements, settlements, programme reports: files that leave the house."""

from datetime import date, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from sqlalchemy import Connection

from api.context import ApiContext, Context
from api.evidence import certificate, period_index, uses_of
from api.identity import PLATFORM, Auditor, Identity, MoneyReader, Self, SiteManager
from api.schemas.common import NAME
from api.schemas.reports import EvidenceIn, SigningKeyOut
from scheduler import service
from suanwang.errors import BadInput, NotFound
from suanwang.ids import TenantId
from voucher import store_anchors, store_funders, store_papers, store_reports, store_settlement
from voucher.reports import lines
from voucher.reports.beancount import beancount_text
from voucher.reports.certificate import certificate_report
from voucher.reports.evidence import pack
from voucher.reports.evidence_index import index_pack, index_report
from voucher.reports.files import FileFormat, ReportFile, report_file, text_file
from voucher.reports.lines import Heading
from voucher.reports.programme import programme_report
from voucher.reports.report import Party, Period
from voucher.reports.settlement import settlement
from voucher.reports.signing import load_signer

router = APIRouter(prefix="/v1/reports", tags=["money"])

DAYS_MAX: Final = 3_660
"""Longest period of a report."""
_MOMENT: Final = timedelta(microseconds=1)
First = Annotated[date, Query(description="first day, in China")]
Last = Annotated[date, Query(description="last day, included")]
Format = Annotated[FileFormat, Query(alias="format")]
Owner = Annotated[
    str, Query(pattern=rf"^({NAME.pattern})?$", description="the caller's own if empty")
]
_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The file.", "content": {"application/octet-stream": {}}}
}


def _period(first: date, last: date) -> Period:
    period = Period(first=first, last=last)
    if (last - first).days >= DAYS_MAX:
        raise BadInput(f"{(last - first).days + 1} days are more than {DAYS_MAX}")
    return period


def _heading(connection: Connection, context: ApiContext, about: Party, period: Period) -> Heading:
    try:
        issuer = store_reports.party(connection, PLATFORM.id)
    except NotFound:
        issuer = Party(id=PLATFORM.id, name=PLATFORM.name)
    return Heading(
        about=about,
        issuer=issuer,
        period=period,
        made_at=context.clock.now(),
        chain=store_reports.chain_at(connection, period.end),
    )


def _owner(identity: Identity, asked: str, what: str) -> str:
    """Return whose report is asked for; what is not the caller's does not exist."""
    scope = identity.tenant_scope
    if scope is None:
        if not asked:
            raise BadInput(f"whose {what}?", next_step="name the organisation")
        return asked
    if asked and asked != scope:
        raise NotFound(f"there is no tenant {asked}", tenant_id=asked)
    return scope


def _stem(kind: str, owner: str, period: Period) -> str:
    safe = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in owner)
    return f"{kind}-{safe}-{period.first}-{period.last}"


def _answer(file: ReportFile) -> Response:
    return Response(
        file.content,
        media_type=file.media_type,
        headers={"Content-Disposition": f'attachment; filename="{file.name}"'},
    )


@router.get("/statement", summary="Statement", responses=_FILE, response_class=Response)
def read_statement(
    identity: MoneyReader,
    context: Context,
    first: First,
    last: Last,
    kind: Format = FileFormat.JSON,
    tenant_id: Owner = "",
) -> Response:
    """Return what an enterprise was granted, paid in, and paid, entry by entry."""
    owner, period = _owner(identity, tenant_id, "statement"), _period(first, last)
    with context.reading() as connection:
        heading = _heading(connection, context, store_reports.party(connection, owner), period)
        opening = store_reports.balances_before(connection, owner, period.start)
        entries = store_reports.statement_lines(connection, owner, period)
        stem = _stem("statement", owner, period)
        if kind is FileFormat.BEANCOUNT:
            return _answer(text_file(beancount_text(heading, opening, entries), kind, stem))
        lots = store_reports.lots_of(connection, tenant_id=owner)
        report = lines.statement(heading, opening, entries, lots)
        return _answer(report_file(report, kind, stem, context.settings.server.font))


def _no_beancount(kind: FileFormat) -> None:
    if kind is FileFormat.BEANCOUNT:
        raise BadInput("only a statement can be written for beancount", next_step="ask for csv")


@router.get("/settlement", summary="Settlement", responses=_FILE, response_class=Response)
def read_settlement(
    identity: SiteManager,
    context: Context,
    first: First,
    last: Last,
    kind: Format = FileFormat.JSON,
    provider: Owner = "",
) -> Response:
    """Return what an operator's sites have earned, run by run, who funded it, and what was paid."""
    owner, period = _owner(identity, provider, "settlement"), _period(first, last)
    _no_beancount(kind)
    with context.reading() as connection:
        heading = _heading(connection, context, store_reports.party(connection, owner), period)
        payees = store_reports.sites_of(connection, owner)
        report = settlement(
            heading,
            store_reports.settlement_lines(connection, payees, period),
            store_reports.lots_of(connection),
            store_reports.parties(connection),
            store_settlement.payee_account(connection, payees, period),
        )
        stem = _stem("settlement", owner, period)
        return _answer(report_file(report, kind, stem, context.settings.server.font))


@router.get("/programme", summary="Programme report", responses=_FILE, response_class=Response)
def read_programme_report(
    identity: Auditor,
    context: Context,
    programme: Annotated[str, Query(min_length=1, max_length=200)],
    first: First,
    last: Last,
    kind: Format = FileFormat.JSON,
) -> Response:
    """Return what became of a programme's money, lot by lot, and by funder."""
    period = _period(first, last)
    _no_beancount(kind)
    with context.reading() as connection:
        is_known = store_reports.lots_of(connection, programme=programme)
        if not is_known and not store_funders.funders(connection, programme):
            raise NotFound(f"the programme {programme} has granted nothing", programme=programme)
        about = Party(id=programme, name=programme)
        heading = _heading(connection, context, about, period)
        uses = store_reports.lot_uses(connection, programme, period)
        pools = store_settlement.pool_uses(connection, programme, period)
        report = programme_report(heading, uses, store_reports.parties(connection), pools)
        stem = _stem("programme", programme, period)
        return _answer(report_file(report, kind, stem, context.settings.server.font))


@router.post("/evidence", summary="Evidence pack", responses=_FILE, response_class=Response)
def make_evidence(body: EvidenceIn, identity: MoneyReader, context: Context) -> Response:
    """Return the signed usage certificate of a job that has ended, as a zip that verifies offline.

    The chain is read up to its newest entry, so two packs of one job differ in head and signature.
    """
    signer = load_signer(context.settings.server.state_dir)
    _keep_anchors(context)
    with context.reading() as connection:
        job = service.find_job(connection, identity.tenant_scope, body.submission_id)
        certified = certificate(connection, context, job, body.references())
    with context.writing() as connection:
        store_papers.note_invoices(connection, uses_of(certified), certified.issued_at)
    paper = report_file(
        certificate_report(certified), FileFormat.PDF, "certificate", context.settings.server.font
    )
    content = pack(certified, signer, paper.content)
    return _answer(
        ReportFile(
            name=f"evidence-{certified.id}.zip", media_type="application/zip", content=content
        )
    )


@router.get("/evidence", summary="Evidence pack of a period", responses=_FILE,
            response_class=Response)  # fmt: skip
def make_period_evidence(
    identity: MoneyReader,
    context: Context,
    first: First,
    last: Last,
    tenant_id: Owner = "",
    application: Annotated[str, Query(max_length=64, description="only what its award paid")] = "",
) -> Response:
    """Return the certificates of all jobs that were paid in a period under one signed index."""
    signer = load_signer(context.settings.server.state_dir)
    period = _period(first, last)
    owner = TenantId(_owner(identity, tenant_id, "evidence"))
    _keep_anchors(context)
    with context.reading() as connection:
        index = period_index(connection, context, owner, period, application)
    paper = report_file(index_report(index), FileFormat.PDF, "index", context.settings.server.font)
    content = index_pack(index, signer, paper.content)
    name = f"evidence-{index.id}.zip"
    return _answer(ReportFile(name=name, media_type="application/zip", content=content))


def _keep_anchors(context: ApiContext) -> None:
    """Write the anchors of blocks that were filled since the last pack, if there are any."""
    with context.reading() as connection:
        is_behind = store_anchors.missing_anchors(connection) > 0
    if is_behind:
        with context.writing() as connection:
            store_anchors.extend(connection)


@router.get("/signing-key", summary="Key of the evidence")
def read_signing_key(identity: Self, context: Context) -> SigningKeyOut:
    """Return the public key to keep, and the end of the chain, to hold the platform to it later."""
    signer = load_signer(context.settings.server.state_dir)
    with context.reading() as connection:
        chain = store_reports.chain_at(connection, context.clock.now() + _MOMENT)
    return SigningKeyOut(
        algorithm="Ed25519",
        public_key=signer.public_key,
        public_key_pem=signer.public_pem,
        chain_seq=chain.seq,
        chain_link=chain.link,
    )
