"""The leader's lease in the database."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from scheduler.store import insert_if_new
from suanwang.db.tables import leader_lease as lease_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who leads, in which epoch, until when."""

    holder: str
    epoch: int
    expires_at: datetime


def read_lease(connection: Connection, name: str, *, share: bool = False) -> Lease | None:
    """Return the lease; with ``share`` nobody can take it over before this transaction ends."""
    query = select(lease_table).where(lease_table.c.name == name)
    row = connection.execute(query.with_for_update(read=True) if share else query).first()
    if row is None:
        return None
    return Lease(holder=row.holder, epoch=row.epoch, expires_at=row.expires_at)


def create_lease(connection: Connection, name: str, lease: Lease) -> bool:
    """Write the first lease; return False where another process was faster."""
    return insert_if_new(
        connection,
        lease_table,
        {
            "name": name,
            "holder": lease.holder,
            "epoch": lease.epoch,
            "expires_at": lease.expires_at,
        },
    )


def change_lease(connection: Connection, name: str, former: Lease, lease: Lease) -> bool:
    """Write a lease in place of the one that was read; return False where it has changed since."""
    result = connection.execute(
        update(lease_table)
        .where(
            lease_table.c.name == name,
            lease_table.c.epoch == former.epoch,
            lease_table.c.holder == former.holder,
            lease_table.c.expires_at == former.expires_at,
        )
        .values(holder=lease.holder, epoch=lease.epoch, expires_at=lease.expires_at)
    )
    return result.rowcount == 1
