"""The state machine of an application: pure, driven by the mode and the stages of its policy.

``advance`` takes where it stands and one act, and returns where it stands then and what must be
done. It raises Forbidden for the wrong person, InvalidTransition for the wrong moment, BadInput
for a missing reason, and Refused where the policy leaves open what would be needed.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Final

from suanwang.errors import BadInput, Forbidden, InvalidTransition, Refused
from voucher.grants.case import (
    CLAWBACK_BY,
    CLOCK,
    DECIDED_BY,
    EDITABLE,
    REJECTED_BY,
    SUBMITTED_BY,
    Action,
    Case,
    Due,
    DueKind,
    Effect,
    Event,
    State,
    Step,
)
from voucher.grants.people import (
    CITY,
    REVIEWERS,
    require_four_eyes,
    require_owner,
    require_role,
    require_stage_role,
)
from voucher.programmes.application import CHINA, china_day
from voucher.programmes.life import objections
from voucher.programmes.schema import Mode, Policy, ShortageRule, Stage, is_unseen
from voucher.programmes.values import not_seen

_IN_REVIEW: Final = frozenset({State.REVIEW, State.READY, State.PUBLICITY})


def advance(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    """Return the application after ``event``; see the module for what it raises."""
    allowed, handler = _HANDLERS[event.action]
    if case.state not in allowed:
        raise InvalidTransition(
            f"application {case.id} is in state {case.state.value}; "
            f"{event.action.value} needs {' or '.join(sorted(allowed))}",
            state=case.state.value,
            action=event.action.value,
        )
    return handler(case, event, policy, now)


def is_round(policy: Policy) -> bool:
    """Say whether applications compete, so that they are decided together."""
    rule = policy.shortage.rule if policy.shortage else None
    return rule in (ShortageRule.PRORATA, ShortageRule.RANKED)


def stage_of(policy: Policy, stage_id: str) -> Stage | None:
    """Return a stage of the workflow, or None."""
    return next((one for one in policy.workflow or () if one.id == stage_id), None)


def _submit(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    """Hand in: the applicant's own first stages count as done by this."""
    require_owner(case, event)
    if policy.workflow is None:
        raise Refused(not_seen(policy, "workflow").message, path="workflow")
    done = {SUBMITTED_BY: event.actor.person}
    for stage in policy.workflow:
        if stage.role != "applicant":
            break
        done[stage.id] = event.actor.person
    return _enter(replace(case, done=done, stage="", is_decided=False), policy, now)


def _enter(case: Case, policy: Policy, now: datetime) -> Step:
    """Go to the next stage that is open; an award is made before it is published."""
    stage = next((one for one in policy.workflow or () if one.id not in case.done), None)
    is_public = stage is not None and "publicity_days" in stage.model_fields_set
    if not case.is_decided and (stage is None or is_public):
        ready = replace(case, state=State.READY, stage="")
        return Step(case=ready, effects=() if is_round(policy) else (Effect.DECIDE,))
    if stage is None:
        return Step(case=replace(case, state=State.GRANTED, stage=""))
    if not is_public:
        return Step(case=replace(case, state=State.REVIEW, stage=stage.id))
    if is_unseen(stage, "publicity_days") or stage.publicity_days is None:
        path = f"workflow.{stage.id}.publicity_days"
        raise Refused(not_seen(policy, path).message, path=path)
    ends_at = publicity_end(now, stage.publicity_days)
    return Step(
        case=replace(case, state=State.PUBLICITY, stage=stage.id, publicity_ends_at=ends_at)
    )


def publicity_end(now: datetime, days: int) -> datetime:
    """Return the midnight in China after ``days`` whole days that follow the day of ``now``."""
    day = china_day(now) + timedelta(days=days + 1)
    return datetime.combine(day, time(), tzinfo=CHINA).astimezone(UTC)


def _approve(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    stage = stage_of(policy, case.stage)
    assert stage is not None, f"{case.id} is in review without a stage"
    _require_stage(case, event)
    require_stage_role(case, event, stage)
    _no_objections(case, event, policy)
    if case.has_flags and not event.reason.strip() and stage.role != "applicant":
        raise BadInput(
            f"application {case.id} has flags; passing it needs a reason",
            next_step="read the flags and say why it passes all the same",
        )
    ends_at = case.publicity_ends_at
    if case.state is State.PUBLICITY and ends_at is not None and now < ends_at:
        raise InvalidTransition(
            f"application {case.id} is public until {ends_at.isoformat()}",
            next_step="wait for the end, or return or reject it if an objection is upheld",
        )
    done = {**case.done, case.stage: event.actor.person}
    return _enter(replace(case, done=done), policy, now)


def _require_stage(case: Case, event: Event) -> None:
    """Raise InvalidTransition where the verdict is meant for another stage than the open one."""
    if event.stage and event.stage != case.stage:
        raise InvalidTransition(
            f"application {case.id} is at stage {case.stage or 'none'}, not at {event.stage}",
            stage=case.stage,
        )


def _no_objections(case: Case, event: Event, policy: Policy) -> None:
    found = objections(policy, case.stage, event.actor.person, case.done)
    if found:
        require_four_eyes(False, "; ".join(one.message for one in found))


def _return(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    _require_review_rights(case, event, policy)
    _require_reason(event)
    if case.redeemed_fen or case.settled_fen:
        raise InvalidTransition(f"application {case.id} was paid in part; use a clawback")
    return Step(case=_undecided(case, State.RETURNED), effects=_freed(case))


def _reject(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    _require_review_rights(case, event, policy)
    _require_reason(event)
    rejected = _undecided(case, State.REJECTED)
    done = {**case.done, REJECTED_BY: event.actor.person}
    return Step(case=replace(rejected, done=done), effects=_freed(case))


def _require_review_rights(case: Case, event: Event, policy: Policy) -> None:
    _require_stage(case, event)
    stage = stage_of(policy, case.stage)
    if stage is not None and stage.role != "applicant":
        require_stage_role(case, event, stage)
    else:
        require_role(case, event, CITY)


def _reopen(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    """Take a rejection back (复核): by somebody else than who rejected."""
    require_role(case, event, CITY)
    _require_reason(event)
    require_four_eyes(
        case.done.get(REJECTED_BY) != event.actor.person,
        f"you rejected application {case.id}; somebody else must reopen it (four eyes)",
    )
    return Step(case=_undecided(case, State.RETURNED))


def _withdraw(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    require_owner(case, event)
    if case.redeemed_fen or case.settled_fen:
        raise InvalidTransition(f"application {case.id} was redeemed in part; it cannot be undone")
    return Step(case=_undecided(case, State.WITHDRAWN), effects=_freed(case))


def _decide(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    """Take the award that the shell has worked out; 0 fen is a refusal."""
    if is_round(policy):
        require_role(case, event, CITY)
    if event.amount_fen == 0:
        rejected = _undecided(case, State.REJECTED)
        done = {**case.done, REJECTED_BY: event.actor.person}
        return Step(case=replace(rejected, done=done))
    done = {**case.done, DECIDED_BY: event.actor.person}
    decided = replace(case, done=done, is_decided=True, award_fen=event.amount_fen)
    return _enter(decided, policy, now)


def _issue(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    _require_payer(case, event)
    _require_mode(case, policy, (Mode.DEDUCT,), "issues lots")
    issued = replace(case, state=State.ISSUED, ends_at=event.ends_at)
    return Step(case=issued, effects=(Effect.ISSUE_LOTS,))


def _redeem(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    require_owner(case, event)
    _require_mode(case, policy, (Mode.CLAIM_THEN_REDEEM,), "redeems claims")
    redeemed = case.redeemed_fen + event.amount_fen
    if event.amount_fen <= 0 or redeemed > case.award_fen:
        raise Refused(f"{redeemed} fen of {case.award_fen} fen cannot be redeemed")
    return Step(case=replace(case, redeemed_fen=redeemed))


def _settle(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    _require_payer(case, event)
    _require_mode(case, policy, (Mode.CLAIM_THEN_REDEEM, Mode.REIMBURSE), "pays out")
    due = case.award_fen if policy.benefit.mode is Mode.REIMBURSE else case.redeemed_fen
    settled = case.settled_fen + event.amount_fen
    if event.amount_fen <= 0 or settled > due:
        raise Refused(f"{settled} fen would be paid, {due} fen are due")
    state = State.SETTLED if settled == case.award_fen else case.state
    return Step(case=replace(case, settled_fen=settled, state=state))


def _close(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    """End a claim of which a part was never redeemed; that part returns to the caps."""
    require_role(case, event, CITY)
    _require_mode(case, policy, (Mode.CLAIM_THEN_REDEEM,), "closes claims")
    _require_reason(event)
    if case.settled_fen != case.redeemed_fen:
        raise InvalidTransition(
            f"{case.redeemed_fen} fen are redeemed and {case.settled_fen} fen are paid",
            next_step="settle what was redeemed first",
        )
    return Step(case=replace(case, state=State.SETTLED), effects=(Effect.FREE_REST,))


def _request_clawback(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    require_role(case, event, REVIEWERS)
    _require_reason(event)
    if case.state is State.GRANTED and case.settled_fen == 0:
        raise InvalidTransition(
            f"nothing of application {case.id} was paid yet", next_step="return or reject it"
        )
    done = {**case.done, CLAWBACK_BY: event.actor.person}
    return Step(
        case=replace(case, state=State.CLAWBACK, done=done, state_before_clawback=case.state)
    )


def _approve_clawback(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    _require_second_person(case, event)
    return Step(case=replace(case, state=State.RECLAIMED), effects=(Effect.BOOK_CLAWBACK,))


def _refuse_clawback(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    _require_second_person(case, event)
    _require_reason(event)
    assert case.state_before_clawback is not None, f"{case.id} has no state before its clawback"
    return Step(case=replace(case, state=case.state_before_clawback, state_before_clawback=None))


def _end_publicity(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    """Go on: the days are over, and nobody upheld an objection meanwhile."""
    _require_clock(case, event)
    ends_at = case.publicity_ends_at
    assert ends_at is not None, f"{case.id} is public without an end"
    assert now >= ends_at, f"{case.id} is public until {ends_at.isoformat()}"
    done = {**case.done, case.stage: event.actor.person}
    return _enter(replace(case, done=done), policy, now)


def _warn(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    """Tell the applicant that the end is near."""
    _require_clock(case, event)
    assert case.ends_at is not None, f"{case.id} has no end to warn of"
    return Step(case=replace(case, due=Due(kind=DueKind.END, at=case.ends_at)))


def _end(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    """End lots, or a claim: what was not redeemed returns to the caps, what was is still paid."""
    _require_clock(case, event)
    ended = replace(case, due=None)
    if case.state is State.ISSUED:
        return Step(case=replace(ended, state=State.EXPIRED), effects=(Effect.FREE_UNUSED,))
    if case.redeemed_fen == 0:
        return Step(case=replace(ended, state=State.LAPSED), effects=(Effect.FREE_REST,))
    is_paid = case.settled_fen == case.redeemed_fen
    state = State.SETTLED if is_paid else case.state
    return Step(case=replace(ended, state=state), effects=(Effect.FREE_REST,))


def _overdue(case: Case, event: Event, policy: Policy, now: datetime) -> Step:
    """Note that people have not done what was due; nothing is decided by that."""
    _require_clock(case, event)
    return Step(case=replace(case, due=Due(kind=DueKind.OVERDUE, at=now)))


def _require_clock(case: Case, event: Event) -> None:
    if event.actor != CLOCK:
        raise Forbidden(f"{event.action.value} of application {case.id} is time's alone")


def _require_second_person(case: Case, event: Event) -> None:
    require_role(case, event, CITY)
    require_four_eyes(
        case.done.get(CLAWBACK_BY) != event.actor.person,
        f"you asked for the clawback of {case.id}; somebody else must decide it (four eyes)",
    )


def _require_payer(case: Case, event: Event) -> None:
    require_role(case, event, CITY)
    require_four_eyes(
        case.done.get(DECIDED_BY) != event.actor.person,
        f"you decided application {case.id}; somebody else must pay it (four eyes)",
    )


def _require_mode(case: Case, policy: Policy, modes: tuple[Mode, ...], does: str) -> None:
    mode = policy.benefit.mode
    if mode is None:
        raise Refused(not_seen(policy, "benefit.mode").message, path="benefit.mode")
    if mode not in modes:
        raise InvalidTransition(
            f"{policy.id} is in mode {mode.value}; only {' or '.join(modes)} {does}",
            mode=mode.value,
        )


def _require_reason(event: Event) -> None:
    if not event.reason.strip():
        raise BadInput(f"{event.action.value} needs a reason: the applicant reads it")


def _undecided(case: Case, state: State) -> Case:
    return replace(
        case,
        state=state,
        stage="",
        done={} if state is State.RETURNED else case.done,
        is_decided=False,
        award_fen=0,
        publicity_ends_at=None,
        ends_at=None,
    )


def _freed(case: Case) -> tuple[Effect, ...]:
    return (Effect.FREE_AWARD,) if case.is_decided else ()


_Handler = Callable[[Case, Event, Policy, datetime], Step]

_HANDLERS: Final[Mapping[Action, tuple[frozenset[State], _Handler]]] = {
    Action.SUBMIT: (EDITABLE, _submit),
    Action.APPROVE: (frozenset({State.REVIEW, State.PUBLICITY}), _approve),
    Action.RETURN: (_IN_REVIEW | {State.GRANTED}, _return),
    Action.REJECT: (_IN_REVIEW, _reject),
    Action.REOPEN: (frozenset({State.REJECTED}), _reopen),
    Action.WITHDRAW: (_IN_REVIEW | EDITABLE | {State.GRANTED}, _withdraw),
    Action.DECIDE: (frozenset({State.READY}), _decide),
    Action.ISSUE: (frozenset({State.GRANTED}), _issue),
    Action.REDEEM: (frozenset({State.GRANTED}), _redeem),
    Action.SETTLE: (frozenset({State.GRANTED}), _settle),
    Action.CLOSE: (frozenset({State.GRANTED}), _close),
    Action.REQUEST_CLAWBACK: (
        frozenset({State.GRANTED, State.ISSUED, State.SETTLED, State.EXPIRED}),
        _request_clawback,
    ),
    Action.APPROVE_CLAWBACK: (frozenset({State.CLAWBACK}), _approve_clawback),
    Action.REFUSE_CLAWBACK: (frozenset({State.CLAWBACK}), _refuse_clawback),
    Action.END_PUBLICITY: (frozenset({State.PUBLICITY}), _end_publicity),
    Action.WARN: (frozenset({State.GRANTED, State.ISSUED}), _warn),
    Action.END: (frozenset({State.GRANTED, State.ISSUED}), _end),
    Action.OVERDUE: (_IN_REVIEW | {State.GRANTED, State.ISSUED}, _overdue),
}
