"""What an application does in the ledger: the money of its claim, its lots, and what comes back.

An award of the mode deduct becomes lots when it is issued. An award of the other modes is kept for
its applicant as a claim from the moment it is granted, so that no pool is promised twice; what is
redeemed becomes due, a payment by bank pays it, and the rest goes back when the claim ends.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from suanwang.errors import Refused
from voucher import ledger
from voucher.actor import Actor
from voucher.commands import TEXT_LENGTH_MAX, Command, EndClaim, Issue, PayClaim, Redeem
from voucher.funding import FunderPart, Mix
from voucher.grants.case import CLOCK, Case, State
from voucher.grants.records import Record
from voucher.outcomes import Refusal
from voucher.programmes.application import CHINA, china_day
from voucher.programmes.life import redeem_by
from voucher.programmes.schema import Mode, Policy
from voucher.programmes.share import FunderShare
from voucher.turn import Turn

NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""End of a claim for which its policy states none: somebody closes it."""
_PAID_BY_BANK: Final = frozenset({Mode.CLAIM_THEN_REDEEM, Mode.REIMBURSE})


def mix_of(shares: Sequence[FunderShare]) -> Mix:
    """Return whose money an award is; who gives nothing is no funder of it."""
    return tuple(FunderPart(one.funder_id, one.amount_fen) for one in shares if one.amount_fen)


def claim_of(policy: Policy, record: Record) -> str | None:
    """Return the claim that is kept for an application, or None where there is none (yet)."""
    return record.lots[0] if record.lots and policy.benefit.mode in _PAID_BY_BANK else None


def following(
    policy: Policy, before: Case | None, after: Record, now: datetime
) -> tuple[Command, ...]:
    """Return what a step means for the claim of an application.

    It is kept from the moment of the grant, and let go as far as the award shrinks: taken back,
    closed, or ended. An award whose funders nobody could read is not kept, since it cannot be
    paid; nor is one that can no longer be redeemed when it is granted.
    """
    if policy.benefit.mode not in _PAID_BY_BANK or before is None:
        return ()
    if after.state is State.GRANTED and not after.lots and after.funding:
        claim = _claim(policy, after)
        return (claim,) if now < claim.expires_at else ()
    if after.lots and after.case.award_fen < before.award_fen:
        lot_id = after.lots[0]
        key = f"rest-of-claim:{lot_id}"
        return (EndClaim(key=key, lot_id=lot_id, reason="the rest", keeps_due=True),)
    return ()


def end(lot_id: str, reason: str) -> EndClaim:
    """Return the command that ends a claim with what is due on it and was not paid."""
    return EndClaim(key=f"end-claim:{lot_id}", lot_id=lot_id, reason=reason[:TEXT_LENGTH_MAX])


def claim_id(record: Record) -> str:
    """Return the id of the claim of an award; a corrected application gets another one."""
    return f"{record.id}-r{record.revision}"


def _claim(policy: Policy, record: Record) -> Issue:
    submitted = record.submitted_at or record.created_at
    is_redeemed = policy.benefit.mode is Mode.CLAIM_THEN_REDEEM
    end = redeem_by(policy, china_day(submitted)).last_day if is_redeemed else None
    return Issue(
        key=f"claim:{claim_id(record)}",
        lot_id=claim_id(record),
        tenant_id=record.case.tenant_id,
        programme=record.programme_id,
        amount_fen=record.case.award_fen,
        expires_at=NEVER if end is None else midnight_after(end),
        funders=mix_of(record.funding),
        is_claim=True,
        is_reused=True,
    )


def midnight_after(day: date) -> datetime:
    """Return the end of a day in China."""
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=CHINA)


def redemption(lot_id: str, ref: str, amount_fen: int) -> Redeem:
    """Return the command that makes a redemption due."""
    return Redeem(key=f"redeem:{lot_id}:{ref}", lot_id=lot_id, amount_fen=amount_fen)


def payment(lot_id: str, seq: int, amount_fen: int, receipt: str) -> PayClaim:
    """Return the command that books a payment of the treasury."""
    return PayClaim(
        key=f"pay-claim:{lot_id}:{seq}", lot_id=lot_id, amount_fen=amount_fen, receipt=receipt
    )


def book(turn: Turn, commands: Sequence[Command], now: datetime, actor: Actor) -> None:
    """Book in the ledger; a refusal undoes the whole step, and says what the ledger says.

    What time alone does has no actor: nobody caused it.
    """
    by = None if actor == CLOCK else actor
    for outcome in ledger.apply(turn, commands, now, by):
        if isinstance(outcome, Refusal):
            code, facts = outcome.code.value, dict(outcome.facts)
            raise Refused(outcome.message, ledger_code=code, ledger_facts=facts)
