"""Rules of what comes into the ledger and ends in it: pools, grants, cash, ends, periods. Pure."""

from datetime import datetime
from typing import Final

from suanwang.units import INT64_MAX, yuan_text
from voucher.book import BANK, Book, Draft, LotTerms, Period, refuse, terms_of, unknown_tenant
from voucher.chain import Posting
from voucher.commands import (
    AMOUNT_FEN_MAX,
    Appropriate,
    ClosePeriod,
    Command,
    Deposit,
    Expire,
    Issue,
    Withdraw,
)
from voucher.funding import between, pair
from voucher.outcomes import Refusal, RefusalCode

GRACE_S_MAX: Final = 36_500 * 86_400
"""Longest grace of a lot: a hundred years."""


def appropriate(book: Book, command: Appropriate) -> Draft | Refusal:
    """Put a funder's money into its pool."""
    owner = pair(command.programme, command.funder)
    fault = amount_fault(command, command.amount_fen, book.balance_fen(f"budget:{owner}"))
    if fault is not None:
        return fault
    given = Posting(f"budget:{owner}", f"pool:{owner}", command.amount_fen)
    return Draft(tenant_id="", postings=(given,))


def withdraw(book: Book, command: Withdraw) -> Draft | Refusal:
    """Take a funder's money out of its pool again."""
    owner = pair(command.programme, command.funder)
    fault = amount_fault(command, command.amount_fen, 0)
    fault = fault or _pool_fault(book, command, command.programme, command.funder)
    if fault is not None:
        return fault
    taken = Posting(f"pool:{owner}", f"budget:{owner}", command.amount_fen)
    return Draft(tenant_id="", postings=(taken,))


def issue(book: Book, command: Issue, now: datetime) -> Draft | Refusal:
    """Grant a lot from its funders."""
    if command.tenant_id not in book.tenants:
        return unknown_tenant(command, command.tenant_id)
    fault = _terms_fault(book, command, now) or _mix_fault(book, command)
    if fault is not None:
        return fault
    terms = terms_of(command)
    granted = tuple(
        Posting(book.source_of(command.programme, part.funder), terms.free, part.amount_fen)
        for part in command.mix
    )
    return Draft(tenant_id=command.tenant_id, postings=granted, lot=terms)


def _terms_fault(book: Book, command: Issue, now: datetime) -> Refusal | None:
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
    return amount_fault(command, command.amount_fen, 0)


def _mix_fault(book: Book, command: Issue) -> Refusal | None:
    amounts = [part.amount_fen for part in command.mix]
    names = {part.funder for part in command.mix}
    if min(amounts) <= 0 or sum(amounts) != command.amount_fen or len(names) < len(amounts):
        return refuse(
            command,
            RefusalCode.BAD_FUNDERS,
            f"the funders of lot {command.lot_id} give {yuan_text(sum(amounts))} yuan in "
            f"{len(amounts)} parts, the lot is {yuan_text(command.amount_fen)}; "
            "each funder has one part above zero",
            funded_fen=sum(amounts),
            wanted_fen=command.amount_fen,
        )
    for part in command.mix:
        source = book.source_of(command.programme, part.funder)
        if source.startswith("pool:"):
            fault = _pool_fault(book, command, command.programme, part.funder, part.amount_fen)
        else:
            fault = amount_fault(command, part.amount_fen, book.balance_fen(source))
        if fault is not None:
            return fault
    return None


def _pool_fault(
    book: Book,
    command: Issue | Withdraw,
    programme: str,
    funder: str,
    wanted_fen: int | None = None,
) -> Refusal | None:
    wanted = command.amount_fen if wanted_fen is None else wanted_fen
    there = book.balance_fen(f"pool:{pair(programme, funder)}")
    if wanted <= there:
        return None
    return refuse(
        command,
        RefusalCode.POOL_SHORT,
        f"the pool of {funder} for {programme} has {yuan_text(there)} yuan, "
        f"{yuan_text(wanted)} are needed",
        funder=funder,
        available_fen=there,
        wanted_fen=wanted,
    )


def give_back(book: Book, lot: LotTerms, postings: list[Posting]) -> None:
    """Add postings that make what a reused lot will not pay grantable again, by funder.

    What is to be given back is all that has expired or was recalled and is not a debt of the
    tenant. ``reused`` has what was given back so far, and each funder's part of both follows from
    the amount alone: however often this is asked, each funder gets its part once.
    """
    if not lot.is_reused:
        return
    moved: dict[str, int] = {}
    for one in postings:
        moved[one.source] = moved.get(one.source, 0) - one.amount_fen
        moved[one.target] = moved.get(one.target, 0) + one.amount_fen
    names = [f"{kind}:{lot.id}" for kind in ("expired", "recalled", "receivable")]
    wanted = sum(book.balance_fen(name) + moved.get(name, 0) for name in names)
    before = -book.balance_fen(f"reused:{lot.id}")
    mix = lot.mix
    whole = sum(part.amount_fen for part in mix)
    parts = between(whole - wanted, whole - before, mix)
    postings += [
        Posting(f"reused:{lot.id}", book.source_of(lot.programme, one.funder), amount)
        for one, amount in zip(mix, parts, strict=True)
        if amount
    ]


def deposit(book: Book, command: Deposit) -> Draft | Refusal:
    """Take cash in."""
    if command.tenant_id not in book.tenants:
        return unknown_tenant(command, command.tenant_id)
    fault = amount_fault(command, command.amount_fen, book.balance_fen(BANK))
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
    left = book.balance_fen(lot.free)
    postings = [Posting(lot.free, f"expired:{lot.id}", left)] if left else []
    give_back(book, lot, postings)
    return Draft(tenant_id=lot.tenant_id, postings=tuple(postings))


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


def amount_fault(command: Command, amount_fen: int, source_fen: int) -> Refusal | None:
    """Return why an amount cannot be taken from an account that may go below zero, or None."""
    if not 0 < amount_fen <= AMOUNT_FEN_MAX:
        return refuse(
            command,
            RefusalCode.BAD_AMOUNT,
            f"{amount_fen} fen is not between 1 and {AMOUNT_FEN_MAX}",
            amount_fen=amount_fen,
        )
    if amount_fen - source_fen > INT64_MAX:
        return refuse(
            command,
            RefusalCode.BAD_AMOUNT,
            f"{amount_fen} fen on top of {-source_fen} do not fit in 64 bits",
            amount_fen=amount_fen,
        )
    return None
