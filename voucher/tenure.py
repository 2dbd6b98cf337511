"""One writer at a time, by a lease with an epoch that is checked inside every commit.

A process that slept through the end of its lease may still believe that it is the writer. So each
of its transactions locks the end of the chain and reads the epoch there, before it does anything;
the lock stays until the commit. Whoever took over has raised the epoch under the same lock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from suanwang.errors import Unavailable
from voucher.store_writer import Tenure, lock_tenure, write_tenure
from voucher.turn import Turn

LEASE: Final = timedelta(seconds=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A process that would write: its name, unlike any other's, and where others reach it.

    ``is_alone`` says that no other process can live on this database, so that it need not wait for
    the end of a dead one's lease.
    """

    name: str
    url: str = ""
    lease: timedelta = LEASE
    is_alone: bool = False


class NotWriting(Unavailable):
    """Another process writes now: nothing of this transaction may be kept."""

    code = "not-writing"


def take(connection: Connection, who: Candidate, now: datetime) -> Tenure:
    """Become the writer where no other one's lease runs; return who is the writer after that.

    A writer that comes back before its end keeps its epoch; any other taking begins a new one.
    """
    tenure = lock_tenure(connection)
    runs = tenure.until is not None and tenure.until > now
    is_ours = runs and tenure.writer == who.name
    if runs and not is_ours and not who.is_alone:
        return tenure
    if is_ours and not _is_half_over(tenure, who, now):
        return tenure
    epoch = tenure.epoch if is_ours else tenure.epoch + 1
    taken = Tenure(who.name, epoch, now + who.lease, who.url)
    write_tenure(connection, taken)
    return taken


def check(connection: Connection, who: Candidate, epoch: int, now: datetime) -> Tenure:
    """Raise NotWriting unless ``epoch`` is the newest; renew the lease when half of it is over."""
    tenure = lock_tenure(connection)
    if tenure.epoch != epoch:
        raise NotWriting(
            f"epoch {epoch} does not write any more; the newest is {tenure.epoch}, "
            f"of {tenure.writer or 'nobody'}",
            next_step="send the same request again",
            epoch=epoch,
            newest=tenure.epoch,
            retry_after_s=1,
        )
    if not _is_half_over(tenure, who, now):
        return tenure
    renewed = Tenure(who.name, epoch, now + who.lease, who.url)
    write_tenure(connection, renewed)
    return renewed


def require(turn: Turn, epoch: int) -> None:
    """Raise NotWriting where work that began in ``epoch`` would end in another one."""
    if turn.epoch != epoch:
        raise NotWriting(
            f"this was decided in epoch {epoch}, now it is epoch {turn.epoch}",
            epoch=epoch,
            newest=turn.epoch,
            retry_after_s=1,
        )


def _is_half_over(tenure: Tenure, who: Candidate, now: datetime) -> bool:
    return tenure.until is None or tenure.until - now < who.lease // 2


def give_up(connection: Connection, epoch: int) -> None:
    """Let the lease end now, so that the next writer need not wait for it."""
    tenure = lock_tenure(connection)
    if tenure.epoch == epoch:
        write_tenure(connection, Tenure("", epoch, None))
