"""Rules of what comes into the ledger and ends in it: grants, cash, ends, clawbacks, periods."""

from datetime import datetime
from typing import Final

from suanwang.units import INT64_MAX, yuan_text
from voucher.book import BANK, Book, Draft, LotTerms, Period, refuse, unknown_tenant
from voucher.chain import Posting
from voucher.commands import (
    AMOUNT_FEN_MAX,
    Clawback,
    ClosePeriod,
    Deposit,
    Expire,
    Issue,
    Repay,
)
from voucher.outcomes import Refusal, RefusalCode

GRACE_S_MAX: Final = 36_500 * 86_400
"""Longest grace of a lot: a hundred years."""


def issue(book: Book, command: Issue, now: datetime) -> Draft | Refusal:
    """Grant a lot from its programme."""
    funder = f"funder:{command.programme}"
    if command.tenant_id not in book.tenants:
        return unknown_tenant(command, command.tenant_id)
    if command.lot_id in book.lots:
        return refuse(
            command, RefusalCode.LOT_EXISTS, f"lot {command.lot_id} has been issued already"
        )
    if not (0 < command.ratio_num <= command.ratio_den <= INT64_MAX):
        return refuse(
            command,
            RefusalCode.BAD_RATIO,
            f"{command.ratio_num}/{command.ratio_den} is not a share above 0 and up to 1",
        )
    if not -(2**31) <= command.rank < 2**31:
        return refuse(command, RefusalCode.BAD_AMOUNT, f"rank {command.rank} is out of range")
    if not 0 <= command.grace_s <= GRACE_S_MAX:
        message = f"a grace of {command.grace_s} s is not between 0 and {GRACE_S_MAX}"
        return refuse(command, RefusalCode.BAD_TIME, message)
    if now >= command.expires_at:
        return refuse(
            command,
            RefusalCode.LOT_EXPIRED,
            f"the lot would end at {command.expires_at.isoformat()}, before it is issued",
        )
    fault = _amount_fault(command, book.balance_fen(funder))
    if fault is not None:
        return fault
    terms = LotTerms(
        id=command.lot_id,
        tenant_id=command.tenant_id,
        programme=command.programme,
        ratio_num=command.ratio_num,
        ratio_den=command.ratio_den,
        expires_at=command.expires_at,
        rank=command.rank,
    )
    granted = Posting(funder, f"lot:{command.lot_id}", command.amount_fen)
    return Draft(tenant_id=command.tenant_id, postings=(granted,), lot=terms)


def deposit(book: Book, command: Deposit) -> Draft | Refusal:
    """Take cash in."""
    if command.tenant_id not in book.tenants:
        return unknown_tenant(command, command.tenant_id)
    fault = _amount_fault(command, book.balance_fen(BANK))
    if fault is not None:
        return fault
    paid_in = Posting(BANK, f"cash:{command.tenant_id}", command.amount_fen)
    return Draft(tenant_id=command.tenant_id, postings=(paid_in,))


def expire(book: Book, command: Expire, now: datetime) -> Draft | Refusal:
    """Move what an ended lot has left."""
    lot = book.lots.get(command.lot_id)
    if lot is None:
        return refuse(command, RefusalCode.UNKNOWN_LOT, f"there is no lot {command.lot_id}")
    if now < lot.expires_at:
        return refuse(
            command,
            RefusalCode.LOT_NOT_EXPIRED,
            f"lot {lot.id} pays until {lot.expires_at.isoformat()}",
        )
    left = book.balance_fen(f"lot:{lot.id}")
    moved = (Posting(f"lot:{lot.id}", f"expired:{lot.id}", left),) if left else ()
    return Draft(tenant_id=lot.tenant_id, postings=moved)


def claw_back(book: Book, command: Clawback, now: datetime) -> Draft | Refusal:
    """Take back what is left, then what was paid; the latter is owed from now on."""
    lot = book.lots.get(command.lot_id)
    if lot is None:
        return refuse(command, RefusalCode.UNKNOWN_LOT, f"there is no lot {command.lot_id}")
    left = book.available_fen(lot, now)
    spent = book.balance_fen(f"spent:{lot.id}")
    if not 0 < command.amount_fen <= left + spent:
        return refuse(
            command,
            RefusalCode.ABOVE_LOT,
            f"of lot {lot.id} {yuan_text(left)} yuan are left and {yuan_text(spent)} paid; "
            f"{yuan_text(command.amount_fen)} cannot be taken back",
            left_fen=left,
            spent_fen=spent,
            wanted_fen=command.amount_fen,
        )
    unused = min(left, command.amount_fen)
    owed = command.amount_fen - unused
    postings: list[Posting] = []
    if unused:
        postings.append(Posting(f"lot:{lot.id}", f"recalled:{lot.id}", unused))
    if owed:
        debtor, funder = f"receivable:{lot.tenant_id}", f"funder:{lot.programme}"
        postings.append(Posting(f"spent:{lot.id}", f"recalled:{lot.id}", owed))
        postings.append(Posting(debtor, funder, owed))
    return Draft(tenant_id=lot.tenant_id, postings=tuple(postings))


def repay(book: Book, command: Repay) -> Draft | Refusal:
    """Take money in against a debt."""
    if command.tenant_id not in book.tenants:
        return unknown_tenant(command, command.tenant_id)
    debtor = f"receivable:{command.tenant_id}"
    owed = -book.balance_fen(debtor)
    if command.amount_fen > owed:
        return refuse(
            command,
            RefusalCode.ABOVE_DEBT,
            f"tenant {command.tenant_id} owes {yuan_text(owed)} yuan, "
            f"not {yuan_text(command.amount_fen)}",
            owed_fen=owed,
            wanted_fen=command.amount_fen,
        )
    fault = _amount_fault(command, book.balance_fen(BANK))
    if fault is not None:
        return fault
    paid = Posting(BANK, debtor, command.amount_fen)
    return Draft(tenant_id=command.tenant_id, postings=(paid,))


def close_period(book: Book, command: ClosePeriod, now: datetime) -> Draft | Refusal:
    """Say the totals of all accounts by kind; periods are closed in order, each once."""
    assert book.totals is not None
    if any(period.id == command.period_id for period in book.periods):
        return refuse(
            command, RefusalCode.PERIOD_EXISTS, f"period {command.period_id} is closed already"
        )
    last = book.periods[-1] if book.periods else None
    if last is not None and command.ends_at <= last.ends_at:
        return refuse(
            command,
            RefusalCode.PERIOD_ORDER,
            f"period {last.id} is closed up to {last.ends_at.isoformat()}; "
            f"{command.period_id} would end at {command.ends_at.isoformat()}",
        )
    if now < command.ends_at:
        return refuse(
            command,
            RefusalCode.PERIOD_RUNS,
            f"period {command.period_id} runs until {command.ends_at.isoformat()}",
        )
    totals = {kind: total for kind, total in sorted(book.totals.items()) if total}
    period = Period(command.period_id, command.ends_at)
    return Draft(tenant_id="", postings=(), period=period, told=totals)


def _amount_fault(command: Issue | Deposit | Repay, source_fen: int) -> Refusal | None:
    if not 0 < command.amount_fen <= AMOUNT_FEN_MAX:
        return refuse(
            command,
            RefusalCode.BAD_AMOUNT,
            f"{command.amount_fen} fen is not between 1 and {AMOUNT_FEN_MAX}",
            amount_fen=command.amount_fen,
        )
    if command.amount_fen - source_fen > INT64_MAX:
        return refuse(
            command,
            RefusalCode.BAD_AMOUNT,
            f"{command.amount_fen} fen on top of {-source_fen} do not fit in 64 bits",
            amount_fen=command.amount_fen,
        )
    return None
