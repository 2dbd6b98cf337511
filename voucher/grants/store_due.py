"""The list of what is due. Never commits."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select

from suanwang.db.tables import grant_application
from voucher.grants.case import DueKind

SWEEP_MAX: Final = 200
"""Applications of one round of the centre's loop."""


def due_ids(connection: Connection, now: datetime, limit: int = SWEEP_MAX) -> tuple[str, ...]:
    """Return the applications for which time has something to do, the longest due first."""
    rows = connection.execute(
        select(grant_application.c.id)
        .where(grant_application.c.due_at <= now, grant_application.c.due != DueKind.OVERDUE.value)
        .order_by(grant_application.c.due_at, grant_application.c.id)
        .limit(limit)
    )
    return tuple(row.id for row in rows)
