"""After the award: lots, redemption, settlement, and taking money back.

Money moves in the ledger, in the same transaction as the step that it belongs to: lots are issued
from their funders, redemptions become due, payments of the treasury are booked with their receipt.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from suanwang.errors import BadInput, Conflict, Forbidden, Refused
from voucher import store as voucher_store
from voucher.commands import Clawback, Command, Issue
from voucher.funding import divided
from voucher.grants import bookings, store_audit, store_programmes
from voucher.grants.case import Action, Event, State
from voucher.grants.duplicates import GROUP
from voucher.grants.records import Record, known_facts, read_facts
from voucher.grants.steps import (
    Desk,
    Till,
    free,
    open_case,
    programme_of,
    require_funding,
    take,
)
from voucher.programmes.application import CHINA, Line, china_day, text_fact
from voucher.programmes.facts import Facts
from voucher.programmes.findings import Finding, finding
from voucher.programmes.life import end_of, is_reusing, reclaim
from voucher.programmes.programme import Programme
from voucher.programmes.redeem import book_redemption, redeem
from voucher.programmes.schema import Mode, Policy, Ratio
from voucher.programmes.sentences import Code
from voucher.wording import documents, texts

PROOFS: Final[Mapping[str, frozenset[str]]] = {
    "line.has_invoice": frozenset({"发票", "invoice"}),
    "line.has_delivery_proof": frozenset({"算力交付证明", "交付证明", "delivery-proof"}),
}
"""Facts that are true where evidence of one of these kinds is attached."""
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class LotTerms:
    """What the issuer adds: an end where the policy states none, and where the lot pays."""

    last_day: date | None = None
    rank: int = 0
    sites: frozenset[str] = frozenset()
    accelerators: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A request to redeem; ``ref`` makes a repeat harmless, facts are those of paid lines."""

    ref: str
    line_facts: Mapping[str, Mapping[str, object]]

    @property
    def digest(self) -> str:
        """SHA-256 of the request, in hex."""
        text = json.dumps([self.ref, self.line_facts], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A demand for money back; ``unserved`` of ``term`` (any one unit) were not served."""

    trigger: str
    reason: str
    unserved: int = field(default=1)
    term: int = field(default=1)


def issue(till: Till, application_id: str, terms: LotTerms) -> Record:
    """Issue an award of the mode deduct into lots, one for each tier.

    Raises what ``advance`` raises, and Refused where the policy or the ledger says no.
    """
    record = open_case(till, application_id)
    programme = programme_of(till.connection, record)
    event = Event(action=Action.ISSUE, actor=till.actor, amount_fen=record.case.award_fen)
    is_right_time = record.state is State.GRANTED
    if not is_right_time or programme.policy.benefit.mode is not Mode.DEDUCT:
        take(till, record, event, {})  # Raises, and says why.
    require_funding(programme, record)
    expires_at, grace_s = _end(programme.policy, till.now, terms.last_day)
    commands = _lots(record, programme, terms, expires_at, grace_s)
    lots = tuple(command.lot_id for command in commands)
    facts = {
        "lots": {command.lot_id: command.amount_fen for command in commands},
        "expires_at": expires_at.isoformat(),
        "grace_s": grace_s,
        "digest": record.programme_digest,
        "funding": {share.funder_id: share.amount_fen for share in record.funding},
    }
    issued = take(till, replace(record, lots=lots), replace(event, ends_at=expires_at), facts)
    bookings.book(till.turn, commands, till.now, till.actor)
    return issued


def claim(till: Till, application_id: str, request: Claim) -> tuple[Record, store_audit.Redemption]:
    """Redeem what was paid since: the smallest of claim, ratio of what was paid, and caps.

    Raises Refused with every reason where nothing can be redeemed, Conflict for a reference that
    was used for another request.
    """
    record = open_case(till, application_id)
    earlier = store_audit.redemptions(till.connection, record.id)
    for one in earlier:
        if one.ref == request.ref:
            if one.body_digest == request.digest:
                return record, one
            raise Conflict(f"reference {request.ref} was used for another request")
    programme = programme_of(till.connection, record)
    lines = _with_proofs(till, record, _paid_lines(record, programme, request))
    paid = replace(record, lines=lines)
    if record.state is not State.GRANTED or record.award is None:
        take(till, record, Event(action=Action.REDEEM, actor=till.actor), {})
    assert record.award is not None, f"{record.id} was granted without an award"
    usage = store_programmes.load_usage(till.connection, record.programme_id)
    filed, today = paid.application(frozenset(), till.now), china_day(till.now)
    found = redeem(programme, filed, record.award, today, _paid_before(earlier), usage)
    if found.amount_fen == 0:
        reasons = found.findings or (finding(Code.NOTHING_NEW, "spend"),)
        raise _refused("nothing can be redeemed: ", reasons)
    kept = bookings.claim_of(programme.policy, record)
    if kept is None:
        require_funding(programme, record)
        raise Refused(f"nothing is kept for application {record.id}")
    after = usage.copy()
    book_redemption(programme, filed, found.amount_fen, today, after)
    store_programmes.save_usage(till.connection, record.programme_id, usage, after, {})
    event = Event(action=Action.REDEEM, actor=till.actor, amount_fen=found.amount_fen)
    facts = {
        "ref": request.ref,
        "by_line": dict(found.by_line),
        "open_fen": found.open_fen,
        "findings": documents(found.findings),
    }
    redeemed = take(till, paid, event, facts)
    due = bookings.redemption(kept, request.ref, found.amount_fen)
    bookings.book(till.turn, [due], till.now, till.actor)
    new = store_audit.Redemption(
        seq=len(earlier) + 1,
        ref=request.ref,
        body_digest=request.digest,
        paid_on=today.isoformat(),
        amount_fen=found.amount_fen,
        by_line=found.by_line,
        filed_by=till.actor.person,
        filed_at=till.now,
    )
    store_audit.add_redemption(till.connection, record.id, new)
    return redeemed, new


def settle(till: Till, application_id: str, receipt: str, seq: int | None = None) -> Record:
    """Book that the treasury paid: the whole award (reimburse), or redemption ``seq``.

    The same receipt again changes nothing; another one for what is paid is a Conflict.
    """
    record = open_case(till, application_id)
    programme = programme_of(till.connection, record)
    if not receipt.strip():
        raise BadInput("the number of the bank's receipt is missing")
    payments = store_audit.redemptions(till.connection, record.id)
    if programme.policy.benefit.mode is Mode.REIMBURSE and not payments:
        due = _whole_award(till, record)
    else:
        wanted = 1 if seq is None and len(payments) == 1 else seq
        due = next((one for one in payments if one.seq == wanted), None) or _no_payment(record)
    if due.settled_at is not None:
        if due.receipt == receipt:
            return record
        raise Conflict(f"payment {due.seq} of {record.id} was made under receipt {due.receipt}")
    if due.filed_by == till.actor.person and due.filed_at != till.now:
        raise Forbidden("who filed a payment does not make it", rule="four-eyes")
    event = Event(action=Action.SETTLE, actor=till.actor, amount_fen=due.amount_fen, reason=receipt)
    if record.state is State.GRANTED:
        require_funding(programme, record)
    settled = take(till, record, event, {"receipt": receipt, "payment": due.seq})
    is_new = due.seq not in {one.seq for one in payments}
    if is_new:
        store_audit.add_redemption(till.connection, record.id, due)
    kept = bookings.claim_of(programme.policy, record)
    assert kept is not None, f"{record.id} can be paid and nothing is kept for it"
    commands: list[Command] = [bookings.redemption(kept, due.ref, due.amount_fen)] if is_new else []
    commands.append(bookings.payment(kept, due.seq, due.amount_fen, receipt))
    bookings.book(till.turn, commands, till.now, till.actor)
    store_audit.settle_redemption(
        till.connection, record.id, due.seq, receipt, till.actor.person, till.now
    )
    return settled


def close(till: Till, application_id: str, reason: str) -> Record:
    """End a claim; what was never redeemed returns to the caps and the pool."""
    record = open_case(till, application_id)
    return take(till, record, Event(action=Action.CLOSE, actor=till.actor, reason=reason), {})


def request_clawback(desk: Desk, application_id: str, demand: Demand) -> Record:
    """Demand money back for a trigger of the policy; somebody else decides.

    Raises Refused where the policy has no such trigger or leaves open what it takes.
    """
    record = open_case(desk, application_id)
    programme = programme_of(desk.connection, record)
    if demand.term < 1 or not 0 <= demand.unserved <= demand.term:
        raise BadInput(f"{demand.unserved} of {demand.term} cannot be unserved")
    paid = _had(desk, record)
    taken = reclaim(
        programme.policy, demand.trigger, paid, unserved=demand.unserved, term=demand.term
    )
    if taken.findings:
        raise _refused("", taken.findings)
    event = Event(
        action=Action.REQUEST_CLAWBACK,
        actor=desk.actor,
        reason=demand.reason,
        amount_fen=taken.amount_fen,
    )
    facts = {
        "trigger": demand.trigger,
        "paid_fen": paid,
        "amount_fen": taken.amount_fen,
        "ban_years": taken.ban_years,
        "unserved": f"{demand.unserved} of {demand.term}",
    }
    after = take(desk, record, event, facts)
    earlier = store_audit.clawbacks(desk.connection, record.id)
    new = store_audit.Clawback(
        seq=len(earlier) + 1,
        trigger=demand.trigger,
        state="requested",
        amount_fen=taken.amount_fen,
        ban_years=taken.ban_years,
        reason=demand.reason,
        requested_by=desk.actor.person,
        requested_at=desk.now,
        decided_by="",
        decided_at=None,
        banned_until=None,
    )
    group = text_fact(record.facts, GROUP) or ""
    store_audit.add_clawback(desk.connection, record.id, record.identity.key, group, new)
    return after


def decide_clawback(till: Till, application_id: str, *, is_approved: bool, reason: str) -> Record:
    """Approve a demand, which makes the money due and starts the ban, or refuse it."""
    record = open_case(till, application_id)
    demands = store_audit.clawbacks(till.connection, record.id)
    latest = demands[-1] if demands else None
    action = Action.APPROVE_CLAWBACK if is_approved else Action.REFUSE_CLAWBACK
    amount = latest.amount_fen if latest else 0
    event = Event(action=action, actor=till.actor, reason=reason, amount_fen=amount)
    after = take(till, record, event, {"amount_fen": amount})
    assert latest is not None, f"{record.id} is in clawback without a demand"
    is_banned = is_approved and latest.ban_years > 0
    decided = replace(
        latest,
        state="approved" if is_approved else "refused",
        decided_by=till.actor.person,
        decided_at=till.now,
        banned_until=_years_on(till.now, latest.ban_years) if is_banned else None,
    )
    store_audit.decide_clawback(till.connection, record.id, decided)
    if not is_approved:
        return after
    _take_back(till, record, latest)
    return free(till, after)


def _refused(what: str, reasons: Sequence[Finding]) -> Refused:
    return Refused(f"{what}{'; '.join(texts(reasons))}", findings=documents(reasons))


def _end(policy: Policy, now: datetime, wished: date | None) -> tuple[datetime, int]:
    """Return the moment at which lots end, and the grace for jobs that run then, in seconds.

    The end is the policy's last day, or an earlier one that is wished.
    """
    stated = end_of(policy, china_day(now))
    if stated.findings:
        raise _refused("", stated.findings)
    days = [day for day in (stated.last_day, wished) if day is not None]
    if not days:
        raise Refused(
            f"{policy.ref} states no end of a voucher, and none was given",
            next_step="give the last day",
        )
    if wished is not None and stated.last_day is not None and wished > stated.last_day:
        raise Refused(f"{wished} is after {stated.last_day}, the last day that the policy allows")
    end = bookings.midnight_after(min(days))
    return end.astimezone(UTC), stated.grace_days * _DAY_S


def _lots(
    record: Record, programme: Programme, terms: LotTerms, expires_at: datetime, grace_s: int
) -> tuple[Issue, ...]:
    is_reused = is_reusing(programme.policy)
    by_tier: dict[str, int] = {}
    ratios: dict[str, Ratio] = {}
    for line in record.award.lines if record.award else ():
        if line.amount_fen > 0 and line.ratio is not None:
            by_tier[line.tier_id] = by_tier.get(line.tier_id, 0) + line.amount_fen
            ratios[line.tier_id] = line.ratio
    mixes = divided(bookings.mix_of(record.funding), tuple(by_tier.values()))
    return tuple(
        Issue(
            key=f"grant:{record.id}:{tier}",
            lot_id=record.id if len(by_tier) == 1 else f"{record.id}-{tier}",
            tenant_id=record.case.tenant_id,
            programme=programme.policy.id,
            amount_fen=amount,
            ratio_num=ratios[tier].num,
            ratio_den=ratios[tier].den,
            expires_at=expires_at,
            rank=terms.rank,
            sites=terms.sites,
            accelerators=terms.accelerators,
            grace_s=grace_s,
            funders=mix,
            is_reused=is_reused,
        )
        for (tier, amount), mix in zip(by_tier.items(), mixes, strict=True)
    )


def _paid_lines(record: Record, programme: Programme, request: Claim) -> tuple[Line, ...]:
    strangers = set(request.line_facts) - {line.id for line in record.lines}
    if strangers:
        raise BadInput(f"application {record.id} has no line {sorted(strangers)[0]!r}")
    known = known_facts(programme)
    lines = []
    for line in record.lines:
        stated: Facts = read_facts(request.line_facts.get(line.id, {}), known, "line.")
        changed = {"line.contract_no", "line.contract_fen"} & set(stated)
        if any(stated[name] != line.facts.get(name) for name in changed):
            raise BadInput(f"line {line.id}: contract and its amount were granted as they are")
        lines.append(Line(id=line.id, facts={**line.facts, **stated}))
    return tuple(lines)


def _with_proofs(desk: Desk, record: Record, lines: Sequence[Line]) -> tuple[Line, ...]:
    """Return the lines with what is on file: proofs are files here, never the applicant's word.

    A file that names a line proves that line alone, one that names none proves all of them.
    """
    files = store_audit.evidence(desk.connection, record.id)
    proved = []
    for line in lines:
        there = {file.kind for file in files if file.line_id in ("", line.id)}
        on_file = {fact: bool(there & kinds) for fact, kinds in PROOFS.items()}
        proved.append(Line(id=line.id, facts={**line.facts, **on_file}))
    return tuple(proved)


def _paid_before(payments: tuple[store_audit.Redemption, ...]) -> dict[str, int]:
    before: dict[str, int] = {}
    for payment in payments:
        for line_id, amount in payment.by_line.items():
            before[line_id] = before.get(line_id, 0) + amount
    return before


def _whole_award(desk: Desk, record: Record) -> store_audit.Redemption:
    lines = record.award.lines if record.award else ()
    return store_audit.Redemption(
        seq=1,
        ref="award",
        body_digest=record.body_digest,
        paid_on=china_day(desk.now).isoformat(),
        amount_fen=record.case.award_fen,
        by_line={line.line_id: line.amount_fen for line in lines if line.amount_fen},
        filed_by=desk.actor.person,
        filed_at=desk.now,
    )


def _no_payment(record: Record) -> store_audit.Redemption:
    raise BadInput(
        f"name the payment of application {record.id} that was made",
        next_step="GET /v1/applications/{id} lists its payments",
    )


def _had(desk: Desk, record: Record) -> int:
    """Return what an applicant has had: what its lots hold or paid, or what it was paid by bank."""
    programme = programme_of(desk.connection, record)
    is_paid_by_bank = bookings.claim_of(programme.policy, record) is not None
    return record.case.settled_fen if is_paid_by_bank else sum(_in_lots(desk, record).values())


def _in_lots(desk: Desk, record: Record) -> dict[str, int]:
    """Return by lot what can be taken back: what is left of it, and what it has paid, in fen."""
    lots = (voucher_store.find_lot(desk.connection, one, desk.now) for one in record.lots)
    return {lot.id: lot.available_fen + lot.spent_fen for lot in lots}


def _take_back(till: Till, record: Record, demand: store_audit.Clawback) -> None:
    """Book a clawback. A claim ends with it, and only what was paid by bank is taken back."""
    commands: list[Command] = []
    left = demand.amount_fen
    programme = programme_of(till.connection, record)
    kept = bookings.claim_of(programme.policy, record)
    if kept is not None:
        commands.append(bookings.end(kept, demand.trigger))
        lots = {kept: record.case.settled_fen}
    else:
        lots = _in_lots(till, record)
    for lot_id, most in lots.items():
        amount = min(left, most)
        left -= amount
        if amount:
            key = f"clawback:{record.id}:{demand.seq}:{lot_id}"
            commands.append(
                Clawback(key=key, lot_id=lot_id, amount_fen=amount, reason=demand.trigger)
            )
    if left:
        raise Refused(
            f"{demand.amount_fen} fen are demanded back, {left} fen of them are held or expired",
            next_step="wait until running jobs end, or refuse and demand less",
        )
    bookings.book(till.turn, commands, till.now, till.actor)


def _years_on(moment: datetime, years: int) -> datetime:
    day = china_day(moment)
    is_leap_day = (day.month, day.day) == (2, 29)
    end = date(day.year + years, day.month, 28 if is_leap_day else day.day)
    return datetime.combine(end + timedelta(days=1), time(), tzinfo=CHINA)
