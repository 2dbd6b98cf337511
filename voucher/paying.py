"""Rules of money that leaves or comes back: claims, bank payments, clawbacks, debts. Pure."""

from datetime import datetime

from suanwang.units import yuan_text
from voucher.book import BANK, Book, Draft, LotTerms, refuse, unknown_tenant
from voucher.chain import Posting
from voucher.commands import (
    Clawback,
    EndClaim,
    PayBack,
    PayClaim,
    PayOut,
    Redeem,
    Repay,
)
from voucher.funding import pair
from voucher.granting import amount_fault, give_back
from voucher.outcomes import Refusal, RefusalCode


def redeem(book: Book, command: Redeem, now: datetime) -> Draft | Refusal:
    """Make a part of a claim due to its tenant."""
    claim = _claim(book, command)
    if isinstance(claim, Refusal):
        return claim
    if now >= claim.expires_at:
        return refuse(
            command,
            RefusalCode.LOT_EXPIRED,
            f"claim {claim.id} ended at {claim.expires_at.isoformat()}",
            lot_id=claim.id,
        )
    fault = amount_fault(command, command.amount_fen, book.balance_fen(f"due:{claim.programme}"))
    if fault is not None:
        return fault
    left = book.balance_fen(claim.free)
    if command.amount_fen > left:
        return refuse(
            command,
            RefusalCode.CLAIM_SHORT,
            f"claim {claim.id} has {yuan_text(left)} yuan left, "
            f"{yuan_text(command.amount_fen)} cannot be redeemed",
            available_fen=left,
            wanted_fen=command.amount_fen,
        )
    postings = (
        Posting(claim.free, claim.used, command.amount_fen),
        Posting(f"due:{claim.programme}", f"claim_due:{claim.id}", command.amount_fen),
    )
    return Draft(tenant_id=claim.tenant_id, postings=postings)


def pay_claim(book: Book, command: PayClaim) -> Draft | Refusal:
    """Book that the treasury paid what is due on a claim."""
    claim = _claim(book, command)
    if isinstance(claim, Refusal):
        return claim
    due = f"claim_due:{claim.id}"
    fault = _receipt_fault(book, command) or _due_fault(book, command, due)
    if fault is not None:
        return fault
    paid = Posting(due, f"paid:{claim.programme}", command.amount_fen)
    return Draft(tenant_id=claim.tenant_id, postings=(paid,), receipt=command.receipt)


def end_claim(book: Book, command: EndClaim) -> Draft | Refusal:
    """Let go what is left of a claim, and what is due on it and was not paid."""
    claim = _claim(book, command)
    if isinstance(claim, Refusal):
        return claim
    left = book.balance_fen(claim.free)
    unpaid = 0 if command.keeps_due else book.balance_fen(f"claim_due:{claim.id}")
    postings = []
    if left:
        postings.append(Posting(claim.free, f"expired:{claim.id}", left))
    if unpaid:
        postings.append(Posting(claim.used, f"expired:{claim.id}", unpaid))
        postings.append(Posting(f"claim_due:{claim.id}", f"due:{claim.programme}", unpaid))
    give_back(book, claim, postings)
    return Draft(tenant_id=claim.tenant_id, postings=tuple(postings))


def pay_out(book: Book, command: PayOut) -> Draft | Refusal:
    """Book that a payee was paid what it has earned."""
    earned, paid = _payee_accounts(command)
    fault = _receipt_fault(book, command) or _due_fault(book, command, earned)
    if fault is not None:
        return fault
    moved = Posting(earned, paid, command.amount_fen)
    return Draft(tenant_id="", postings=(moved,), receipt=command.receipt)


def pay_back(book: Book, command: PayBack) -> Draft | Refusal:
    """Book that a payee paid back what it was paid."""
    earned, paid = _payee_accounts(command)
    fault = _receipt_fault(book, command)
    fault = fault or amount_fault(command, command.amount_fen, book.balance_fen(BANK))
    if fault is None and command.programme is not None:
        fault = _due_fault(book, command, paid)
    if fault is not None:
        return fault
    moved = Posting(paid, earned, command.amount_fen)
    return Draft(tenant_id="", postings=(moved,), receipt=command.receipt)


def claw_back(book: Book, command: Clawback, now: datetime) -> Draft | Refusal:
    """Take back what is left, then what was used; what was paid for it is owed from now on.

    Of a claim, what is due and not paid yet comes before what was paid: it is simply not due.
    """
    lot = book.lots.get(command.lot_id)
    if lot is None:
        return refuse(command, RefusalCode.UNKNOWN_LOT, f"there is no lot {command.lot_id}")
    left, used = book.available_fen(lot, now), book.balance_fen(lot.used)
    if not 0 < command.amount_fen <= left + used:
        return refuse(
            command,
            RefusalCode.ABOVE_LOT,
            f"of lot {lot.id} {yuan_text(left)} yuan are left and {yuan_text(used)} paid; "
            f"{yuan_text(command.amount_fen)} cannot be taken back",
            left_fen=left,
            spent_fen=used,
            wanted_fen=command.amount_fen,
        )
    unused = min(left, command.amount_fen)
    taken = command.amount_fen - unused
    unpaid = min(book.balance_fen(f"claim_due:{lot.id}"), taken)
    moves = (
        Posting(lot.free, f"recalled:{lot.id}", unused),
        Posting(lot.used, f"recalled:{lot.id}", taken),
        Posting(f"claim_due:{lot.id}", f"due:{lot.programme}", unpaid),
        Posting(f"receivable:{lot.id}", f"reclaim:{lot.programme}", taken - unpaid),
    )
    postings = [one for one in moves if one.amount_fen]
    give_back(book, lot, postings)
    return Draft(tenant_id=lot.tenant_id, postings=tuple(postings))


def repay(book: Book, command: Repay) -> Draft | Refusal:
    """Take money in against a debt from a clawback."""
    if command.tenant_id not in book.tenants:
        return unknown_tenant(command, command.tenant_id)
    lot = book.lots.get(command.lot_id)
    if lot is None:
        return refuse(command, RefusalCode.UNKNOWN_LOT, f"there is no lot {command.lot_id}")
    if lot.tenant_id != command.tenant_id:
        return refuse(
            command,
            RefusalCode.FOREIGN_LOT,
            f"lot {lot.id} does not belong to tenant {command.tenant_id}",
        )
    owed = -book.balance_fen(f"receivable:{lot.id}")
    if command.amount_fen > owed:
        return refuse(
            command,
            RefusalCode.ABOVE_DEBT,
            f"tenant {command.tenant_id} owes {yuan_text(owed)} yuan of lot {lot.id}, "
            f"not {yuan_text(command.amount_fen)}",
            owed_fen=owed,
            wanted_fen=command.amount_fen,
        )
    fault = amount_fault(command, command.amount_fen, book.balance_fen(BANK))
    fault = fault or _receipt_fault(book, command)
    if fault is not None:
        return fault
    postings = [Posting(BANK, f"receivable:{lot.id}", command.amount_fen)]
    give_back(book, lot, postings)
    return Draft(tenant_id=lot.tenant_id, postings=tuple(postings), receipt=command.receipt)


def _claim(book: Book, command: Redeem | PayClaim | EndClaim) -> LotTerms | Refusal:
    claim = book.lots.get(command.lot_id)
    if claim is None:
        return refuse(command, RefusalCode.UNKNOWN_LOT, f"there is no claim {command.lot_id}")
    if not claim.is_claim:
        return refuse(
            command, RefusalCode.NOT_A_CLAIM, f"{claim.id} is a voucher, which pays for jobs"
        )
    return claim


def _payee_accounts(command: PayOut | PayBack) -> tuple[str, str]:
    """Return the account of what the payee has earned, and that of what it was paid from."""
    if command.programme is None:
        return f"payable:{command.payee}", BANK
    return f"owed:{pair(command.programme, command.payee)}", f"paid:{command.programme}"


def _receipt_fault(book: Book, command: PayClaim | PayOut | PayBack | Repay) -> Refusal | None:
    seq = book.receipts.get(command.receipt)
    if seq is None:
        return None
    where = f"in entry {seq}" if seq else "in this batch"
    return refuse(
        command,
        RefusalCode.RECEIPT_USED,
        f"the bank's receipt {command.receipt} was booked {where}",
        seq=seq,
    )


def _due_fault(book: Book, command: PayClaim | PayOut | PayBack, account: str) -> Refusal | None:
    there = book.balance_fen(account)
    if 0 < command.amount_fen <= there:
        return None
    return refuse(
        command,
        RefusalCode.ABOVE_DUE,
        f"{account} has {yuan_text(there)} yuan, {yuan_text(command.amount_fen)} cannot be paid",
        due_fen=there,
        wanted_fen=command.amount_fen,
    )
