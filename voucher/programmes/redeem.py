"""Redeeming a claim after payment: the smallest of what was claimed, what the ratio gives on the
money really paid, and what the caps still allow. What was paid before is taken off, so any way of
paying in parts ends at the same total.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from suanwang.units import share_fen
from voucher.programmes.application import Application, Line, china_day
from voucher.programmes.award import Award, LineAward, counted_fen
from voucher.programmes.findings import Cut, Finding, finding
from voucher.programmes.life import redeem_by
from voucher.programmes.predicate import failures, unknown, unusable
from voucher.programmes.programme import Programme
from voucher.programmes.schema import CapScope, Mode
from voucher.programmes.sentences import Code, Use
from voucher.programmes.share import largest_remainder
from voucher.programmes.usage import REDEEMED, Usage, cap_key, caps_of, cut_to, left_fen
from voucher.programmes.values import not_seen

_PAID: Final = "line.paid_fen"


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
        modes = {"mode": mode.value, "needed_mode": Mode.CLAIM_THEN_REDEEM.value}
        return (finding(Code.WRONG_MODE, "benefit.mode", policy=policy.id, **modes),)
    if claim.amount_fen == 0 or claim.application_id != application.id:
        return (finding(Code.NO_CLAIM, "benefit.mode", application=application.id),)
    if claim.digest != programme.digest:
        figures = {"digest": claim.digest[:12], "policy": policy.ref}
        return (finding(Code.OTHER_VERSION, "version", **figures),)
    return _too_late(programme, application, paid_on)


def _too_late(programme: Programme, application: Application, paid_on: date) -> tuple[Finding, ...]:
    end = redeem_by(programme.policy, china_day(application.submitted_at))
    if end.findings or end.last_day is None or paid_on <= end.last_day:
        return end.findings
    days = {"redeemed_on": str(paid_on), "last_day": str(end.last_day)}
    return (finding(Code.TOO_LATE, "validity.redeem_within_days", **days),)


def _missing(
    programme: Programme, application: Application, line: Line | None, line_id: str
) -> tuple[Finding, ...]:
    policy, path = programme.policy, "spend.redeem_require"
    if policy.spend.redeem_require is None:
        return (not_seen(policy, path, line_id),)
    if line is None:
        return (finding(Code.LINE_MISSING, "spend", line_id, line=line_id),)
    facts = application.line_facts(line)
    paid = facts.get(_PAID)
    found = failures(policy.spend.redeem_require, facts, programme.known, path, line_id)
    if paid is None:
        found += (unknown(_PAID, Use.PAID, programme.known, path, line_id),)
    elif isinstance(paid, bool) or not isinstance(paid, int) or paid < 0:
        found += (unusable(_PAID, paid, programme.known, path, line_id),)
    return found


def _earned_fen(programme: Programme, application: Application, line: Line, part: LineAward) -> int:
    facts = application.line_facts(line)
    paid = facts[_PAID]
    assert isinstance(paid, int), "_missing refuses the rest"
    assert part.ratio is not None, "assess refuses the rest"
    tier = next(one for one in programme.policy.tiers if one.id == part.tier_id)
    earned = share_fen(counted_fen(tier, facts, paid), part.ratio.num, part.ratio.den)
    return min(part.amount_fen, int(earned))
