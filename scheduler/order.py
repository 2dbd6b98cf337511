"""Jobs that come after others: what is known of those, and who has to be given up.

A job can only name jobs that were there before it, so a circle cannot be made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from optimizer.problem import After, Problem
from scheduler import store
from scheduler.snapshot import free_at
from suanwang.errors import BadInput
from suanwang.ids import JobId
from suanwang.model.attempt import Attempt
from suanwang.model.job import Job, JobState, Predecessor

_ENDED_BADLY: Final = frozenset({JobState.FAILED, JobState.STOPPED})


@dataclass(frozen=True, slots=True)
class Order:
    """What each waiting job comes after, as the planner wants it, and who waits in vain and why."""

    after: Mapping[JobId, tuple[After, ...]] = field(default_factory=dict)
    forsaken: Mapping[JobId, str] = field(default_factory=dict)


def refuse_unknown(known: Mapping[str, Job], job: Job) -> None:
    """Raise BadInput where ``after`` names a job that the tenant does not have, or that failed.

    ``known`` has the jobs that it names by submission id, as far as there are any.
    """
    for name in (one.submission_id for one in job.wishes.after):
        first = known.get(name)
        if first is None or first.tenant_id != job.tenant_id:
            raise BadInput(
                f"'after' names job {name!r}, and there is no such job of yours",
                next_step="submit that one first, and name it by its submission id",
                key="after",
            )
        if first.state in _ENDED_BADLY:
            raise BadInput(
                f"'after' names job {name!r}, which is {first.state.value}: it would never start",
                next_step="submit that one again under another id, and name it",
                key="after",
            )


def look_up(connection: Connection, jobs: Sequence[Job], now: datetime) -> Order:
    """Return what the jobs of the queue come after, as things stand."""
    waiting = [job for job in jobs if job.wishes.after]
    if not waiting:
        return Order()
    names = sorted({one.submission_id for job in waiting for one in job.wishes.after})
    known = store.jobs_by_submissions(connection, names)
    running = {attempt.job_id: attempt for attempt in store.live_attempts(connection)}
    planned = {job.id for job in jobs}
    after: dict[JobId, tuple[After, ...]] = {}
    forsaken: dict[JobId, str] = {}
    for job in waiting:
        why = _why_in_vain(job, known)
        if why:
            forsaken[job.id] = why
            continue
        after[job.id] = tuple(
            _after(one, known[one.submission_id], planned, running, now) for one in job.wishes.after
        )
    return Order(after, forsaken)


def put_in_order(problem: Problem, order: Order) -> Problem:
    """Return the problem in which each job knows what it comes after."""
    if not order.after:
        return problem
    jobs = tuple(replace(spec, after=order.after.get(JobId(spec.id), ())) for spec in problem.jobs)
    return replace(problem, jobs=jobs)


def _why_in_vain(job: Job, known: Mapping[str, Job]) -> str:
    for one in job.wishes.after:
        first = known.get(one.submission_id)
        if first is None:
            return f"job {one.submission_id}, which it comes after, was deleted"
        if first.state in _ENDED_BADLY:
            return f"job {one.submission_id}, which it comes after, is {first.state.value}"
    return ""


def _after(
    one: Predecessor,
    first: Job,
    planned: set[JobId],
    running: Mapping[JobId, Attempt],
    now: datetime,
) -> After:
    """What is known of a job that another comes after: its end at the latest, and where."""
    end_s: float | None = None
    attempt = running.get(first.id)
    if first.state is JobState.SUCCEEDED:
        end_s = min(0.0, ((first.ended_at or now) - now).total_seconds())
    elif attempt is not None and first.id not in planned:
        end_s = (free_at(attempt, now) - now).total_seconds()
    return After(
        job_id=first.id,
        transfer_gb=one.transfer_gb,
        end_s=end_s,
        site_id=first.site_id or "",
    )
