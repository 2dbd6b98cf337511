"""The time that is paid for: warned of before it ends, extended while it runs, used up. Pure.

``lifecycle.advance`` hands these events on; a time is granted only together with its money, and an
attempt that is being stopped is never given more.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from scheduler.events import (
    ConfirmExtension,
    Extended,
    ExtendHold,
    ExtensionKnown,
    IssueOrder,
    Note,
    Step,
    TimeEvent,
    TimeShort,
    TimeUsed,
)
from suanwang.model.attempt import Attempt, Extension
from suanwang.model.job import Job, JobState
from suanwang.model.plan import ReasonCode
from suanwang.units import yuan_text


def may_grow(job: Job, attempt: Attempt) -> bool:
    """Whether the attempt may still be given more time: it lives, and nobody stops it."""
    is_stopping = job.stop_requested or attempt.stop_requested or job.state is JobState.STOPPING
    return not (attempt.state.is_dead or job.state.is_final or is_stopping)


def automatic_s(job: Job, attempt: Attempt) -> int:
    """Return how much more the job's own wish asks for at a time, in seconds; 0 for nothing."""
    wishes = job.wishes
    return max(0, min(wishes.extend_s, wishes.extend_s_max - attempt.auto_extended_s))


def pass_on(job: Job, attempt: Attempt, event: TimeEvent) -> Step:
    """Return job and attempt after an event about granted time; the attempt is not dead."""
    match event:
        case TimeShort():
            return _short(job, attempt, event)
        case TimeUsed():
            return _used(job, attempt)
        case Extended():
            return _extend(job, attempt, event)
        case ExtensionKnown():
            return _known(job, attempt, event)


def _short(job: Job, attempt: Attempt, event: TimeShort) -> Step:
    """Its hold covers all its time and no more, so what runs short is said before it is gone."""
    is_told = attempt.warned_s == attempt.run_s_max
    if attempt.stop_requested or attempt.started_at is None or is_told:
        return Step(job, attempt)
    end = attempt.started_at + timedelta(seconds=attempt.run_s_max)
    left_s = max(0, (end - event.at) // timedelta(seconds=1))
    message = (
        f"{left_s} s of the {attempt.run_s_max} s that are paid for are left; it is stopped at "
        f"{_moment(end)}, with {attempt.stop_grace_s} s to end"
    )
    notes = [Note(kind="time-short", message=message, attempt_id=attempt.id)]
    if event.why_not_longer:
        refused = f"not extended: {event.why_not_longer}"
        notes.insert(0, Note(kind="extension-refused", message=refused, attempt_id=attempt.id))
        message = f"{message}; {refused}"
    order = IssueOrder(
        kind="note",
        attempt_id=attempt.id,
        site_id=attempt.site_id,
        number=attempt.run_s_max,
        message=message,
    )
    return Step(
        replace(job, reason=ReasonCode.TIME_SHORT, message=message),
        replace(attempt, warned_s=attempt.run_s_max),
        (order, *notes),
    )


def _used(job: Job, attempt: Attempt) -> Step:
    if attempt.stop_requested or attempt.started_at is None:
        return Step(job, attempt)
    message = f"all {attempt.run_s_max} s that were paid for are used"
    return Step(
        replace(job, state=JobState.STOPPING, reason=ReasonCode.TIME_LIMIT, message=message),
        replace(attempt, stop_requested=True),
        (
            IssueOrder(kind="stop", attempt_id=attempt.id, site_id=attempt.site_id),
            Note(kind="time-used", message=message, attempt_id=attempt.id),
        ),
    )


def _extend(job: Job, attempt: Attempt, event: Extended) -> Step:
    extension = Extension(
        attempt_id=attempt.id,
        number=attempt.extensions + 1,
        job_id=job.id,
        at=event.at,
        by_s=event.by_s,
        run_s_max=attempt.run_s_max + event.by_s,
        lease_expires_at=attempt.lease_expires_at + timedelta(seconds=event.by_s),
        amount_fen=event.amount_fen,
        is_automatic=event.is_automatic,
        asked_by=event.asked_by,
        request_key=event.request_key,
    )
    longer = replace(
        attempt,
        run_s_max=extension.run_s_max,
        lease_expires_at=extension.lease_expires_at,
        extensions=extension.number,
        unconfirmed_s=attempt.unconfirmed_s + event.by_s,
        auto_extended_s=attempt.auto_extended_s + (event.by_s if event.is_automatic else 0),
    )
    message = _words(extension, longer)
    return Step(
        replace(job, reason=ReasonCode.PLACED, message=message),
        longer,
        (
            ExtendHold(hold_id=attempt.hold_id, slices=event.slices, extension=extension),
            IssueOrder(
                kind="extend",
                attempt_id=attempt.id,
                site_id=attempt.site_id,
                number=extension.number,
                message=message,
            ),
            Note(kind="extended", message=message, attempt_id=attempt.id),
        ),
    )


def _words(extension: Extension, attempt: Attempt) -> str:
    """State both figures: the time that was added and the money for it."""
    who = "as the job wished" if extension.is_automatic else "by hand"
    until = ""
    if attempt.started_at is not None:
        end = attempt.started_at + timedelta(seconds=attempt.run_s_max)
        until = f", until {_moment(end)}"
    return (
        f"extended by {extension.by_s} s {who}: it may run for {attempt.run_s_max} s{until}; "
        f"{yuan_text(extension.amount_fen)} yuan more are set aside"
    )


def _known(job: Job, attempt: Attempt, event: ExtensionKnown) -> Step:
    """What the agent knows only grows; an extension that came too late is not counted as known."""
    if event.is_late:
        message = (
            f"extension {event.number} came to {attempt.site_id} too late: "
            f"it had begun to stop the attempt"
        )
        return Step(
            job, attempt, (Note(kind="extension-late", message=message, attempt_id=attempt.id),)
        )
    left_s = max(0, attempt.run_s_max - event.run_s_max)
    if left_s >= attempt.unconfirmed_s:
        return Step(job, attempt)
    message = f"{attempt.site_id} knows that it may run for {event.run_s_max} s"
    return Step(
        job,
        replace(attempt, unconfirmed_s=left_s),
        (
            ConfirmExtension(attempt_id=attempt.id, number=event.number),
            Note(kind="extension-confirmed", message=message, attempt_id=attempt.id),
        ),
    )


def words_of_the_end(attempt: Attempt) -> str:
    """Say that all time was used; an extension that the agent never knew of is named as such."""
    if attempt.unconfirmed_s:
        return (
            f"stopped after the {attempt.run_s_confirmed} s that its site knew of; "
            f"{attempt.unconfirmed_s} s more were granted, and not confirmed by it in time"
        )
    return f"stopped after the {attempt.run_s_max} s that were paid for"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
