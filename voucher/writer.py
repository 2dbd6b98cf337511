"""The ledger's single writer: units of work of many callers, one transaction at a time.

A unit of work changes its own rows and books money in the same turn, so a hold is true in the same
moment as its attempt. What waits goes into one transaction with one fsync: a group. A unit that
fails is rolled back alone, to its savepoint; its neighbours do not notice. Nobody gets an answer,
not even a refusal, before the group has committed, since it may rest on what a neighbour did.

Of all processes one is the writer, by a lease; its epoch is checked inside each transaction. See
docs/adr/0004-one-door-and-one-writer.md.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, Protocol, TypeVar

from sqlalchemy import Connection, Engine

from suanwang.clock import Clock, Seconds
from suanwang.db.engine import writing
from suanwang.errors import Unavailable
from voucher import tenure
from voucher.group import Asked, Bare, Group, GroupDone, Unit, Work
from voucher.guard import check_durability
from voucher.ledger import Command, Outcome, apply
from voucher.store_writer import DATABASE_FAILED, NOBODY, Tenure, TransactionLost
from voucher.tenure import Candidate, NotWriting
from voucher.turn import Turn

T = TypeVar("T")

GROUP_MAX: Final = 1_000
"""Units and commands in one transaction."""
WAITING_MAX: Final = 20_000
"""Units and commands that may wait; more are turned away at once."""
WAIT_S: Final = 30
"""How long ``write`` waits for its unit to begin, and then again for it to end."""
STOP_S: Final = 30
"""How long ``stop`` waits for what is still to be booked."""
TRIES_MAX: Final = 3
"""How often a unit that meets locks is tried."""
BEATS: Final = 3
"""Looks at the lease in the time of one."""
BEAT_S_MIN: Final = timedelta(milliseconds=100).total_seconds()

_AGAIN: Final = "send the same request again"
_log: Final = logging.getLogger(__name__)


class Writer(Protocol):
    """Whoever takes units of work: the process's ``GroupWriter``, or a tool's ``DirectWriter``."""

    @property
    def epoch(self) -> int | None:
        """The epoch in which this process writes, or None while it does not."""

    @property
    def elsewhere(self) -> Tenure | None:
        """Who writes instead, as it was seen last; None where this process may try."""

    @property
    def waiting(self) -> int:
        """How many units and commands wait."""

    def nudge(self) -> None:
        """Look soon who writes: somebody could not reach the one that was known."""

    def write(self, work: Work[T], *, alone: bool = False) -> T:
        """Run a unit of work and return its result once that is durable.

        An exception of the work undoes the unit and is raised here. The work may be run again
        after it met a lock, so it changes nothing but rows of its turn's connection. ``alone``
        gives it a transaction of its own, for work that locks rows that others lock too.
        """

    def ask(self, work: Work[T], *, alone: bool = False) -> "Future[T]":
        """Return a future of what ``write`` would return."""

    def submit(self, command: Command) -> "Future[Outcome]":
        """Return a future of a bare command's outcome, resolved once it is durable."""


class Observer(Protocol):
    """Whoever counts what a writer does."""

    def group_done(self, done: GroupDone) -> None:
        """Hear of a group that has ended."""

    def turned_away(self) -> None:
        """Hear of a caller that was refused because too many wait."""


class _Nobody:
    def group_done(self, done: GroupDone) -> None:
        """Count nothing."""

    def turned_away(self) -> None:
        """Count nothing."""


class GroupWriter:
    """Takes units of many threads and writes them in groups, in the order in which they came.

    ``stop`` writes what still waits.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        who: Candidate | None = None,
        observer: Observer | None = None,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._who = who or Candidate(name="writer")
        self._observer = observer or _Nobody()
        self._waiting_max = waiting_max
        self._waiting: deque[Asked] = deque()
        self._changed = threading.Condition()
        self._is_closed = True
        self._is_nudged = False
        self._tenure = NOBODY
        self._epoch: int | None = None
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)

    @property
    def epoch(self) -> int | None:
        """The epoch in which this process believes to write, or None; each commit checks it."""
        return self._epoch

    @property
    def tenure(self) -> Tenure:
        """Who writes, as this process saw it last."""
        return self._tenure

    @property
    def elsewhere(self) -> Tenure | None:
        """Who writes instead, as it was seen last; None where this process is the writer."""
        return self._tenure if self._epoch is None else None

    @property
    def waiting(self) -> int:
        """How many units and commands wait."""
        return len(self._waiting)

    def start(self) -> None:
        """Become the writer where there is none, and begin to serve.

        Raises Unavailable when the database may forget commits.
        """
        with writing(self._engine) as connection:
            check_durability(connection)
            found = tenure.take(connection, self._who, self._clock.now())
        self._learn(found)
        self._is_closed = False
        self._thread.start()

    def nudge(self) -> None:
        """Look at once who writes: somebody could not reach the one that was known."""
        with self._changed:
            self._is_nudged = True
            self._changed.notify()

    def write(self, work: Work[T], *, alone: bool = False) -> T:
        """Run a unit of work and return its result once that is durable; see ``Writer``."""
        answer = self.ask(work, alone=alone)
        return wait_for(answer)

    def ask(self, work: Work[T], *, alone: bool = False) -> "Future[T]":
        """Return a future of what ``write`` would return.

        Raises Unavailable when the writer is closed or too many wait, NotWriting where another
        process writes.
        """
        unit = Unit(work, self._clock.monotonic(), alone=alone)
        self._put(unit)
        return unit.answer

    def submit(self, command: Command) -> "Future[Outcome]":
        """Return a future of a bare command's outcome; raises what ``ask`` raises."""
        bare = Bare(command, self._clock.monotonic())
        self._put(bare)
        return bare.answer

    def stop(self) -> None:
        """Write what waits, then end the thread and let another process write."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._changed.notify()
        self._thread.join(STOP_S)
        if self._thread.is_alive():
            _log.error("the ledger's writer did not end", extra={"waiting": self.waiting})

    def _put(self, asked: Asked) -> None:
        assert threading.current_thread() is not self._thread, "a unit must not ask for another"
        with self._changed:
            if self._is_closed:
                raise Unavailable("the ledger's writer is closed", next_step=_AGAIN)
            if self._epoch is None:
                raise self._elsewhere()
            if len(self._waiting) >= self._waiting_max:
                self._observer.turned_away()
                raise Unavailable(
                    f"{self._waiting_max} wait for the ledger already",
                    next_step="send the same request again later",
                    retry_after_s=1,
                )
            self._waiting.append(asked)
            self._changed.notify()

    def _elsewhere(self) -> NotWriting:
        name = self._tenure.writer
        return NotWriting(
            f"this process does not write the ledger, {name or 'nobody'} does",
            next_step=_AGAIN,
            retry_after_s=1,
        )

    def _run(self) -> None:
        while True:
            items, is_open = self._next()
            if items:
                self._serve(items)
            elif is_open:
                self._beat()
            else:
                break
        self._resign()

    def _next(self) -> tuple[Sequence[Asked], bool]:
        """Return what waits, nothing when it is time for the lease, and whether more may come.

        A group grows while the last one commits.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._waiting or self._is_closed or self._is_nudged, self._until_beat_s()
            )
            items = self._take()
            self._is_nudged = self._is_nudged and bool(items)
            return items, not self._is_closed

    def _take(self) -> Sequence[Asked]:
        items: list[Asked] = []
        while self._waiting and len(items) < GROUP_MAX:
            if items and (items[0].alone or self._waiting[0].alone):
                break
            items.append(self._waiting.popleft())
        return items

    def _until_beat_s(self) -> Seconds:
        beat_s = (self._who.lease // BEATS).total_seconds()
        if self._epoch is None and self._tenure.until is not None:
            left_s = (self._tenure.until - self._clock.now()).total_seconds()
            return max(BEAT_S_MIN, min(beat_s, left_s))
        return beat_s

    def _serve(self, items: Sequence[Asked]) -> None:
        """Write a group; every caller hears once what became of it."""
        taken = [item for item in items if item.begin()]
        if not taken:
            return
        group = Group(self._clock, taken)
        try:
            with writing(self._engine) as connection:
                found = self._open(connection)
                group.run(connection, found.epoch)
                group.is_committing = True
        except Exception as failure:  # noqa: BLE001 - outermost loop: told to every caller
            self._tell(group, failure)
        else:
            self._tenure = found
            group.answer()
            self._put_back(group)
        self._observer.group_done(group.done())

    def _open(self, connection: Connection) -> Tenure:
        """Begin a transaction of the writer; raise NotWriting when another process is it."""
        if self._epoch is None:
            raise self._elsewhere()
        return tenure.check(connection, self._who, self._epoch, self._clock.now())

    def _tell(self, group: Group, failure: Exception) -> None:
        if isinstance(failure, NotWriting):
            self._epoch = None
            self._is_nudged = True
            _log.warning("another process writes the ledger: %s", failure.message)
        else:
            _log.error("ledger group failed", extra={"items": group.size}, exc_info=failure)
        group.fail(_in_words(failure, is_committing=group.is_committing))

    def _put_back(self, group: Group) -> None:
        """Let what a lock kept from running come first, each in a transaction of its own."""
        for unit in reversed(group.blocked):
            if unit.tries < TRIES_MAX:
                unit.alone = True
                self._waiting.appendleft(unit)
            else:
                unit.fail(
                    Unavailable(
                        f"the rows were locked by others in {unit.tries} tries; nothing was booked",
                        next_step=_AGAIN,
                        retry_after_s=1,
                    )
                )
        self._waiting.extendleft(reversed(group.left))

    def _beat(self) -> None:
        """Renew the lease, or take it where it has ended."""
        try:
            with writing(self._engine) as connection:
                found = tenure.take(connection, self._who, self._clock.now())
        except DATABASE_FAILED as failure:
            _log.warning("the lease of the ledger could not be read: %s", failure)
            return
        self._learn(found)

    def _learn(self, found: Tenure) -> None:
        is_ours = found.writer == self._who.name
        if is_ours and self._epoch != found.epoch:
            _log.info("this process writes the ledger", extra={"epoch": found.epoch})
        if not is_ours and self._epoch is not None:
            _log.warning("another process writes the ledger", extra={"writer": found.writer})
        self._tenure = found
        self._epoch = found.epoch if is_ours else None

    def _resign(self) -> None:
        epoch, self._epoch = self._epoch, None
        if epoch is None:
            return
        try:
            with writing(self._engine) as connection:
                tenure.give_up(connection, epoch)
        except DATABASE_FAILED as failure:
            _log.warning("the lease of the ledger ends by itself: %s", failure)


def _in_words(failure: Exception, *, is_committing: bool) -> Exception:
    """Return what the callers of a failed group are told."""
    if not isinstance(failure, (*DATABASE_FAILED, TransactionLost)):
        return failure
    fate = "nobody knows whether it was booked" if is_committing else "nothing was booked"
    told = Unavailable(
        f"the database failed in a group of the ledger: {fate}",
        next_step=_AGAIN,
        retry_after_s=1,
    )
    told.__cause__ = failure
    return told


def wait_for(answer: "Future[T]") -> T:
    """Return what a writer's future brings, raise what it raises; Unavailable after a minute."""
    try:
        return answer.result(WAIT_S)
    except TimeoutError:
        if answer.done() and not answer.cancelled():
            raise
        if answer.cancel():
            raise Unavailable(
                f"the ledger was busy for {WAIT_S:.0f} s; nothing was booked",
                next_step="send the same request again later",
                retry_after_s=5,
            ) from None
    try:
        return answer.result(WAIT_S)
    except TimeoutError:
        if answer.done():
            raise
        raise Unavailable(
            f"the ledger has not finished within {2 * WAIT_S:.0f} s; it may still be booked",
            next_step=_AGAIN,
            retry_after_s=5,
        ) from None


class DirectWriter:
    """Writes at once, in the caller's thread and a transaction for each unit: for tools and tests.

    It is a writer like any other: it takes the lease, and is refused while another one has it.
    """

    def __init__(self, engine: Engine, clock: Clock, who: Candidate | None = None) -> None:
        self._engine = engine
        self._clock = clock
        self._who = who or Candidate(name="tool")
        self._epoch: int | None = None

    @property
    def epoch(self) -> int | None:
        """The epoch in which it may write now, or None while another process writes."""
        try:
            with self.turn() as turn:
                return turn.epoch
        except NotWriting:
            return None

    @property
    def elsewhere(self) -> Tenure | None:
        """None: it always tries."""
        return None

    @property
    def waiting(self) -> int:
        """None wait: each is written at once."""
        return 0

    def nudge(self) -> None:
        """Do nothing: it asks each time."""

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Open a transaction that may book; it commits at the end, or rolls back on an error."""
        with writing(self._engine) as connection:
            turn = Turn(connection, self._open(connection))
            try:
                yield turn
            finally:
                turn.end()
        self._epoch = turn.epoch

    def write(self, work: Work[T], *, alone: bool = True) -> T:
        """Run a unit of work in a transaction of its own."""
        with self.turn() as turn:
            return work(turn)

    def ask(self, work: Work[T], *, alone: bool = True) -> "Future[T]":
        """Run a unit of work and return a future that is resolved already."""
        unit = Unit(work, self._clock.monotonic(), alone=alone)
        try:
            unit.answer.set_result(self.write(work))
        except Exception as failure:  # noqa: BLE001 - it is the future's to raise
            unit.fail(failure)
        return unit.answer

    def submit(self, command: Command) -> "Future[Outcome]":
        """Book a bare command and return a future that is resolved already."""
        return self.ask(lambda turn: apply(turn, [command], self._clock.now())[0])

    def _open(self, connection: Connection) -> int:
        now = self._clock.now()
        if self._epoch is not None:
            try:
                return tenure.check(connection, self._who, self._epoch, now).epoch
            except NotWriting:
                self._epoch = None
                raise
        found = tenure.take(connection, self._who, now)
        if found.writer != self._who.name:
            raise NotWriting(
                f"{found.writer} writes the ledger until {found.until}",
                next_step="stop it, or send this to it",
                retry_after_s=1,
            )
        return found.epoch
