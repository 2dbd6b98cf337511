"""The writer's lease, in the row that every entry locks: so the check costs nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, func, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from suanwang.db.tables import ledger_head
from voucher.store_book import HEAD_ID, lock_head
from voucher.store_rows import dialect

LOCK_WAIT_MS: Final = 2_000
"""How long a unit waits for a row that somebody else has locked; then it is tried again alone."""
IDLE_MS: Final = 10_000
"""PostgreSQL ends a transaction whose writer does not say anything for this long."""
DATABASE_FAILED: Final[tuple[type[Exception], ...]] = (SQLAlchemyError,)
"""What is raised where the database refuses, or is gone."""
_LOCKED: Final = frozenset({"40001", "40P01", "55P03"})
"""SQLSTATE of a serialization failure, a deadlock and a lock that was not had in time."""
_TENURE: Final = select(
    ledger_head.c.writer, ledger_head.c.epoch, ledger_head.c.writer_until, ledger_head.c.writer_url
).where(ledger_head.c.id == HEAD_ID)


class Tenure(NamedTuple):
    """Who writes the ledger (empty: nobody), in which epoch, until when, and where it is reached.

    ``url`` is the address under which other processes of the centre reach the writer, or empty.
    """

    writer: str
    epoch: int
    until: datetime | None
    url: str = ""


NOBODY: Final = Tenure("", 0, None)


def read_tenure(connection: Connection) -> Tenure:
    """Return who writes, as of now; it may change at once."""
    row = connection.execute(_TENURE).one_or_none()
    return NOBODY if row is None else Tenure(*row)


def lock_tenure(connection: Connection) -> Tenure:
    """Return who writes; it stays so until the transaction ends.

    From here on PostgreSQL ends this transaction where it waits for a lock, or is left idle, too
    long: a process that is stopped in the middle would otherwise keep the chain's end for ever.
    """
    wanted = _TENURE.with_for_update()
    if dialect(connection) == "postgresql":
        limits = {"lock_timeout": LOCK_WAIT_MS, "idle_in_transaction_session_timeout": IDLE_MS}
        wanted = wanted.add_columns(
            *(func.set_config(name, f"{most}ms", True) for name, most in limits.items())
        )
    row = connection.execute(wanted).one_or_none()
    if row is None:
        lock_head(connection)
        row = connection.execute(wanted).one()
    return Tenure(row.writer, row.epoch, row.writer_until, row.writer_url)


def write_tenure(connection: Connection, tenure: Tenure) -> None:
    """Write who writes from now on; only after ``lock_tenure`` in the same transaction."""
    connection.execute(
        update(ledger_head)
        .where(ledger_head.c.id == HEAD_ID)
        .values(
            writer=tenure.writer,
            epoch=tenure.epoch,
            writer_until=tenure.until,
            writer_url=tenure.url,
        )
    )


class TransactionLost(Exception):
    """A savepoint could not be gone back to: nothing of its transaction can be kept."""


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Undo what happens inside where it fails, also where a failed statement was hidden.

    Unlike ``begin_nested`` it goes back as well when the release itself is refused. Where even that
    fails it raises TransactionLost, since PostgreSQL answers the commit of a failed transaction
    without an error, and keeps nothing.
    """
    connection.exec_driver_sql("SAVEPOINT unit_of_work")
    try:
        yield
        connection.exec_driver_sql("RELEASE SAVEPOINT unit_of_work")
    except BaseException as failure:
        try:
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT unit_of_work")
            connection.exec_driver_sql("RELEASE SAVEPOINT unit_of_work")
        except SQLAlchemyError as lost:
            raise TransactionLost from lost
        raise failure


def is_locked(failure: Exception) -> bool:
    """Return whether a statement failed because others hold the same rows."""
    return isinstance(failure, DBAPIError) and getattr(failure.orig, "sqlstate", None) in _LOCKED
