"""One step of an application, whole: the new state, its effects on caps, the audit, the message.

Everything happens in the caller's transaction. Locks are taken in one order: the application, the
programmes. A step that books has a turn at the ledger, alone in its transaction, since others may
wait for these rows too.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from suanwang.errors import NotFound, Refused
from voucher.actor import Actor
from voucher.commands import Issue
from voucher.grants import bookings, freeing, store, store_audit, store_programmes
from voucher.grants.application import advance
from voucher.grants.case import Action, Case, Effect, Event, State
from voucher.grants.due import with_due
from voucher.grants.messages import message_of
from voucher.grants.people import may_see
from voucher.grants.records import Record, freed_out
from voucher.programmes.application import Application
from voucher.programmes.award import Award, reserve, spend_keys, with_amount
from voucher.programmes.programme import Programme
from voucher.programmes.rounds import decide
from voucher.programmes.share import split
from voucher.programmes.usage import SpendKey
from voucher.registry.rules import Rules
from voucher.turn import Turn
from voucher.wording import Language, Told, documents, joined, texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Who acts, when, and on which connection; ``request`` is the digest of what was asked.

    ``rules`` say from where on a tie or a contract is looked at.
    """

    connection: Connection
    actor: Actor
    now: datetime
    request: str = ""
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Till(Desk):
    """A desk at the ledger: who acts there may book, on the turn's connection."""

    turn: Turn


def till_of(turn: Turn, desk: Desk) -> Till:
    """Return a desk of this turn's transaction as a till."""
    assert desk.connection is turn.connection, "a till books where its desk writes"
    return Till(
        connection=turn.connection,
        actor=desk.actor,
        now=desk.now,
        request=desk.request,
        rules=desk.rules,
        turn=turn,
    )


def open_case(desk: Desk, application_id: str) -> Record:
    """Return an application to be changed, locked; raise NotFound for none, or a foreign one."""
    record = store.find(desk.connection, application_id, for_update=True)
    require_sight(record, desk.actor)
    return record


def require_sight(record: Record, actor: Actor) -> None:
    """Raise NotFound for somebody for whom the application does not exist."""
    if not may_see(record.case, actor.role, actor.tenant_id):
        raise NotFound(f"there is no application {record.id}")


def programme_of(connection: Connection, record: Record) -> Programme:
    """Return the version of the programme under which an application was filed."""
    return store_programmes.find_programme(
        connection, record.programme_id, record.programme_version
    )


def take(desk: Desk, record: Record, event: Event, facts: Mapping[str, object]) -> Record:
    """Do one step and return the application after it, saved, with audit row and message.

    Raises what ``advance`` raises. Where the step calls for the award, that is made too.
    """
    programme = programme_of(desk.connection, record)
    step = advance(record.case, event, programme.policy, desk.now)
    after = replace(record, case=step.case)
    if Effect.FREE_AWARD in step.effects:
        _free(desk, programme, record)
        after = replace(after, award=None, funding=(), entitled_fen=0, decided_at=None)
    if Effect.FREE_REST in step.effects:
        after = _free_rest(desk, programme, after)
    if Effect.FREE_UNUSED in step.effects:
        after = freeing.freed_now(desk.connection, programme, after, desk.now)
    is_decided_now = Effect.DECIDE in step.effects
    after = note(desk, record.case, after, event, facts, is_told=not is_decided_now)
    if is_decided_now:
        (after,) = decide_together(desk, programme, (after,))
    return after


def note(
    desk: Desk,
    before: Case | None,
    after: Record,
    event: Event,
    facts: Mapping[str, object],
    *,
    is_told: bool = True,
) -> Record:
    """Save an application with the audit row of a step and the message it sends.

    A step that goes on to the next one at once sends none: its applicant hears of the last.
    """
    policy = programme_of(desk.connection, after).policy
    case = with_due(before, after.case, policy, after.submitted_at, desk.now)
    saved = replace(
        after, case=case, updated_at=desk.now, revision=after.revision + (before is not None)
    )
    saved = _booked(desk, before, saved)
    if before is None:
        store.add(desk.connection, saved)
    else:
        store.save(desk.connection, saved)
    step = store_audit.StepRow(before=before, after=saved.case, event=event, facts=facts)
    seq = store_audit.add_event(desk.connection, step, desk.request, desk.now)
    message = message_of(saved.case, event) if is_told else None
    if message is not None:
        store_audit.add_message(desk.connection, saved.case, seq, message, desk.now)
    return saved


def _booked(desk: Desk, before: Case | None, after: Record) -> Record:
    """Keep the money of a grant that is paid by bank, or let it go; note the claim that has it."""
    policy = programme_of(desk.connection, after).policy
    commands = bookings.following(policy, before, after, desk.now)
    if not commands:
        return after
    assert isinstance(desk, Till), f"{after.id}: this step books, so it is done at a till"
    bookings.book(desk.turn, commands, desk.now, desk.actor)
    kept = tuple(one.lot_id for one in commands if isinstance(one, Issue))
    return replace(after, lots=kept) if kept or not after.case.is_decided else after


def decide_together(
    desk: Desk, programme: Programme, records: Sequence[Record]
) -> tuple[Record, ...]:
    """Make the awards of applications that compete, reserve their caps, and save them."""
    connection, policy_id = desk.connection, programme.policy.id
    usage = store_programmes.load_usage(connection, policy_id)
    filed = {one.id: one.application(store.other_programmes(connection, one), desk.now)
             for one in records}  # fmt: skip
    decision = decide(programme, tuple(filed.values()), usage)
    store_programmes.save_usage(
        connection, policy_id, usage, decision.usage, _owners(programme, filed.values())
    )
    awards = {award.application_id: award for award in decision.awards}
    return tuple(
        _awarded(desk, programme, record, filed[record.id], awards[record.id]) for record in records
    )


def _awarded(
    desk: Desk, programme: Programme, record: Record, filed: Application, award: Award
) -> Record:
    funding = split(programme, filed, award.amount_fen)
    why = award.cuts if award.amount_fen else award.reasons or award.cuts
    event = Event(
        action=Action.DECIDE,
        actor=desk.actor,
        reason="" if award.amount_fen else _refusal(why, Language.ENGLISH),
        reason_zh="" if award.amount_fen else _refusal(why, Language.CHINESE),
        amount_fen=award.amount_fen,
        why=why,
    )
    step = advance(record.case, event, programme.policy, desk.now)
    decided = replace(
        record,
        case=step.case,
        award=award,
        entitled_fen=award.entitled_fen,
        funding=funding.shares,
        decided_at=desk.now,
    )
    facts = {
        "policy": programme.policy.ref,
        "digest": programme.digest,
        "entitled_fen": award.entitled_fen,
        "award_fen": award.amount_fen,
        "cuts": documents(award.cuts),
        "findings": documents(award.reasons),
        "funding": {share.funder_id: share.amount_fen for share in funding.shares},
        "funding_findings": documents(funding.findings),
    }
    return note(desk, record.case, decided, event, facts)


def _refusal(why: Sequence[Told], language: Language) -> str:
    nothing = "未核定任何金额" if language is Language.CHINESE else "nothing is granted"
    return joined(texts(why, language), language) or nothing


def require_funding(programme: Programme, record: Record) -> None:
    """Raise Refused where nobody could read who pays an award, so that it cannot be paid."""
    if record.funding:
        return
    filed = record.application(frozenset(), record.created_at)
    found = split(programme, filed, record.case.award_fen).findings
    raise Refused(
        f"application {record.id} cannot be paid: {'; '.join(texts(found))}",
        next_step="adopt a version of the policy that names its funders",
        findings=documents(found),
    )


def _free(desk: Desk, programme: Programme, record: Record) -> None:
    """Give back everything that an award took of caps and pools."""
    if record.award is not None:
        _exchange(desk, programme, record, with_amount(record.award, 0))


def _free_rest(desk: Desk, programme: Programme, record: Record) -> Record:
    """Give back what was never redeemed."""
    assert record.award is not None, f"{record.id} was granted without an award"
    kept = with_amount(record.award, record.case.redeemed_fen)
    _exchange(desk, programme, record, kept)
    case = replace(record.case, award_fen=record.case.redeemed_fen)
    if case.award_fen == 0 and case.state is not State.LAPSED:
        case = replace(case, state=State.WITHDRAWN)
    shares = split(programme, record.application(frozenset(), desk.now), kept.amount_fen).shares
    return replace(record, award=kept, case=case, funding=shares)


def free(desk: Desk, record: Record) -> Record:
    """Let the caps go of what came back of an award since; write it down if there is anything."""
    programme = programme_of(desk.connection, record)
    after = freeing.freed_now(desk.connection, programme, record, desk.now)
    if after.freed == record.freed:
        return record
    own_fen = after.freed.own_fen - record.freed.own_fen
    event = Event(action=Action.FREE, actor=desk.actor, amount_fen=own_fen)
    return note(desk, record.case, after, event, {"freed": freed_out(after.freed)})


def free_lots(desk: Desk, lot_ids: Collection[str]) -> None:
    """Do the same for the awards of these lots and claims; others than awards' are passed over."""
    for record in store.of_lots(desk.connection, lot_ids):
        free(desk, record)


def _exchange(desk: Desk, programme: Programme, record: Record, kept: Award) -> None:
    assert record.award is not None, f"{record.id} has no award"
    connection, policy_id = desk.connection, programme.policy.id
    before = store_programmes.load_usage(connection, policy_id)
    after = before.copy()
    filed = record.application(frozenset(), desk.now)
    reserve(programme, filed, record.award, after, sign=-1)
    reserve(programme, filed, kept, after)
    freeing.give_to_pools(programme, filed, after, record.award.amount_fen - kept.amount_fen)
    owners = _owners(programme, [filed])
    store_programmes.save_usage(connection, policy_id, before, after, owners)


def _owners(programme: Programme, filed: Iterable[Application]) -> dict[SpendKey, str]:
    return {
        key: one.id for one in filed for line in one.lines for key in spend_keys(programme, line)
    }
