"""The rules of the ledger, pure: a command and the state it meets give postings, or a refusal.

``decide`` only reads the book; ``fold`` takes an accepted draft into it, so that the next command
of a batch meets the state after this one. The same two functions serve the replay of a journal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from suanwang.ids import HoldId, LotId, TenantId
from suanwang.model.voucher import Hold, HoldSlice, HoldState
from suanwang.units import INT64_MAX, share_fen, yuan_text
from voucher.chain import Posting
from voucher.commands import (
    AMOUNT_FEN_MAX,
    TEXT_LENGTH_MAX,
    Capture,
    Command,
    Deposit,
    Expire,
    Issue,
    OpenHold,
    Release,
    texts,
)
from voucher.outcomes import Refusal, RefusalCode
from voucher.tender import Share, cash_needed_fen, split

BANK: Final = "bank:deposits"
UNGUARDED: Final = frozenset({"funder", "bank"})
"""Kinds of accounts that stand for the world outside; only they go below zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LotTerms:
    """What never changes about a lot and decides over its money."""

    id: str
    tenant_id: str
    ratio_num: int
    ratio_den: int
    expires_at: datetime
    rank: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an accepted command does: money that moves, and the lot or the hold it leaves behind."""

    tenant_id: str
    postings: tuple[Posting, ...]
    lot: LotTerms | None = None
    opened: Hold | None = None
    closed: Hold | None = None


@dataclass(slots=True, kw_only=True)
class Book:
    """The part of the ledger's state that a batch can meet. A missing account stands at zero."""

    tenants: set[str] = field(default_factory=set)
    balances: dict[str, int] = field(default_factory=dict)
    lots: dict[str, LotTerms] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    attempts: dict[str, str] = field(default_factory=dict)

    def fold(self, draft: Draft) -> dict[str, int]:
        """Take the draft in, and return the balances of the accounts it touched, in fen."""
        touched: dict[str, int] = {}
        for posting in draft.postings:
            for name, change in (
                (posting.source, -posting.amount_fen),
                (posting.target, posting.amount_fen),
            ):
                after = self.balances.get(name, 0) + change
                self.balances[name] = touched[name] = after
        if draft.lot is not None:
            self.lots[draft.lot.id] = draft.lot
        for hold in (draft.opened, draft.closed):
            if hold is not None:
                self.holds[hold.id] = hold
                self.attempts[hold.attempt_id] = hold.id
        return touched

    def available_fen(self, lot: LotTerms, now: datetime) -> int:
        """Return what the lot can still be held for: nothing from its last moment on."""
        return 0 if now >= lot.expires_at else self.balances.get(f"lot:{lot.id}", 0)


def kind_of(account: str) -> str:
    """Return the kind of an account, the part before the first colon of its id."""
    return account.partition(":")[0]


def text_fault(command: Command) -> Refusal | None:
    """Return why a text of the command cannot be stored, or None; asked before anything is read."""
    for text in texts(command):
        if not 0 < len(text) <= TEXT_LENGTH_MAX:
            reason = f"a text has {len(text)} characters; 1 to {TEXT_LENGTH_MAX} are allowed"
        elif not text.isprintable():
            reason = f"{text!r} has characters that cannot be printed"
        else:
            continue
        return Refusal(key=command.key, code=RefusalCode.BAD_TEXT, message=reason)
    if isinstance(command, Issue) and command.expires_at.tzinfo is None:
        return _no(command, RefusalCode.BAD_TIME, "the lot's last moment has no time zone")
    return None


def decide(book: Book, command: Command, now: datetime) -> Draft | Refusal:
    """Return what the command does to the book at ``now``, or why it does nothing."""
    match command:
        case Issue():
            return _issue(book, command, now)
        case Deposit():
            return _deposit(book, command)
        case OpenHold():
            return _open_hold(book, command, now)
        case Capture():
            return _capture(book, command, now)
        case Release():
            return _release(book, command, now)
        case Expire():
            return _expire(book, command, now)


def _no(command: Command, code: RefusalCode, message: str, **facts: int | str) -> Refusal:
    return Refusal(key=command.key, code=code, message=message, facts=facts)


def _amount_fault(command: Issue | Deposit, source_fen: int) -> Refusal | None:
    if not 0 < command.amount_fen <= AMOUNT_FEN_MAX:
        return _no(
            command,
            RefusalCode.BAD_AMOUNT,
            f"{command.amount_fen} fen is not between 1 and {AMOUNT_FEN_MAX}",
            amount_fen=command.amount_fen,
        )
    if command.amount_fen - source_fen > INT64_MAX:
        return _no(
            command,
            RefusalCode.BAD_AMOUNT,
            f"{command.amount_fen} fen on top of {-source_fen} do not fit in 64 bits",
            amount_fen=command.amount_fen,
        )
    return None


def _issue(book: Book, command: Issue, now: datetime) -> Draft | Refusal:
    funder = f"funder:{command.programme}"
    if command.tenant_id not in book.tenants:
        return _unknown_tenant(command, command.tenant_id)
    if command.lot_id in book.lots:
        return _no(command, RefusalCode.LOT_EXISTS, f"lot {command.lot_id} has been issued already")
    if not (0 < command.ratio_num <= command.ratio_den <= INT64_MAX):
        return _no(
            command,
            RefusalCode.BAD_RATIO,
            f"{command.ratio_num}/{command.ratio_den} is not a share above 0 and up to 1",
        )
    if not -(2**31) <= command.rank < 2**31:
        return _no(command, RefusalCode.BAD_AMOUNT, f"rank {command.rank} is out of range")
    if now >= command.expires_at:
        return _no(
            command,
            RefusalCode.LOT_EXPIRED,
            f"the lot would end at {command.expires_at.isoformat()}, before it is issued",
        )
    fault = _amount_fault(command, book.balances.get(funder, 0))
    if fault is not None:
        return fault
    terms = LotTerms(
        id=command.lot_id,
        tenant_id=command.tenant_id,
        ratio_num=command.ratio_num,
        ratio_den=command.ratio_den,
        expires_at=command.expires_at,
        rank=command.rank,
    )
    granted = Posting(funder, f"lot:{command.lot_id}", command.amount_fen)
    return Draft(tenant_id=command.tenant_id, postings=(granted,), lot=terms)


def _deposit(book: Book, command: Deposit) -> Draft | Refusal:
    if command.tenant_id not in book.tenants:
        return _unknown_tenant(command, command.tenant_id)
    fault = _amount_fault(command, book.balances.get(BANK, 0))
    if fault is not None:
        return fault
    paid_in = Posting(BANK, f"cash:{command.tenant_id}", command.amount_fen)
    return Draft(tenant_id=command.tenant_id, postings=(paid_in,))


def _open_hold(book: Book, command: OpenHold, now: datetime) -> Draft | Refusal:
    if command.tenant_id not in book.tenants:
        return _unknown_tenant(command, command.tenant_id)
    if command.hold_id in book.holds or command.attempt_id in book.attempts:
        return _no(
            command,
            RefusalCode.HOLD_EXISTS,
            f"hold {command.hold_id} or one for attempt {command.attempt_id} exists already",
        )
    fault = _slices_fault(command)
    if fault is not None:
        return fault
    lots = [part for part in command.slices if part.lot_id is not None]
    for part in lots:
        fault = _lot_fault(book, command, part, now)
        if fault is not None:
            return fault
    lots.sort(key=lambda part: _drawing_order(book.lots[str(part.lot_id)]))
    total = sum(part.amount_fen for part in command.slices)
    cash = total - sum(part.amount_fen for part in lots)
    cash = max(cash, cash_needed_fen(_shares(book, lots)))
    fault = _ratio_fault(book, command, lots, total) or _cash_fault(book, command, cash)
    return fault or _opened(command, lots, cash, now)


def _ratio_fault(
    book: Book, command: OpenHold, parts: Sequence[HoldSlice], total: int
) -> Refusal | None:
    for part, share in zip(parts, _shares(book, parts), strict=True):
        limit = share_fen(total, share.ratio_num, share.ratio_den)
        if part.amount_fen > limit:
            return _no(
                command,
                RefusalCode.LOT_RATIO,
                f"lot {part.lot_id} pays at most {yuan_text(limit)} of {yuan_text(total)} yuan, "
                f"not {yuan_text(part.amount_fen)}",
                lot_id=str(part.lot_id),
                limit_fen=limit,
                wanted_fen=part.amount_fen,
            )
    return None


def _cash_fault(book: Book, command: OpenHold, cash: int) -> Refusal | None:
    free = book.balances.get(f"cash:{command.tenant_id}", 0)
    if cash <= free:
        return None
    return _no(
        command,
        RefusalCode.CASH_SHORT,
        f"{yuan_text(cash)} yuan of cash are needed, {yuan_text(free)} are free",
        wanted_fen=cash,
        available_fen=free,
    )


def _slices_fault(command: OpenHold) -> Refusal | None:
    lots = [part.lot_id for part in command.slices]
    total = 0
    for part in command.slices:
        if part.amount_fen < 0 or part.captured_fen != 0:
            return _no(
                command,
                RefusalCode.BAD_AMOUNT,
                f"a slice of {part.amount_fen} fen, {part.captured_fen} of it captured, "
                "cannot be set aside",
                amount_fen=part.amount_fen,
            )
        total += part.amount_fen
    if total > AMOUNT_FEN_MAX:
        return _no(
            command,
            RefusalCode.BAD_AMOUNT,
            f"{total} fen are more than {AMOUNT_FEN_MAX}",
            amount_fen=total,
        )
    if len(set(lots)) != len(lots) or None in lots[:-1]:
        return _no(
            command,
            RefusalCode.BAD_SLICES,
            "each lot may have one slice, and one slice of cash may come last",
        )
    return None


def _lot_fault(book: Book, command: OpenHold, part: HoldSlice, now: datetime) -> Refusal | None:
    lot = book.lots.get(str(part.lot_id))
    if lot is None:
        return _no(command, RefusalCode.UNKNOWN_LOT, f"there is no lot {part.lot_id}")
    if lot.tenant_id != command.tenant_id:
        return _no(
            command,
            RefusalCode.FOREIGN_LOT,
            f"lot {lot.id} does not belong to tenant {command.tenant_id}",
        )
    if now >= lot.expires_at:
        return _no(
            command,
            RefusalCode.LOT_EXPIRED,
            f"lot {lot.id} ended at {lot.expires_at.isoformat()}",
            lot_id=lot.id,
        )
    available = book.available_fen(lot, now)
    if part.amount_fen > available:
        return _no(
            command,
            RefusalCode.LOT_SHORT,
            f"lot {lot.id} has {yuan_text(available)} yuan left, "
            f"{yuan_text(part.amount_fen)} are needed",
            lot_id=lot.id,
            available_fen=available,
            wanted_fen=part.amount_fen,
        )
    return None


def _drawing_order(lot: LotTerms) -> tuple[int, datetime, str]:
    return (lot.rank, lot.expires_at, lot.id)


def _shares(book: Book, parts: Sequence[HoldSlice]) -> list[Share]:
    terms = (book.lots[str(part.lot_id)] for part in parts)
    return [
        Share(slice_fen=part.amount_fen, ratio_num=lot.ratio_num, ratio_den=lot.ratio_den)
        for part, lot in zip(parts, terms, strict=True)
    ]


def _opened(command: OpenHold, parts: Sequence[HoldSlice], cash: int, now: datetime) -> Draft:
    postings = [
        Posting(f"lot:{part.lot_id}", f"held:{part.lot_id}", part.amount_fen)
        for part in parts
        if part.amount_fen
    ]
    slices = tuple(parts)
    if cash:
        tenant = command.tenant_id
        postings.append(Posting(f"cash:{tenant}", f"cash_held:{tenant}", cash))
        slices = (*slices, HoldSlice(lot_id=None, amount_fen=cash))
    hold = Hold(
        id=HoldId(command.hold_id),
        tenant_id=TenantId(command.tenant_id),
        attempt_id=command.attempt_id,
        state=HoldState.OPEN,
        slices=slices,
        held_at=now,
    )
    return Draft(tenant_id=command.tenant_id, postings=tuple(postings), opened=hold)


def _capture(book: Book, command: Capture, now: datetime) -> Draft | Refusal:
    hold = _open_one(book, command)
    if isinstance(hold, Refusal):
        return hold
    if command.amount_fen < 0:
        return _no(
            command,
            RefusalCode.BAD_AMOUNT,
            f"{command.amount_fen} fen cannot be paid",
            amount_fen=command.amount_fen,
        )
    if command.amount_fen > hold.amount_fen:
        return _no(
            command,
            RefusalCode.ABOVE_HOLD,
            f"{yuan_text(command.amount_fen)} yuan are more than the "
            f"{yuan_text(hold.amount_fen)} that are held",
            amount_fen=command.amount_fen,
            held_fen=hold.amount_fen,
        )
    lots = [part for part in hold.slices if part.lot_id is not None]
    cash_held = hold.amount_fen - sum(part.amount_fen for part in lots)
    paid = split(command.amount_fen, _shares(book, lots))
    if paid[-1] > cash_held:
        raise AssertionError(f"hold {hold.id} cannot pay {command.amount_fen} fen to the fen")
    return _closed(book, hold, paid, payee=command.payee, now=now)


def _release(book: Book, command: Release, now: datetime) -> Draft | Refusal:
    hold = _open_one(book, command)
    if isinstance(hold, Refusal):
        return hold
    return _closed(book, hold, (0,) * len(hold.slices), payee=None, now=now)


def _open_one(book: Book, command: Capture | Release) -> Hold | Refusal:
    hold = book.holds.get(command.hold_id)
    if hold is None:
        return _no(command, RefusalCode.UNKNOWN_HOLD, f"there is no hold {command.hold_id}")
    if hold.state is not HoldState.OPEN:
        return _no(
            command,
            RefusalCode.HOLD_CLOSED,
            f"hold {hold.id} has been {hold.state} already",
            state=hold.state.value,
        )
    return hold


def _closed(
    book: Book, hold: Hold, paid: Sequence[int], *, payee: str | None, now: datetime
) -> Draft:
    """End the hold: ``paid`` has the fen of each slice, the rest goes where it came from."""
    postings: list[Posting] = []
    slices: list[HoldSlice] = []
    for part, amount in zip(hold.slices, paid, strict=False):
        held, spent, home = _accounts(book, hold, part, payee, now)
        if amount:
            postings.append(Posting(held, spent, amount))
        if part.amount_fen > amount:
            postings.append(Posting(held, home, part.amount_fen - amount))
        slices.append(replace(part, captured_fen=amount))
    state = HoldState.RELEASED if payee is None else HoldState.CAPTURED
    ended = replace(hold, state=state, slices=tuple(slices), closed_at=now)
    return Draft(tenant_id=hold.tenant_id, postings=tuple(postings), closed=ended)


def _accounts(
    book: Book, hold: Hold, part: HoldSlice, payee: str | None, now: datetime
) -> tuple[str, str, str]:
    if part.lot_id is None:
        return f"cash_held:{hold.tenant_id}", f"payable:{payee}", f"cash:{hold.tenant_id}"
    lot = book.lots[LotId(part.lot_id)]
    home = "expired" if now >= lot.expires_at else "lot"
    return f"held:{lot.id}", f"spent:{lot.id}", f"{home}:{lot.id}"


def _expire(book: Book, command: Expire, now: datetime) -> Draft | Refusal:
    lot = book.lots.get(command.lot_id)
    if lot is None:
        return _no(command, RefusalCode.UNKNOWN_LOT, f"there is no lot {command.lot_id}")
    if now < lot.expires_at:
        return _no(
            command,
            RefusalCode.LOT_NOT_EXPIRED,
            f"lot {lot.id} pays until {lot.expires_at.isoformat()}",
        )
    left = book.balances.get(f"lot:{lot.id}", 0)
    moved = (Posting(f"lot:{lot.id}", f"expired:{lot.id}", left),) if left else ()
    return Draft(tenant_id=lot.tenant_id, postings=moved)


def _unknown_tenant(command: Command, tenant_id: str) -> Refusal:
    return _no(command, RefusalCode.UNKNOWN_TENANT, f"there is no tenant {tenant_id}")
