"""Pools and their funders, what payees are owed, payments by bank, debts from clawbacks."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.booking import Books, KeyHeader, ledger_key
from api.context import Context
from api.identity import Auditor, MoneyMover, MoneyReader
from api.schemas.funds import (
    AppropriationIn,
    DebtList,
    DebtOut,
    FunderOut,
    PayableList,
    PayableOut,
    PaymentIn,
    PoolList,
)
from api.schemas.money import Booked
from voucher import store_funders
from voucher.commands import Appropriate, PayBack, PayOut, Withdraw
from voucher.store_funders import FunderStand

router = APIRouter(prefix="/v1/ledger", tags=["money"])


@router.post("/appropriations", status_code=201, summary="Fill a pool")
def appropriate(
    body: AppropriationIn, identity: MoneyMover, books: Books, idempotency_key: KeyHeader = None
) -> Booked:
    """Book what a funder puts into a programme's pool, or takes out of it again."""
    kind = Withdraw if body.is_withdrawal else Appropriate
    command = kind(
        key=ledger_key(idempotency_key, body.key),
        programme=body.programme,
        funder=body.funder,
        amount_fen=body.amount_fen,
        document=body.document,
    )
    return books.book(command, identity)


@router.get("/pools", summary="Pools and funders")
def list_pools(
    identity: Auditor,
    context: Context,
    programme: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
) -> PoolList:
    """Return every funder's money: appropriated, in the pool, granted, and what became of it."""
    with context.reading() as connection:
        found = store_funders.funders(connection, programme)
    return PoolList(items=[_funder_out(one) for one in found])


@router.post("/payments", status_code=201, summary="Book a payment by bank")
def pay(
    body: PaymentIn, identity: MoneyMover, books: Books, idempotency_key: KeyHeader = None
) -> Booked:
    """Book what a payee was paid of what it has earned; a receipt is booked once."""
    kind = PayBack if body.is_return else PayOut
    command = kind(
        key=ledger_key(idempotency_key, body.key),
        payee=body.payee,
        programme=body.programme,
        amount_fen=body.amount_fen,
        receipt=body.receipt,
    )
    return books.book(command, identity)


@router.get("/payables", summary="What is owed")
def list_payables(identity: Auditor, context: Context) -> PayableList:
    """Return what payees earned with vouchers and cash, and claims that are due, unpaid."""
    with context.reading() as connection:
        found = store_funders.payables(connection)
    return PayableList(
        items=[
            PayableOut(
                kind=one.kind.value,
                payee=one.payee,
                programme=one.programme,
                open_fen=one.open_fen,
            )
            for one in found
        ]
    )


@router.get("/debts", summary="Debts from clawbacks")
def list_debts(identity: MoneyReader, context: Context) -> DebtList:
    """Return what the caller (the admin: everybody) owes, by lot."""
    with context.reading() as connection:
        found = store_funders.debts(connection, identity.tenant_scope)
    return DebtList(
        items=[
            DebtOut(
                tenant_id=one.tenant_id,
                lot_id=one.lot_id,
                programme=one.programme,
                open_fen=one.open_fen,
            )
            for one in found
        ]
    )


def _funder_out(one: FunderStand) -> FunderOut:
    return FunderOut(
        programme=one.programme,
        funder=one.funder,
        has_pool=one.has_pool,
        appropriated_fen=one.appropriated_fen,
        pool_fen=one.pool_fen,
        granted_fen=one.parts.granted,
        returned_fen=one.returned_fen,
        available_fen=one.parts.left,
        held_fen=one.parts.held,
        spent_fen=one.parts.spent,
        expired_fen=one.parts.expired,
        recalled_fen=one.parts.recalled,
    )
