"""Single writer with group commit: many callers, one transaction at a time, one fsync for all.

For callers that have no transaction of their own to join. Everything still goes through
``ledger.apply``; a command's future is resolved only after its transaction has committed.

Of all processes one is the writer, by a lease; its epoch is checked inside each commit. See
docs/adr/0004-one-door-and-a-group-writer.md.
"""

import logging
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from suanwang.clock import Clock
from suanwang.db.engine import writing
from suanwang.errors import Unavailable
from voucher import tenure
from voucher.guard import check_durability
from voucher.ledger import Command, Outcome, apply

GROUP_MAX: Final = 1_000
"""Commands in one transaction."""
WAITING_MAX: Final = 20_000
"""Commands that may wait; more are turned away at once."""

_LATER: Final = "send the same command to it, or again in a while"
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    command: Command
    answer: "Future[Outcome]"


class GroupWriter:
    """Books commands of many threads in groups; ``stop`` books what still waits."""

    def __init__(self, engine: Engine, clock: Clock, holder: str = "writer") -> None:
        self._engine = engine
        self._clock = clock
        self._holder = holder
        self._epoch: int | None = None
        self._waiting: queue.Queue[_Asked | None] = queue.Queue(WAITING_MAX)
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._closing = threading.Lock()
        self._is_closed = True

    def start(self) -> None:
        """Start the writer.

        Raises Unavailable when the database may forget commits, or another process is the writer.
        """
        with writing(self._engine) as connection:
            check_durability(connection)
            self._epoch = tenure.take(connection, self._holder, self._clock.now())
        if self._epoch is None:
            raise Unavailable("another process groups the ledger's commands", next_step=_LATER)
        self._is_closed = False
        self._thread.start()

    def submit(self, command: Command) -> "Future[Outcome]":
        """Return a future of the command's outcome; it is resolved once the outcome is durable.

        The future carries an exception when the transaction failed: then nothing was booked, or,
        after a lost connection, nobody knows, and the same command may be sent again.
        Raises Unavailable when the writer is closed or too many commands wait.
        """
        asked = _Asked(command, Future())
        with self._closing:
            if self._is_closed:
                raise Unavailable("the ledger's writer is closed")
            try:
                self._waiting.put_nowait(asked)
            except queue.Full:
                raise Unavailable(
                    f"{WAITING_MAX} commands wait for the ledger already",
                    next_step="send the same command again later",
                ) from None
        return asked.answer

    def stop(self) -> None:
        """Book what waits, then end the thread."""
        with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
        self._waiting.put(None)
        self._thread.join()
        if self._epoch is not None:
            with writing(self._engine) as connection:
                tenure.give_up(connection, self._epoch)

    def _run(self) -> None:
        is_open = True
        while is_open:
            group, is_open = self._next_group()
            if group:
                self._book(group)

    def _next_group(self) -> tuple[list[_Asked], bool]:
        """Return what waits, and whether more may come: a group grows while the last commits."""
        group: list[_Asked] = []
        first = self._waiting.get()
        while first is not None:
            group.append(first)
            if len(group) == GROUP_MAX:
                return group, True
            try:
                first = self._waiting.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _book(self, group: Sequence[_Asked]) -> None:
        taken = [asked for asked in group if asked.answer.set_running_or_notify_cancel()]
        try:
            outcomes = self._book_as_writer([asked.command for asked in taken])
        except Exception as failure:  # noqa: BLE001 - outermost loop: told to every caller
            _log.error("ledger group failed", extra={"commands": len(taken)}, exc_info=failure)
            for asked in taken:
                asked.answer.set_exception(failure)
            return
        for asked, outcome in zip(taken, outcomes, strict=True):
            asked.answer.set_result(outcome)

    def _book_as_writer(self, commands: Sequence[Command]) -> tuple[Outcome, ...]:
        """Book a group; raise NotWriting or Unavailable when another process is the writer."""
        now = self._clock.now()
        with writing(self._engine) as connection:
            if self._epoch is None:
                self._epoch = tenure.take(connection, self._holder, now)
            if self._epoch is None:
                raise Unavailable("another process groups the ledger's commands", next_step=_LATER)
            try:
                tenure.check(connection, self._epoch, now)
            except tenure.NotWriting:
                self._epoch = None
                raise
            return apply(connection, commands, now)
