"""One group writer at a time, by a lease with an epoch that is checked inside every commit.

A process that slept through the end of its lease may still believe that it is the writer. So each
of its transactions locks the end of the chain and reads the epoch there, before it books anything;
the lock stays until the commit. Whoever took over has raised the epoch under the same lock.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from suanwang.errors import Conflict
from voucher.store_writer import Tenure, lock_tenure, write_tenure

LEASE: Final = timedelta(seconds=15)


class NotWriting(Conflict):
    """Another process writes now: nothing of this transaction may be kept."""


def take(connection: Connection, writer: str, now: datetime) -> int | None:
    """Become the writer and return the epoch, or None while another one's lease runs.

    A writer that comes back before its end keeps its epoch; any other taking begins a new one.
    """
    tenure = lock_tenure(connection)
    runs = tenure.until is not None and tenure.until > now
    is_ours = tenure.writer == writer
    if runs and not is_ours:
        return None
    epoch = tenure.epoch if runs else tenure.epoch + 1
    write_tenure(connection, Tenure(writer, epoch, now + LEASE))
    return epoch


def check(connection: Connection, epoch: int, now: datetime) -> None:
    """Raise NotWriting unless ``epoch`` is the newest; renew the lease when half of it is over."""
    tenure = lock_tenure(connection)
    if tenure.epoch != epoch:
        raise NotWriting(
            f"epoch {epoch} does not write any more; the newest is {tenure.epoch}, "
            f"of {tenure.writer}",
            next_step="send the same commands again",
            epoch=epoch,
            newest=tenure.epoch,
        )
    if tenure.until is None or tenure.until - now < LEASE // 2:
        write_tenure(connection, Tenure(tenure.writer, epoch, now + LEASE))


def give_up(connection: Connection, epoch: int) -> None:
    """Let the lease end now, so that the next writer need not wait for it."""
    tenure = lock_tenure(connection)
    if tenure.epoch == epoch:
        write_tenure(connection, Tenure("", epoch, None))
