"""Voucher lots and cash: read by their tenant, granted and booked by the admin."""

from fastapi import APIRouter

from api.booking import Books, KeyHeader, ledger_key
from api.context import Context
from api.identity import MoneyMover, MoneyReader
from api.schemas.money import Booked, CashIn, LotOut, Purse, VoucherIn
from suanwang.model.voucher import Lot
from voucher import store as voucher_store
from voucher.commands import Deposit, Issue
from voucher.funding import FunderPart

router = APIRouter(prefix="/v1", tags=["money"])


def _lot_out(lot: Lot) -> LotOut:
    return LotOut(
        id=lot.id,
        tenant_id=lot.tenant_id,
        programme=lot.programme,
        issued_fen=lot.issued_fen,
        available_fen=lot.available_fen,
        held_fen=lot.held_fen,
        spent_fen=lot.spent_fen,
        expired_fen=lot.expired_fen,
        recalled_fen=lot.recalled_fen,
        ratio_num=lot.ratio_num,
        ratio_den=lot.ratio_den,
        expires_at=lot.expires_at,
        rank=lot.rank,
        sites=sorted(lot.sites),
        accelerators=sorted(lot.accelerators),
    )


@router.get("/vouchers", summary="Vouchers and cash")
def read_purse(identity: MoneyReader, context: Context) -> Purse:
    """Return the caller's lots (the admin: all) in drawing order, and free cash by tenant."""
    scope = identity.tenant_scope
    with context.reading() as connection:
        lots = voucher_store.lots(connection, tenant_id=scope, now=context.clock.now())
        if scope is None:
            cash = voucher_store.cash_by_tenant(connection)
        else:
            cash = {scope: voucher_store.cash_fen(connection, scope)}
    return Purse(items=[_lot_out(lot) for lot in lots], cash_fen=dict(cash))


@router.post("/vouchers", status_code=201, summary="Grant a voucher")
def issue_voucher(
    body: VoucherIn, identity: MoneyMover, books: Books, idempotency_key: KeyHeader = None
) -> Booked:
    """Grant a lot to a tenant. The same key with the same body changes nothing."""
    return books.book(
        Issue(
            key=ledger_key(idempotency_key, body.key),
            lot_id=body.lot_id,
            tenant_id=body.tenant_id,
            programme=body.programme,
            amount_fen=body.amount_fen,
            ratio_num=body.ratio_num,
            ratio_den=body.ratio_den,
            expires_at=body.expires_at,
            rank=body.rank,
            sites=frozenset(body.sites),
            accelerators=frozenset(body.accelerators),
            funders=tuple(FunderPart(one.funder, one.amount_fen) for one in body.funders),
            is_reused=body.is_reused,
        ),
        identity,
    )


@router.post("/cash", status_code=201, summary="Book cash")
def deposit_cash(
    body: CashIn, identity: MoneyMover, books: Books, idempotency_key: KeyHeader = None
) -> Booked:
    """Book cash that a tenant paid in. The same key with the same body changes nothing."""
    return books.book(
        Deposit(
            key=ledger_key(idempotency_key, body.key),
            tenant_id=body.tenant_id,
            amount_fen=body.amount_fen,
        ),
        identity,
    )
