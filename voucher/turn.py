"""The right to write the ledger: a writer hands it to a unit of work, for as long as that runs.

``ledger.apply`` takes nothing else, so there is no second way to the books: who has no turn cannot
even say what it wants. Only ``voucher/writer.py`` makes one, after it has checked its epoch in the
same transaction.
"""

from typing import final

from sqlalchemy import Connection


@final
class Turn:
    """One unit's time at the ledger. What it does on ``connection`` commits with its group."""

    __slots__ = ("_connection", "_is_open", "epoch")

    def __init__(self, connection: Connection, epoch: int) -> None:
        self._connection = connection
        self._is_open = True
        self.epoch = epoch
        """The writer's epoch, checked in this transaction."""

    @property
    def connection(self) -> Connection:
        """The transaction of the group; the turn must not have ended."""
        assert self._is_open, "this turn has ended: ask the writer for another one"
        return self._connection

    def end(self) -> None:
        """Take the right back."""
        self._is_open = False
