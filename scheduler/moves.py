"""A running job moves: it is stopped with its state saved, and goes on in another pool. Pure.

``lifecycle.advance`` hands these events on. Money for the rest of the run is set aside at the new
place before anything is stopped, under the number of the next attempt; that one begins when the
present one has ended by its own report, and never before. Whatever ends the job otherwise lets the
move go, and its money with it: so a hold ends once, and a move is finished or undone.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from scheduler.events import (
    Bill,
    Instruction,
    IssueOrder,
    MoveAsked,
    MoveDropped,
    Note,
    OpenHold,
    ReleaseHold,
    Step,
)
from suanwang.ids import AttemptId, HoldId, attempt_id
from suanwang.model.attempt import Attempt, AttemptState
from suanwang.model.job import Job, JobState
from suanwang.model.plan import ReasonCode

RUNS: Final = frozenset({AttemptState.RUNNING, AttemptState.RECOVERED})
_SECOND: Final = timedelta(seconds=1)


def may_begin(job: Job, attempt: Attempt) -> bool:
    """Whether the job runs undisturbed and its user lets it move."""
    is_stopping = job.stop_requested or attempt.stop_requested or job.state is not JobState.RUNNING
    runs = attempt.state in RUNS and attempt.started_at is not None
    is_newest = attempt.number == job.attempts and job.move_to is None
    return job.wishes.may_move and runs and is_newest and not is_stopping


def left_run_s(attempt: Attempt, ran: timedelta) -> int:
    """Return what an attempt leaves of its run after it ran so long, whole seconds."""
    return max(0, (timedelta(seconds=attempt.run_s_max) - ran) // _SECOND)


def hold_of_move(job: Job) -> tuple[AttemptId, HoldId]:
    """Return the attempt that a moving job goes on as, and the hold that waits for it."""
    name = attempt_id(job.id, job.attempts)
    return name, HoldId(f"hold:{name}")


def ask(job: Job, attempt: Attempt, event: MoveAsked) -> Step:
    """Set money aside for the rest of the run elsewhere, and ask the program to save and end."""
    moving = replace(
        job,
        move_to=event.pool_id,
        moves=job.moves + 1,
        attempts=job.attempts + 1,
        reason=ReasonCode.MOVING,
        message=event.message,
    )
    name, hold_id = hold_of_move(moving)
    return Step(
        moving,
        replace(attempt, stop_requested=True),
        (
            OpenHold(hold_id=hold_id, attempt_id=name, slices=event.slices),
            IssueOrder(kind="stop", attempt_id=attempt.id, site_id=attempt.site_id),
            Note(kind="moving", message=event.message, attempt_id=attempt.id),
        ),
    )


def goes_on(job: Job, ended: Attempt) -> bool:
    """Whether a job whose attempt has ended goes on where it is bound for."""
    is_stop = ended.state is AttemptState.STOPPED and not job.stop_requested
    return is_stop and job.move_to is not None and left_run_s(ended, _ran(ended)) > 0


def stopped(job: Job, ended: Attempt, settled: Bill | ReleaseHold) -> Step:
    """Pay for what was used, and queue the job for the rest of its run."""
    left_s = left_run_s(ended, _ran(ended))
    message = (
        f"stopped at {ended.site_id} after {_ran(ended) // _SECOND} s to move to {job.move_to}; "
        f"{left_s} s of its run are left, {job.wishes.checkpoint_s} s to save and load come on top"
    )
    waiting = replace(
        job,
        state=JobState.QUEUED,
        site_id=None,
        pool_id=None,
        reason=ReasonCode.MOVING,
        message=message,
        started_at=job.started_at or ended.started_at,
        left_units=ended.units,
        left_run_s=left_s + job.wishes.checkpoint_s,
    )
    note = Note(kind="move-stopped", message=message, attempt_id=ended.id)
    return Step(waiting, ended, (settled, note))


def drop(job: Job, attempt: Attempt | None, event: MoveDropped) -> Step:
    """Let the move of a queued job go: what is left of its run is planned like any other."""
    free, undone = let_go(job, event.message)
    return Step(replace(free, message=event.message) if undone else job, attempt, undone)


def let_go(job: Job, why: str) -> tuple[Job, tuple[Instruction, ...]]:
    """Return the job bound for nowhere, and what gives back the money that waits for its move."""
    if job.move_to is None:
        return job, ()
    name, hold_id = hold_of_move(job)
    words = f"it does not move to {job.move_to}: {why}"
    release = ReleaseHold(attempt_id=name, hold_id=hold_id, message=words)
    return replace(job, move_to=None), (release, Note(kind="move-dropped", message=words))


def _ran(attempt: Attempt) -> timedelta:
    if attempt.started_at is None or attempt.ended_at is None:
        return timedelta(0)
    return max(timedelta(0), attempt.ended_at - attempt.started_at)
