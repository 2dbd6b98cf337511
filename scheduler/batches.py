"""Many jobs in one request: all of them or none, once for each key.

A batch is taken in by one transaction. Where one of its jobs cannot be taken, none is, the answer
names each of those, and the key stays free for the next try. Money is set aside when a job starts,
so what runs short later makes single jobs wait, never the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from scheduler import store, store_batches, store_orders
from scheduler.admission import Answer, NewJob, admit
from scheduler.context import Context
from scheduler.events import StopAsked
from scheduler.transition import take
from suanwang.errors import BadInput, Conflict, NotFound, Refused, SuanwangError
from suanwang.ids import BatchId, JobId, TenantId
from suanwang.model.job import Job
from suanwang.model.job_batch import JobBatch
from voucher.turn import Turn

JOBS_MAX: Final = 5_000
"""Jobs in one batch: they are taken in by one transaction, and others wait for it on SQLite."""
TOLD_MAX: Final = 100
"""Jobs that a refused batch names; the number of all is told as well."""
_BY_WEIGHT: Final = (BadInput, Conflict, Refused, SuanwangError)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAsked:
    """A batch on its way in: each job as it was read, or the error that reading it met."""

    id: BatchId
    tenant_id: TenantId
    request_key: str
    digest: str
    jobs: Sequence[NewJob | SuanwangError]


def submit_batch(
    connection: Connection, asked: BatchAsked, context: Context
) -> tuple[JobBatch, bool]:
    """Take all jobs of a batch in, or none; return the batch, and whether it was there before.

    Raises Conflict where the key was used for something else; BadInput, Conflict or Refused, with
    each job that cannot be taken in ``items``. The caller's transaction must then end with it.
    """
    batch = JobBatch(
        id=asked.id,
        tenant_id=asked.tenant_id,
        request_key=asked.request_key,
        digest=asked.digest,
        jobs=len(asked.jobs),
        submitted_at=context.clock.now(),
    )
    if not store_batches.insert(connection, batch):
        former = find_repeat(connection, asked)
        assert former is not None, "what took the key is there to be seen"
        return former, True
    _refuse_whole(asked.jobs)
    news = [one for one in asked.jobs if isinstance(one, NewJob)]
    answers: list[Answer] = list(admit(connection, news, context, batch_id=batch.id))
    taken: set[str] = set()
    for at, answer in enumerate(answers):
        if isinstance(answer, Job) and (
            answer.batch_id != batch.id or answer.submission_id in taken
        ):
            answers[at] = _in_use(answer.submission_id)
        taken.add(news[at].submission_id)
    _refuse_whole(answers, [new.submission_id for new in news])
    return batch, False


def find_repeat(connection: Connection, asked: BatchAsked) -> JobBatch | None:
    """Return the batch that an equal request made; raise Conflict where its key is in other use."""
    former = store_batches.by_key(connection, asked.tenant_id, asked.request_key)
    if former is not None and former.digest != asked.digest:
        raise Conflict(
            f"the key was used for batch {former.id}, which asked for other jobs",
            next_step="choose another key for another request",
            batch_id=former.id,
        )
    return former


def find_batch(connection: Connection, tenant_id: TenantId | None, batch_id: str) -> JobBatch:
    """Return a tenant's batch (None: of any tenant); raise NotFound, also for somebody else's."""
    found = store_batches.by_id(connection, batch_id)
    if found is None or tenant_id not in (None, found.tenant_id):
        raise NotFound(f"there is no batch {batch_id!r}", batch_id=batch_id)
    return found


def stop_some(turn: Turn, job_ids: Sequence[JobId], now: datetime) -> int:
    """Ask jobs to end, each with its grace; return how many had not ended already."""
    stopped = 0
    for job in store.lock_jobs(turn.connection, job_ids).values():
        if job.state.is_final:
            continue
        attempt = store.latest_attempt(turn.connection, job.id)
        is_out = attempt is None or store_orders.was_handed_out(turn.connection, attempt.id)
        take(turn, job, attempt, StopAsked(at=now, was_handed_out=is_out))
        stopped += 1
    return stopped


def _in_use(submission_id: str) -> Conflict:
    return Conflict(
        f"submission id {submission_id!r} is in use, or stands in the batch twice",
        submission_id=submission_id,
    )


def _refuse_whole(answers: Sequence[object], names: Sequence[str] = ()) -> None:
    """Raise the error of a batch where any of its jobs has one: wrong words first, money last."""
    failed = [(at, one) for at, one in enumerate(answers) if isinstance(one, SuanwangError)]
    if not failed:
        return
    items = [
        {
            "index": at,
            "submission_id": names[at] if names else "",
            "code": error.code,
            "message": error.message,
        }
        for at, error in failed[:TOLD_MAX]
    ]
    at, first = failed[0]
    kind = next(kind for kind in _BY_WEIGHT if any(isinstance(error, kind) for _, error in failed))
    raise kind(
        f"{len(failed)} of {len(answers)} jobs cannot be taken, so none was; jobs[{at}]: "
        f"{first.message}",
        next_step="put right what `items` names, and send the batch again under the same key",
        jobs=len(answers),
        failed=len(failed),
        items=items,
    )
