"""The ledger: its entries for their tenant, its proof for the auditor, its rare bookings."""

import json
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from api.booking import Books, KeyHeader, book_in, ledger_key
from api.context import ApiContext, Context
from api.identity import Auditor, MoneyMover, MoneyReader
from api.schemas.common import PAGE_MAX
from api.schemas.money import (
    ActorOut,
    Booked,
    EntryOut,
    EntryPage,
    LedgerCheckOut,
    PeriodIn,
    PeriodList,
    PeriodOut,
    PostingOut,
    RefundIn,
    RepaymentIn,
    WriterOut,
)
from suanwang.units import INT64_MAX
from voucher import store as voucher_store
from voucher.actor import Actor
from voucher.commands import ClosePeriod, Refund, Repay
from voucher.export import export_lines
from voucher.grants.steps import Desk, free_lots
from voucher.store_writer import read_tenure
from voucher.turn import Turn

EXPORT_LINES: Final = 500
"""Entries in one piece of an export."""

router = APIRouter(prefix="/v1/ledger", tags=["money"])


@router.get("/check", summary="Prove the books")
def check_ledger(identity: Auditor, context: Context) -> LedgerCheckOut:
    """Recount everything: sums to zero, lots add up, the hash chain is whole."""
    with context.reading() as connection:
        found = voucher_store.check(connection)
    return LedgerCheckOut(
        is_sound=found.is_sound,
        findings=list(found.findings),
        entries=found.entries,
        postings=found.postings,
        lots=found.lots,
        holds_open=found.holds_open,
        sum_fen=found.sum_fen,
        issued_fen=found.issued_fen,
        available_fen=found.available_fen,
        held_fen=found.held_fen,
        spent_fen=found.spent_fen,
        expired_fen=found.expired_fen,
        recalled_fen=found.recalled_fen,
        claimed_fen=found.claimed_fen,
        redeemed_fen=found.redeemed_fen,
        pooled_fen=found.pooled_fen,
        due_fen=found.due_fen,
        owed_fen=found.owed_fen,
        cash_fen=found.cash_fen,
        cash_held_fen=found.cash_held_fen,
        payable_fen=found.payable_fen,
    )


@router.get("/writer", summary="Who writes")
def read_writer(identity: Auditor, context: Context) -> WriterOut:
    """Return which process of the centre writes the ledger now, as the database has it."""
    with context.reading() as connection:
        found = read_tenure(connection)
    return WriterOut(
        writer=found.writer,
        url=found.url,
        epoch=found.epoch,
        until=found.until,
        is_here=context.is_writer,
        waiting=context.units_waiting,
    )


@router.get("/export", summary="Export the journal", response_class=StreamingResponse)
def export_ledger(identity: Auditor, context: Context) -> StreamingResponse:
    """Return the whole journal, a JSON document a line, for ``voucher/verifier.py``."""
    return StreamingResponse(_exported(context), media_type="application/jsonl")


def _exported(context: ApiContext) -> Iterator[str]:
    """Read the journal while it is sent, some hundred entries at once."""
    with context.reading() as connection, closing(export_lines(connection)) as lines:
        while page := "".join(islice(lines, EXPORT_LINES)):
            yield page


@router.get("/entries", summary="List entries")
def list_entries(
    identity: MoneyReader,
    context: Context,
    after: Annotated[int, Query(ge=0, le=INT64_MAX)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> EntryPage:
    """Return a page of the caller's entries (the admin: all), oldest first."""
    with context.reading() as connection:
        entries = voucher_store.entries(connection, identity.tenant_scope, after, limit)
    return EntryPage(
        items=[
            EntryOut(
                seq=entry.seq,
                at=entry.at,
                kind=entry.kind,
                key=entry.key,
                request=json.loads(entry.body),
                postings=[
                    PostingOut(
                        source=posting.source,
                        target=posting.target,
                        amount_fen=posting.amount_fen,
                    )
                    for posting in entry.postings
                ],
                late_for=entry.late_for,
                by=actor_out(entry.by),
            )
            for entry in entries
        ],
        next=entries[-1].seq if len(entries) == limit else None,
    )


def actor_out(actor: Actor | None) -> ActorOut | None:
    """Return who caused an entry."""
    if actor is None:
        return None
    return ActorOut(person=actor.person, tenant_id=actor.tenant_id, role=actor.role.value)


@router.post("/refunds", status_code=201, summary="Give money back")
def refund(
    body: RefundIn,
    identity: MoneyMover,
    context: Context,
    books: Books,
    idempotency_key: KeyHeader = None,
) -> Booked:
    """Give back a part of what an attempt has paid, to the lots and the cash that paid it."""
    return books.book(
        Refund(
            key=ledger_key(idempotency_key, body.key),
            hold_id=_hold_id(context, body),
            amount_fen=body.amount_fen,
            reason=body.reason,
        ),
        identity,
    )


@router.post("/repayments", status_code=201, summary="Book a repaid debt")
def repay(
    body: RepaymentIn,
    identity: MoneyMover,
    context: Context,
    books: Books,
    idempotency_key: KeyHeader = None,
) -> Booked:
    """Book what a tenant paid of its debt from a clawback, never more than it owes."""
    command = Repay(
        key=ledger_key(idempotency_key, body.key),
        tenant_id=body.tenant_id,
        lot_id=body.lot_id,
        amount_fen=body.amount_fen,
        receipt=body.receipt,
    )

    def work(turn: Turn) -> Booked:
        now = context.clock.now()
        desk = Desk(connection=turn.connection, actor=identity.actor, now=now)
        booked = book_in(turn, command, now, identity)
        free_lots(desk, {body.lot_id})
        return booked

    # Caps are locked with the award, so nobody else's unit of work may be in this transaction.
    return books.change(work, alone=True)


@router.post("/periods", status_code=201, summary="Close a period")
def close_period(
    body: PeriodIn, identity: MoneyMover, books: Books, idempotency_key: KeyHeader = None
) -> Booked:
    """Freeze the totals of a period that has ended, with the end of the chain."""
    return books.book(
        ClosePeriod(
            key=ledger_key(idempotency_key, body.key),
            period_id=body.period_id,
            ends_at=body.ends_at,
        ),
        identity,
    )


@router.get("/periods", summary="List closed periods")
def list_periods(identity: Auditor, context: Context) -> PeriodList:
    """Return the closed periods in order of time, each with the link that ends it."""
    with context.reading() as connection:
        periods = voucher_store.closed_periods(connection)
    return PeriodList(
        items=[
            PeriodOut(
                id=period.id,
                ends_at=period.ends_at,
                closed_at=period.closed_at,
                seq=period.seq,
                chain=period.chain,
                totals_fen=dict(period.totals_fen),
            )
            for period in periods
        ]
    )


def _hold_id(context: ApiContext, body: RefundIn) -> str:
    if body.hold_id is not None:
        return body.hold_id
    assert body.attempt_id is not None
    with context.reading() as connection:
        return voucher_store.hold_of_attempt(connection, body.attempt_id).id
