"""More time on both databases, to the fen: by hand, by the job's wish, and what the meter shows."""

from datetime import timedelta

import pytest
from extension_builders import attempt, begin, confirm, end, free_cash, furnish, meter, pass_time
from scheduler_builders import CHEAP, START, TENANT, Centre, a_centre, a_new_job
from sqlalchemy import Engine

from scheduler import extension, registry, service
from scheduler.accounting import job_meter
from scheduler.snapshot import take_snapshot
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.errors import Conflict, NotFound, Refused
from suanwang.ids import SeededIds, TenantId
from suanwang.model.attempt import AttemptState
from suanwang.model.job import JobState
from suanwang.model.plan import ReasonCode
from suanwang.model.voucher import HoldState
from suanwang.units import charge_fen
from suanwang.wire.agent import NoteOrder


@pytest.fixture
def centre(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Centre:
    """A site at 6 yuan a core and hour (1 fen for 6 s), and a tenant with 2.50 yuan."""
    return furnish(a_centre(engine, clock, ids))


# --- by hand ------------------------------------------------------------------------------------


def test_a_person_extends_a_run_and_the_site_hears_of_it(centre: Centre) -> None:
    name = begin(centre)
    granted, is_repeat = centre.extend(300)
    assert (granted.run_s_max, granted.amount_fen, is_repeat) == (900, 50, False)
    assert (granted.asked_by, granted.is_automatic, granted.confirmed_at) == ("key_1", False, None)
    assert (centre.hold().amount_fen, free_cash(centre)) == (150, 100)
    (order,) = confirm(centre)
    assert (order.attempt_id, order.run_s_max) == (name, 900)
    assert order.lease_expires_at == attempt(centre).lease_expires_at
    assert "300 s by hand" in order.note
    (shown,) = centre.extensions()
    assert shown.confirmed_at == centre.clock.now()
    assert centre.story()[-2:] == ["extended", "extension-confirmed"]
    assert centre.orders(CHEAP) == ()
    end(centre, name, "succeeded", 720)
    pass_time(centre, name, 800)
    assert (free_cash(centre), centre.hold().captured_fen) == (250, 0)


def test_the_bill_of_an_extended_run_is_its_real_use(centre: Centre) -> None:
    name = begin(centre)
    centre.extend(300)
    confirm(centre)
    pass_time(centre, name, 720)
    end(centre, name, "succeeded", 720)
    hold = centre.hold()
    assert (hold.state, hold.amount_fen, hold.captured_fen) == (HoldState.CAPTURED, 150, 120)
    assert free_cash(centre) == 250 - 120


def test_lots_pay_their_share_of_the_longer_run(centre: Centre) -> None:
    centre.issue("l1", 10_000, num=1, den=2)
    name = begin(centre)
    centre.extend(300)
    confirm(centre)
    assert {part.lot_id: part.amount_fen for part in centre.hold().slices} == {"l1": 75, None: 75}
    pass_time(centre, name, 720)
    end(centre, name, "succeeded", 720)
    assert [part.captured_fen for part in centre.hold().slices] == [60, 60]
    assert free_cash(centre) == 250 - 60


def test_the_same_request_is_granted_once(centre: Centre) -> None:
    begin(centre)
    first, _ = centre.extend(300, key="click")
    again, is_repeat = centre.extend(300, key="click")
    assert (again, is_repeat) == (first, True)
    assert (centre.hold().amount_fen, len(centre.extensions())) == (150, 1)
    with pytest.raises(Conflict, match="300 s, not by 60 s"):
        centre.extend(60, key="click")


def test_a_repeat_is_answered_after_the_end_too(centre: Centre) -> None:
    name = begin(centre)
    first, _ = centre.extend(300, key="click")
    end(centre, name, "succeeded", 0.5)
    again, is_repeat = centre.extend(300, key="click")
    assert (again, is_repeat) == (first, True)
    with pytest.raises(Conflict, match="succeeded"):
        centre.extend(300, key="other")


def test_a_refused_request_leaves_nothing_and_its_key_may_be_used_again(centre: Centre) -> None:
    begin(centre)
    before, story = attempt(centre), centre.story()
    with pytest.raises(Refused, match=r"2\.00 yuan of cash are needed, 1\.50 are free") as refused:
        centre.extend(1_200, key="click")
    assert refused.value.facts["ledger_code"] == "cash-short"
    assert (attempt(centre), centre.story(), free_cash(centre)) == (before, story, 150)
    assert centre.orders(CHEAP) == ()
    centre.add_tenant(cash_fen=50)
    granted, is_repeat = centre.extend(1_200, key="click")
    assert (granted.amount_fen, is_repeat, free_cash(centre)) == (200, False, 0)


def test_nobody_extends_a_job_of_another_tenant(centre: Centre, engine: Engine) -> None:
    begin(centre)
    ask = extension.Ask(by_s=60, request_key="k", asked_by="key_2")
    with pytest.raises(NotFound), centre.writer.turn() as turn:
        extension.extend_job(turn, TenantId("t2"), "train", ask, centre.clock.now())


def test_a_job_that_waits_or_is_being_stopped_is_not_extended(centre: Centre) -> None:
    centre.submit(a_new_job())
    with pytest.raises(Conflict, match="queued"):
        centre.extend(60)
    centre.cycle()
    centre.acknowledge(CHEAP, *(order.id for order in centre.orders(CHEAP)))
    centre.extend(60)
    centre.stop()
    with pytest.raises(Conflict, match="stopping"):
        centre.extend(60)


def test_a_job_extended_before_it_starts_is_started_with_all_of_its_time(centre: Centre) -> None:
    centre.submit(a_new_job())
    centre.cycle()
    centre.extend(60)
    start, extend = centre.orders(CHEAP)
    assert (start.kind, extend.kind) == ("start", "extend")
    assert getattr(start, "run_s_max", 0) == 660


def test_a_site_closed_meanwhile_gives_no_more_time(centre: Centre, engine: Engine) -> None:
    begin(centre)
    with writing(engine) as connection:
        registry.set_open(connection, CHEAP, is_open=False)
    with pytest.raises(Refused, match="closed by its operator"):
        centre.extend(60)


def test_the_units_of_an_extended_run_fall_free_later_in_the_next_plan(centre: Centre) -> None:
    begin(centre)
    centre.extend(300)
    with reading(centre.engine) as connection:
        (site,) = take_snapshot(connection, centre.clock.now()).sites
    assert site.pools[0].busy_until == ((START + timedelta(seconds=900), 1),)


def test_a_planned_start_with_a_deadline_is_not_extended_over(centre: Centre) -> None:
    centre.add_tenant(cash_fen=10_000)
    begin(centre, units=8)
    deadline = START + timedelta(seconds=1_500)
    centre.submit(a_new_job("waits", units=8, deadline=deadline))
    centre.cycle()
    assert centre.job("waits").state is JobState.QUEUED
    with pytest.raises(Refused, match="waits is to start in cheap-cpu"):
        centre.extend(600)
    centre.stop("waits")
    granted, _ = centre.extend(600)
    assert granted.run_s_max == 1_200


def test_an_extended_job_can_be_forgotten_when_it_has_ended(centre: Centre) -> None:
    name = begin(centre)
    centre.extend(60)
    end(centre, name, "succeeded", 0.5)
    with writing(centre.engine) as connection:
        service.delete_job(connection, TENANT, "train")
    with pytest.raises(NotFound):
        centre.job()
    assert free_cash(centre) == 250


# --- by the job's own wish ----------------------------------------------------------------------


def test_a_run_is_extended_by_its_wish_at_nine_tenths_and_ends_at_its_total(
    centre: Centre,
) -> None:
    name = begin(centre, extend_s=300, extend_s_max=600)
    pass_time(centre, name, 530)
    assert attempt(centre).extensions == 0
    pass_time(centre, name, 10)
    assert (attempt(centre).run_s_max, centre.hold().amount_fen) == (900, 150)
    assert [one.note != "" for one in confirm(centre)] == [True]
    pass_time(centre, name, 280)
    assert (attempt(centre).run_s_max, centre.hold().amount_fen) == (1_200, 200)
    confirm(centre)
    assert "time-short" not in centre.story()
    pass_time(centre, name, 260)
    assert (centre.story().count("extended"), centre.story().count("time-short")) == (2, 1)
    assert centre.job().reason is ReasonCode.TIME_SHORT
    pass_time(centre, name, 120)
    end(centre, name, "stopped", 1_200)
    job = centre.job()
    assert (job.state, job.reason) == (JobState.STOPPED, ReasonCode.TIME_LIMIT)
    assert job.message == "stopped after the 1200 s that were paid for"
    assert (centre.hold().captured_fen, free_cash(centre)) == (200, 50)


def test_refused_money_is_said_once_in_the_ledgers_words_and_the_job_goes_on(
    centre: Centre,
) -> None:
    name = begin(centre, extend_s=1_200, extend_s_max=1_200)
    pass_time(centre, name, 590)
    story = centre.story()
    assert (story.count("extension-refused"), story.count("time-short")) == (1, 1)
    job = centre.job()
    assert (job.state, attempt(centre).state) == (JobState.RUNNING, AttemptState.RUNNING)
    assert "2.00 yuan of cash are needed, 1.50 are free" in job.message
    (note,) = [order for order in centre.orders(CHEAP) if isinstance(order, NoteOrder)]
    assert note.note == job.message
    pass_time(centre, name, 15)
    end(centre, name, "stopped", 602)
    assert centre.job().reason is ReasonCode.TIME_LIMIT
    assert free_cash(centre) == 250 - 100


def test_a_refused_wish_is_tried_again_until_the_end(centre: Centre) -> None:
    name = begin(centre, extend_s=1_200, extend_s_max=1_200)
    pass_time(centre, name, 560)
    centre.add_tenant(cash_fen=100)
    pass_time(centre, name, 20)
    assert attempt(centre).run_s_max == 1_800
    assert centre.job().reason is ReasonCode.PLACED
    assert centre.story()[-1] == "extended"


def test_a_wish_over_the_jobs_own_budget_is_refused_with_both_amounts(centre: Centre) -> None:
    name = begin(centre, extend_s=300, extend_s_max=300, cash_fen_max=120)
    pass_time(centre, name, 560)
    assert attempt(centre).extensions == 0
    assert "1.50 of it in cash; the job's own limit is 1.20" in centre.job().message


def test_a_short_run_is_extended_early_enough_for_its_site_to_hear_of_it(centre: Centre) -> None:
    name = begin(centre, run_s_max=60, extend_s=60, extend_s_max=60)
    pass_time(centre, name, 30, every_s=10)
    assert attempt(centre).run_s_max == 120


# --- the grace ----------------------------------------------------------------------------------


def test_a_stop_that_takes_all_its_grace_is_covered_by_the_hold(centre: Centre) -> None:
    name = begin(centre, stop_grace_s=60)
    assert centre.hold().amount_fen == 110
    pass_time(centre, name, 661)
    end(centre, name, "stopped", 660.9)
    hold = centre.hold()
    assert (hold.captured_fen, hold.amount_fen) == (110, 110)
    assert free_cash(centre) == 250 - 110


def test_an_extended_stop_that_takes_all_its_grace_is_covered_by_the_hold(centre: Centre) -> None:
    centre.issue("l1", 10_000, num=1, den=3)
    name = begin(centre, stop_grace_s=7, extend_s=33, extend_s_max=99)
    pass_time(centre, name, 600)
    confirm(centre)
    pass_time(centre, name, 300)
    end(centre, name, "stopped", 10_000)
    hold = centre.hold()
    assert attempt(centre).run_s_max == 699
    assert hold.captured_fen == charge_fen((699 + 7) * 1_000, 6_000_000)
    assert hold.captured_fen <= hold.amount_fen
    free_cash(centre)


# --- what the meter shows -----------------------------------------------------------------------


def test_the_meter_shows_cost_so_far_what_is_held_and_the_time_that_is_left(
    centre: Centre,
) -> None:
    centre.issue("l1", 10_000, num=1, den=2)
    name = begin(centre)
    pass_time(centre, name, 240)
    shown = meter(centre)
    assert (shown.used_ms, shown.left_s) == (240_000, 360)
    assert (shown.accrual.cost_fen, shown.accrual.held_fen) == (40, 100)
    assert (shown.accrual.voucher_fen, shown.accrual.cash_fen) == (20, 20)
    assert shown.ends_at == START + timedelta(seconds=600)
    centre.extend(300)
    shown = meter(centre)
    assert (shown.run_s_max, shown.run_s_confirmed, shown.left_s) == (900, 600, 360)
    confirm(centre)
    assert (meter(centre).left_s, meter(centre).accrual.held_fen) == (660, 150)


def test_the_meter_stands_at_the_last_sight_of_the_attempt(centre: Centre) -> None:
    name = begin(centre)
    pass_time(centre, name, 240)
    centre.clock.advance(180)
    shown = meter(centre)
    assert (shown.at, shown.accrual.cost_fen) == (START + timedelta(seconds=240), 40)


@pytest.mark.parametrize("every_s", [7.0, 19.0, 43.0, 600.0])
def test_the_bill_is_the_same_however_the_ticks_fall(centre: Centre, every_s: float) -> None:
    name = begin(centre, units=2)
    costs = []
    for _ in range(int(431 // every_s)):
        centre.clock.advance(every_s)
        centre.greet(CHEAP, name)
        costs.append(meter(centre).accrual.cost_fen)
    seconds = [every_s * number for number in range(1, len(costs) + 1)]
    assert costs == [charge_fen(int(2_000 * used_s), 6_000_000) for used_s in seconds]
    centre.clock.advance(600)
    end(centre, name, "succeeded", 431)
    assert centre.hold().captured_fen == charge_fen(2 * 431_000, 6_000_000)


def test_a_job_without_a_live_attempt_has_no_meter(centre: Centre) -> None:
    job = centre.submit(a_new_job())
    with reading(centre.engine) as connection:
        assert job_meter(connection, job, centre.clock.now()) is None
