"""Commands of the ledger that come by HTTP: their key, and what a refusal becomes."""

from typing import Annotated, Final

from fastapi import Header

from api.context import ApiContext
from api.schemas.money import Booked, IdempotencyKey
from suanwang.errors import BadInput, Conflict, NotFound, Refused, SuanwangError
from voucher import ledger
from voucher.commands import Command
from voucher.outcomes import Refusal, RefusalCode

KeyHeader = Annotated[IdempotencyKey | None, Header(alias="Idempotency-Key")]

_KINDS: Final[dict[RefusalCode, type[SuanwangError]]] = {
    RefusalCode.KEY_REUSED: Conflict,
    RefusalCode.LOT_EXISTS: Conflict,
    RefusalCode.HOLD_NOT_PAID: Conflict,
    RefusalCode.PERIOD_EXISTS: Conflict,
    RefusalCode.PERIOD_ORDER: Conflict,
    RefusalCode.PERIOD_RUNS: Conflict,
    RefusalCode.UNKNOWN_TENANT: NotFound,
    RefusalCode.UNKNOWN_LOT: NotFound,
    RefusalCode.UNKNOWN_HOLD: NotFound,
    RefusalCode.BAD_TEXT: BadInput,
    RefusalCode.BAD_AMOUNT: BadInput,
    RefusalCode.BAD_RATIO: BadInput,
    RefusalCode.BAD_TIME: BadInput,
}


def ledger_key(header: str | None, body: str | None) -> str:
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


def book(context: ApiContext, command: Command) -> Booked:
    """Book one command in a transaction of its own; raise what its refusal means."""
    with context.changing() as connection:
        (outcome,) = ledger.apply(connection, [command], context.clock.now())
    if isinstance(outcome, Refusal):
        kind = _KINDS.get(outcome.code, Refused)
        raise kind(outcome.message, next_step="", ledger_code=outcome.code.value, **outcome.facts)
    return Booked(seq=outcome.seq, is_repeat=outcome.is_repeat)
