"""Jobs, attempts and the story of each job in the database. Nothing here commits.

Who changes a job locks its row first (PostgreSQL; on SQLite the whole transaction is the lock), in
the order of job ids where there are several. ``version`` guards those who decided on an older read.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Table, bindparam, delete, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from scheduler.rows import attempt_of, attempt_row, job_of, job_row, job_rows
from suanwang.db.tables import agent_command as command_table
from suanwang.db.tables import attempt as attempt_table
from suanwang.db.tables import attempt_log, decision, extension, usage_interval
from suanwang.db.tables import job as job_table
from suanwang.db.tables import job_event as event_table
from suanwang.errors import Conflict, NotFound
from suanwang.ids import AttemptId, JobId, PoolId, SiteId, TenantId
from suanwang.model.attempt import DEAD_ATTEMPT_STATES, Attempt, AttemptState
from suanwang.model.job import Job, JobState

LIST_LIMIT_MAX: Final = 1_000
_BATCH: Final = 500
"""Ids in one query: below every database's limit of parameters."""
DEAD: Final = sorted(state.value for state in DEAD_ATTEMPT_STATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One line of a job's story."""

    job_id: JobId
    seq: int
    at: datetime
    kind: str
    message: str
    facts: Mapping[str, object] = field(default_factory=dict)


IDS_AT_ONCE: Final = 500
"""Ids in one statement: databases limit its parameters."""


def insert_if_new(connection: Connection, table: Table, row: Mapping[str, object]) -> bool:
    """Insert a row unless one with its key is there; return whether it was inserted."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**row).on_conflict_do_nothing()
    key = next(iter(table.primary_key))
    return connection.execute(statement.returning(key)).first() is not None


# --- jobs ---------------------------------------------------------------------------------------


def insert_jobs(connection: Connection, jobs: Sequence[Job]) -> int:
    """Insert those jobs whose submission ids are not taken; return how many.

    They go in the order of these ids, so that two who insert the same ones cannot block each other.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(job_table).on_conflict_do_nothing()
    rows = _without_nulls(job_rows(sorted(jobs, key=lambda job: job.submission_id)))
    counted = {"preserve_rowcount": True}
    return connection.execute(statement, rows, execution_options=counted).rowcount


def job_by_id(connection: Connection, job_id: JobId, *, lock: bool = False) -> Job:
    """Return a job; raise NotFound. With ``lock`` nobody else changes it in this transaction."""
    query = select(job_table).where(job_table.c.id == job_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise NotFound(f"there is no job {job_id}", job_id=job_id)
    return job_of(dict(row))


def job_by_submission(
    connection: Connection,
    tenant_id: TenantId | None,
    submission_id: str,
    *,
    lock: bool = False,
) -> Job:
    """Return a tenant's job (None: of any tenant); raise NotFound, also for somebody else's."""
    query = select(job_table).where(job_table.c.submission_id == submission_id)
    if tenant_id is not None:
        query = query.where(job_table.c.tenant_id == tenant_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise NotFound(
            f"there is no job {submission_id!r}",
            next_step="list your jobs with: suanwang jobs",
            submission_id=submission_id,
        )
    return job_of(dict(row))


def jobs_by_ids(connection: Connection, ids: Sequence[JobId]) -> dict[JobId, Job]:
    """Return those of the jobs that are there, as they stand now, without a lock."""
    found: dict[JobId, Job] = {}
    for first in range(0, len(ids), IDS_AT_ONCE):
        query = select(job_table).where(job_table.c.id.in_(ids[first : first + IDS_AT_ONCE]))
        for row in connection.execute(query).mappings():
            found[JobId(row["id"])] = job_of(dict(row))
    return found


def jobs_by_submissions(connection: Connection, names: Sequence[str]) -> dict[str, Job]:
    """Return those of the jobs that are there, by submission id, of whatever tenant."""
    found: dict[str, Job] = {}
    for first in range(0, len(names), IDS_AT_ONCE):
        some = names[first : first + IDS_AT_ONCE]
        query = select(job_table).where(job_table.c.submission_id.in_(some))
        for row in connection.execute(query).mappings():
            found[row["submission_id"]] = job_of(dict(row))
    return found


def lock_jobs(connection: Connection, job_ids: Iterable[JobId]) -> dict[JobId, Job]:
    """Lock several jobs, always in the same order, and return those that are there."""
    wanted = sorted(set(job_ids))
    if not wanted:
        return {}
    query = select(job_table).where(job_table.c.id.in_(wanted)).order_by(job_table.c.id)
    rows = connection.execute(query.with_for_update()).mappings()
    return {JobId(row["id"]): job_of(dict(row)) for row in rows}


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a locked job stands: whoever knows the job at this version knows all of it.

    ``is_waiting`` says that it waits for a place; one that moves has its place already.
    """

    version: int
    is_waiting: bool


def lock_stands(connection: Connection, job_ids: Iterable[JobId]) -> dict[JobId, Stand]:
    """Lock several jobs as ``lock_jobs`` does; return where those stand that are there."""
    table = job_table.c
    query = select(table.id, table.version, table.state, table.move_to)
    wanted = sorted(set(job_ids))
    found: dict[JobId, Stand] = {}
    for first in range(0, len(wanted), IDS_AT_ONCE):
        some = query.where(table.id.in_(wanted[first : first + IDS_AT_ONCE]))
        for row in connection.execute(some.order_by(table.id).with_for_update()):
            is_waiting = row.state == JobState.QUEUED.value and row.move_to is None
            found[JobId(row.id)] = Stand(row.version, is_waiting)
    return found


def update_job(connection: Connection, job: Job) -> Job:
    """Write a job that was read at ``job.version``; return it with the next version.

    Raises Conflict where somebody wrote it in between.
    """
    newer = replace(job, version=job.version + 1)
    result = connection.execute(
        update(job_table)
        .where(job_table.c.id == job.id, job_table.c.version == job.version)
        .values(**job_row(newer))
    )
    if result.rowcount != 1:
        raise Conflict(
            f"job {job.submission_id} changed in the meantime", job_id=job.id, version=job.version
        )
    return newer


_MOVING: Final = (
    *("state", "attempts", "site_id", "pool_id", "stop_requested"),
    *("reason", "message", "started_at", "ended_at", "exit_code"),
    *("move_to", "moves", "left_units", "left_run_s"),
)
"""Columns of a job that change while it lives; what was submitted stays as it was."""


def update_jobs(connection: Connection, jobs: Sequence[Job]) -> None:
    """Write what can change of jobs that were read at their versions, each with the next one.

    Raises Conflict where somebody wrote one of them in between.
    """
    if not jobs:
        return
    statement = (
        update(job_table)
        .where(
            job_table.c.id == bindparam("its_id"), job_table.c.version == bindparam("its_version")
        )
        .values(
            {job_table.c[name]: bindparam(f"new_{name}") for name in _MOVING}
            | {job_table.c.version: job_table.c.version + 1}
        )
    )
    rows = []
    for job in jobs:
        row: dict[str, object] = {f"new_{name}": getattr(job, name) for name in _MOVING}
        row["new_state"] = job.state.value
        row["new_reason"] = None if job.reason is None else job.reason.value
        rows.append(row | {"its_id": job.id, "its_version": job.version})
    if connection.execute(statement, rows).rowcount != len(jobs):
        raise Conflict("a job changed in the meantime", jobs=len(jobs))


def queued_jobs(connection: Connection, limit: int) -> tuple[Job, ...]:
    """Return the queue, oldest first."""
    query = (
        select(job_table)
        .where(job_table.c.state == JobState.QUEUED.value)
        .order_by(job_table.c.submitted_at, job_table.c.id)
        .limit(limit)
    )
    return tuple(job_of(dict(row)) for row in connection.execute(query).mappings())


def list_jobs(
    connection: Connection,
    *,
    tenant_id: TenantId | None = None,
    state: JobState | None = None,
    batch_id: str | None = None,
    before: tuple[datetime, str] | None = None,
    limit: int = 100,
) -> tuple[Job, ...]:
    """Return jobs, newest first; ``before`` is (submitted_at, id) of the last one of a page."""
    newest = (job_table.c.submitted_at.desc(), job_table.c.id.desc())
    query = select(job_table).order_by(*newest).limit(min(max(limit, 1), LIST_LIMIT_MAX))
    if tenant_id is not None:
        query = query.where(job_table.c.tenant_id == tenant_id)
    if state is not None:
        query = query.where(job_table.c.state == state.value)
    if batch_id is not None:
        query = query.where(job_table.c.batch_id == batch_id)
    if before is not None:
        query = query.where(tuple_(job_table.c.submitted_at, job_table.c.id) < before)
    return tuple(job_of(dict(row)) for row in connection.execute(query).mappings())


def delete_job(connection: Connection, job: Job) -> None:
    """Remove a final job with everything but its money: the ledger keeps its entries for ever."""
    ids = select(attempt_table.c.id).where(attempt_table.c.job_id == job.id)
    for table in (command_table, attempt_log, extension, usage_interval):
        connection.execute(delete(table).where(table.c.attempt_id.in_(ids)))
    for table in (decision, event_table, attempt_table):
        connection.execute(delete(table).where(table.c.job_id == job.id))
    connection.execute(delete(job_table).where(job_table.c.id == job.id))


# --- the story ----------------------------------------------------------------------------------


def add_event(connection: Connection, event: JobEvent) -> None:
    """Append a line to a job's story; ``event.seq`` is drawn here. The job's row is locked."""
    last = connection.execute(
        select(func.max(event_table.c.seq)).where(event_table.c.job_id == event.job_id)
    ).scalar_one()
    connection.execute(insert(event_table), [_event_row(event, (last or 0) + 1)])


def _event_row(event: JobEvent, seq: int) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(event, name) for name in JobEvent.__slots__}
    return row | {"seq": seq, "facts": dict(event.facts)}


def add_events(connection: Connection, events: Sequence[JobEvent]) -> None:
    """Append lines to the stories of several jobs, in order. Their rows are locked."""
    if not events:
        return
    ids = sorted({event.job_id for event in events})
    last: dict[str, int] = {}
    for start in range(0, len(ids), _BATCH):
        query = (
            select(event_table.c.job_id, func.max(event_table.c.seq))
            .where(event_table.c.job_id.in_(ids[start : start + _BATCH]))
            .group_by(event_table.c.job_id)
        )
        last |= {row[0]: row[1] for row in connection.execute(query)}
    rows = []
    for event in events:
        seq = last.get(event.job_id, 0) + 1
        last[event.job_id] = seq
        rows.append(_event_row(event, seq))
    connection.execute(insert(event_table), rows)


def add_first_events(connection: Connection, events: Sequence[JobEvent]) -> None:
    """Write lines with which stories begin: nobody else knows of these jobs yet."""
    if events:
        connection.execute(insert(event_table), [_event_row(event, event.seq) for event in events])


def job_events(connection: Connection, job_id: JobId) -> tuple[JobEvent, ...]:
    """Return a job's story from the beginning."""
    query = select(event_table).where(event_table.c.job_id == job_id).order_by(event_table.c.seq)
    return tuple(JobEvent(**row) for row in connection.execute(query).mappings())


# --- attempts -----------------------------------------------------------------------------------


def save_attempt(connection: Connection, attempt: Attempt) -> None:
    """Insert or overwrite an attempt; the job's row is locked."""
    row = attempt_row(attempt)
    changed = connection.execute(
        update(attempt_table).where(attempt_table.c.id == attempt.id).values(**row)
    )
    if changed.rowcount == 0:
        connection.execute(insert(attempt_table).values(**row))


def insert_attempts(connection: Connection, attempts: Sequence[Attempt]) -> None:
    """Insert new attempts; their jobs' rows are locked."""
    if attempts:
        connection.execute(insert(attempt_table), _without_nulls(map(attempt_row, attempts)))


def _without_nulls(rows: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """Return the rows without the columns that none of them fills: each costs a parameter a row."""
    found = list(rows)
    empty = {name for name in found[0] if all(row[name] is None for row in found)}
    return [{name: row[name] for name in row if name not in empty} for row in found]


def latest_attempts(connection: Connection, job_ids: Sequence[JobId]) -> dict[JobId, Attempt]:
    """Return the newest attempt of each of these jobs that has one."""
    found: dict[JobId, Attempt] = {}
    for start in range(0, len(job_ids), _BATCH):
        query = (
            select(attempt_table)
            .where(attempt_table.c.job_id.in_(job_ids[start : start + _BATCH]))
            .order_by(attempt_table.c.number)
        )
        for row in connection.execute(query).mappings():
            found[JobId(row["job_id"])] = attempt_of(dict(row))
    return found


def live_units(
    connection: Connection, pool_ids: Sequence[PoolId], besides: JobId | None = None
) -> dict[PoolId, int]:
    """Return how many units of these pools are taken.

    That is by attempts that are not proven dead, and by jobs that are about to move there.
    """
    query = (
        select(attempt_table.c.pool_id, func.sum(attempt_table.c.units))
        .where(attempt_table.c.pool_id.in_(pool_ids), attempt_table.c.state.not_in(DEAD))
        .group_by(attempt_table.c.pool_id)
    )
    taken = Counter({PoolId(pool_id): int(units) for pool_id, units in connection.execute(query)})
    for job, attempt in moving_jobs(connection):
        if job.id != besides and job.move_to is not None:
            taken[job.move_to] += attempt.units
    return taken


def moving_jobs(connection: Connection) -> tuple[tuple[Job, Attempt], ...]:
    """Return the jobs that are bound for another pool, each with the attempt that it leaves."""
    query = select(job_table).where(job_table.c.move_to.is_not(None)).order_by(job_table.c.id)
    jobs = [job_of(dict(row)) for row in connection.execute(query).mappings()]
    last = latest_attempts(connection, [job.id for job in jobs])
    return tuple((job, last[job.id]) for job in jobs if job.id in last)


def running_jobs(connection: Connection) -> tuple[tuple[Job, Attempt], ...]:
    """Return the jobs that run, each with its newest attempt."""
    query = (
        select(job_table)
        .where(job_table.c.state == JobState.RUNNING.value)
        .order_by(job_table.c.submitted_at, job_table.c.id)
    )
    jobs = [job_of(dict(row)) for row in connection.execute(query).mappings()]
    last = latest_attempts(connection, [job.id for job in jobs])
    return tuple((job, last[job.id]) for job in jobs if job.id in last)


def touch_attempts(connection: Connection, ids: Sequence[AttemptId], at: datetime) -> None:
    """Note that there was news of these attempts."""
    connection.execute(
        update(attempt_table).where(attempt_table.c.id.in_(ids)).values(last_seen_at=at)
    )


def attempts_of(connection: Connection, job_id: JobId) -> tuple[Attempt, ...]:
    """Return a job's attempts, first to last."""
    query = (
        select(attempt_table)
        .where(attempt_table.c.job_id == job_id)
        .order_by(attempt_table.c.number)
    )
    return tuple(attempt_of(dict(row)) for row in connection.execute(query).mappings())


def latest_attempt(connection: Connection, job_id: JobId) -> Attempt | None:
    """Return a job's newest attempt, or None where there is none."""
    attempts = attempts_of(connection, job_id)
    return attempts[-1] if attempts else None


def attempts_by_id(
    connection: Connection, ids: Sequence[AttemptId], *, site_id: SiteId | None = None
) -> dict[AttemptId, Attempt]:
    """Return those of the attempts that are there (and at the site, where one is named)."""
    query = select(attempt_table).where(attempt_table.c.id.in_(ids))
    if site_id is not None:
        query = query.where(attempt_table.c.site_id == site_id)
    rows = connection.execute(query).mappings()
    return {AttemptId(row["id"]): attempt_of(dict(row)) for row in rows}


def live_attempts(connection: Connection, *, site_id: SiteId | None = None) -> tuple[Attempt, ...]:
    """Return the attempts that are not proven dead, in the order of their ids."""
    query = select(attempt_table).where(attempt_table.c.state.not_in(DEAD))
    if site_id is not None:
        query = query.where(attempt_table.c.site_id == site_id)
    rows = connection.execute(query.order_by(attempt_table.c.id)).mappings()
    return tuple(attempt_of(dict(row)) for row in rows)


def infrastructure_failures(
    connection: Connection, job_ids: Sequence[JobId], since: datetime
) -> tuple[Attempt, ...]:
    """Return attempts of these jobs that a site has failed since a moment."""
    query = select(attempt_table).where(
        attempt_table.c.job_id.in_(job_ids),
        attempt_table.c.failure == "infrastructure",
        attempt_table.c.state.in_([AttemptState.FAILED.value, AttemptState.FENCED.value]),
        attempt_table.c.ended_at > since,
    )
    return tuple(attempt_of(dict(row)) for row in connection.execute(query).mappings())
