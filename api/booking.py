"""A handler's way to the ledger: units of work for the writer, and what a refusal becomes.

A route that needs the ledger says so by asking for ``Books``. Where another process writes, the
request is passed on to it before the handler begins; see ``api.forwarding``.
"""

from datetime import datetime
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Header
from starlette.requests import Request

from api.context import ApiContext, Context
from api.forwarding import require_writer
from api.identity import Identity
from api.schemas.money import Booked, IdempotencyKey
from suanwang.errors import BadInput, Conflict, NotFound, Refused, SuanwangError
from voucher import ledger
from voucher.commands import Command
from voucher.group import Work
from voucher.outcomes import Refusal, RefusalCode
from voucher.turn import Turn

T = TypeVar("T")
KeyHeader = Annotated[IdempotencyKey | None, Header(alias="Idempotency-Key")]

_KINDS: Final[dict[RefusalCode, type[SuanwangError]]] = {
    RefusalCode.KEY_REUSED: Conflict,
    RefusalCode.LOT_EXISTS: Conflict,
    RefusalCode.HOLD_NOT_PAID: Conflict,
    RefusalCode.RECEIPT_USED: Conflict,
    RefusalCode.NOT_A_CLAIM: Conflict,
    RefusalCode.NOT_A_VOUCHER: Conflict,
    RefusalCode.PERIOD_EXISTS: Conflict,
    RefusalCode.PERIOD_ORDER: Conflict,
    RefusalCode.PERIOD_RUNS: Conflict,
    RefusalCode.UNKNOWN_TENANT: NotFound,
    RefusalCode.UNKNOWN_LOT: NotFound,
    RefusalCode.UNKNOWN_HOLD: NotFound,
    RefusalCode.BAD_TEXT: BadInput,
    RefusalCode.BAD_AMOUNT: BadInput,
    RefusalCode.BAD_RATIO: BadInput,
    RefusalCode.BAD_FUNDERS: BadInput,
    RefusalCode.BAD_TIME: BadInput,
}


def ledger_key(header: str | None, body: str | None) -> str:
    """Return the ledger's key of a request; raise BadInput for none, or for two that differ."""
    why = "money moves only under a key of yours, so that a retry books nothing twice"
    return f"api:{key_of(header, body, why)}"


def key_of(header: str | None, body: str | None, why: str) -> str:
    """Return a request's key; raise BadInput for two that differ, with ``why`` for none."""
    if header and body and header != body:
        raise BadInput(
            f"the header Idempotency-Key {header!r} and the body's key {body!r} differ",
            next_step="send one of them",
        )
    key = header or body
    if not key:
        raise BadInput(why, next_step="send the header Idempotency-Key")
    return key


class LedgerDesk:
    """What one request may ask of the ledger's writer."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def write(self, work: Work[T], *, alone: bool = False) -> T:
        """Run a unit of work and return its result once that is durable; see ``Writer.write``."""
        return self._context.writer.write(work, alone=alone)

    def change(self, work: Work[T], *, alone: bool = False) -> T:
        """Run a unit of work, and wake the scheduler once it is durable."""
        result = self.write(work, alone=alone)
        self._context.wake()
        return result

    def book(self, command: Command, identity: Identity) -> Booked:
        """Book one command that somebody asked for; raise what its refusal means."""
        now = self._context.clock.now
        return self.change(lambda turn: book_in(turn, command, now(), identity))


def book_in(turn: Turn, command: Command, now: datetime, identity: Identity) -> Booked:
    """Book one command in a unit of work, with who asked; raise what its refusal means."""
    (outcome,) = ledger.apply(turn, [command], now, identity.actor)
    return _booked(outcome)


def _booked(outcome: ledger.Outcome) -> Booked:
    if isinstance(outcome, Refusal):
        kind = _KINDS.get(outcome.code, Refused)
        code = outcome.code.value
        raise kind(outcome.message, next_step="", ledger_code=code, **outcome.facts)
    return Booked(seq=outcome.seq, is_repeat=outcome.is_repeat, balances_fen=dict(outcome.balances))


def _desk(request: Request, context: Context) -> LedgerDesk:
    require_writer(request, context)
    return LedgerDesk(context)


Books = Annotated[LedgerDesk, Depends(_desk)]
