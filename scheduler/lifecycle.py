"""What an event means for a job and its attempt: pure, so that every story can be told in a test.

``advance(job, attempt, event)`` returns both as they stand afterwards, and what must now be done.
Nothing here reads a clock, draws an id or touches a database. ``attempt`` is the one that the event
is about (for events about the queue: the job's newest, or None).

Two promises rest on this file. Of one job, at most one attempt is not proven dead: a next attempt
is only placed when the last one is final or fenced. And an event that comes twice, late or out of
order changes nothing.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from scheduler import granted_time, moves
from scheduler.events import (
    AttemptEvent,
    Bill,
    Event,
    Extended,
    Fenced,
    FenceDue,
    GivenUp,
    IssueOrder,
    LeaseEnded,
    Lost,
    MoveAsked,
    MoveDropped,
    Note,
    OpenHold,
    OrderKind,
    Placed,
    QueueEvent,
    ReleaseHold,
    Reported,
    Requeue,
    Seen,
    Step,
    StopAsked,
    TimeEvent,
    Waited,
    WithdrawOrders,
)
from suanwang.errors import InvalidTransition
from suanwang.ids import HoldId, attempt_id, executor_id
from suanwang.model.attempt import Attempt, AttemptState, FailureKind
from suanwang.model.job import Job, JobState
from suanwang.model.plan import ReasonCode

ATTEMPTS_MAX: Final = 3
"""After this many attempts that failed through no fault of the user's, the job has failed."""

_PROGRESS: Final = {
    AttemptState.INTENT: 0,
    AttemptState.SUBMITTING: 1,
    AttemptState.STARTING: 2,
    AttemptState.RUNNING: 3,
    AttemptState.RECOVERED: 3,
}
_ENDS: Final = frozenset({AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.STOPPED})


def advance(job: Job, attempt: Attempt | None, event: Event) -> Step:
    """Return job and attempt after ``event``, and what must now be done.

    Raises InvalidTransition, with the whole story in its facts, for an event that cannot be true of
    this state; whatever may reach us late or twice changes nothing instead.
    """
    if isinstance(event, StopAsked):
        return _stop(job, attempt, event)
    if isinstance(event, Placed | Waited | GivenUp | MoveDropped):
        return _queue_event(job, attempt, event)
    if attempt is None or attempt.job_id != job.id:
        raise _invalid(job, attempt, event, "there is no such attempt of this job")
    return _attempt_event(job, attempt, event)


def _queue_event(job: Job, attempt: Attempt | None, event: QueueEvent) -> Step:
    if job.state is not JobState.QUEUED:
        raise _invalid(job, attempt, event, "the job is not in the queue")
    if attempt is not None and not attempt.state.is_dead:
        raise _invalid(job, attempt, event, f"attempt {attempt.number} is not proven dead")
    match event:
        case Placed():
            return _place(job, attempt, event)
        case MoveDropped():
            return moves.drop(job, attempt, event)
        case Waited():
            waiting = replace(job, reason=event.reason, message=event.message)
            is_news = job.reason is not event.reason
            note = Note(kind="waits", message=f"{event.reason.value}: {event.message}")
            return Step(waiting, attempt, (note,) if is_news else ())
        case GivenUp():
            job, undone = moves.let_go(job, event.message)
            ended = _end(job, JobState.FAILED, event.at, event.reason, event.message)
            return Step(ended, attempt, (*undone, Note(kind="given-up", message=event.message)))


def _place(job: Job, former: Attempt | None, event: Placed) -> Step:
    number = job.attempts if event.is_held else job.attempts + 1
    wanted = job.wanted
    units = wanted.units if event.units is None else event.units
    intent = Attempt(
        id=attempt_id(job.id, number),
        job_id=job.id,
        number=number,
        site_id=event.site_id,
        pool_id=event.pool_id,
        units=units,
        state=AttemptState.INTENT,
        executor_id=executor_id(job.submission_id, number),
        hold_id=HoldId(f"hold:{attempt_id(job.id, number)}"),
        price_uyuan_per_unit_hour=event.price_uyuan_per_unit_hour,
        run_s_max=wanted.run_s_at(units),
        stop_grace_s=wanted.stop_grace_s,
        intent_at=event.at,
        epoch=event.epoch,
        lease_expires_at=event.lease_expires_at,
        auto_extended_s=former.auto_extended_s if former is not None and event.is_held else 0,
    )
    placed = replace(
        job,
        state=JobState.PLACED,
        attempts=number,
        site_id=event.site_id,
        pool_id=event.pool_id,
        reason=ReasonCode.PLACED,
        message=event.message,
        move_to=None,
    )
    hold = OpenHold(hold_id=intent.hold_id, attempt_id=intent.id, slices=event.slices)
    where = f"attempt {number} goes to {event.site_id}, pool {event.pool_id}"
    return Step(
        placed,
        intent,
        (
            *(() if event.is_held else (hold,)),
            IssueOrder(kind="start", attempt_id=intent.id, site_id=intent.site_id),
            Note(kind="placed", message=where, attempt_id=intent.id),
        ),
    )


def _stop(job: Job, attempt: Attempt | None, event: StopAsked) -> Step:
    if job.state.is_final or job.stop_requested:
        return Step(job, attempt)
    job, undone = moves.let_go(job, "the user stops it")
    if attempt is None or attempt.state.is_dead:
        message = "stopped by the user before it started"
        ended = _end(job, JobState.STOPPED, event.at, ReasonCode.USER_STOPPED, message)
        note = Note(kind="stopped", message=message)
        return Step(replace(ended, stop_requested=True), attempt, (*undone, note))
    asked = replace(job, stop_requested=True)
    if attempt.state is AttemptState.INTENT and not event.was_handed_out:
        return _fence(asked, attempt, event.at, "stopped before the order left the centre")
    return Step(
        replace(asked, state=JobState.STOPPING, message="the user wants it to end"),
        replace(attempt, stop_requested=True),
        (
            *undone,
            IssueOrder(kind="stop", attempt_id=attempt.id, site_id=attempt.site_id),
            Note(kind="stop-asked", message="the user wants it to end", attempt_id=attempt.id),
        ),
    )


def _attempt_event(job: Job, attempt: Attempt, event: AttemptEvent) -> Step:
    if isinstance(event, Reported):
        return _reported(job, attempt, event)
    if isinstance(event, Extended) and not granted_time.may_grow(job, attempt):
        raise _invalid(job, attempt, event, "it has ended, or is being stopped")
    if isinstance(event, MoveAsked):
        if not moves.may_begin(job, attempt):
            raise _invalid(job, attempt, event, "it does not run undisturbed")
        return moves.ask(job, attempt, event)
    if attempt.state.is_dead:
        return Step(job, attempt)
    if isinstance(event, Fenced):
        return _fence(job, attempt, event.at, event.message)
    if isinstance(event, TimeEvent):
        return granted_time.pass_on(job, attempt, event)
    return _sight_event(job, attempt, event)


def _sight_event(job: Job, attempt: Attempt, event: Seen | Lost | FenceDue | LeaseEnded) -> Step:
    match event:
        case Seen():
            return _seen(job, attempt, event)
        case Lost():
            return _lose(job, attempt, event.message)
        case FenceDue():
            return _fence_due(job, attempt)
        case LeaseEnded():
            return _lease_ended(job, attempt)


def _reported(job: Job, attempt: Attempt, event: Reported) -> Step:
    if event.seq <= attempt.report_seq:
        return Step(job, attempt)
    attempt = replace(attempt, report_seq=event.seq)
    if attempt.state.is_dead:
        return _news_of_the_dead(job, attempt, event)
    if event.state in _ENDS:
        return _ended(job, attempt, event)
    if event.state is AttemptState.FENCED:
        return _fence(job, attempt, event.at, event.message or "the agent proved it dead")
    if event.state is AttemptState.UNKNOWN:
        return _lose(job, attempt, event.message or "the executor does not answer")
    if event.state in (AttemptState.SUBMITTING, AttemptState.STARTING, AttemptState.RUNNING):
        return _moved_on(job, attempt, event)
    raise _invalid(job, attempt, event, f"an agent cannot report {event.state.value!r}")


def _moved_on(job: Job, attempt: Attempt, event: Reported) -> Step:
    state = attempt.state
    if state is AttemptState.UNKNOWN:
        has_run = event.state is AttemptState.RUNNING or attempt.started_at is not None
        state = AttemptState.RECOVERED if has_run else event.state
    elif _PROGRESS[event.state] > _PROGRESS[state]:
        state = event.state
    is_running = state in (AttemptState.RUNNING, AttemptState.RECOVERED)
    submitted = event.at if state is not AttemptState.SUBMITTING else None
    started = event.started_at or (event.at if is_running else None)
    moved = replace(
        attempt,
        state=state,
        submitted_at=attempt.submitted_at or submitted,
        started_at=attempt.started_at or started,
        last_seen_at=event.at,
        message=event.message,
    )
    if state is attempt.state:
        return Step(job, moved)
    note = Note(kind=state.value, message=f"attempt {attempt.number} is {state.value}")
    return Step(_follow(job, moved), moved, (replace(note, attempt_id=attempt.id),))


def _follow(job: Job, attempt: Attempt) -> Job:
    """Return the job as its live attempt makes it: running, unless it is being stopped."""
    if attempt.state not in (AttemptState.RUNNING, AttemptState.RECOVERED):
        return job
    state = JobState.RUNNING if job.state is JobState.PLACED else job.state
    return replace(job, state=state, started_at=job.started_at or attempt.started_at)


def _seen(job: Job, attempt: Attempt, event: Seen) -> Step:
    seen = replace(attempt, last_seen_at=event.at)
    if attempt.state is not AttemptState.UNKNOWN or attempt.started_at is None:
        return Step(job, seen)
    found = replace(seen, state=AttemptState.RECOVERED, message="")
    note = Note(kind="recovered", message="its site has it running", attempt_id=attempt.id)
    return Step(_follow(job, found), found, (note,))


def _lose(job: Job, attempt: Attempt, message: str) -> Step:
    """Lost from sight is not dead: capacity and hold stay, no other attempt may begin."""
    if attempt.state is AttemptState.UNKNOWN:
        return Step(job, attempt)
    unknown = replace(attempt, state=AttemptState.UNKNOWN, message=message)
    return Step(job, unknown, (Note(kind="unknown", message=message, attempt_id=attempt.id),))


def _fence_due(job: Job, attempt: Attempt) -> Step:
    if attempt.state is not AttemptState.UNKNOWN:
        return Step(job, attempt)
    return Step(job, attempt, (_order("fence", attempt),))


def _lease_ended(job: Job, attempt: Attempt) -> Step:
    """Only a proof lets the next attempt begin, also after the lease: agents can be dead too."""
    lost = _lose(job, attempt, "its lease has ended and no end was reported")
    return lost._replace(instructions=(*lost.instructions, _order("fence", attempt)))


def _order(kind: OrderKind, attempt: Attempt) -> IssueOrder:
    return IssueOrder(kind=kind, attempt_id=attempt.id, site_id=attempt.site_id)


# --- ends ---------------------------------------------------------------------------------------


def _ended(job: Job, attempt: Attempt, event: Reported) -> Step:
    ended = replace(
        attempt,
        state=event.state,
        started_at=event.started_at or attempt.started_at,
        ended_at=min(event.ended_at or event.at, event.at),
        last_seen_at=event.at,
        exit_code=event.exit_code,
        message=event.message,
    )
    if event.state is AttemptState.FAILED and event.is_infrastructure:
        return _site_failed(
            job, replace(ended, failure=FailureKind.INFRASTRUCTURE), event.at, "failed at the site"
        )
    if moves.goes_on(job, ended):
        return moves.stopped(job, ended, _settle(ended, event))
    job, undone = moves.let_go(job, f"it ended at {attempt.site_id} before it could move")
    if event.state is AttemptState.FAILED:
        ended = replace(ended, failure=FailureKind.USER)
    state = JobState(event.state.value)
    reason, message = _reason_of_end(job, ended)
    finished = _end(job, state, ended.ended_at or event.at, reason, message)
    finished = replace(
        finished, exit_code=event.exit_code, started_at=job.started_at or ended.started_at
    )
    note = Note(kind=state.value, message=message or state.value, attempt_id=attempt.id)
    return Step(finished, ended, (_settle(ended, event), note, *undone))


def _reason_of_end(job: Job, attempt: Attempt) -> tuple[ReasonCode | None, str]:
    if attempt.state is AttemptState.SUCCEEDED:
        return None, attempt.message
    if attempt.state is AttemptState.FAILED:
        words = attempt.message or f"the program ended with exit code {attempt.exit_code}"
        return ReasonCode.USER_FAILED, words
    if job.stop_requested:
        return ReasonCode.USER_STOPPED, attempt.message or "stopped by the user"
    if attempt.stop_requested or _ran_s(attempt) >= attempt.run_s_confirmed:
        return ReasonCode.TIME_LIMIT, granted_time.words_of_the_end(attempt)
    return ReasonCode.USER_STOPPED, attempt.message or "stopped at the site"


def _ran_s(attempt: Attempt) -> float:
    if attempt.started_at is None or attempt.ended_at is None:
        return 0.0
    return (attempt.ended_at - attempt.started_at).total_seconds()


def _settle(attempt: Attempt, event: Reported) -> Bill | ReleaseHold:
    """Pay for the window; an attempt that never ran pays nothing."""
    window = billable_window(attempt, event.at)
    if window is None:
        return ReleaseHold(
            attempt_id=attempt.id, hold_id=attempt.hold_id, message="it never ran: no charge"
        )
    return Bill(
        attempt_id=attempt.id,
        started_at=window[0],
        ended_at=window[1],
        source=event.window_source,
    )


def billable_window(attempt: Attempt, now: datetime) -> tuple[datetime, datetime] | None:
    """Return the part of an attempt's run that may be billed, or None where nothing may.

    The agent's clock is not trusted: nothing before the intent, nothing after ``now`` or after the
    lease, and no more than the time that was paid for: the longest run and the grace of its stop.
    The window is never negative.
    """
    if attempt.started_at is None:
        return None
    start = min(max(attempt.started_at, attempt.intent_at), now)
    limit = start + timedelta(seconds=attempt.use_s_max)
    end = min(attempt.ended_at or now, now, attempt.lease_expires_at, limit)
    return (start, end) if end > start else None


def _fence(job: Job, attempt: Attempt, at: datetime, message: str) -> Step:
    fenced = replace(
        attempt,
        state=AttemptState.FENCED,
        ended_at=at,
        failure=FailureKind.INFRASTRUCTURE,
        message=message,
    )
    return _site_failed(job, fenced, at, "proven dead")


def _site_failed(job: Job, attempt: Attempt, at: datetime, how: str) -> Step:
    """An end that is not the user's fault is free, and leads elsewhere while attempts are left."""
    said = f": {attempt.message}" if attempt.message else ""
    message = f"attempt {attempt.number} at {attempt.site_id} is {how}{said}"
    release = ReleaseHold(
        attempt_id=attempt.id, hold_id=attempt.hold_id, message="no charge: not the user's fault"
    )
    was_moving = job.move_to is not None
    job, undone = moves.let_go(job, f"its attempt at {attempt.site_id} is lost")
    undo = (release, WithdrawOrders(attempt_id=attempt.id), *undone)
    note = Note(kind=attempt.state.value, message=message, attempt_id=attempt.id)
    if job.stop_requested or (attempt.stop_requested and not was_moving):
        reason = ReasonCode.USER_STOPPED if job.stop_requested else ReasonCode.TIME_LIMIT
        ended = _end(job, JobState.STOPPED, at, reason, message)
        return Step(ended, attempt, (*undo, note))
    tried = job.attempts - job.moves
    if tried >= ATTEMPTS_MAX:
        words = f"{message}; {tried} of {ATTEMPTS_MAX} attempts are used"
        return Step(
            _end(job, JobState.FAILED, at, ReasonCode.SITE_FAILED, words),
            attempt,
            (*undo, note),
        )
    waiting = replace(
        job,
        state=JobState.QUEUED,
        site_id=None,
        pool_id=None,
        reason=ReasonCode.RETRY_ELSEWHERE,
        message=message,
    )
    requeue = Requeue(avoid_site_id=attempt.site_id, avoid_pool_id=attempt.pool_id, message=message)
    return Step(waiting, attempt, (*undo, note, requeue))


def _news_of_the_dead(job: Job, attempt: Attempt, event: Reported) -> Step:
    """A dead attempt that runs is a safety incident: stop it first, then tell people."""
    if event.state in (AttemptState.STARTING, AttemptState.RUNNING):
        alarm = f"attempt {attempt.number} was proven dead and is reported {event.state.value}"
        note = Note(kind="incident", message=alarm, attempt_id=attempt.id, is_alarm=True)
        return Step(job, attempt, (_order("fence", attempt), note))
    return Step(job, attempt)


def _end(job: Job, state: JobState, at: datetime, reason: ReasonCode | None, message: str) -> Job:
    return replace(job, state=state, ended_at=at, reason=reason, message=message)


def _invalid(job: Job, attempt: Attempt | None, event: Event, why: str) -> InvalidTransition:
    what = type(event).__name__
    return InvalidTransition(
        f"{what} does not fit job {job.submission_id} in state {job.state.value}: {why}",
        job_id=job.id,
        job_state=job.state.value,
        attempt_id=None if attempt is None else attempt.id,
        attempt_state=None if attempt is None else attempt.state.value,
        event=what,
    )
