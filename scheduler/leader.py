"""One leader at a time, by a lease in the database with an epoch that every write checks.

A process that slept through the end of its lease may still believe that it leads. So believing is
not enough: each transaction that decides something reads the epoch again and holds the row until it
commits. The old leader's commit is refused, whatever its clock says.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from scheduler import store_leader
from scheduler.store_leader import Lease
from suanwang.errors import Conflict

SCHEDULER: Final = "scheduler"
"""Name of the lease under which decisions are made."""


class NotLeading(Conflict):
    """Another process leads now: nothing of this transaction may be kept."""


def lead(connection: Connection, holder: str, now: datetime, lease_s: float) -> int | None:
    """Take or renew the lease; return the epoch, or None while another process leads.

    A holder that comes back before the end keeps its epoch; any other taking begins a new one.
    """
    lease = store_leader.read_lease(connection, SCHEDULER)
    until = now + timedelta(seconds=lease_s)
    if lease is None:
        first = Lease(holder=holder, epoch=1, expires_at=until)
        return 1 if store_leader.create_lease(connection, SCHEDULER, first) else None
    is_ours = lease.holder == holder and lease.expires_at > now
    if not is_ours and lease.expires_at > now:
        return None
    epoch = lease.epoch if is_ours else lease.epoch + 1
    renewed = Lease(holder=holder, epoch=epoch, expires_at=max(until, lease.expires_at))
    return epoch if store_leader.change_lease(connection, SCHEDULER, lease, renewed) else None


def resign(connection: Connection, holder: str, now: datetime) -> None:
    """Let the lease end now, so that another process need not wait for its end."""
    lease = store_leader.read_lease(connection, SCHEDULER)
    if lease is not None and lease.holder == holder:
        ended = Lease(holder=holder, epoch=lease.epoch, expires_at=now)
        store_leader.change_lease(connection, SCHEDULER, lease, ended)


def check_epoch(connection: Connection, epoch: int) -> None:
    """Raise NotLeading unless ``epoch`` is the newest; it stays so until the transaction ends."""
    lease = store_leader.read_lease(connection, SCHEDULER, share=True)
    if lease is None or lease.epoch != epoch:
        newest = None if lease is None else lease.epoch
        raise NotLeading(
            f"epoch {epoch} does not lead any more; the newest is {newest}",
            epoch=epoch,
            newest=newest,
        )
