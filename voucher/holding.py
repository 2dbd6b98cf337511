"""Rules of holds: money set aside, added to, paid, let go and given back. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from suanwang.ids import HoldId, LotId, TenantId
from suanwang.model.voucher import Hold, HoldSlice, HoldState
from suanwang.units import share_fen, yuan_text
from voucher.book import Book, Draft, LotTerms, refuse, unknown_tenant
from voucher.chain import Posting
from voucher.commands import (
    AMOUNT_FEN_MAX,
    Capture,
    ExtendHold,
    OpenHold,
    Refund,
    Release,
)
from voucher.funding import pair
from voucher.outcomes import Refusal, RefusalCode
from voucher.tender import Share, cash_needed_fen, split, unwind


def open_hold(book: Book, command: OpenHold, now: datetime) -> Draft | Refusal:
    """Set money aside: lots in drawing order, then cash with the reserve for rounding."""
    tenant = command.tenant_id
    if tenant not in book.tenants:
        return unknown_tenant(command, tenant)
    if command.hold_id in book.holds or command.attempt_id in book.attempts:
        return refuse(
            command,
            RefusalCode.HOLD_EXISTS,
            f"hold {command.hold_id} or one for attempt {command.attempt_id} exists already",
        )
    fault = _slices_fault(command, 0) or _lots_fault(book, command, tenant, now)
    if fault is not None:
        return fault
    more = _more(book, command, tenant, {})
    if isinstance(more, Refusal):
        return more
    hold = Hold(
        id=HoldId(command.hold_id),
        tenant_id=TenantId(tenant),
        attempt_id=command.attempt_id,
        state=HoldState.OPEN,
        slices=more.slices,
        held_at=now,
    )
    return Draft(tenant, more.postings, hold=hold)


def extend_hold(book: Book, command: ExtendHold, now: datetime) -> Draft | Refusal:
    """Add to an open hold; nothing of what it has is let go."""
    hold = _open_one(book, command)
    if isinstance(hold, Refusal):
        return hold
    fault = _slices_fault(command, hold.amount_fen)
    fault = fault or _lots_fault(book, command, hold.tenant_id, now)
    if fault is not None:
        return fault
    had = {part.lot_id: part.amount_fen for part in hold.slices}
    more = _more(book, command, hold.tenant_id, had)
    if isinstance(more, Refusal):
        return more
    return Draft(hold.tenant_id, more.postings, hold=replace(hold, slices=more.slices))


class _More(NamedTuple):
    """What is set aside on top, and the hold's slices after it."""

    postings: tuple[Posting, ...]
    slices: tuple[HoldSlice, ...]


def _more(
    book: Book, command: OpenHold | ExtendHold, tenant_id: str, had: Mapping[LotId | None, int]
) -> _More | Refusal:
    """Add the command's slices to those that the hold had, and what rounding needs on top."""
    amounts = dict(had)
    for part in command.slices:
        amounts[part.lot_id] = amounts.get(part.lot_id, 0) + part.amount_fen
    total = sum(amounts.values())
    cash = amounts.pop(None, 0)
    lots = [book.lots[lot_id] for lot_id in amounts if lot_id is not None]
    lots.sort(key=_drawing_order)
    shares = [Share(amounts[LotId(lot.id)], lot.ratio_num, lot.ratio_den) for lot in lots]
    fault = _ratio_fault(command, lots, shares, total)
    if fault is not None:
        return fault
    cash = max(cash, cash_needed_fen(shares))
    more_cash = cash - had.get(None, 0)
    fault = _cash_fault(book, command, tenant_id, more_cash)
    if fault is not None:
        return fault
    postings: list[Posting] = []
    slices: list[HoldSlice] = []
    for lot_id, share in zip([LotId(lot.id) for lot in lots], shares, strict=True):
        more = share.slice_fen - had.get(lot_id, 0)
        if more > 0:
            postings.append(Posting(f"lot:{lot_id}", f"held:{lot_id}", more))
        slices.append(HoldSlice(lot_id=lot_id, amount_fen=share.slice_fen))
    if more_cash:
        postings.append(Posting(f"cash:{tenant_id}", f"cash_held:{tenant_id}", more_cash))
    if cash:
        slices.append(HoldSlice(lot_id=None, amount_fen=cash))
    return _More(tuple(postings), tuple(slices))


def _ratio_fault(
    command: OpenHold | ExtendHold, lots: Sequence[LotTerms], shares: Sequence[Share], total: int
) -> Refusal | None:
    for lot, share in zip(lots, shares, strict=True):
        limit = share_fen(total, share.ratio_num, share.ratio_den)
        if share.slice_fen > limit:
            return refuse(
                command,
                RefusalCode.LOT_RATIO,
                f"lot {lot.id} pays at most {yuan_text(limit)} of {yuan_text(total)} yuan, "
                f"not {yuan_text(share.slice_fen)}",
                lot_id=lot.id,
                limit_fen=limit,
                wanted_fen=share.slice_fen,
            )
    return None


def _cash_fault(
    book: Book, command: OpenHold | ExtendHold, tenant_id: str, cash: int
) -> Refusal | None:
    free = book.balance_fen(f"cash:{tenant_id}")
    if cash <= free:
        return None
    return refuse(
        command,
        RefusalCode.CASH_SHORT,
        f"{yuan_text(cash)} yuan of cash are needed, {yuan_text(free)} are free",
        wanted_fen=cash,
        available_fen=free,
    )


def _slices_fault(command: OpenHold | ExtendHold, held_fen: int) -> Refusal | None:
    lots = [part.lot_id for part in command.slices]
    total = held_fen
    for part in command.slices:
        if part.amount_fen < 0 or part.captured_fen != 0:
            return refuse(
                command,
                RefusalCode.BAD_AMOUNT,
                f"a slice of {part.amount_fen} fen, {part.captured_fen} of it captured, "
                "cannot be set aside",
                amount_fen=part.amount_fen,
            )
        total += part.amount_fen
    if total > AMOUNT_FEN_MAX:
        return refuse(
            command,
            RefusalCode.BAD_AMOUNT,
            f"{total} fen are more than {AMOUNT_FEN_MAX}",
            amount_fen=total,
        )
    if len(set(lots)) != len(lots) or None in lots[:-1]:
        return refuse(
            command,
            RefusalCode.BAD_SLICES,
            "each lot may have one slice, and one slice of cash may come last",
        )
    return None


def _lots_fault(
    book: Book, command: OpenHold | ExtendHold, tenant_id: str, now: datetime
) -> Refusal | None:
    for part in command.slices:
        if part.lot_id is None:
            continue
        lot = book.lots.get(part.lot_id)
        if lot is None:
            return refuse(command, RefusalCode.UNKNOWN_LOT, f"there is no lot {part.lot_id}")
        if lot.tenant_id != tenant_id:
            return refuse(
                command,
                RefusalCode.FOREIGN_LOT,
                f"lot {lot.id} does not belong to tenant {tenant_id}",
            )
        if lot.is_claim:
            return refuse(
                command,
                RefusalCode.NOT_A_VOUCHER,
                f"{lot.id} is a claim, which is redeemed and pays for no jobs",
            )
        fault = _lot_fault(book, command, lot, part.amount_fen, now)
        if fault is not None:
            return fault
    return None


def _lot_fault(
    book: Book, command: OpenHold | ExtendHold, lot: LotTerms, wanted: int, now: datetime
) -> Refusal | None:
    if now >= lot.expires_at:
        return refuse(
            command,
            RefusalCode.LOT_EXPIRED,
            f"lot {lot.id} ended at {lot.expires_at.isoformat()}",
            lot_id=lot.id,
        )
    available = book.available_fen(lot, now)
    if wanted > available:
        return refuse(
            command,
            RefusalCode.LOT_SHORT,
            f"lot {lot.id} has {yuan_text(available)} yuan left, {yuan_text(wanted)} are needed",
            lot_id=lot.id,
            available_fen=available,
            wanted_fen=wanted,
        )
    return None


def _drawing_order(lot: LotTerms) -> tuple[int, datetime, str]:
    return (lot.rank, lot.expires_at, lot.id)


def _shares(book: Book, parts: Iterable[HoldSlice]) -> list[Share]:
    """Return the shares of the slices that are of lots."""
    shares = []
    for part in parts:
        if part.lot_id is not None:
            lot = book.lots[part.lot_id]
            shares.append(Share(part.amount_fen, lot.ratio_num, lot.ratio_den))
    return shares


def capture(book: Book, command: Capture, now: datetime) -> Draft | Refusal:
    """Pay from a hold, and let the rest go."""
    hold = _open_one(book, command)
    if isinstance(hold, Refusal):
        return hold
    if command.amount_fen < 0:
        return refuse(
            command,
            RefusalCode.BAD_AMOUNT,
            f"{command.amount_fen} fen cannot be paid",
            amount_fen=command.amount_fen,
        )
    held_fen = hold.amount_fen
    if command.amount_fen > held_fen:
        return refuse(
            command,
            RefusalCode.ABOVE_HOLD,
            f"{yuan_text(command.amount_fen)} yuan are more than the "
            f"{yuan_text(held_fen)} that are held",
            amount_fen=command.amount_fen,
            held_fen=held_fen,
        )
    shares = _shares(book, hold.slices)
    paid = split(command.amount_fen, shares)
    if paid[-1] > held_fen - sum([share.slice_fen for share in shares]):
        raise AssertionError(f"hold {hold.id} cannot pay {command.amount_fen} fen to the fen")
    ended = _closed(book, hold, paid, payee=command.payee, now=now)
    late_for = _late_for(book, command.used_until)
    return ended._replace(late_for=late_for) if late_for else ended


def _late_for(book: Book, used_until: datetime | None) -> str:
    """Return the closed period that the use belongs to; empty where it is open."""
    if used_until is None:
        return ""
    return next((period.id for period in book.periods if used_until <= period.ends_at), "")


def release(book: Book, command: Release, now: datetime) -> Draft | Refusal:
    """Let a hold go whole."""
    hold = _open_one(book, command)
    if isinstance(hold, Refusal):
        return hold
    return _closed(book, hold, (0,) * len(hold.slices), payee=None, now=now)


def _open_one(book: Book, command: Capture | Release | ExtendHold) -> Hold | Refusal:
    hold = book.holds.get(command.hold_id)
    if hold is None:
        return refuse(command, RefusalCode.UNKNOWN_HOLD, f"there is no hold {command.hold_id}")
    if hold.state is not HoldState.OPEN:
        return refuse(
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
    earned: dict[str, int] = {}
    for part, amount in zip(hold.slices, paid, strict=False):
        held, spent, home = _accounts(book, hold, part, payee, now)
        if amount:
            postings.append(Posting(held, spent, amount))
            if part.lot_id is not None:
                programme = book.lots[part.lot_id].programme
                earned[programme] = earned.get(programme, 0) + amount
        if part.amount_fen > amount:
            postings.append(Posting(held, home, part.amount_fen - amount))
        slices.append(
            HoldSlice(lot_id=part.lot_id, amount_fen=part.amount_fen, captured_fen=amount)
        )
    postings += [
        Posting(f"due:{programme}", f"owed:{pair(programme, str(payee))}", amount)
        for programme, amount in earned.items()
    ]
    state = HoldState.RELEASED if payee is None else HoldState.CAPTURED
    ended = Hold(
        id=hold.id,
        tenant_id=hold.tenant_id,
        attempt_id=hold.attempt_id,
        state=state,
        slices=tuple(slices),
        held_at=hold.held_at,
        closed_at=now,
        payee=payee,
    )
    return Draft(hold.tenant_id, tuple(postings), hold=ended)


def _accounts(
    book: Book, hold: Hold, part: HoldSlice, payee: str | None, now: datetime
) -> tuple[str, str, str]:
    if part.lot_id is None:
        return f"cash_held:{hold.tenant_id}", f"payable:{payee}", f"cash:{hold.tenant_id}"
    lot = book.lots[LotId(part.lot_id)]
    home = "expired" if now >= lot.expires_at else "lot"
    return f"held:{lot.id}", f"spent:{lot.id}", f"{home}:{lot.id}"


def refund(book: Book, command: Refund, now: datetime) -> Draft | Refusal:
    """Give back a part of what a hold has paid, slice by slice."""
    hold = book.holds.get(command.hold_id)
    if hold is None:
        return refuse(command, RefusalCode.UNKNOWN_HOLD, f"there is no hold {command.hold_id}")
    if hold.state is not HoldState.CAPTURED:
        return refuse(
            command,
            RefusalCode.HOLD_NOT_PAID,
            f"hold {hold.id} is {hold.state}; only what was paid can be given back",
            state=hold.state.value,
        )
    if not 0 < command.amount_fen <= hold.paid_fen:
        return refuse(
            command,
            RefusalCode.ABOVE_PAID,
            f"{yuan_text(hold.paid_fen)} yuan of hold {hold.id} are paid, "
            f"{yuan_text(command.amount_fen)} cannot be given back",
            paid_fen=hold.paid_fen,
            wanted_fen=command.amount_fen,
        )
    shares = _shares(book, hold.slices)
    paid = [part.paid_fen for part in hold.slices]
    if len(paid) == len(shares):
        paid.append(0)
    kept = unwind(hold.paid_fen - command.amount_fen, paid, shares)
    return _refunded(book, command, hold, kept, now)


def _refunded(
    book: Book, command: Refund, hold: Hold, kept: Sequence[int], now: datetime
) -> Draft | Refusal:
    postings: list[Posting] = []
    slices: list[HoldSlice] = []
    unearned: dict[str, int] = {}
    for part, keeps in zip(hold.slices, kept, strict=False):
        back = part.paid_fen - keeps
        _, spent, home = _accounts(book, hold, part, hold.payee, now)
        if back > book.balance_fen(spent):
            return _gone(book, command, spent, back)
        if back:
            postings.append(Posting(spent, home, back))
            if part.lot_id is not None:
                programme = book.lots[part.lot_id].programme
                unearned[programme] = unearned.get(programme, 0) + back
        slices.append(replace(part, refunded_fen=part.refunded_fen + back))
    for programme, back in unearned.items():
        owed = f"owed:{pair(programme, str(hold.payee))}"
        if back > book.balance_fen(owed):
            return _gone(book, command, owed, back)
        postings.append(Posting(owed, f"due:{programme}", back))
    refunded = replace(hold, slices=tuple(slices))
    return Draft(tenant_id=hold.tenant_id, postings=tuple(postings), hold=refunded)


def _gone(book: Book, command: Refund, account: str, back: int) -> Refusal:
    """Say that the money was taken from where it would come back from."""
    is_lot = account.startswith("spent:")
    there = book.balance_fen(account)
    return refuse(
        command,
        RefusalCode.LOT_RECALLED if is_lot else RefusalCode.PAYEE_SHORT,
        f"{account} has {yuan_text(there)} yuan, {yuan_text(back)} would come back from it"
        + (": the rest was clawed back" if is_lot else ": the rest was paid out"),
        available_fen=there,
        wanted_fen=back,
    )
