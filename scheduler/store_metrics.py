"""Counts for the metrics page."""

from sqlalchemy import Connection, func, select

from scheduler.store import DEAD
from suanwang.db.tables import agent_command, attempt, extension, job, journal, plan_run


def jobs_by_state(connection: Connection) -> dict[str, int]:
    """Return how many jobs are in each state."""
    rows = connection.execute(select(job.c.state, func.count()).group_by(job.c.state))
    return {str(row[0]): int(row[1]) for row in rows}


def jobs_by_site(connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many jobs are or were at each (site, state)."""
    query = (
        select(job.c.site_id, job.c.state, func.count())
        .where(job.c.site_id.is_not(None))
        .group_by(job.c.site_id, job.c.state)
    )
    return {(str(row[0]), str(row[1])): int(row[2]) for row in connection.execute(query)}


def attempts_by_state(connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many attempts are in each (site, state)."""
    query = select(attempt.c.site_id, attempt.c.state, func.count()).group_by(
        attempt.c.site_id, attempt.c.state
    )
    return {(str(row[0]), str(row[1])): int(row[2]) for row in connection.execute(query)}


def open_orders_by_site(connection: Connection) -> dict[str, int]:
    """Return how many orders each site has not acknowledged."""
    query = (
        select(agent_command.c.site_id, func.count())
        .where(agent_command.c.acknowledged_at.is_(None))
        .group_by(agent_command.c.site_id)
    )
    return {str(row[0]): int(row[1]) for row in connection.execute(query)}


def extensions_by_site(connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many extensions there are by (site, ``wish`` or ``person``)."""
    query = (
        select(attempt.c.site_id, extension.c.is_automatic, func.count())
        .join(attempt, attempt.c.id == extension.c.attempt_id)
        .group_by(attempt.c.site_id, extension.c.is_automatic)
    )
    rows = connection.execute(query)
    return {(str(row[0]), "wish" if row[1] else "person"): int(row[2]) for row in rows}


def unconfirmed_by_site(connection: Connection) -> dict[str, int]:
    """Return how many live attempts of each site have time that the site does not know of."""
    query = (
        select(attempt.c.site_id, func.count())
        .where(attempt.c.unconfirmed_s > 0, attempt.c.state.not_in(DEAD))
        .group_by(attempt.c.site_id)
    )
    return {str(row[0]): int(row[1]) for row in connection.execute(query)}


def ledger_entries(connection: Connection) -> int:
    """Return the number of entries of the ledger (they count from 1 without holes)."""
    return int(connection.execute(select(func.max(journal.c.seq))).scalar_one() or 0)


def newest_run(connection: Connection) -> tuple[float, float, int] | None:
    """Return build s, solve s and queue length of the newest planning run, or None."""
    query = (
        select(plan_run.c.build_s, plan_run.c.solve_s, plan_run.c.jobs)
        .order_by(plan_run.c.made_at.desc(), plan_run.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else (row.build_s, row.solve_s, row.jobs)
