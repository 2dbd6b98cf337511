"""The agent channel on both databases: repeats, gaps, strangers, and money settled once."""

from datetime import timedelta

import pytest
from scheduler_builders import (
    CHEAP,
    NEAR,
    START,
    TENANT,
    Centre,
    a_centre,
    a_new_job,
    a_pool,
    a_report,
    a_site,
)
from sqlalchemy import Engine

from scheduler import agents, packages, store_usage
from scheduler.service import NewJob
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading, writing
from suanwang.errors import BadInput, NotFound
from suanwang.ids import SeededIds, SiteId
from suanwang.model.attempt import AttemptState
from suanwang.model.job import JobState
from suanwang.model.voucher import HoldState
from suanwang.wire.agent import LogUpload, StartOrder, StopOrder
from voucher import store as money_store
from voucher.check import check


@pytest.fixture
def centre(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Centre:
    """One placed job at the cheap site, paid half by a voucher."""
    made = a_centre(engine, clock, ids)
    made.register(a_site(CHEAP, a_pool(CHEAP, yuan=6)), a_site(NEAR, a_pool(NEAR, yuan=12)))
    made.add_tenant(cash_fen=10_000)
    made.issue("l1", 10_000, num=1, den=2)
    made.submit()
    made.cycle()
    return made


def name_of(centre: Centre) -> str:
    """Id of the newest attempt."""
    return str(centre.attempts()[-1].id)


def upload(centre: Centre, offset: int, text: str, site_id: str = CHEAP) -> int:
    """Send a piece of output; return where the next one must begin."""
    piece = LogUpload(attempt_id=name_of(centre), offset=offset, text=text)
    with writing(centre.engine) as connection:
        return agents.append_log(connection, SiteId(site_id), piece).next_offset


def test_orders_are_handed_out_until_they_are_acknowledged(centre: Centre) -> None:
    first, second = centre.orders(CHEAP), centre.orders(CHEAP)
    assert first == second
    assert isinstance(first[0], StartOrder)
    centre.acknowledge(NEAR, first[0].id)
    assert centre.orders(CHEAP) == first
    centre.acknowledge(CHEAP, first[0].id, "nonsense")
    assert centre.orders(CHEAP) == ()


def test_the_centre_names_only_attempts_whose_order_the_agent_has(centre: Centre) -> None:
    assert centre.greet(CHEAP) == ()
    centre.acknowledge(CHEAP, centre.orders(CHEAP)[0].id)
    assert centre.greet(CHEAP) == (name_of(centre),)


def test_a_run_is_billed_to_the_millisecond_and_the_rest_released(centre: Centre) -> None:
    name = name_of(centre)
    centre.tell(name, 1, "running", started_at=START)
    centre.clock.advance(90)
    ended = START + timedelta(seconds=60, milliseconds=500)
    centre.tell(name, 2, "succeeded", started_at=START, ended_at=ended, window_source="supervisor")
    job, (attempt,) = centre.job(), centre.attempts()
    assert (job.state, attempt.state) == (JobState.SUCCEEDED, AttemptState.SUCCEEDED)
    with reading(centre.engine) as connection:
        hold = money_store.find_hold(connection, attempt.hold_id)
        (interval,) = store_usage.intervals_of_job(connection, job.id)
        (lot,) = money_store.lots(connection, now=centre.clock.now())
        assert check(connection).is_sound
    assert (interval.unit_ms, interval.resource, interval.source) == (60_500, "cpu", "supervisor")
    assert (hold.state, hold.amount_fen, hold.captured_fen) == (HoldState.CAPTURED, 100, 10)
    assert (lot.spent_fen, lot.held_fen) == (5, 0)


def test_every_report_may_come_again_and_nothing_is_paid_twice(centre: Centre) -> None:
    name = name_of(centre)
    centre.clock.advance(60)
    now = centre.clock.now()
    reports = [
        a_report(name, 1, "submitting", now),
        a_report(name, 2, "running", now, started_at=START),
        a_report(name, 3, "succeeded", now, started_at=START, ended_at=now),
    ]
    first = centre.report(CHEAP, *reports)
    assert (first.accepted, first.duplicates) == (3, 0)
    with reading(centre.engine) as connection:
        before = check(connection)
    story = centre.story()
    again = centre.report(CHEAP, *reports, *reversed(reports))
    assert (again.accepted, again.duplicates) == (0, 6)
    with reading(centre.engine) as connection:
        assert check(connection) == before
    assert centre.story() == story
    assert story == ["submitted", "held", "placed", "submitting", "running", "billed", "succeeded"]


def test_a_failure_of_the_site_is_free_and_the_next_attempt_goes_elsewhere(
    centre: Centre,
) -> None:
    centre.tell(name_of(centre), 1, "failed", started_at=START, is_infrastructure=True)
    assert centre.job().state is JobState.QUEUED
    centre.cycle()
    first, second = centre.attempts()
    assert (first.site_id, second.site_id) == (CHEAP, NEAR)
    with reading(centre.engine) as connection:
        assert money_store.find_hold(connection, first.hold_id).state is HoldState.RELEASED
        assert money_store.find_hold(connection, second.hold_id).state is HoldState.OPEN
    assert second.executor_id == "train-a2"


def test_reports_on_strangers_are_refused_by_name_and_the_others_taken(centre: Centre) -> None:
    name = name_of(centre)
    now = centre.clock.now()
    receipt = centre.report(
        CHEAP, a_report("nobody-a1", 1, "running", now), a_report(name, 1, "submitting", now)
    )
    assert receipt.accepted == 1
    assert "nobody-a1" in receipt.refused[0]
    assert centre.report(NEAR, a_report(name, 2, "succeeded", now)).refused != ()
    assert centre.job().state is JobState.PLACED


def test_text_that_no_database_takes_is_cleaned(centre: Centre) -> None:
    centre.tell(name_of(centre), 1, "failed", exit_code=1, message="a\x00b")
    assert centre.job().message == "a\ufffdb"


def test_a_stop_reaches_the_agent_and_what_ran_is_billed(centre: Centre) -> None:
    name = name_of(centre)
    centre.acknowledge(CHEAP, centre.orders(CHEAP)[0].id)
    centre.tell(name, 1, "running", started_at=START)
    assert centre.stop()
    (order,) = centre.orders(CHEAP)
    assert isinstance(order, StopOrder)
    centre.clock.advance(30)
    centre.tell(name, 2, "stopped", started_at=START, ended_at=centre.clock.now())
    assert centre.job().state is JobState.STOPPED
    assert centre.orders(CHEAP) == ()
    assert not centre.stop()
    with reading(centre.engine) as connection:
        hold = money_store.find_hold(connection, centre.attempts()[0].hold_id)
    assert hold.captured_fen == 5


def test_a_stop_before_the_order_left_ends_the_job_at_once(centre: Centre) -> None:
    assert centre.stop()
    assert centre.job().state is JobState.STOPPED
    assert centre.orders(CHEAP) == ()
    with reading(centre.engine) as connection:
        hold = money_store.find_hold(connection, centre.attempts()[0].hold_id)
    assert hold.state is HoldState.RELEASED


def test_output_is_one_stream_whatever_comes_twice_or_with_a_gap(centre: Centre) -> None:
    assert upload(centre, 0, "one ") == 4
    assert upload(centre, 0, "one ") == 4
    assert upload(centre, 2, "e two") == 7
    assert upload(centre, 50, "later") == 7
    assert upload(centre, 7, "") == 7
    assert upload(centre, 7, "\x00!") == 9
    with reading(centre.engine) as connection:
        text = agents.read_log(connection, centre.job().id)
        rest = agents.read_log(connection, centre.job().id, 7)
    assert (text, rest) == ("one two\ufffd!", "\ufffd!")


def test_output_of_a_second_attempt_follows_the_first(centre: Centre) -> None:
    upload(centre, 0, "first\n")
    centre.tell(name_of(centre), 1, "failed", is_infrastructure=True)
    centre.cycle()
    upload(centre, 0, "second\n", NEAR)
    with reading(centre.engine) as connection:
        assert agents.read_log(connection, centre.job().id) == "first\nsecond\n"


def test_another_site_adds_no_output(centre: Centre) -> None:
    with pytest.raises(NotFound):
        upload(centre, 0, "forged", NEAR)


def test_a_package_reaches_only_sites_that_run_its_owners_jobs(centre: Centre) -> None:
    uri = "gcs://_ray_pkg_1.zip"
    with writing(centre.engine) as connection:
        now = centre.clock.now()
        digest = packages.put_package(connection, TENANT, "_ray_pkg_1.zip", b"bytes", now)
        assert packages.has_package(connection, TENANT, "_ray_pkg_1.zip")
    new = a_new_job("packed", sites=frozenset({CHEAP}))
    centre.submit(NewJob(**{**fields(new), "runtime_env": {"working_dir": uri}}))  # type: ignore[arg-type]  # a copy
    centre.cycle()
    orders = [one for one in centre.orders(CHEAP) if isinstance(one, StartOrder)]
    assert {uri: digest} in [order.packages for order in orders]
    with reading(centre.engine) as connection:
        assert agents.package_by_digest(connection, CHEAP, digest) == b"bytes"
        with pytest.raises(NotFound):
            agents.package_by_digest(connection, NEAR, digest)


def fields(new: NewJob) -> dict[str, object]:
    """The fields of a submit."""
    return {name: getattr(new, name) for name in NewJob.__slots__}


def test_a_job_whose_package_is_not_here_is_refused(centre: Centre) -> None:
    new = a_new_job("packed")
    env = {"py_modules": ["gcs://_ray_pkg_2.zip"]}
    with pytest.raises(BadInput, match="_ray_pkg_2"):
        centre.submit(NewJob(**{**fields(new), "runtime_env": env}))  # type: ignore[arg-type]  # a copy


def test_hello_of_an_unknown_site_is_not_found(centre: Centre) -> None:
    with pytest.raises(NotFound):
        centre.greet("nowhere")
