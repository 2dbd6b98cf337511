"""What time alone says: unknown, fence, lease, and money that nobody settled."""

from dataclasses import replace
from datetime import timedelta

import pytest
from scheduler_builders import CHEAP, NEAR, START, Centre, a_centre, a_pool, a_site, an_attempt
from sqlalchemy import Engine

from scheduler import store
from scheduler.context import Limits
from scheduler.events import Fenced, FenceDue, LeaseEnded, Lost, TimeShort, TimeUsed
from scheduler.reconcile import Sight, declare_dead, due_event
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.errors import Conflict
from suanwang.ids import SeededIds
from suanwang.model.attempt import Attempt, AttemptState
from suanwang.model.job import JobState
from suanwang.model.voucher import HoldState
from suanwang.wire.agent import FenceOrder
from voucher import store as money_store
from voucher.check import check

SEEN = Sight(is_site_reachable=True, was_handed_out=True, is_fence_pending=False)
GONE = replace(SEEN, is_site_reachable=False)


@pytest.fixture
def centre(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Centre:
    """Two sites, cash, and a job placed at the cheap one."""
    made = a_centre(engine, clock, ids)
    made.register(a_site(CHEAP, a_pool(CHEAP, yuan=6)), a_site(NEAR, a_pool(NEAR, yuan=12)))
    made.add_tenant(cash_fen=10_000)
    made.submit()
    made.cycle()
    return made


def hold_state(centre: Centre, number: int = 1) -> HoldState:
    """State of an attempt's hold."""
    with reading(centre.engine) as connection:
        return money_store.find_hold(connection, centre.attempts()[number - 1].hold_id).state


def begin(centre: Centre) -> str:
    """Let the attempt run; return its id."""
    centre.acknowledge(CHEAP, *(order.id for order in centre.orders(CHEAP)))
    name = str(centre.attempts()[-1].id)
    centre.tell(name, 1, "running", started_at=centre.clock.now())
    return name


def running(**changes: object) -> Attempt:
    """An attempt that was seen at the start."""
    return an_attempt(**({"started_at": START, "last_seen_at": START} | changes))  # type: ignore[arg-type]  # a builder


@pytest.mark.parametrize(
    ("attempt", "sight", "second", "event"),
    [
        pytest.param(running(), SEEN, 30, None, id="fresh news"),
        pytest.param(running(), SEEN, 61, Lost, id="no news for a minute"),
        pytest.param(running(), GONE, 61, Lost, id="its site is gone: unknown, not dead"),
        pytest.param(
            running(state=AttemptState.UNKNOWN), GONE, 600, None, id="nobody there to fence it"
        ),
        pytest.param(
            running(state=AttemptState.UNKNOWN), SEEN, 121, FenceDue, id="its agent must prove"
        ),
        pytest.param(
            running(state=AttemptState.UNKNOWN),
            replace(SEEN, is_fence_pending=True),
            300,
            None,
            id="the fence is on its way",
        ),
        pytest.param(
            an_attempt(AttemptState.INTENT),
            replace(GONE, was_handed_out=False),
            61,
            Fenced,
            id="the order never left",
        ),
        pytest.param(
            an_attempt(AttemptState.INTENT), GONE, 61, Lost, id="the order may have arrived"
        ),
        pytest.param(
            running(last_seen_at=START + timedelta(seconds=530)), SEEN, 539, None, id="time enough"
        ),
        pytest.param(
            running(last_seen_at=START + timedelta(seconds=530)),
            SEEN,
            540,
            TimeShort,
            id="nine tenths are used",
        ),
        pytest.param(
            running(last_seen_at=START + timedelta(seconds=530), warned_s=600),
            SEEN,
            560,
            None,
            id="warned already",
        ),
        pytest.param(
            running(last_seen_at=START + timedelta(seconds=530), stop_requested=True),
            SEEN,
            560,
            None,
            id="it is being stopped anyway",
        ),
        pytest.param(
            running(last_seen_at=START + timedelta(seconds=640)),
            SEEN,
            640,
            TimeUsed,
            id="its time is used",
        ),
        pytest.param(
            running(state=AttemptState.UNKNOWN), GONE, 1_531, LeaseEnded, id="its lease has ended"
        ),
    ],
)
def test_what_time_says(
    attempt: Attempt, sight: Sight, second: int, event: type[object] | None
) -> None:
    due = due_event(attempt, sight, START + timedelta(seconds=second), Limits())
    assert (None if due is None else type(due)) is event


def test_a_silent_site_makes_attempts_unknown_and_keeps_capacity_and_hold(centre: Centre) -> None:
    begin(centre)
    centre.clock.advance(300)
    assert centre.reconcile().moved == 1
    (attempt,) = centre.attempts()
    assert attempt.state is AttemptState.UNKNOWN
    assert centre.job().state is JobState.RUNNING
    assert hold_state(centre) is HoldState.OPEN
    assert centre.reconcile().moved == 0
    centre.cycle()
    assert len(centre.attempts()) == 1


def test_a_site_that_comes_back_recovers_its_attempts(centre: Centre) -> None:
    name = begin(centre)
    centre.clock.advance(300)
    centre.reconcile()
    assert centre.greet(CHEAP, name) == (name,)
    assert centre.attempts()[0].state is AttemptState.RECOVERED
    centre.tell(name, 2, "succeeded", ended_at=centre.clock.now())
    assert centre.job().state is JobState.SUCCEEDED
    assert hold_state(centre) is HoldState.CAPTURED


def test_an_executor_that_is_gone_is_fenced_and_the_job_goes_elsewhere(centre: Centre) -> None:
    name = begin(centre)
    centre.tell(name, 2, "unknown")
    centre.clock.advance(130)
    for site_id in (CHEAP, NEAR):
        centre.greet(site_id)
    centre.reconcile()
    (order,) = centre.orders(CHEAP)
    assert isinstance(order, FenceOrder)
    centre.acknowledge(CHEAP, order.id)
    centre.tell(name, 3, "fenced")
    assert hold_state(centre) is HoldState.RELEASED
    centre.cycle()
    assert [one.site_id for one in centre.attempts()] == [CHEAP, NEAR]


def test_an_order_that_never_left_a_dead_site_lets_the_job_go_at_once(centre: Centre) -> None:
    centre.clock.advance(61)
    centre.greet(NEAR)
    centre.reconcile()
    assert centre.attempts()[0].state is AttemptState.FENCED
    centre.cycle()
    assert centre.job().site_id == NEAR
    assert centre.orders(CHEAP) == ()


def test_an_order_that_may_have_arrived_does_not(centre: Centre) -> None:
    centre.orders(CHEAP)
    centre.clock.advance(61)
    centre.reconcile()
    centre.cycle()
    assert [one.state for one in centre.attempts()] == [AttemptState.UNKNOWN]


def test_a_person_may_declare_a_silent_site_dead(centre: Centre) -> None:
    begin(centre)
    with centre.writer.turn() as turn, pytest.raises(Conflict, match="answers"):
        declare_dead(turn, CHEAP, "li", centre.clock.now())
    centre.clock.advance(300)
    with centre.writer.turn() as turn:
        dead = declare_dead(turn, CHEAP, "li", centre.clock.now())
    assert dead == (centre.attempts()[0].id,)
    assert centre.job().state is JobState.QUEUED
    assert "li declared cheap dead" in centre.attempts()[0].message
    receipt = centre.tell(dead[0], 9, "running")
    assert receipt.accepted == 1
    assert "incident" in centre.story()
    assert isinstance(centre.orders(CHEAP)[0], FenceOrder)


def test_a_hold_that_nobody_settled_is_settled_later(centre: Centre) -> None:
    begin(centre)
    centre.clock.advance(60)
    (attempt,) = centre.attempts()
    forgotten = replace(attempt, state=AttemptState.SUCCEEDED, ended_at=centre.clock.now())
    with writing(centre.engine) as connection:
        store.save_attempt(connection, forgotten)
    assert centre.reconcile().settled == 1
    assert hold_state(centre) is HoldState.CAPTURED
    assert centre.reconcile().settled == 0


def test_lots_that_are_due_expire(centre: Centre) -> None:
    centre.issue("l1", 10_000)
    centre.clock.advance(31 * 86_400)
    assert centre.reconcile().expired == 1
    assert centre.reconcile().expired == 0
    with reading(centre.engine) as connection:
        (lot,) = money_store.lots(connection, now=centre.clock.now())
        assert check(connection).is_sound
    assert (lot.expired_fen, lot.available_fen) == (10_000, 0)


def test_a_second_process_leaves_reconciling_to_the_leader(
    centre: Centre, engine: Engine, clock: VirtualClock, ids: SeededIds
) -> None:
    assert not a_centre(engine, clock, ids, holder="other").reconcile().is_leader


def test_a_run_is_warned_of_its_end_once(centre: Centre) -> None:
    name = begin(centre)
    centre.clock.advance(centre.attempts()[-1].run_s_max * 9 // 10)
    centre.tell(name, 2, "running")
    assert [centre.reconcile().moved for _ in range(3)] == [1, 0, 0]
    with reading(centre.engine) as connection:
        told = [
            event.message
            for event in store.job_events(connection, centre.attempts()[-1].job_id)
            if event.kind == "time-short"
        ]
    assert len(told) == 1
    assert told[0] == centre.job().message
    assert centre.job().state is JobState.RUNNING
