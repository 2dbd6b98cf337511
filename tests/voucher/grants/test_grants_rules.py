"""The state machine alone: what leads where, and what is refused."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from grant_builders import WAN, WORKFLOW
from programme_builders import a_policy

from suanwang.errors import BadInput, Forbidden, InvalidTransition, Refused
from suanwang.model.tenant import Role
from voucher.actor import Actor
from voucher.grants.application import advance, publicity_end
from voucher.grants.case import Action, Case, Effect, Event, State
from voucher.grants.messages import message_of
from voucher.grants.people import may_see, roles_of
from voucher.programmes.schema import Policy, Stage

NOW = datetime(2026, 10, 14, tzinfo=UTC)
FIRM = Actor(person="k1", tenant_id="haiyun", role=Role.ENTERPRISE)
DISTRICT = Actor(person="k2", tenant_id="shinan", role=Role.REVIEWER_DISTRICT)
CITY = Actor(person="k3", tenant_id="bureau", role=Role.REVIEWER_CITY)
OTHER = replace(CITY, person="k4")
PASSED = {"file": "k1", "district": "k2", "city": "k3", "publicity": "k3", "decide": "k3"}


def policy(mode: str = "deduct", **changes: object) -> Policy:
    """Return a policy with a whole review."""
    benefit = {"kind": "compute", "mode": mode, "beneficiary": "demander"}
    return a_policy(**{"benefit": benefit, "workflow": WORKFLOW, **changes})


def case(state: State, **changes: object) -> Case:
    """Return a case in a state, granted where the state says so."""
    is_granted = state in (State.GRANTED, State.ISSUED, State.SETTLED, State.CLAWBACK)
    made = Case(
        id="app_1",
        tenant_id="haiyun",
        district="shinan",
        state=state,
        done=PASSED if is_granted else {},
        is_decided=is_granted,
        award_fen=20 * WAN if is_granted else 0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of a case


def event(action: Action, actor: Actor = CITY, **changes: object) -> Event:
    """Return an act with a reason."""
    return replace(Event(action=action, actor=actor, reason="because"), **changes)  # type: ignore[arg-type]  # fields of an event


REACHED = {
    Action.SUBMIT: {State.DRAFT, State.RETURNED},
    Action.APPROVE: {State.REVIEW, State.PUBLICITY},
    Action.RETURN: {State.REVIEW, State.READY, State.PUBLICITY, State.GRANTED},
    Action.REJECT: {State.REVIEW, State.READY, State.PUBLICITY},
    Action.REOPEN: {State.REJECTED},
    Action.WITHDRAW: {
        State.DRAFT, State.RETURNED, State.REVIEW, State.READY, State.PUBLICITY, State.GRANTED,
    },
    Action.DECIDE: {State.READY},
    Action.ISSUE: {State.GRANTED},
    Action.REDEEM: {State.GRANTED},
    Action.SETTLE: {State.GRANTED},
    Action.CLOSE: {State.GRANTED},
    Action.REQUEST_CLAWBACK: {State.GRANTED, State.ISSUED, State.SETTLED, State.EXPIRED},
    Action.APPROVE_CLAWBACK: {State.CLAWBACK},
    Action.REFUSE_CLAWBACK: {State.CLAWBACK},
    Action.END_PUBLICITY: {State.PUBLICITY},
    Action.WARN: {State.GRANTED, State.ISSUED},
    Action.END: {State.GRANTED, State.ISSUED},
    Action.OVERDUE: {
        State.REVIEW, State.READY, State.PUBLICITY, State.GRANTED, State.ISSUED,
    },
}  # fmt: skip


@pytest.mark.parametrize("action", sorted(REACHED))
def test_an_act_at_the_wrong_moment_names_the_right_ones(action: Action) -> None:
    for state in set(State) - REACHED[action]:
        with pytest.raises(InvalidTransition, match=f"is in state {state.value}"):
            advance(case(state), event(action), policy(), NOW)


def test_handing_in_does_the_applicants_stages_and_opens_the_next() -> None:
    step = advance(case(State.DRAFT), event(Action.SUBMIT, FIRM), policy(), NOW)
    assert (step.case.state, step.case.stage) == (State.REVIEW, "district")
    assert step.case.done == {"submit": "k1", "file": "k1"}


def test_without_a_review_handing_in_is_decided_at_once() -> None:
    step = advance(case(State.DRAFT), event(Action.SUBMIT, FIRM), policy(workflow=[]), NOW)
    assert (step.case.state, step.effects) == (State.READY, (Effect.DECIDE,))


def unread(path: str, **changes: object) -> Policy:
    """Return a policy of which nobody could read a value."""
    marks = {"*": {"mark": "decided"}, path: {"mark": "not_seen"}}
    return policy(**{"marks": marks, **changes})  # type: ignore[arg-type]  # keys of a policy


def test_a_review_that_nobody_could_read_is_refused() -> None:
    chosen = unread("workflow", workflow=None)
    with pytest.raises(Refused, match="workflow of plain was not seen"):
        advance(case(State.DRAFT), event(Action.SUBMIT, FIRM), chosen, NOW)


def test_publicity_days_that_nobody_could_read_are_refused() -> None:
    stage = {"id": "p", "name": "公示", "role": "city-bureau", "publicity_days": None}
    chosen = unread("workflow.p.publicity_days", workflow=[stage])
    step = advance(case(State.DRAFT), event(Action.SUBMIT, FIRM), chosen, NOW)
    with pytest.raises(Refused, match="publicity_days"):
        advance(step.case, event(Action.DECIDE, amount_fen=5), chosen, NOW)


def test_a_round_waits_for_its_decision() -> None:
    chosen = policy(workflow=[], shortage={"rule": "prorata"})
    step = advance(case(State.DRAFT), event(Action.SUBMIT, FIRM), chosen, NOW)
    assert (step.case.state, step.effects) == (State.READY, ())
    with pytest.raises(Forbidden):
        advance(step.case, event(Action.DECIDE, FIRM, amount_fen=5), chosen, NOW)


def test_publicity_days_are_whole_days_in_china() -> None:
    evening = datetime(2026, 10, 14, 15, 59, tzinfo=UTC)
    night = datetime(2026, 10, 14, 16, 1, tzinfo=UTC)
    assert publicity_end(evening, 5) == datetime(2026, 10, 19, 16, tzinfo=UTC)
    assert publicity_end(night, 5) == datetime(2026, 10, 20, 16, tzinfo=UTC)


def test_a_flag_needs_a_reason_and_a_refusal_always_does() -> None:
    flagged = case(State.REVIEW, stage="district", done={"file": "k1"}, has_flags=True)
    for action in (Action.APPROVE, Action.RETURN, Action.REJECT):
        with pytest.raises(BadInput, match="reason"):
            advance(flagged, event(action, DISTRICT, reason=" "), policy(), NOW)


def test_money_that_has_moved_is_not_undone_but_clawed_back() -> None:
    paid = case(State.GRANTED, settled_fen=5, redeemed_fen=5)
    for action, actor in ((Action.RETURN, CITY), (Action.WITHDRAW, FIRM)):
        with pytest.raises(InvalidTransition):
            advance(paid, event(action, actor), policy("claim_then_redeem"), NOW)
    step = advance(paid, event(Action.REQUEST_CLAWBACK), policy("claim_then_redeem"), NOW)
    assert step.case.state is State.CLAWBACK
    back = advance(step.case, event(Action.REFUSE_CLAWBACK, OTHER), policy(), NOW)
    assert back.case.state is State.GRANTED


@pytest.mark.parametrize(
    ("mode", "action"),
    [
        ("deduct", Action.SETTLE),
        ("deduct", Action.CLOSE),
        ("reimburse", Action.ISSUE),
        ("claim_then_redeem", Action.ISSUE),
    ],
)
def test_the_mode_picks_the_way(mode: str, action: Action) -> None:
    with pytest.raises(InvalidTransition, match=f"in mode {mode}"):
        advance(case(State.GRANTED), event(action, OTHER, amount_fen=5), policy(mode), NOW)


def test_never_more_is_paid_than_is_due() -> None:
    granted = case(State.GRANTED)
    with pytest.raises(Refused, match="would be paid"):
        advance(granted, event(Action.SETTLE, OTHER, amount_fen=20 * WAN + 1),
                policy("reimburse"), NOW)  # fmt: skip
    with pytest.raises(Refused, match="cannot be redeemed"):
        advance(granted, event(Action.REDEEM, FIRM, amount_fen=20 * WAN + 1),
                policy("claim_then_redeem"), NOW)  # fmt: skip


@pytest.mark.parametrize(
    ("office", "roles"),
    [
        ("applicant", {Role.ENTERPRISE}),
        ("district-reviewer", {Role.REVIEWER_DISTRICT, Role.ADMIN}),
        ("city-data-bureau", {Role.REVIEWER_CITY, Role.ADMIN}),
        ("expert", {Role.REVIEWER_CITY, Role.ADMIN}),
        ("platform-operator", {Role.REVIEWER_CITY, Role.ADMIN}),
    ],
)
def test_an_office_is_a_role(office: str, roles: set[Role]) -> None:
    assert roles_of(Stage(id="x", name="x", role=office)) == roles


def test_who_sees_what() -> None:
    filed = case(State.REVIEW)
    assert may_see(filed, Role.ENTERPRISE, "haiyun")
    assert not may_see(filed, Role.ENTERPRISE, "lanxin")
    assert may_see(filed, Role.REVIEWER_DISTRICT, "shinan")
    assert not may_see(filed, Role.REVIEWER_DISTRICT, "laoshan")
    assert may_see(filed, Role.REVIEWER_CITY, "anywhere")
    assert not may_see(filed, Role.OPERATOR, "dc")


@pytest.mark.parametrize(
    "action", sorted(set(Action) - {Action.CREATE, Action.EDIT, Action.ATTACH})
)
def test_every_step_has_words_for_the_applicant(action: Action) -> None:
    for state in set(State) - {State.DRAFT}:
        message = message_of(case(state), event(action, amount_fen=5))
        assert message is not None
        assert "app_1" in message.text_en
        assert "app_1" in message.text_zh
        assert "{" not in message.text_en + message.text_zh
