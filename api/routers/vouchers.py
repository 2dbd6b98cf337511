"""Voucher lots and cash: read by their tenant, granted and booked by the admin."""

from typing import Annotated

from fastapi import APIRouter, Header

from api.context import ApiContext, Context
from api.identity import MoneyMover, MoneyReader
from api.schemas.money import Booked, CashIn, IdempotencyKey, LotOut, Purse, VoucherIn
from suanwang.errors import BadInput, Conflict, NotFound, Refused, SuanwangError
from suanwang.model.voucher import Lot
from voucher import ledger
from voucher import store as voucher_store
from voucher.commands import Command, Deposit, Issue
from voucher.outcomes import Refusal, RefusalCode

router = APIRouter(prefix="/v1", tags=["money"])

KeyHeader = Annotated[IdempotencyKey | None, Header(alias="Idempotency-Key")]

_KINDS: dict[RefusalCode, type[SuanwangError]] = {
    RefusalCode.KEY_REUSED: Conflict,
    RefusalCode.LOT_EXISTS: Conflict,
    RefusalCode.UNKNOWN_TENANT: NotFound,
    RefusalCode.UNKNOWN_LOT: NotFound,
    RefusalCode.BAD_TEXT: BadInput,
    RefusalCode.BAD_AMOUNT: BadInput,
    RefusalCode.BAD_RATIO: BadInput,
    RefusalCode.BAD_TIME: BadInput,
}


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


def _key(header: str | None, body: str | None) -> str:
    """Return the ledger's key of a request; raise BadInput for none, or for two that differ."""
    if header and body and header != body:
        raise BadInput(
            f"the header Idempotency-Key {header!r} and the body's key {body!r} differ",
            next_step="send one of them",
        )
    key = header or body
    if not key:
        raise BadInput(
            "money moves only under a key of yours, so that a retry books nothing twice",
            next_step="send the header Idempotency-Key",
        )
    return f"api:{key}"


def _book(context: ApiContext, command: Command) -> Booked:
    with context.changing() as connection:
        (outcome,) = ledger.apply(connection, [command], context.clock.now())
    if isinstance(outcome, Refusal):
        kind = _KINDS.get(outcome.code, Refused)
        raise kind(outcome.message, next_step="", ledger_code=outcome.code.value, **outcome.facts)
    return Booked(seq=outcome.seq, is_repeat=outcome.is_repeat)


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
    body: VoucherIn, identity: MoneyMover, context: Context, idempotency_key: KeyHeader = None
) -> Booked:
    """Grant a lot to a tenant. The same key with the same body changes nothing."""
    return _book(
        context,
        Issue(
            key=_key(idempotency_key, body.key),
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
        ),
    )


@router.post("/cash", status_code=201, summary="Book cash")
def deposit_cash(
    body: CashIn, identity: MoneyMover, context: Context, idempotency_key: KeyHeader = None
) -> Booked:
    """Book cash that a tenant paid in. The same key with the same body changes nothing."""
    return _book(
        context,
        Deposit(
            key=_key(idempotency_key, body.key),
            tenant_id=body.tenant_id,
            amount_fen=body.amount_fen,
        ),
    )
