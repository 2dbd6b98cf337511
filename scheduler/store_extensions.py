"""Extensions of attempts in the database. Nothing here commits."""

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from scheduler.rows import Row
from suanwang.db.tables import extension as extension_table
from suanwang.ids import AttemptId, JobId
from suanwang.model.attempt import Extension


def add(connection: Connection, extension: Extension) -> None:
    """Write an extension down; the job's row is locked."""
    row = {name: getattr(extension, name) for name in Extension.__slots__}
    connection.execute(insert(extension_table).values(**row))


def confirm(connection: Connection, attempt_id: AttemptId, number: int, at: datetime) -> None:
    """Note that the agent knows of an extension, and so of all before it."""
    connection.execute(
        update(extension_table)
        .where(
            extension_table.c.attempt_id == attempt_id,
            extension_table.c.number <= number,
            extension_table.c.confirmed_at.is_(None),
        )
        .values(confirmed_at=at)
    )


def find(connection: Connection, attempt_id: AttemptId, number: int) -> Extension | None:
    """Return an extension of an attempt, or None."""
    query = select(extension_table).where(
        extension_table.c.attempt_id == attempt_id, extension_table.c.number == number
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else _extension(dict(row))


def find_by_key(connection: Connection, job_id: JobId, request_key: str) -> Extension | None:
    """Return the extension of a job that was asked for under a key, or None."""
    query = select(extension_table).where(
        extension_table.c.job_id == job_id, extension_table.c.request_key == request_key
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else _extension(dict(row))


def of_job(connection: Connection, job_id: JobId) -> tuple[Extension, ...]:
    """Return all extensions of a job, oldest first."""
    query = (
        select(extension_table)
        .where(extension_table.c.job_id == job_id)
        .order_by(extension_table.c.at, extension_table.c.attempt_id, extension_table.c.number)
    )
    return tuple(_extension(dict(row)) for row in connection.execute(query).mappings())


def _extension(row: Row) -> Extension:
    fields = {name: row[name] for name in Extension.__slots__}
    fields["attempt_id"] = AttemptId(row["attempt_id"])
    fields["job_id"] = JobId(row["job_id"])
    return Extension(**fields)
