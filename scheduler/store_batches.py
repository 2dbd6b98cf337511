"""Batches of jobs in the database. Nothing here commits."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, func, select
from sqlalchemy.sql.elements import ColumnElement

from scheduler.store import insert_if_new
from suanwang.db.tables import job as job_table
from suanwang.db.tables import job_batch as batch_table
from suanwang.ids import BatchId, JobId, TenantId
from suanwang.model.job import FINAL_JOB_STATES, JobState
from suanwang.model.job_batch import JobBatch


def insert(connection: Connection, batch: JobBatch) -> bool:
    """Insert a batch; return False where its key is taken, also by somebody who commits first."""
    return insert_if_new(connection, batch_table, asdict(batch))


def by_key(connection: Connection, tenant_id: TenantId, request_key: str) -> JobBatch | None:
    """Return the batch that a tenant sent under a key, or None."""
    return _find(
        connection,
        batch_table.c.tenant_id == tenant_id,
        batch_table.c.request_key == request_key,
    )


def by_id(connection: Connection, batch_id: str) -> JobBatch | None:
    """Return a batch, or None."""
    return _find(connection, batch_table.c.id == batch_id)


def _find(connection: Connection, *which: ColumnElement[bool]) -> JobBatch | None:
    row = connection.execute(select(batch_table).where(*which)).mappings().first()
    return None if row is None else JobBatch(**row)


def states(connection: Connection, batch_id: BatchId) -> dict[JobState, int]:
    """Return how many jobs of a batch are in each state that any is in."""
    query = (
        select(job_table.c.state, func.count())
        .where(job_table.c.batch_id == batch_id)
        .group_by(job_table.c.state)
        .order_by(job_table.c.state)
    )
    return {JobState(state): int(count) for state, count in connection.execute(query)}


def names(connection: Connection, batch_id: BatchId) -> tuple[str, ...]:
    """Return the submission ids of a batch's jobs, in the order in which they stood in it."""
    query = (
        select(job_table.c.submission_id)
        .where(job_table.c.batch_id == batch_id)
        .order_by(job_table.c.id)
    )
    return tuple(connection.execute(query).scalars())


def unfinished(connection: Connection, batch_id: BatchId) -> Sequence[JobId]:
    """Return the jobs of a batch that have not ended."""
    final = sorted(state.value for state in FINAL_JOB_STATES)
    query = (
        select(job_table.c.id)
        .where(job_table.c.batch_id == batch_id, job_table.c.state.not_in(final))
        .order_by(job_table.c.id)
    )
    return tuple(JobId(name) for name in connection.execute(query).scalars())
