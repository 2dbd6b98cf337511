"""A job after others starts when they have succeeded, and fails when one of them does."""

import pytest
from scheduler_builders import (
    CHEAP,
    NEAR,
    START,
    Centre,
    a_centre,
    a_new_job,
    a_pool,
    a_site,
)
from sqlalchemy import Engine

from suanwang.clock import VirtualClock
from suanwang.errors import BadInput
from suanwang.ids import SeededIds
from suanwang.model.job import JobState, Predecessor
from suanwang.model.plan import ReasonCode


@pytest.fixture
def centre(engine: Engine, clock: VirtualClock, ids: SeededIds) -> Centre:
    """Two sites, and money for both jobs; ``second`` comes after ``train``."""
    made = a_centre(engine, clock, ids)
    made.register(a_site(NEAR, a_pool(NEAR, yuan=12)), a_site(CHEAP, a_pool(CHEAP, yuan=6)))
    made.add_tenant(cash_fen=10_000)
    made.submit(a_new_job("train"))
    made.submit(a_new_job("second", after=(Predecessor("train", 1.0),)))
    return made


def _run(centre: Centre, submission_id: str, *states: str) -> None:
    """Report that the newest attempt of a job went through these states."""
    (*_, attempt) = centre.attempts(submission_id)
    for seq, state in enumerate(states, start=1):
        ended = {"exit_code": 0 if state == "succeeded" else 1, "ended_at": centre.clock.now()}
        started = {"started_at": START}
        centre.tell(attempt.id, seq, state, **(started if state == "running" else started | ended))


def test_it_waits_until_the_first_has_succeeded(centre: Centre) -> None:
    centre.cycle()
    centre.cycle()
    assert centre.job("train").state is JobState.PLACED
    waiting = centre.job("second")
    assert waiting.state is JobState.QUEUED
    _run(centre, "train", "running", "succeeded")
    centre.clock.advance(60.0)
    for site in (NEAR, CHEAP):
        centre.greet(site)
    centre.cycle()
    assert centre.job("second").state is JobState.PLACED


def test_it_fails_when_the_first_does(centre: Centre) -> None:
    centre.submit(a_new_job("third", after=(Predecessor("second"),)))
    centre.cycle()
    _run(centre, "train", "running", "failed")
    centre.cycle()
    second = centre.job("second")
    assert (second.state, second.reason) == (JobState.FAILED, ReasonCode.PREDECESSOR_FAILED)
    assert "train" in second.message
    centre.cycle()
    assert centre.job("third").reason is ReasonCode.PREDECESSOR_FAILED


def test_a_job_that_is_not_there_cannot_be_named(centre: Centre) -> None:
    with pytest.raises(BadInput, match="no such job of yours"):
        centre.submit(a_new_job("fourth", after=(Predecessor("nobody"),)))


def test_a_job_that_was_stopped_cannot_be_named(centre: Centre) -> None:
    centre.stop("train")
    with pytest.raises(BadInput, match="which is stopped"):
        centre.submit(a_new_job("fourth", after=(Predecessor("train"),)))
