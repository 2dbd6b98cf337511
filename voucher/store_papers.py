"""Reads for evidence packs: awards behind lots, papers of the parties, uses of invoices."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects import postgresql, sqlite

from suanwang.db.tables import evidence_invoice, grant_application, grant_line
from voucher.grants import store, store_audit
from voucher.grants.case import LIVING
from voucher.grants.records import Record
from voucher.programmes.application import text_fact
from voucher.registry import store as registry
from voucher.registry.entries import Contract, Invoice, Kind, Receipt
from voucher.reports.evidence import (
    AwardLine,
    AwardRef,
    ContractRef,
    FileRef,
    Payment,
    References,
)
from voucher.reports.evidence import Invoice as InvoiceRef
from voucher.reports.flags import InvoiceUse


def awards_of(
    connection: Connection, tenant_id: str, lot_ids: Iterable[str]
) -> tuple[AwardRef, ...]:
    """Return the awards behind a tenant's lots, in the order of their applications."""
    wanted = set(lot_ids)
    rows = connection.execute(
        select(grant_application.c.id, grant_application.c.lots)
        .where(grant_application.c.tenant_id == tenant_id)
        .order_by(grant_application.c.id)
    ).all()
    return tuple(
        _award(connection, store.find(connection, row.id)) for row in rows if wanted & set(row.lots)
    )


def _award(connection: Connection, record: Record) -> AwardRef:
    files = store_audit.evidence(connection, record.id)
    granted = {line.line_id: line.amount_fen for line in record.award.lines} if record.award else {}
    paid = store_audit.redemptions(connection, record.id)
    return AwardRef(
        application_id=record.id,
        programme=record.programme_id,
        version=record.programme_version,
        digest=record.programme_digest,
        award_fen=record.case.award_fen,
        decided_at=record.decided_at,
        publicity_until=record.case.publicity_ends_at,
        lots=record.lots,
        funding={share.funder_id: share.amount_fen for share in record.funding},
        lines=tuple(
            AwardLine(
                id=line.id,
                contract_no=text_fact(line.facts, "line.contract_no") or "",
                invoice_no=text_fact(line.facts, "line.invoice_no") or "",
                award_fen=granted.get(line.id, 0),
                files=tuple(
                    FileRef(kind=file.kind, sha256=file.sha256, size_bytes=file.size_bytes)
                    for file in files
                    if file.line_id in ("", line.id)
                ),
            )
            for line in record.lines
        ),
        receipts=tuple(one.receipt for one in paid if one.receipt),
    )


def with_registered(
    connection: Connection, stated: References, parties: tuple[str, Sequence[str]], day: date
) -> References:
    """Return the papers with those that are registered between a customer and its providers.

    ``parties`` are their codes. Where a contract is named, only its papers are added; what was
    stated with the same number stays as it was stated.
    """
    customer, providers = parties
    contracts = [
        (one.statement.entry, one.statement.source)
        for one in registry.held_on(connection, Kind.CONTRACT, "customer", [customer], day)
        if isinstance(one.statement.entry, Contract)
    ]
    chosen = [
        (one, source)
        for one, source in contracts
        if one.provider in providers
        and one.signed_on <= day
        and stated.contract_no in ("", one.number)
    ]
    numbers = {one.number for one, _ in chosen}
    return References(
        contract_no=stated.contract_no,
        contracts=tuple(
            ContractRef(
                number=one.number,
                customer=one.customer,
                provider=one.provider,
                signed_on=one.signed_on,
                amount_fen=one.amount_fen,
                months=one.months,
                source=source,
            )
            for one, source in chosen
        ),
        invoices=(*stated.invoices, *_invoices(connection, stated, numbers, parties, day)),
        payments=(*stated.payments, *_payments(connection, stated, numbers, parties, day)),
    )


def _invoices(
    connection: Connection,
    stated: References,
    contracts: set[str],
    parties: tuple[str, Sequence[str]],
    day: date,
) -> list[InvoiceRef]:
    known = {(one.number, one.line) for one in stated.invoices}
    found = registry.held_on(connection, Kind.INVOICE, "contract_no", contracts, day)
    return [
        InvoiceRef(
            number=entry.number,
            line=entry.line,
            amount_fen=entry.amount_fen,
            tax_fen=entry.tax_fen,
            issued_on=entry.issued_on,
            source=one.statement.source,
        )
        for one in found
        if isinstance(entry := one.statement.entry, Invoice)
        and entry.buyer == parties[0]
        and entry.seller in parties[1]
        and (entry.number, entry.line) not in known
    ]


def _payments(
    connection: Connection,
    stated: References,
    contracts: set[str],
    parties: tuple[str, Sequence[str]],
    day: date,
) -> list[Payment]:
    known = {one.receipt for one in stated.payments}
    found = registry.held_on(connection, Kind.RECEIPT, "contract_no", contracts, day)
    return [
        Payment(
            receipt=entry.number,
            amount_fen=entry.amount_fen,
            paid_on=entry.paid_on,
            source=one.statement.source,
        )
        for one in found
        if isinstance(entry := one.statement.entry, Receipt)
        and entry.payer == parties[0]
        and entry.payee in parties[1]
        and entry.number not in known
    ]


def invoice_uses(
    connection: Connection, tenant_id: str, numbers: Iterable[str]
) -> list[InvoiceUse]:
    """Return what invoices were handed in for: living applications, and packs, of anybody.

    Only the tenant's own are named.
    """
    wanted = sorted(set(numbers))
    applications = connection.execute(
        select(grant_line.c.invoice_no, grant_application.c.id, grant_application.c.tenant_id)
        .join_from(grant_line, grant_application)
        .where(
            grant_line.c.invoice_no.in_(wanted),
            grant_application.c.state.in_([state.value for state in LIVING]),
        )
        .order_by(grant_application.c.id)
    )
    packs = connection.execute(
        select(evidence_invoice)
        .where(evidence_invoice.c.number.in_(wanted))
        .order_by(evidence_invoice.c.used_at, evidence_invoice.c.job_id)
    )
    return [
        *(
            InvoiceUse(
                number=row.invoice_no,
                line=1,
                used_for=row.id if row.tenant_id == tenant_id else "",
                tenant_id=row.tenant_id,
                is_application=True,
            )
            for row in applications
        ),
        *(_pack_use(row, tenant_id) for row in packs),
    ]


def note_invoices(connection: Connection, uses: Sequence[InvoiceUse], now: datetime) -> None:
    """Note for what packs invoices were handed in; what is noted already stays."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = [
        {
            "number": one.number,
            "line": one.line,
            "tenant_id": one.tenant_id,
            "payees": one.payees,
            "contract_no": one.contract_no,
            "job_id": one.used_for,
            "used_at": now,
        }
        for one in uses
    ]
    if rows:
        connection.execute(dialect.insert(evidence_invoice).on_conflict_do_nothing(), rows)


def _pack_use(row: Row[tuple[object, ...]], tenant_id: str) -> InvoiceUse:
    return InvoiceUse(
        number=row.number,
        line=row.line,
        used_for=row.job_id if row.tenant_id == tenant_id else "",
        tenant_id=row.tenant_id,
        payees=row.payees,
        contract_no=row.contract_no,
    )
