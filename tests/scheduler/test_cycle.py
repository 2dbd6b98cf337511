"""The cycle on both databases, with the real planner and with planners that go wrong."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from scheduler_builders import (
    CHEAP,
    NEAR,
    START,
    TENANT,
    YUAN,
    Centre,
    a_centre,
    a_new_job,
    a_pool,
    a_site,
)
from sqlalchemy import Engine

from optimizer.planner import plan
from optimizer.problem import Problem
from scheduler import explain, registry
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.errors import Refused
from suanwang.ids import HoldId, SeededIds
from suanwang.model.attempt import AttemptState
from suanwang.model.job import JobState
from suanwang.model.plan import Plan, ReasonCode
from suanwang.model.site import DataClass
from suanwang.model.voucher import HoldSlice, HoldState
from suanwang.wire.agent import StartOrder
from voucher import commands, ledger
from voucher import store as money_store
from voucher.check import check
from voucher.tenure import Candidate, NotWriting
from voucher.turn import Turn
from voucher.writer import DirectWriter


@pytest.fixture
def centre(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Centre:
    """A near, dear site and a cheap, far one; tenant t1 has 100 yuan of cash."""
    made = a_centre(engine, clock, ids)
    general = frozenset({DataClass.GENERAL})
    made.register(
        a_site(NEAR, a_pool(NEAR, yuan=12), accepts=general),
        a_site(CHEAP, a_pool(CHEAP, yuan=6), accepts=general),
    )
    made.add_tenant(cash_fen=10_000)
    return made


def planned_then(act: Callable[[], object]) -> Callable[[Problem], Plan]:
    """The real planner, after which something happens before anything is committed."""

    def planner(problem: Problem) -> Plan:
        made = plan(problem)
        act()
        return made

    return planner


def test_a_job_goes_to_the_cheap_site_with_hold_attempt_and_order_at_once(centre: Centre) -> None:
    job = centre.submit()
    report = centre.cycle()
    assert report.started == (job.id,), report
    placed = centre.job()
    (attempt,) = centre.attempts()
    assert (placed.state, placed.site_id, placed.attempts) == (JobState.PLACED, CHEAP, 1)
    assert (attempt.state, attempt.executor_id) == (AttemptState.INTENT, "train-a1")
    with reading(centre.engine) as connection:
        hold = money_store.find_hold(connection, attempt.hold_id)
        assert check(connection).is_sound
    assert (hold.state, hold.amount_fen) == (HoldState.OPEN, 100)
    (order,) = centre.orders(CHEAP)
    assert isinstance(order, StartOrder)
    assert (order.executor_id, order.run_s_max) == ("train-a1", 600)
    assert centre.orders(NEAR) == ()


def test_a_latency_limit_sends_a_job_to_the_near_site(centre: Centre) -> None:
    centre.submit(a_new_job(origin="qingdao", latency_ms_max=10.0))
    centre.cycle()
    assert centre.job().site_id == NEAR


def test_a_decision_says_for_each_pool_why_or_why_not(centre: Centre) -> None:
    centre.submit(a_new_job(origin="qingdao", latency_ms_max=10.0))
    centre.cycle()
    with reading(centre.engine) as connection:
        told = explain.explain(connection, centre.job())
    assert told.reason is ReasonCode.PLACED
    assert {verdict.site_id: verdict.reason for verdict in told.verdicts} == {
        NEAR: ReasonCode.PLACED,
        CHEAP: ReasonCode.LATENCY,
    }
    assert told.placement is not None
    assert told.placement.site_id == NEAR


def test_an_empty_queue_needs_no_plan(centre: Centre) -> None:
    assert centre.cycle().plan is None


def test_vouchers_pay_first_and_cash_the_rest(centre: Centre) -> None:
    centre.issue("l1", 10_000, num=1, den=2)
    centre.submit()
    centre.cycle()
    with reading(centre.engine) as connection:
        hold = money_store.find_hold(connection, centre.attempts()[0].hold_id)
    assert [(part.lot_id, part.amount_fen) for part in hold.slices] == [("l1", 50), (None, 50)]


def test_a_job_whose_state_changed_while_it_was_planned_is_skipped(centre: Centre) -> None:
    job = centre.submit()
    meanwhile = replace(centre.context, planner=planned_then(centre.stop))
    report = centre.cycle(meanwhile)
    assert report.started == ()
    assert report.skipped is not None
    assert job.id in report.skipped
    assert centre.job().state is JobState.STOPPED
    assert centre.attempts() == ()


def test_a_refused_hold_keeps_the_job_waiting_with_that_reason(centre: Centre) -> None:
    centre.submit()

    def spend() -> None:
        with centre.writer.turn() as turn:
            from_cash = money_store.cash_fen(turn.connection, TENANT)
            take_all(centre, turn, from_cash)

    report = centre.cycle(replace(centre.context, planner=planned_then(spend)))
    assert report.started == ()
    job = centre.job()
    assert (job.state, job.reason, job.attempts) == (JobState.QUEUED, ReasonCode.CASH_BUDGET, 0)
    assert centre.attempts() == ()
    assert centre.orders(CHEAP) == ()


def take_all(centre: Centre, turn: Turn, amount_fen: int) -> None:
    """Set all cash of the tenant aside for something else."""
    hold = commands.OpenHold(
        key="other",
        hold_id=HoldId("other"),
        tenant_id=TENANT,
        attempt_id="other-a1",
        slices=(HoldSlice(lot_id=None, amount_fen=amount_fen),),
    )
    (outcome,) = ledger.apply(turn, [hold], centre.clock.now())
    assert isinstance(outcome, ledger.Accepted)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            lambda c: c.register(a_site(CHEAP, a_pool(CHEAP, yuan=6, drained_units=8))),
            ReasonCode.CAPACITY,
            id="the pool was drained",
        ),
        pytest.param(
            lambda c: c.register(a_site(CHEAP, a_pool(CHEAP, yuan=9))),
            ReasonCode.STALE,
            id="the price rose",
        ),
        pytest.param(
            lambda c: c.clock.advance(60), ReasonCode.SITE_DOWN, id="the agent fell silent"
        ),
    ],
)
def test_the_newest_state_may_refuse_a_planned_start(
    centre: Centre, change: Callable[[Centre], None], reason: ReasonCode
) -> None:
    centre.submit()
    meanwhile = replace(centre.context, planner=planned_then(lambda: change(centre)))
    assert centre.cycle(meanwhile).started == ()
    assert (centre.job().state, centre.job().reason) == (JobState.QUEUED, reason)
    with reading(centre.engine) as connection:
        assert money_store.cash_held_fen(connection, TENANT) == 0


def test_a_leader_that_slept_through_its_lease_commits_nothing(centre: Centre) -> None:
    centre.submit()

    def take_over() -> None:
        for site_id in (NEAR, CHEAP):
            centre.greet(site_id)
        centre.clock.advance(16)
        other = DirectWriter(centre.engine, centre.clock, Candidate(name="other"))
        assert other.epoch == 2

    with pytest.raises(NotWriting):
        centre.cycle(replace(centre.context, planner=planned_then(take_over)))
    assert centre.attempts() == ()
    assert centre.orders(CHEAP) == ()
    assert not centre.cycle().is_leader


def test_the_queue_waits_while_all_units_are_taken_and_goes_on_after(centre: Centre) -> None:
    centre.submit(a_new_job("first", units=8, sites=frozenset({CHEAP})))
    centre.cycle()
    centre.submit(a_new_job("second", units=8, sites=frozenset({CHEAP})))
    centre.cycle()
    second = centre.job("second")
    assert second.state is JobState.QUEUED
    assert second.reason in (
        ReasonCode.CAPACITY,
        ReasonCode.LATER_IS_CHEAPER,
        ReasonCode.NOT_YET,
    )
    first = centre.attempts("first")[0]
    centre.tell(first.id, 1, "succeeded", started_at=START, ended_at=START)
    centre.cycle()
    assert centre.job("second").state is JobState.PLACED


def test_a_deadline_that_has_passed_ends_the_waiting(centre: Centre) -> None:
    centre.submit(a_new_job("first", units=8, sites=frozenset({CHEAP})))
    centre.cycle()
    deadline = START + timedelta(minutes=15)
    centre.submit(a_new_job("second", units=8, sites=frozenset({CHEAP}), deadline=deadline))
    centre.clock.advance(1_000)
    centre.greet(CHEAP)
    centre.cycle()
    job = centre.job("second")
    assert (job.state, job.reason) == (JobState.FAILED, ReasonCode.DEADLINE)


def test_a_job_beyond_vouchers_and_cash_is_refused_with_both_amounts(centre: Centre) -> None:
    centre.issue("l1", 2_000)
    with pytest.raises(Refused) as refusal:
        centre.submit(a_new_job(units=8, run_s_max=36_000))
    message = str(refusal.value)
    assert "480.00 yuan" in message
    assert "pay 20.00" in message
    assert "free cash is 100.00" in message
    assert refusal.value.facts["needed_fen"] == 48_000


def test_a_job_beyond_its_means_is_refused_also_while_all_units_are_taken(centre: Centre) -> None:
    for site_id in (NEAR, CHEAP):
        centre.submit(a_new_job(f"fills-{site_id}", units=8, sites=frozenset({site_id})))
    centre.cycle()
    centre.clock.advance(60)
    with pytest.raises(Refused) as refusal:
        centre.submit(a_new_job(units=8, run_s_max=36_000))
    assert refusal.value.facts["reason"] == "cash-budget"


def test_a_job_that_starts_tomorrow_is_not_refused_today(centre: Centre) -> None:
    tomorrow = START + timedelta(days=1)
    centre.submit(a_new_job(earliest_start=tomorrow, deadline=tomorrow + timedelta(hours=1)))
    centre.cycle()
    assert centre.job().state is JobState.QUEUED


def test_a_drained_pool_counts_as_there_for_a_job_that_can_wait(centre: Centre) -> None:
    for site_id in (NEAR, CHEAP):
        centre.register(a_site(site_id, a_pool(site_id, drained_units=8)))
    assert centre.submit(a_new_job(units=8)).state is JobState.QUEUED


def test_money_that_is_only_held_does_not_refuse_a_job(centre: Centre) -> None:
    centre.submit(a_new_job("first", units=8, run_s_max=6_000))
    centre.cycle()
    assert centre.submit(a_new_job("second", units=8, run_s_max=6_000)).state is JobState.QUEUED


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        pytest.param({"units": 9}, "too-large", id="no pool is large enough"),
        pytest.param({"accelerators": frozenset({"h20"})}, "accelerator", id="no such kind"),
        pytest.param({"sites": frozenset({"nowhere"})}, "site-not-asked", id="no such site"),
        pytest.param(
            {"data_home": "hospital", "data_class": DataClass.GOVERNMENT},
            "data-home",
            id="the data is kept nowhere",
        ),
        pytest.param(
            {"data_class": DataClass.GOVERNMENT}, "data-law", id="no site takes its class"
        ),
        pytest.param({"domestic_only": True}, "domestic-only", id="none is domestic"),
        pytest.param({"origin": "qingdao", "latency_ms_max": 1.0}, "latency", id="all are too far"),
    ],
)
def test_a_job_that_no_site_could_ever_run_is_refused_at_submit(
    centre: Centre, wishes: dict[str, object], reason: str
) -> None:
    with pytest.raises(Refused) as refusal:
        centre.submit(a_new_job(**wishes))  # type: ignore[arg-type]  # a table of wishes
    assert refusal.value.facts["reason"] == reason


def test_a_job_waits_for_a_site_that_is_closed(centre: Centre) -> None:
    for site_id in (NEAR, CHEAP):
        with writing(centre.engine) as connection:
            registry.set_open(connection, site_id, False)
    centre.submit()
    centre.cycle()
    assert centre.job().reason is ReasonCode.SITE_DOWN


def test_a_price_in_micro_yuan_is_held_in_whole_fen(centre: Centre) -> None:
    odd = a_pool(CHEAP, price_uyuan_per_unit_hour=6 * YUAN + 1)
    centre.register(a_site(CHEAP, odd))
    centre.submit()
    centre.cycle()
    with reading(centre.engine) as connection:
        hold = money_store.find_hold(connection, centre.attempts()[0].hold_id)
    assert hold.amount_fen == 101


def test_a_job_between_two_solves_starts_without_one(centre: Centre, clock: VirtualClock) -> None:
    context = replace(centre.context, limits=replace(centre.context.limits, solve_every_s=10.0))
    centre.submit(a_new_job("first"))
    assert centre.cycle(context).started
    solves = []

    def counted(problem: Problem) -> Plan:
        solves.append(problem)
        return plan(problem)

    counting = replace(context, planner=counted)
    clock.advance(2)
    new = centre.submit(a_new_job("new"))
    report = centre.cycle(counting)
    assert report.started == (new.id,)
    assert solves == []
    assert report.plan is not None
    assert report.plan.solver == "prices of the last plan"
    with reading(centre.engine) as connection:
        told = explain.explain(connection, centre.job("new"))
        assert check(connection).is_sound
    assert told.reason is ReasonCode.PLACED
    assert len(told.verdicts) == 2
    clock.advance(9)
    centre.submit(a_new_job("late"))
    centre.cycle(counting)
    assert len(solves) == 1
