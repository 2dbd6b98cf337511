"""The rules of the ledger, pure: a command and the state it meets give postings, or a refusal."""

from datetime import UTC, datetime
from functools import lru_cache

from voucher import granting, holding, paying
from voucher.book import Book, Draft, refuse
from voucher.commands import (
    TEXT_LENGTH_MAX,
    Appropriate,
    Capture,
    Clawback,
    ClosePeriod,
    Command,
    Deposit,
    EndClaim,
    Expire,
    ExtendHold,
    Issue,
    OpenHold,
    PayBack,
    PayClaim,
    PayOut,
    Redeem,
    Refund,
    Release,
    Repay,
    Withdraw,
    moments,
    texts,
)
from voucher.outcomes import Refusal, RefusalCode


def fault_of(command: Command) -> Refusal | None:
    """Return why the command cannot be stored, or None; asked before anything is read."""
    for text in texts(command):
        if _is_good(text):
            continue
        if not 0 < len(text) <= TEXT_LENGTH_MAX:
            reason = f"a text has {len(text)} characters; 1 to {TEXT_LENGTH_MAX} are allowed"
        else:
            reason = f"{text!r} has characters that cannot be printed"
        return refuse(command, RefusalCode.BAD_TEXT, reason)
    for moment in moments(command):
        if moment.tzinfo is None:
            return refuse(command, RefusalCode.BAD_TIME, f"{moment} has no time zone")
        if not _fits_utc(moment):
            return refuse(command, RefusalCode.BAD_TIME, f"{moment} is out of range in UTC")
    return None


def _fits_utc(moment: datetime) -> bool:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return False
    return True


@lru_cache(maxsize=4096)
def _is_good(text: str) -> bool:
    return 0 < len(text) <= TEXT_LENGTH_MAX and text.isprintable()


def decide(book: Book, command: Command, now: datetime) -> Draft | Refusal:
    """Return what the command does to the book at ``now``, or why it does nothing."""
    match command:
        case OpenHold():
            return holding.open_hold(book, command, now)
        case Capture():
            return holding.capture(book, command, now)
        case Release():
            return holding.release(book, command, now)
        case ExtendHold():
            return holding.extend_hold(book, command, now)
        case Refund():
            return holding.refund(book, command, now)
        case Issue() | Deposit() | Appropriate() | Withdraw() | Expire() | ClosePeriod():
            return _decide_grant(book, command, now)
        case _:
            return _decide_payment(book, command, now)


def _decide_grant(
    book: Book,
    command: Issue | Deposit | Appropriate | Withdraw | Expire | ClosePeriod,
    now: datetime,
) -> Draft | Refusal:
    match command:
        case Issue():
            return granting.issue(book, command, now)
        case Deposit():
            return granting.deposit(book, command)
        case Appropriate():
            return granting.appropriate(book, command)
        case Withdraw():
            return granting.withdraw(book, command)
        case Expire():
            return granting.expire(book, command, now)
        case ClosePeriod():
            return granting.close_period(book, command, now)


def _decide_payment(
    book: Book,
    command: Redeem | PayClaim | EndClaim | Clawback | Repay | PayOut | PayBack,
    now: datetime,
) -> Draft | Refusal:
    match command:
        case Clawback():
            return paying.claw_back(book, command, now)
        case Repay():
            return paying.repay(book, command)
        case Redeem():
            return paying.redeem(book, command, now)
        case PayClaim():
            return paying.pay_claim(book, command)
        case EndClaim():
            return paying.end_claim(book, command)
        case PayOut():
            return paying.pay_out(book, command)
        case PayBack():
            return paying.pay_back(book, command)
