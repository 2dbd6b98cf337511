"""Which days of sites have to be told anew."""

from collections.abc import Iterable

from sqlalchemy import Connection

from collectors.kpi import Interval
from collectors.store_samples import chunks, insert_new
from suanwang.clock import from_epoch_ms
from suanwang.db.tables import kpi_due


def mark_days(connection: Connection, site_id: str, days: Iterable[Interval], reason: str) -> None:
    """Let the figures of days be computed by the next upkeep; a day that waits already, stays."""
    rows = [
        {
            "site_id": site_id,
            "start_at": from_epoch_ms(day.start_ms),
            "end_at": from_epoch_ms(day.end_ms),
            "reason": reason,
        }
        for day in days
    ]
    for piece in chunks(rows):
        connection.execute(insert_new(connection, kpi_due), list(piece))
