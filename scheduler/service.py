"""Jobs as the outside sees them: submit, look, list, stop, delete. Nothing here commits."""

from datetime import datetime

from sqlalchemy import Connection

from scheduler import store, store_orders
from scheduler.admission import NewJob as NewJob
from scheduler.admission import admit
from scheduler.context import Context
from scheduler.events import StopAsked
from scheduler.store import JobEvent
from scheduler.transition import take
from suanwang.errors import Conflict, SuanwangError
from suanwang.ids import JobId, TenantId
from suanwang.model.attempt import Attempt
from suanwang.model.job import Job, JobState
from voucher.turn import Turn


def submit(connection: Connection, new: NewJob, context: Context) -> Job:
    """Take a job into the queue; the same body under the same id again is the same job.

    Raises what ``admit`` answers where there is no job.
    """
    (answer,) = admit(connection, [new], context)
    if isinstance(answer, SuanwangError):
        raise answer
    return answer


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
    batch_id: str | None = None,
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
    return store.list_jobs(
        connection,
        tenant_id=tenant_id,
        state=state,
        batch_id=batch_id,
        before=after,
        limit=limit,
    )


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
