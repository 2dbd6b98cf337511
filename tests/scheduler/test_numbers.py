"""A job's account, the numbers for Prometheus, and the loop that never dies."""

from dataclasses import replace
from datetime import timedelta

import pytest
from scheduler_builders import CHEAP, NEAR, START, Centre, a_centre, a_new_job, a_pool, a_site
from sqlalchemy import Engine

from optimizer.problem import Problem
from scheduler.accounting import job_account
from scheduler.loop import SchedulerLoop
from scheduler.metrics import HELP, metrics
from suanwang.clock import SystemClock, VirtualClock
from suanwang.db.engine import reading
from suanwang.ids import RandomIds, SeededIds
from suanwang.model.plan import Plan
from suanwang.model.reading import Quality
from voucher.writer import DirectWriter


@pytest.fixture
def centre(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Centre:
    """A job that was placed at the cheap site, half on a voucher."""
    made = a_centre(engine, clock, ids)
    made.register(a_site(CHEAP, a_pool(CHEAP, yuan=6)), a_site(NEAR, a_pool(NEAR, yuan=12)))
    made.add_tenant(cash_fen=10_000)
    made.issue("l1", 10_000, num=1, den=2)
    made.submit()
    made.cycle()
    return made


def finish(centre: Centre) -> None:
    """Let the job run for five minutes."""
    centre.clock.advance(400)
    ended = START + timedelta(seconds=300)
    centre.tell(centre.attempts()[0].id, 1, "succeeded", started_at=START, ended_at=ended)


def test_an_account_has_time_energy_carbon_and_both_kinds_of_money(centre: Centre) -> None:
    finish(centre)
    with reading(centre.engine) as connection:
        account = job_account(connection, centre.job().id, centre.context.catalogue)
    assert (account.unit_seconds, account.resource, account.site_id) == (300.0, "cpu", CHEAP)
    assert (account.price_fen, account.voucher_fen, account.cash_fen) == (50, 25, 25)
    assert account.pue is not None
    assert 1.0 < account.pue < 3.0
    assert account.energy_wh == pytest.approx(300 * 10.0 / 3600 * account.pue)
    assert account.carbon_g == pytest.approx(account.energy_wh * 619.1 / 1000)
    assert account.quality is Quality.DERIVED


def test_before_the_first_bill_an_account_is_empty(centre: Centre) -> None:
    with reading(centre.engine) as connection:
        account = job_account(connection, centre.job().id, centre.context.catalogue)
    assert (account.unit_seconds, account.price_fen, account.quality) == (0, 0, Quality.MISSING)


def test_the_numbers_for_prometheus(centre: Centre) -> None:
    finish(centre)
    with reading(centre.engine) as connection:
        told = {
            (one.name, *one.labels.values()): one.value
            for one in metrics(connection, centre.clock.now())
        }
    assert told["suanwang_jobs", "succeeded"] == 1
    assert told["suanwang_jobs", "queued"] == 0
    assert told["suanwang_attempts", CHEAP, "succeeded"] == 1
    assert told["suanwang_pool_units_free", NEAR, "near-cpu", "cpu"] == 8
    assert told["suanwang_site_reachable", NEAR] == 0
    assert told["suanwang_site_reachable", CHEAP] == 1
    assert told["suanwang_voucher_fen", "t1", "spent"] == 25
    assert told["suanwang_voucher_fen", "t1", "available"] == 9_975
    assert told["suanwang_cash_fen", "t1"] == 9_975
    assert told["suanwang_ledger_entries",] == 4
    assert told["suanwang_plan_jobs",] == 1
    assert {name for name, *_ in told} <= set(HELP)


def test_a_name_of_a_metric_carries_one_help_and_one_set_of_labels(centre: Centre) -> None:
    with reading(centre.engine) as connection:
        told = metrics(connection, centre.clock.now())
    shapes = {(one.name, one.help, tuple(one.labels)) for one in told}
    assert len(shapes) == len({one.name for one in told})


def test_a_turn_reconciles_and_places(centre: Centre) -> None:
    loop = SchedulerLoop(
        centre.engine, centre.writer, centre.clock, centre.ids, context=centre.context
    )
    loop.tick()
    assert (loop.counts.cycles, loop.counts.reconciles, loop.counts.failures) == (1, 1, 0)
    loop.tick()
    assert (loop.counts.cycles, loop.counts.reconciles) == (2, 1)


def test_a_planner_that_breaks_is_counted_and_tried_again(centre: Centre) -> None:
    def broken(_problem: Problem) -> Plan:
        raise ZeroDivisionError("no plan")

    centre.submit(a_new_job("second"))
    context = replace(centre.context, planner=broken)
    loop = SchedulerLoop(centre.engine, centre.writer, centre.clock, centre.ids, context=context)
    loop.tick()
    loop.tick()
    assert (loop.counts.cycles, loop.counts.failures) == (0, 2)
    assert loop.counts.last_error == "cycle: no plan"


def test_the_thread_starts_is_woken_and_stops(sqlite_engine: Engine) -> None:
    clock = SystemClock()
    loop = SchedulerLoop(sqlite_engine, DirectWriter(sqlite_engine, clock), clock, RandomIds(clock))
    loop.start()
    loop.start()
    loop.wake()
    loop.stop()
    assert loop.counts.failures == 0
