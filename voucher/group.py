"""One group of the ledger's writer: what happens inside one of its transactions.

Each unit, and each run of bare commands, has a savepoint of its own.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, Generic, TypeVar

from sqlalchemy import Connection

from suanwang.clock import Clock, Seconds
from voucher.ledger import Command, Outcome, apply
from voucher.store_writer import TransactionLost, is_locked, savepoint
from voucher.turn import Turn

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Work = Callable[[Turn], T]
"""A unit of work: it reads and changes rows on its turn's connection, and books through it."""

GROUP_S: Final = timedelta(milliseconds=100).total_seconds()
"""After this long a group commits; what has not run yet begins the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDone:
    """What became of a group. ``waited_s`` is how long its oldest caller had waited before it."""

    units: int
    commands: int
    failed: int
    is_committed: bool
    waited_s: Seconds
    took_s: Seconds


class _Waiting(Generic[T_co]):
    """Somebody's request and the future of its answer."""

    def __init__(self, asked_s: Seconds) -> None:
        self.answer: Future[T_co] = Future()
        self.asked_s = asked_s
        self._has_begun = False

    def begin(self) -> bool:
        """Return whether it is still wanted; from then on it cannot be called off."""
        if not self._has_begun:
            self._has_begun = self.answer.set_running_or_notify_cancel()
        return self._has_begun

    def fail(self, failure: Exception) -> None:
        """Tell the caller that nothing came of it."""
        self.answer.set_exception(failure)


class Unit(_Waiting[T_co]):
    """A unit of work that waits. ``alone`` gives it a transaction of its own."""

    def __init__(self, work: Work[T_co], asked_s: Seconds, *, alone: bool = False) -> None:
        super().__init__(asked_s)
        self._work = work
        self.alone = alone
        self.tries = 0

    def run(self, turn: Turn) -> Callable[[], None]:
        """Do the work; return what tells its result."""
        self.tries += 1
        return partial(self.answer.set_result, self._work(turn))


class Bare(_Waiting[Outcome]):
    """A command that waits."""

    alone = False

    def __init__(self, command: Command, asked_s: Seconds) -> None:
        super().__init__(asked_s)
        self.command = command


Asked = Unit[object] | Bare


class Group:
    """Runs what was taken, on one connection; tells nobody before ``answer`` or ``fail``."""

    def __init__(self, clock: Clock, items: Sequence[Asked]) -> None:
        self._clock = clock
        self._items = items
        self._began_s = clock.monotonic()
        self._answers: list[Callable[[], None]] = []
        self._failed = 0
        self.is_committing = False
        self.blocked: list[Unit[object]] = []
        """Units that met somebody else's lock; they may be run again."""
        self.left: list[Asked] = []
        """What did not run because the time of the group was up."""

    @property
    def size(self) -> int:
        """How many were taken."""
        return len(self._items)

    def run(self, connection: Connection, epoch: int) -> None:
        """Run everything in order, until it is done or time is up.

        Raises only when the transaction is lost; a failure of one item is kept for its caller.
        """
        items = deque(self._items)
        while items:
            if self._answers and self._clock.monotonic() - self._began_s > GROUP_S:
                self.left = list(items)
                return
            item = items.popleft()
            if isinstance(item, Unit):
                self._run_unit(connection, epoch, item)
                continue
            run = [item]
            while items and isinstance(following := items[0], Bare):
                run.append(following)
                items.popleft()
            self._book(connection, epoch, run)

    def answer(self) -> None:
        """Tell every caller whose item has run; only after the commit."""
        for tell in self._answers:
            tell()

    def fail(self, failure: Exception) -> None:
        """Tell every caller that the transaction failed."""
        self._failed = self.size
        for item in self._items:
            item.fail(failure)

    def done(self) -> GroupDone:
        """Return figures of the group, once it has ended."""
        ran = [item for item in self._items if item not in self.left]
        return GroupDone(
            units=sum(isinstance(item, Unit) for item in ran),
            commands=sum(isinstance(item, Bare) for item in ran),
            failed=self._failed,
            is_committed=self.is_committing and self._failed < self.size,
            waited_s=self._began_s - min(item.asked_s for item in self._items),
            took_s=self._clock.monotonic() - self._began_s,
        )

    def _run_unit(self, connection: Connection, epoch: int, unit: Unit[object]) -> None:
        try:
            self._answers.append(_guarded(connection, epoch, unit.run))
        except TransactionLost:
            raise
        except Exception as failure:  # noqa: BLE001 - it is the caller's, who is told
            if is_locked(failure):
                self.blocked.append(unit)
            else:
                self._note_failure(unit, failure)

    def _book(self, connection: Connection, epoch: int, run: Sequence[Bare]) -> None:
        """Book commands in one batch; where that fails one by one, so that only one caller pays."""
        commands = [bare.command for bare in run]
        try:
            outcomes = _guarded(
                connection, epoch, lambda turn: apply(turn, commands, self._clock.now())
            )
        except TransactionLost:
            raise
        except Exception as failure:  # noqa: BLE001 - it is the callers', who are told
            if len(run) == 1:
                self._note_failure(run[0], failure)
            for bare in run if len(run) > 1 else ():
                self._book(connection, epoch, [bare])
            return
        for bare, outcome in zip(run, outcomes, strict=True):
            self._answers.append(partial(bare.answer.set_result, outcome))

    def _note_failure(self, item: Asked, failure: Exception) -> None:
        self._failed += 1
        self._answers.append(partial(item.fail, failure))


def _guarded(connection: Connection, epoch: int, work: Work[T]) -> T:
    """Do work behind a savepoint, to which a failure goes back."""
    turn = Turn(connection, epoch)
    try:
        with savepoint(connection):
            return work(turn)
    finally:
        turn.end()
