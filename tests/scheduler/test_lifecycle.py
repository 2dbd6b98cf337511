"""The lifecycle as tables: three lines of story, and what must follow from them."""

from datetime import timedelta

import pytest
from scheduler_builders import CHEAP, NEAR, START, YUAN, a_job, an_attempt

from scheduler.events import (
    AttemptEvent,
    Bill,
    Event,
    Fenced,
    FenceDue,
    GivenUp,
    IssueOrder,
    LeaseEnded,
    Lost,
    Note,
    OpenHold,
    Placed,
    ReleaseHold,
    Reported,
    Requeue,
    Seen,
    Step,
    StopAsked,
    TimeShort,
    TimeUsed,
    Waited,
    WithdrawOrders,
)
from scheduler.lifecycle import advance, billable_window
from suanwang.errors import InvalidTransition
from suanwang.ids import PoolId
from suanwang.model.attempt import Attempt, AttemptState, FailureKind
from suanwang.model.job import Job, JobState
from suanwang.model.plan import ReasonCode
from suanwang.model.voucher import HoldSlice

NOW = START + timedelta(seconds=100)
LATE = START + timedelta(hours=3)
LIVE = [state for state in AttemptState if not state.is_dead]
DEAD = [state for state in AttemptState if state.is_dead]


def reported(state: str, seq: int = 1, **changes: object) -> Reported:
    """A report at second 100 of a run that began at second 10."""
    fields: dict[str, object] = {
        "at": NOW,
        "seq": seq,
        "state": AttemptState(state),
        "started_at": START + timedelta(seconds=10),
    }
    return Reported(**(fields | changes))  # type: ignore[arg-type]  # a builder takes any field


def placed() -> Placed:
    """A placement at the near site that holds one yuan."""
    return Placed(
        at=NOW,
        site_id=NEAR,
        pool_id=PoolId("near-cpu"),
        price_uyuan_per_unit_hour=6 * YUAN,
        epoch=7,
        lease_expires_at=NOW + timedelta(seconds=1_500),
        slices=(HoldSlice(lot_id=None, amount_fen=100),),
    )


def placed_job(**changes: object) -> Job:
    """A job whose first attempt is at the near site."""
    fields: dict[str, object] = {"state": JobState.PLACED, "attempts": 1, "site_id": NEAR}
    return a_job(**(fields | changes))


def kinds(step: Step) -> list[str]:
    """Instructions by name; orders with their kind. Notes are left out."""
    return [
        f"{type(one).__name__}:{one.kind}" if isinstance(one, IssueOrder) else type(one).__name__
        for one in step.instructions
        if not isinstance(one, Note)
    ]


def of(step: Step) -> Attempt:
    """The attempt of a step."""
    assert step.attempt is not None
    return step.attempt


def test_placing_opens_a_hold_before_it_issues_the_order() -> None:
    step = advance(a_job(), None, placed())
    assert (step.job.state, step.job.attempts, step.job.site_id) == (JobState.PLACED, 1, NEAR)
    assert (of(step).state, of(step).epoch, of(step).executor_id) == (
        AttemptState.INTENT,
        7,
        "train-a1",
    )
    assert kinds(step) == ["OpenHold", "IssueOrder:start"]
    hold = step.instructions[0]
    assert isinstance(hold, OpenHold)
    assert hold.hold_id == of(step).hold_id


@pytest.mark.parametrize("state", LIVE)
def test_nothing_is_placed_while_an_attempt_is_not_proven_dead(state: AttemptState) -> None:
    with pytest.raises(InvalidTransition) as error:
        advance(a_job(attempts=1), an_attempt(state), placed())
    assert error.value.facts["attempt_state"] == state.value


@pytest.mark.parametrize("state", DEAD)
def test_a_next_attempt_may_follow_a_dead_one(state: AttemptState) -> None:
    step = advance(a_job(attempts=1), an_attempt(state), placed())
    assert (of(step).number, of(step).executor_id) == (2, "train-a2")


@pytest.mark.parametrize("state", [one for one in JobState if one is not JobState.QUEUED])
def test_only_queued_jobs_are_placed(state: JobState) -> None:
    with pytest.raises(InvalidTransition):
        advance(a_job(state=state), None, placed())


def test_an_attempt_moves_on_and_its_job_runs() -> None:
    job, attempt = placed_job(), an_attempt(AttemptState.INTENT)
    states = []
    for seq, word in enumerate(("submitting", "starting", "running"), start=1):
        step = advance(job, attempt, reported(word, seq))
        job, attempt = step.job, of(step)
        states.append((attempt.state.value, job.state.value))
    assert states == [("submitting", "placed"), ("starting", "placed"), ("running", "running")]
    assert job.started_at == START + timedelta(seconds=10)


def test_an_attempt_never_goes_back() -> None:
    step = advance(placed_job(), an_attempt(AttemptState.RUNNING), reported("starting"))
    assert of(step).state is AttemptState.RUNNING
    assert of(step).report_seq == 1


@pytest.mark.parametrize("seq", [1, 4, 5])
@pytest.mark.parametrize("word", ["running", "succeeded", "failed", "unknown", "fenced"])
def test_a_report_that_was_taken_in_changes_nothing(seq: int, word: str) -> None:
    job, attempt = placed_job(), an_attempt(report_seq=5)
    assert advance(job, attempt, reported(word, seq)) == Step(job, attempt)


@pytest.mark.parametrize(
    ("report", "state", "reason", "instructions"),
    [
        pytest.param(
            reported("succeeded", exit_code=0), JobState.SUCCEEDED, None, ["Bill"], id="success"
        ),
        pytest.param(
            reported("failed", exit_code=3),
            JobState.FAILED,
            ReasonCode.USER_FAILED,
            ["Bill"],
            id="the user's failure is billed and final",
        ),
        pytest.param(
            reported("failed", is_infrastructure=True),
            JobState.QUEUED,
            ReasonCode.RETRY_ELSEWHERE,
            ["ReleaseHold", "WithdrawOrders", "Requeue"],
            id="the site's failure is free and tried elsewhere",
        ),
        pytest.param(
            reported("fenced"),
            JobState.QUEUED,
            ReasonCode.RETRY_ELSEWHERE,
            ["ReleaseHold", "WithdrawOrders", "Requeue"],
            id="a fenced attempt is free and tried elsewhere",
        ),
        pytest.param(
            reported("stopped"),
            JobState.STOPPED,
            ReasonCode.USER_STOPPED,
            ["Bill"],
            id="stopped at the site",
        ),
        pytest.param(
            reported("stopped", at=LATE, ended_at=START + timedelta(seconds=610)),
            JobState.STOPPED,
            ReasonCode.TIME_LIMIT,
            ["Bill"],
            id="stopped after all its time",
        ),
        pytest.param(
            reported("failed", exit_code=1, started_at=None),
            JobState.FAILED,
            ReasonCode.USER_FAILED,
            ["ReleaseHold"],
            id="what never ran costs nothing",
        ),
        pytest.param(reported("unknown"), JobState.PLACED, None, [], id="unknown keeps everything"),
    ],
)
def test_ends(
    report: Reported, state: JobState, reason: ReasonCode | None, instructions: list[str]
) -> None:
    step = advance(placed_job(), an_attempt(AttemptState.STARTING), report)
    assert (step.job.state, step.job.reason) == (state, reason)
    assert kinds(step) == instructions


def test_after_three_failures_of_sites_the_job_has_failed() -> None:
    step = advance(placed_job(attempts=3), an_attempt(), reported("failed", is_infrastructure=True))
    assert (step.job.state, step.job.reason) == (JobState.FAILED, ReasonCode.SITE_FAILED)
    assert kinds(step) == ["ReleaseHold", "WithdrawOrders"]
    assert of(step).failure is FailureKind.INFRASTRUCTURE


def test_a_job_that_is_being_stopped_is_not_tried_elsewhere() -> None:
    job = placed_job(state=JobState.STOPPING, stop_requested=True)
    step = advance(job, an_attempt(stop_requested=True), reported("fenced"))
    assert (step.job.state, step.job.reason) == (JobState.STOPPED, ReasonCode.USER_STOPPED)
    assert "Requeue" not in kinds(step)


@pytest.mark.parametrize(
    ("attempt", "event", "state", "instructions"),
    [
        pytest.param(
            None, StopAsked(at=NOW), JobState.STOPPED, [], id="in the queue: ends at once"
        ),
        pytest.param(
            an_attempt(AttemptState.INTENT),
            StopAsked(at=NOW, was_handed_out=False),
            JobState.STOPPED,
            ["ReleaseHold", "WithdrawOrders"],
            id="before the order left: ends at once, free",
        ),
        pytest.param(
            an_attempt(AttemptState.INTENT),
            StopAsked(at=NOW),
            JobState.STOPPING,
            ["IssueOrder:stop"],
            id="an agent may know: ask it",
        ),
        pytest.param(
            an_attempt(AttemptState.UNKNOWN),
            StopAsked(at=NOW),
            JobState.STOPPING,
            ["IssueOrder:stop"],
            id="lost from sight: wait for proof",
        ),
    ],
)
def test_stops(
    attempt: Attempt | None, event: StopAsked, state: JobState, instructions: list[str]
) -> None:
    job = a_job() if attempt is None else placed_job()
    step = advance(job, attempt, event)
    assert step.job.state is state
    assert kinds(step) == instructions
    assert advance(step.job, step.attempt, event) == Step(step.job, step.attempt)


@pytest.mark.parametrize("state", [one for one in LIVE if one is not AttemptState.UNKNOWN])
def test_lost_from_sight_is_unknown_and_keeps_hold_and_job(state: AttemptState) -> None:
    step = advance(placed_job(), an_attempt(state), Lost(at=NOW, message="no news"))
    assert of(step).state is AttemptState.UNKNOWN
    assert step.job == placed_job()
    assert kinds(step) == []


def test_an_unknown_attempt_that_is_seen_again_is_recovered() -> None:
    unknown = an_attempt(AttemptState.UNKNOWN, started_at=START)
    step = advance(placed_job(), unknown, Seen(at=NOW))
    assert (of(step).state, of(step).last_seen_at) == (AttemptState.RECOVERED, NOW)
    again = advance(step.job, step.attempt, reported("succeeded"))
    assert (again.job.state, kinds(again)) == (JobState.SUCCEEDED, ["Bill"])


def test_an_unknown_attempt_that_never_ran_starts_where_it_was() -> None:
    step = advance(
        placed_job(), an_attempt(AttemptState.UNKNOWN), reported("starting", started_at=None)
    )
    assert of(step).state is AttemptState.STARTING


@pytest.mark.parametrize(
    ("event", "state", "instructions"),
    [
        pytest.param(FenceDue(at=NOW), "unknown", ["IssueOrder:fence"], id="unknown for long"),
        pytest.param(LeaseEnded(at=NOW), "unknown", ["IssueOrder:fence"], id="the lease ended"),
        pytest.param(
            Fenced(at=NOW, message="said so"),
            "fenced",
            ["ReleaseHold", "WithdrawOrders", "Requeue"],
            id="an operator's word",
        ),
    ],
)
def test_only_a_proof_lets_go(event: AttemptEvent, state: str, instructions: list[str]) -> None:
    step = advance(placed_job(), an_attempt(AttemptState.UNKNOWN), event)
    assert of(step).state.value == state
    assert kinds(step) == instructions


def test_an_attempt_that_has_used_its_time_is_stopped_once() -> None:
    running = an_attempt(started_at=START)
    step = advance(placed_job(state=JobState.RUNNING), running, TimeUsed(at=LATE))
    assert (step.job.state, step.job.reason) == (JobState.STOPPING, ReasonCode.TIME_LIMIT)
    assert kinds(step) == ["IssueOrder:stop"]
    assert kinds(advance(step.job, step.attempt, TimeUsed(at=LATE))) == []


@pytest.mark.parametrize("state", DEAD)
@pytest.mark.parametrize(
    "event",
    [
        Seen(at=NOW),
        Lost(at=NOW, message=""),
        FenceDue(at=NOW),
        LeaseEnded(at=NOW),
        TimeShort(at=NOW),
        TimeUsed(at=NOW),
        Fenced(at=NOW, message=""),
    ],
)
def test_what_is_dead_stays_as_it_is(state: AttemptState, event: AttemptEvent) -> None:
    job, attempt = a_job(state=JobState.SUCCEEDED, attempts=1), an_attempt(state)
    assert advance(job, attempt, event) == Step(job, attempt)


@pytest.mark.parametrize("state", DEAD)
def test_a_dead_attempt_that_runs_is_fenced_and_raises_an_alarm(state: AttemptState) -> None:
    job, attempt = a_job(state=JobState.PLACED, attempts=2, site_id=CHEAP), an_attempt(state)
    step = advance(job, attempt, reported("running", seq=9))
    assert step.job == job
    assert of(step).state is state
    assert kinds(step) == ["IssueOrder:fence"]
    assert [one.is_alarm for one in step.instructions if isinstance(one, Note)] == [True]


def test_waiting_is_news_only_when_the_reason_changes() -> None:
    event = Waited(at=NOW, reason=ReasonCode.CAPACITY, message="1 unit is free")
    first = advance(a_job(), None, event)
    assert [type(one) for one in first.instructions] == [Note]
    same = Waited(at=NOW, reason=ReasonCode.CAPACITY, message="2 units are free")
    second = advance(first.job, None, same)
    assert (second.job.message, second.instructions) == ("2 units are free", ())


def test_a_job_that_can_never_start_has_failed() -> None:
    event = GivenUp(at=NOW, reason=ReasonCode.DEADLINE, message="too late")
    assert advance(a_job(), None, event).job.state is JobState.FAILED


@pytest.mark.parametrize("event", [Seen(at=NOW), reported("running")])
def test_an_event_about_another_jobs_attempt_is_an_error(event: Event) -> None:
    with pytest.raises(InvalidTransition, match="no such attempt"):
        advance(a_job(), an_attempt(job_id="j2"), event)
    with pytest.raises(InvalidTransition, match="no such attempt"):
        advance(a_job(), None, event)


@pytest.mark.parametrize("word", ["intent", "recovered"])
def test_an_agent_cannot_report_the_centres_own_states(word: str) -> None:
    with pytest.raises(InvalidTransition, match="cannot report"):
        advance(placed_job(), an_attempt(), reported(word))


def at(second: float) -> object:
    """A moment of the test."""
    return START + timedelta(seconds=second)


@pytest.mark.parametrize(
    ("started", "ended", "now", "window"),
    [
        pytest.param(10, 70, 100, (10, 70), id="the run itself"),
        pytest.param(-50, 70, 100, (0, 70), id="not before the intent"),
        pytest.param(10, 500, 100, (10, 100), id="not after now"),
        pytest.param(10, 5_000, 9_000, (10, 610), id="no more than was paid for"),
        pytest.param(1_200, 1_700, 9_000, (1_200, 1_500), id="not after the lease"),
        pytest.param(70, 10, 100, None, id="never negative"),
        pytest.param(900, 950, 100, None, id="an agent's clock that is ahead"),
        pytest.param(None, 70, 100, None, id="never ran"),
        pytest.param(10, None, 100, (10, 100), id="no end: until now"),
    ],
)
def test_the_window_that_may_be_billed(
    started: int | None, ended: int | None, now: int, window: tuple[int, int] | None
) -> None:
    attempt = an_attempt(
        started_at=None if started is None else at(started),
        ended_at=None if ended is None else at(ended),
    )
    expected = None if window is None else (at(window[0]), at(window[1]))
    assert billable_window(attempt, START + timedelta(seconds=now)) == expected


def test_a_bill_carries_the_window_and_its_source() -> None:
    report = reported(
        "succeeded", ended_at=START + timedelta(seconds=70), window_source="supervisor"
    )
    step = advance(placed_job(), an_attempt(), report)
    bill = step.instructions[0]
    assert isinstance(bill, Bill)
    assert (bill.ended_at - bill.started_at, bill.source) == (timedelta(seconds=60), "supervisor")
    assert not any(isinstance(one, ReleaseHold | Requeue | WithdrawOrders) for one in step[2])
