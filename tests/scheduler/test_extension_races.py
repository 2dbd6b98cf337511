"""More time in races, with sites cut off, and when the centre dies: on both databases."""

import threading
from dataclasses import replace

import pytest
from extension_builders import attempt, begin, confirm, end, free_cash, furnish, pass_time
from scheduler_builders import CHEAP, TENANT, Centre, a_centre
from sqlalchemy import Engine

from scheduler import extension, store
from suanwang.clock import VirtualClock
from suanwang.db.engine import reading
from suanwang.errors import Conflict
from suanwang.ids import SeededIds
from suanwang.model.attempt import AttemptState, Extension
from suanwang.model.job import JobState
from suanwang.model.plan import ReasonCode


@pytest.fixture
def centre(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Centre:
    """A site at 6 yuan a core and hour (1 fen for 6 s), and a tenant with 2.50 yuan."""
    return furnish(a_centre(engine, clock, ids))


def test_two_clicks_at_the_same_moment_are_one_extension(centre: Centre) -> None:
    begin(centre)
    ready = threading.Barrier(2)
    answers: list[tuple[Extension, bool]] = []

    def click() -> None:
        ready.wait(10)
        answers.append(centre.extend(300, key="click"))

    clicks = [threading.Thread(target=click) for _ in range(2)]
    for one in clicks:
        one.start()
    for one in clicks:
        one.join(30)
    assert sorted(is_repeat for _, is_repeat in answers) == [False, True]
    assert answers[0][0] == answers[1][0]
    assert (centre.hold().amount_fen, attempt(centre).run_s_max) == (150, 900)


def test_a_site_cut_off_stops_at_the_limit_it_knows_and_the_bill_is_the_real_use(
    centre: Centre,
) -> None:
    name = begin(centre)
    centre.clock.advance(590)
    granted, _ = centre.extend(600)
    assert granted.confirmed_at is None
    centre.clock.advance(1_000)
    end(centre, name, "stopped", 601)
    job = centre.job()
    assert (job.state, job.reason) == (JobState.STOPPED, ReasonCode.TIME_LIMIT)
    assert "600 s that its site knew of; 600 s more were granted, and not confirmed" in job.message
    assert [one.confirmed_at for one in centre.extensions()] == [None]
    assert centre.hold().captured_fen == 100
    assert free_cash(centre) == 250 - 100
    assert centre.orders(CHEAP) == ()


def test_an_order_that_comes_after_the_stop_began_is_told_as_late(centre: Centre) -> None:
    name = begin(centre)
    centre.clock.advance(599)
    centre.extend(600)
    assert len(confirm(centre, late=True)) == 1
    assert centre.story()[-1] == "extension-late"
    assert centre.orders(CHEAP) == ()
    centre.clock.advance(10)
    end(centre, name, "stopped", 603)
    assert [one.confirmed_at for one in centre.extensions()] == [None]
    assert "600 s that its site knew of" in centre.job().message
    assert centre.hold().captured_fen == 100


def test_an_end_that_comes_first_leaves_nothing_to_extend(centre: Centre) -> None:
    name = begin(centre, extend_s=300, extend_s_max=300)
    pass_time(centre, name, 500)
    end(centre, name, "succeeded", 500)
    with pytest.raises(Conflict):
        centre.extend(60)
    assert centre.reconcile().moved == 0
    assert (centre.extensions(), free_cash(centre)) == ((), 250 - 83)


def test_a_run_whose_site_is_out_of_sight_is_not_extended_by_its_wish(centre: Centre) -> None:
    begin(centre, extend_s=300, extend_s_max=300)
    for _ in range(6):
        centre.clock.advance(95)
        centre.reconcile()
    assert attempt(centre).state is AttemptState.UNKNOWN
    assert centre.extensions() == ()


class Crash(Exception):
    """The centre dies here."""


def test_a_centre_that_dies_before_the_commit_has_granted_nothing(
    centre: Centre, engine: Engine
) -> None:
    begin(centre)
    before = attempt(centre)
    ask = extension.Ask(by_s=300, request_key="click", asked_by="key_1")

    def die() -> None:
        with centre.writer.turn() as turn:
            extension.extend_job(turn, TENANT, "train", ask, centre.clock.now())
            raise Crash

    with pytest.raises(Crash):
        die()
    assert (attempt(centre), centre.extensions(), free_cash(centre)) == (before, (), 150)
    assert centre.orders(CHEAP) == ()
    _, is_repeat = centre.extend(300, key="click")
    assert not is_repeat


def test_a_centre_that_dies_after_the_commit_still_has_the_order(
    centre: Centre, engine: Engine, clock: VirtualClock, ids: SeededIds
) -> None:
    begin(centre)
    centre.extend(300, key="click")
    reborn = a_centre(engine, clock, ids)
    (order,) = reborn.orders(CHEAP)
    assert order.kind == "extend"
    (again,) = reborn.orders(CHEAP)
    assert again == order
    _, is_repeat = reborn.extend(300, key="click")
    assert is_repeat
    assert reborn.hold().amount_fen == 150


def test_each_extension_has_an_order_of_its_own(centre: Centre) -> None:
    begin(centre)
    centre.extend(60)
    (first,) = centre.orders(CHEAP)
    centre.extend(60)
    centre.acknowledge(CHEAP, first.id)
    (second,) = centre.orders(CHEAP)
    assert (second.id != first.id, attempt(centre).run_s_confirmed) == (True, 660)
    centre.acknowledge(CHEAP, second.id, first.id)
    assert attempt(centre).run_s_confirmed == 720
    assert all(one.confirmed_at is not None for one in centre.extensions())


def test_an_attempt_proven_dead_takes_its_extension_with_it(centre: Centre) -> None:
    name = begin(centre)
    centre.extend(300)
    centre.tell(name, 2, "fenced")
    assert (centre.job().state, free_cash(centre)) == (JobState.QUEUED, 250)
    assert centre.orders(CHEAP) == ()
    with reading(centre.engine) as connection:
        found = store.attempts_of(connection, centre.job().id)
    assert replace(found[0], message="").unconfirmed_s == 300
