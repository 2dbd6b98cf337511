"""The lease of the group writer, in the row that every entry locks: so the check costs nothing."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from suanwang.db.tables import ledger_head
from voucher.store_book import HEAD_ID, lock_head


class Tenure(NamedTuple):
    """Who groups commands (empty: nobody), in which epoch, and until when."""

    writer: str
    epoch: int
    until: datetime | None


def lock_tenure(connection: Connection) -> Tenure:
    """Return who writes; it stays so until the transaction ends."""
    lock_head(connection)
    row = connection.execute(
        select(ledger_head.c.writer, ledger_head.c.epoch, ledger_head.c.writer_until).where(
            ledger_head.c.id == HEAD_ID
        )
    ).one()
    return Tenure(row.writer, row.epoch, row.writer_until)


def write_tenure(connection: Connection, tenure: Tenure) -> None:
    """Write who writes from now on; only after ``lock_tenure`` in the same transaction."""
    connection.execute(
        update(ledger_head)
        .where(ledger_head.c.id == HEAD_ID)
        .values(writer=tenure.writer, epoch=tenure.epoch, writer_until=tenure.until)
    )
