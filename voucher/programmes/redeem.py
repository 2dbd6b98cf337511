"""Redeeming a claim after payment: the smallest of what was claimed, what the ratio gives on the
money really paid, and what the caps still allow. What was paid before is taken off, so any way of
paying in parts ends at the same total.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from suanwang.units import share_fen
from voucher.programmes.application import Application, Line, china_day
from voucher.programmes.award import Award, LineAward, counted_fen
from voucher.programmes.findings import Code, Cut, Finding
from voucher.programmes.life import redeem_by
from voucher.programmes.predicate import failures
from voucher.programmes.programme import Programme
from voucher.programmes.schema import CapScope, Mode
from voucher.programmes.share import largest_remainder
from voucher.programmes.usage import REDEEMED, Usage, cap_key, caps_of, cut_to, left_fen
from voucher.programmes.values import not_seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Redemption:
    """What is paid now by line, and how much of the claim stays open, in fen."""

    amount_fen: int
    by_line: Mapping[str, int]
    open_fen: int
    cuts: tuple[Cut, ...] = ()
    findings: tuple[Finding, ...] = ()


def redeem(
    programme: Programme,
    application: Application,
    claim: Award,
    paid_on: date,
    before: Mapping[str, int],
    usage: Usage,
) -> Redemption:
    """Return what a claim pays for ``application``, whose lines now know ``line.paid_fen``.

    ``before`` is what each line was paid already. A line with a finding is paid nothing this time.
    The policy's caps on redemption are read, not written: ``usage`` is the caller's.
    """
    view = caps_of(programme, application, REDEEMED)
    against = (*_not_redeemable(programme, application, claim, paid_on), *view.findings)
    lines = {line.id: line for line in application.lines}
    due: dict[str, int] = {}
    found: list[Finding] = []
    for part in claim.lines:
        if part.amount_fen == 0:
            continue
        missing = _missing(programme, application, lines.get(part.line_id), part.line_id)
        found += missing
        earned = 0 if missing else _earned_fen(programme, application, lines[part.line_id], part)
        due[part.line_id] = max(0, earned - before.get(part.line_id, 0))
    cuts: list[Cut] = []
    amount = 0 if against else sum(due.values())
    for cap in view.caps if not against else ():
        if cap.scope in (CapScope.CONTRACT, CapScope.POOL):
            continue  # The claim stays within both, and a redemption within the claim.
        key = cap_key(cap, application, paid_on, REDEEMED)
        cut = cut_to(cap, amount, left_fen(cap, key, usage))
        if cut:
            cuts.append(cut)
            amount = cut.to_fen
    parts = largest_remainder(amount, tuple(due.values()))
    return Redemption(
        amount_fen=amount,
        by_line=dict(zip(due, parts, strict=True)),
        open_fen=claim.amount_fen - sum(before.values()) - amount,
        cuts=tuple(cuts),
        findings=(*against, *found),
    )


def book_redemption(
    programme: Programme, application: Application, amount_fen: int, paid_on: date, usage: Usage
) -> None:
    """Take what was redeemed of the caps that count redemptions."""
    for cap in caps_of(programme, application, REDEEMED).caps:
        if cap.scope not in (CapScope.CONTRACT, CapScope.POOL):
            usage.add(cap_key(cap, application, paid_on, REDEEMED), amount_fen)


def _not_redeemable(
    programme: Programme, application: Application, claim: Award, paid_on: date
) -> tuple[Finding, ...]:
    policy, mode = programme.policy, programme.policy.benefit.mode
    if mode is None:
        return (not_seen(policy, "benefit.mode"),)
    if mode is not Mode.CLAIM_THEN_REDEEM:
        message = f"{policy.id} is in mode {mode}; only claim_then_redeem redeems a claim"
        return (Finding(code=Code.WRONG_MODE, path="benefit.mode", message=message),)
    if claim.amount_fen == 0 or claim.application_id != application.id:
        message = f"application {application.id} has no claim to redeem"
        return (Finding(code=Code.NO_CLAIM, path="benefit.mode", message=message),)
    if claim.digest != programme.digest:
        message = f"the claim was made under digest {claim.digest[:12]}…, not under {policy.ref}"
        return (Finding(code=Code.NO_CLAIM, path="version", message=message),)
    return _too_late(programme, application, paid_on)


def _too_late(programme: Programme, application: Application, paid_on: date) -> tuple[Finding, ...]:
    end = redeem_by(programme.policy, china_day(application.submitted_at))
    if end.findings or end.last_day is None or paid_on <= end.last_day:
        return end.findings
    message = f"redeemed on {paid_on}; the last day was {end.last_day}"
    return (Finding(code=Code.TOO_LATE, path="validity.redeem_within_days", message=message),)


def _missing(
    programme: Programme, application: Application, line: Line | None, line_id: str
) -> tuple[Finding, ...]:
    policy, path = programme.policy, "spend.redeem_require"
    if policy.spend.redeem_require is None:
        return (not_seen(policy, path, line_id),)
    if line is None:
        message = f"line {line_id} of the claim is not in the request"
        return (Finding(code=Code.NO_CLAIM, path="spend", message=message, line_id=line_id),)
    facts = application.line_facts(line)
    paid = facts.get("line.paid_fen")
    found = failures(policy.spend.redeem_require, facts, programme.known, path, line_id)
    if paid is None:
        message = "line.paid_fen is not known; a claim is redeemed on what was paid"
        found += (Finding(code=Code.FACT_UNKNOWN, path=path, message=message, line_id=line_id),)
    elif isinstance(paid, bool) or not isinstance(paid, int) or paid < 0:
        message = f"line.paid_fen is {paid!r}, not an amount in fen"
        found += (Finding(code=Code.FACT_UNUSABLE, path=path, message=message, line_id=line_id),)
    return found


def _earned_fen(programme: Programme, application: Application, line: Line, part: LineAward) -> int:
    facts = application.line_facts(line)
    paid = facts["line.paid_fen"]
    assert isinstance(paid, int), "_missing refuses the rest"
    assert part.ratio is not None, "assess refuses the rest"
    tier = next(one for one in programme.policy.tiers if one.id == part.tier_id)
    earned = share_fen(counted_fen(tier, facts, paid), part.ratio.num, part.ratio.den)
    return min(part.amount_fen, int(earned))
