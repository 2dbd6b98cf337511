"""Jobs as the outside sees them: submit, look, list, stop, delete. Nothing here commits."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from scheduler import packages, quotes, store, store_orders
from scheduler.context import Context
from scheduler.events import StopAsked
from scheduler.order import refuse_unknown
from scheduler.store import JobEvent
from scheduler.transition import take
from suanwang.errors import BadInput, Conflict, NotFound
from suanwang.ids import SUBMISSION_ID, JobId, TenantId
from suanwang.model.attempt import Attempt
from suanwang.model.job import Job, JobState, Wishes
from voucher.turn import Turn

_LOG = logging.getLogger(__name__)

ENTRYPOINT_LENGTH_MAX: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What a user submits; ``wishes`` were read from ``metadata`` by ``parse_wishes``."""

    tenant_id: TenantId
    submission_id: str
    entrypoint: str
    wishes: Wishes
    runtime_env: Mapping[str, object] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    entrypoint_num_cpus: float | None = None
    entrypoint_num_gpus: float | None = None
    entrypoint_memory: int | None = None
    entrypoint_resources: Mapping[str, float] = field(default_factory=dict)


def submit(connection: Connection, new: NewJob, context: Context) -> Job:
    """Take a job into the queue; the same body under the same id again is the same job.

    Raises BadInput for an id Ray cannot take or a package that is not here, Conflict for an id that
    is in use for something else, Refused where no site could ever run it (law, size, budget).
    """
    _check(connection, new)
    former = _former(connection, new)
    if former is not None:
        return former
    now = context.clock.now()
    job = Job(
        id=JobId(context.ids.new("job")),
        state=JobState.QUEUED,
        submitted_at=now,
        **{name: getattr(new, name) for name in NewJob.__slots__},
    )
    refuse_unknown(connection, job.wishes, job)
    quotes.refuse_hopeless(connection, job, context)
    if not store.insert_job(connection, job):
        raced = _former(connection, new)
        if raced is None:
            raise _taken(new.submission_id)
        return raced
    message = f"{job.wishes.units} units for at most {job.wishes.run_s_max} s"
    event = JobEvent(job_id=job.id, seq=0, at=now, kind="submitted", message=message)
    store.add_event(connection, event)
    _LOG.info("job submitted: %s", message, extra={"job": job.id, "tenant": job.tenant_id})
    return job


def _check(connection: Connection, new: NewJob) -> None:
    if not SUBMISSION_ID.fullmatch(new.submission_id):
        raise BadInput(
            f"submission id {new.submission_id!r} is not 1 to 128 of A-Z a-z 0-9 . _ -",
            next_step="leave it out to have one made",
        )
    if not new.entrypoint.strip() or len(new.entrypoint) > ENTRYPOINT_LENGTH_MAX:
        raise BadInput(
            f"the entrypoint has {len(new.entrypoint)} characters, "
            f"allowed are 1 to {ENTRYPOINT_LENGTH_MAX}"
        )
    stored = packages.digests_of(connection, new.tenant_id, new.runtime_env)
    for uri in packages.package_uris(new.runtime_env):
        if uri not in stored:
            raise BadInput(f"package {uri} is not here", next_step="upload it, then submit again")


def _former(connection: Connection, new: NewJob) -> Job | None:
    """Return the job that an equal submit made; raise Conflict where the id is in other use."""
    try:
        job = store.job_by_submission(connection, None, new.submission_id)
    except NotFound:
        return None
    if any(getattr(job, name) != getattr(new, name) for name in NewJob.__slots__):
        raise _taken(new.submission_id)
    return job


def _taken(submission_id: str) -> Conflict:
    return Conflict(
        f"a job with submission id {submission_id!r} already exists",
        next_step="choose another submission id, or leave it out",
        submission_id=submission_id,
    )


def request_stop(turn: Turn, tenant_id: TenantId | None, submission_id: str, now: datetime) -> bool:
    """Ask a job to end, with its grace; return False where it has ended already."""
    connection = turn.connection
    job = store.job_by_submission(connection, tenant_id, submission_id, lock=True)
    if job.state.is_final:
        return False
    attempt = store.latest_attempt(connection, job.id)
    is_out = attempt is None or store_orders.was_handed_out(connection, attempt.id)
    take(turn, job, attempt, StopAsked(at=now, was_handed_out=is_out))
    return True


def find_job(connection: Connection, tenant_id: TenantId | None, submission_id: str) -> Job:
    """Return a tenant's job (None: of any tenant); raise NotFound, also for somebody else's."""
    return store.job_by_submission(connection, tenant_id, submission_id)


def list_jobs(
    connection: Connection,
    *,
    tenant_id: TenantId | None = None,
    state: JobState | None = None,
    before: str | None = None,
    limit: int = 100,
) -> tuple[Job, ...]:
    """Return jobs, newest first; ``before`` is the submission id of the last one of a page.

    Raises NotFound where ``before`` names no job of the tenant.
    """
    after = None
    if before is not None:
        last = store.job_by_submission(connection, tenant_id, before)
        after = (last.submitted_at, str(last.id))
    return store.list_jobs(connection, tenant_id=tenant_id, state=state, before=after, limit=limit)


def delete_job(connection: Connection, tenant_id: TenantId | None, submission_id: str) -> None:
    """Forget a job that has ended; the ledger keeps its entries. Raises Conflict before its end."""
    job = store.job_by_submission(connection, tenant_id, submission_id, lock=True)
    if not job.state.is_final:
        raise Conflict(
            f"job {submission_id!r} is {job.state.value}; only ended jobs can be deleted",
            next_step=f"suanwang stop {submission_id}",
        )
    store.delete_job(connection, job)


def job_events(connection: Connection, job_id: JobId) -> tuple[JobEvent, ...]:
    """Return a job's story, oldest first."""
    return store.job_events(connection, job_id)


def attempts_of(connection: Connection, job_id: JobId) -> tuple[Attempt, ...]:
    """Return a job's attempts, first to last."""
    return store.attempts_of(connection, job_id)
