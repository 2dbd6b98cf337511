"""Batches: many jobs in one request, once for each key; look at one as a whole, stop it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace

from fastapi import APIRouter

from api.booking import Books, KeyHeader, key_of
from api.context import Context
from api.identity import Identity, JobReader, JobRunner
from api.routers.jobs import announce_to_writer, new_job
from api.schemas.job_batches import (
    BatchIn,
    BatchJobIn,
    BatchOut,
    BatchStopped,
    BatchSubmitted,
    batch_out,
)
from scheduler import batches, store_batches
from scheduler.admission import NewJob
from suanwang.errors import BadInput, SuanwangError
from suanwang.ids import BatchId, JobId
from suanwang.model.array import COUNT_VARIABLE, INDEX_VARIABLE, parse_array
from voucher.turn import Turn

router = APIRouter(prefix="/v1/job-batches", tags=["jobs"])

STOPPED_AT_ONCE = 100
"""Jobs that one unit of work asks to end; others come to the ledger in between."""


@router.post("", status_code=201, summary="Submit many jobs")
def submit_batch(
    body: BatchIn, identity: JobRunner, context: Context, key: KeyHeader = None
) -> BatchSubmitted:
    """Take all jobs into the queue, or none; the same key with the same body is the same batch.

    Refused as single jobs are; `facts.items` names each job that cannot be taken (100 at most).
    """
    why = "a batch needs a key of yours, so that a retry is the same batch"
    asked = _asked(body, key_of(key, body.key, why), identity, context.ids.new("batch"))
    with context.writing() as connection:
        batch, is_repeat = batches.submit_batch(connection, asked, context.scheduling)
        names = store_batches.names(connection, batch.id)
        announce_to_writer(connection, context)
    context.wake()
    return BatchSubmitted(
        batch_id=batch.id,
        submitted_at=batch.submitted_at,
        is_repeat=is_repeat,
        submission_ids=list(names),
    )


@router.get("/{batch_id}", summary="Look at a batch")
def look_at_batch(batch_id: str, identity: JobReader, context: Context) -> BatchOut:
    """Return a batch with the number of its jobs in each state."""
    with context.reading() as connection:
        batch = batches.find_batch(connection, identity.tenant_scope, batch_id)
        return batch_out(batch, store_batches.states(connection, batch.id))


@router.post("/{batch_id}/stop", summary="Stop a batch")
def stop_batch(batch_id: str, identity: JobRunner, context: Context, books: Books) -> BatchStopped:
    """Ask all jobs of a batch to end, each with its grace; say how many had not ended already."""
    with context.reading() as connection:
        batch = batches.find_batch(connection, identity.tenant_scope, batch_id)
        left = store_batches.unfinished(connection, batch.id)
    stopped = 0
    for first in range(0, len(left), STOPPED_AT_ONCE):
        some = left[first : first + STOPPED_AT_ONCE]

        def stop(turn: Turn, some: tuple[JobId, ...] = tuple(some)) -> int:
            return batches.stop_some(turn, some, context.clock.now())

        stopped += books.change(stop)
    return BatchStopped(stopped=stopped)


def _asked(body: BatchIn, key: str, identity: Identity, batch_id: str) -> batches.BatchAsked:
    """Read a batch, its arrays written out; what cannot be read stands there as its error."""
    jobs: list[NewJob | SuanwangError] = []
    for at, item in enumerate(body.jobs):
        usual = batch_id if len(body.jobs) == 1 else f"{batch_id}-{at}"
        try:
            jobs += _written_out(item, usual, identity)
        except BadInput as error:
            jobs.append(error)
        if len(jobs) > batches.JOBS_MAX:
            raise BadInput(
                f"the batch has more than {batches.JOBS_MAX} jobs",
                next_step="send it in several parts, each under a key of its own",
                limit=batches.JOBS_MAX,
            )
    sent = [item.model_dump(mode="json", exclude_defaults=True) for item in body.jobs]
    text = json.dumps(sent, sort_keys=True, ensure_ascii=True)
    return batches.BatchAsked(
        id=BatchId(batch_id),
        tenant_id=identity.tenant_id,
        request_key=key,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        jobs=jobs,
    )


def _written_out(item: BatchJobIn, usual: str, identity: Identity) -> Iterator[NewJob]:
    """Return a job, or one for each index of its array, which it finds in its environment."""
    job = new_job(item, item.submission_id or usual, identity)
    if item.array is None:
        return iter((job,))
    indices = parse_array(item.array, batches.JOBS_MAX)
    given = item.runtime_env.get("env_vars", {})
    if not isinstance(given, dict) or {INDEX_VARIABLE, COUNT_VARIABLE} & set(given):
        raise BadInput(
            f"runtime_env: env_vars must be an object without {INDEX_VARIABLE} and "
            f"{COUNT_VARIABLE}, which an array sets"
        )

    def at(index: int) -> NewJob:
        own = {INDEX_VARIABLE: str(index), COUNT_VARIABLE: str(len(indices))}
        return replace(
            job,
            submission_id=f"{job.submission_id}-{index}",
            runtime_env={**item.runtime_env, "env_vars": {**given, **own}},
        )

    return map(at, indices)
