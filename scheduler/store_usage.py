"""What attempts used, in the database."""

from sqlalchemy import Connection, select

from scheduler.rows import Row
from scheduler.store import insert_if_new
from suanwang.db.tables import attempt as attempt_table
from suanwang.db.tables import hold as hold_table
from suanwang.db.tables import usage_interval as usage_table
from suanwang.ids import AttemptId, JobId
from suanwang.model.usage import UsageInterval


def add_interval(connection: Connection, interval: UsageInterval, seq: int) -> bool:
    """Write an interval once; return False where it was there."""
    row: dict[str, object] = {name: getattr(interval, name) for name in UsageInterval.__slots__}
    return insert_if_new(connection, usage_table, row | {"seq": seq})


def intervals_of_job(connection: Connection, job_id: JobId) -> tuple[UsageInterval, ...]:
    """Return what all attempts of a job used, in order."""
    query = (
        select(usage_table)
        .join(attempt_table, attempt_table.c.id == usage_table.c.attempt_id)
        .where(attempt_table.c.job_id == job_id)
        .order_by(attempt_table.c.number, usage_table.c.resource, usage_table.c.seq)
    )
    return tuple(_interval(dict(row)) for row in connection.execute(query).mappings())


def dead_attempts_with_open_holds(connection: Connection) -> tuple[AttemptId, ...]:
    """Return the attempts that are proven dead and whose money is still set aside."""
    query = (
        select(attempt_table.c.id)
        .join(hold_table, hold_table.c.id == attempt_table.c.hold_id)
        .where(
            hold_table.c.state == "open",
            attempt_table.c.state.in_(["succeeded", "failed", "stopped", "fenced"]),
        )
        .order_by(attempt_table.c.id)
    )
    return tuple(AttemptId(row.id) for row in connection.execute(query))


def _interval(row: Row) -> UsageInterval:
    return UsageInterval(**{name: row[name] for name in UsageInterval.__slots__})
