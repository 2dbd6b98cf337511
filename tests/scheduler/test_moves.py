"""A running job moves: money and units wait for it, it stops, is paid, and goes on elsewhere."""

from dataclasses import replace
from datetime import timedelta

import pytest
from scheduler_builders import (
    CHEAP,
    NEAR,
    Centre,
    a_centre,
    a_new_job,
    a_pool,
    a_report,
    a_site,
)
from sqlalchemy import Engine

from optimizer.problem import Policy
from scheduler import explain, store, store_registry
from scheduler.cycle import run_cycle
from scheduler.moves import hold_of_move
from scheduler.service import NewJob
from scheduler.snapshot import take_snapshot
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.errors import Unavailable
from suanwang.ids import HoldId, PoolId, SeededIds
from suanwang.model.attempt import AttemptState
from suanwang.model.job import JobState
from suanwang.model.plan import ReasonCode
from suanwang.model.voucher import HoldState
from suanwang.wire.agent import StartOrder, StopOrder
from voucher import store as money_store
from voucher.check import check

RAN_S = 700
LEFT_S = 3_600 - RAN_S


@pytest.fixture
def centre(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Centre:
    """An hour's job of four cores runs near, at 12 yuan, for 700 s; then 6 yuan are asked cheap."""
    made = a_centre(engine, clock, ids, policy=Policy(move_threshold_yuan=1.0))
    made.register(a_site(NEAR, a_pool(NEAR, yuan=12)))
    made.add_tenant(cash_fen=100_000)
    made.submit(a_job_that("may_move"))
    made.cycle()
    run_for(made, RAN_S)
    made.register(a_site(CHEAP, a_pool(CHEAP, yuan=6)))
    made.greet(NEAR, name_of(made))
    return made


def a_job_that(*wishes: str, **more: object) -> NewJob:
    """A submit of an hour on four cores that saves its state within 20 s."""
    given: dict[str, object] = {"run_s_max": 3_600, "stop_grace_s": 20, "checkpoint_s": 100}
    return a_new_job(units=4, **given, **dict.fromkeys(wishes, True), **more)  # type: ignore[arg-type]


def name_of(centre: Centre) -> str:
    """Id of the newest attempt."""
    return str(centre.attempts()[-1].id)


def run_for(centre: Centre, seconds: float) -> None:
    """Let the newest attempt begin to run, and time pass."""
    orders = centre.orders(centre.attempts()[-1].site_id)
    centre.acknowledge(centre.attempts()[-1].site_id, *(order.id for order in orders))
    centre.tell(name_of(centre), 1, "running", started_at=centre.clock.now())
    centre.clock.advance(seconds)


def end(centre: Centre, state: str, **more: object) -> None:
    """Let the newest attempt end now."""
    attempt = centre.attempts()[-1]
    now = centre.clock.now()
    centre.tell(name_of(centre), 9, state, started_at=attempt.started_at, ended_at=now, **more)


def hold_state(centre: Centre, hold_id: HoldId) -> HoldState:
    """State of a hold."""
    with reading(centre.engine) as connection:
        return money_store.find_hold(connection, hold_id).state


def sound(centre: Centre) -> bool:
    """Whether the ledger is sound."""
    with reading(centre.engine) as connection:
        return check(connection).is_sound


def test_a_job_moves_pays_both_places_once_and_ends_there(centre: Centre) -> None:
    assert centre.cycle().moving == (centre.job().id,)
    moving = centre.job()
    assert (moving.state, moving.reason, moving.move_to) == (
        JobState.RUNNING,
        ReasonCode.MOVING,
        PoolId("cheap-cpu"),
    )
    assert [type(order) for order in centre.orders(NEAR)] == [StopOrder]
    assert centre.orders(CHEAP) == ()
    assert hold_state(centre, hold_of_move(moving)[1]) is HoldState.OPEN

    centre.clock.advance(10)
    end(centre, "stopped")
    waiting = centre.job()
    assert (waiting.state, waiting.left_units, waiting.left_run_s) == (
        JobState.QUEUED,
        4,
        LEFT_S - 10 + 100,
    )
    assert centre.orders(CHEAP) == ()

    centre.greet(CHEAP)
    assert centre.cycle().started == (moving.id,)
    first, second = centre.attempts()
    assert (first.state, second.state) == (AttemptState.STOPPED, AttemptState.INTENT)
    assert (second.pool_id, second.run_s_max) == ("cheap-cpu", LEFT_S - 10 + 100)
    (order,) = centre.orders(CHEAP)
    assert isinstance(order, StartOrder)

    run_for(centre, 1_000)
    end(centre, "succeeded", exit_code=0)
    assert centre.job().state is JobState.SUCCEEDED
    assert paid_fen(centre) == [
        4 * (RAN_S + 10) * 1_200 // 3_600,
        4 * 1_000 * 600 // 3_600,
    ]
    assert sound(centre)
    assert [kind for kind in centre.story() if "move" in kind or "mov" in kind] == [
        "moving",
        "move-stopped",
    ]


def paid_fen(centre: Centre) -> list[int]:
    """What was paid for each attempt."""
    with reading(centre.engine) as connection:
        holds = [money_store.find_hold(connection, one.hold_id) for one in centre.attempts()]
    return [hold.captured_fen for hold in holds]


def test_it_is_told_why_it_moves_and_what_that_saves(centre: Centre) -> None:
    centre.cycle()
    with reading(centre.engine) as connection:
        told = explain.explain(connection, centre.job())
    assert told.reason is ReasonCode.MOVING
    assert "moves from near-cpu to cheap-cpu" in told.message
    assert "yuan less" in told.message
    rows = {row.pool_id: row.cost for row in told.verdicts}
    here, there = rows[PoolId("near-cpu")], rows[PoolId("cheap-cpu")]
    assert here is not None
    assert there is not None
    assert here > there


@pytest.mark.parametrize(
    ("wishes", "rest_s", "yuan"),
    [
        pytest.param({"may_move": False}, 600.0, 6, id="its user does not allow it"),
        pytest.param({"may_move": True}, 800.0, 6, id="it has just come"),
        pytest.param({"may_move": True}, 600.0, 11, id="it saves too little"),
    ],
)
def test_a_job_stays_where_it_may_not_move_or_that_does_not_pay(
    engine: Engine,
    clock: VirtualClock,
    ids: SeededIds,
    wishes: dict[str, object],
    rest_s: float,
    yuan: int,
) -> None:
    made = a_centre(engine, clock, ids, move_rest_s=rest_s)
    made.register(a_site(NEAR, a_pool(NEAR, yuan=12)))
    made.add_tenant(cash_fen=100_000)
    made.submit(a_job_that(**wishes))
    made.cycle()
    run_for(made, RAN_S)
    made.register(a_site(CHEAP, a_pool(CHEAP, yuan=yuan)))
    made.greet(NEAR, name_of(made))
    assert made.cycle().moving == ()
    assert made.job().move_to is None


def test_its_units_are_kept_where_it_goes(centre: Centre) -> None:
    centre.cycle()
    with reading(centre.engine) as connection:
        assert store.live_units(connection, [PoolId("cheap-cpu")]) == {"cheap-cpu": 4}
        network = take_snapshot(connection, centre.clock.now())
    assert network.pool(PoolId("cheap-cpu")).units_free == 4
    assert network.pool(PoolId("near-cpu")).units_free == 4


def test_a_site_that_closes_meanwhile_lets_the_move_go(centre: Centre) -> None:
    centre.cycle()
    hold_id = hold_of_move(centre.job())[1]
    end(centre, "stopped")
    centre.clock.advance(40)
    centre.greet(NEAR)
    centre.cycle()
    assert hold_state(centre, hold_id) is HoldState.RELEASED
    job = centre.job()
    assert (job.state, job.move_to, job.pool_id) == (JobState.PLACED, None, "near-cpu")
    assert centre.attempts()[-1].run_s_max == LEFT_S + 100
    assert sound(centre)


@pytest.mark.parametrize(
    ("state", "more", "then"),
    [
        pytest.param("succeeded", {"exit_code": 0}, JobState.SUCCEEDED, id="it was faster"),
        pytest.param("failed", {"exit_code": 1}, JobState.FAILED, id="its program fails"),
        pytest.param("failed", {"is_infrastructure": True}, JobState.QUEUED, id="its site fails"),
        pytest.param("fenced", {}, JobState.QUEUED, id="it is proven dead"),
    ],
)
def test_another_end_lets_the_move_go(
    centre: Centre, state: str, more: dict[str, object], then: JobState
) -> None:
    centre.cycle()
    hold_id = hold_of_move(centre.job())[1]
    end(centre, state, **more)
    job = centre.job()
    assert (job.state, job.move_to, job.left_run_s) == (then, None, None)
    assert hold_state(centre, hold_id) is HoldState.RELEASED
    assert sound(centre)


def test_the_users_stop_ends_a_moving_job_for_good(centre: Centre) -> None:
    centre.cycle()
    hold_id = hold_of_move(centre.job())[1]
    centre.stop()
    assert hold_state(centre, hold_id) is HoldState.RELEASED
    end(centre, "stopped")
    assert centre.job().state is JobState.STOPPED
    centre.greet(CHEAP)
    assert centre.cycle().started == ()


def test_the_users_stop_between_two_places_ends_it_too(centre: Centre) -> None:
    centre.cycle()
    hold_id = hold_of_move(centre.job())[1]
    end(centre, "stopped")
    centre.stop()
    assert centre.job().state is JobState.STOPPED
    assert hold_state(centre, hold_id) is HoldState.RELEASED
    assert sound(centre)


def test_a_repeated_end_moves_it_once(centre: Centre) -> None:
    centre.cycle()
    first = centre.attempts()[0]
    now = centre.clock.now()
    ended = a_report(str(first.id), 9, "stopped", now, started_at=first.started_at, ended_at=now)
    centre.report(NEAR, ended)
    centre.report(NEAR, ended)
    centre.greet(CHEAP)
    centre.cycle()
    centre.report(NEAR, ended)
    assert [one.pool_id for one in centre.attempts()] == ["near-cpu", "cheap-cpu"]
    assert sound(centre)


class Crash(Exception):
    """The centre dies here."""


@pytest.mark.parametrize("step", ["plan", "commit", "move", "explain"])
def test_a_centre_that_dies_in_the_middle_finishes_the_move_after_its_restart(
    centre: Centre, step: str
) -> None:
    def on_step(name: str) -> None:
        if name == step:
            raise Crash(name)

    dying = replace(centre.context, on_step=on_step)
    for _ in range(2):
        try:
            run_cycle(centre.engine, centre.writer, dying)
        except Crash:
            centre.clock.advance(60)
            centre.greet(NEAR, name_of(centre))
            centre.greet(CHEAP)
    centre.cycle()
    if centre.job().state is JobState.RUNNING:
        end(centre, "stopped")
    centre.cycle()
    assert [one.pool_id for one in centre.attempts()] == ["near-cpu", "cheap-cpu"]
    assert centre.story().count("moving") == 1
    assert sound(centre)


def test_an_old_leader_moves_nothing(
    centre: Centre, engine: Engine, clock: VirtualClock, ids: SeededIds
) -> None:
    """The lease changes hands while the plan is made: what it says is not carried out."""
    other = a_centre(engine, clock, ids, holder="other")

    def on_step(name: str) -> None:
        if name == "plan":
            clock.advance(120)
            other.cycle()

    with pytest.raises(Unavailable):
        run_cycle(engine, centre.writer, replace(centre.context, on_step=on_step))
    assert centre.job().move_to is None


def test_a_dearer_price_meanwhile_lets_the_move_go(centre: Centre) -> None:
    centre.cycle()
    end(centre, "stopped")
    with writing(centre.engine) as connection:
        store_registry.upsert_pool(connection, a_pool(CHEAP, yuan=9))
    centre.greet(CHEAP)
    centre.cycle()
    assert "move-dropped" in centre.story()
    assert centre.job().state is JobState.PLACED
    assert centre.attempts()[-1].price_uyuan_per_unit_hour == 9_000_000
    assert sound(centre)


def test_less_is_left_the_longer_it_ran(centre: Centre) -> None:
    centre.cycle()
    assert centre.clock.now() - (centre.attempts()[0].started_at or centre.clock.now()) == (
        timedelta(seconds=RAN_S)
    )
    centre.clock.advance(15)
    end(centre, "stopped")
    assert centre.job().left_run_s == LEFT_S - 15 + 100
