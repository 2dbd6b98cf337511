"""A crew of workers in other processes: who keeps what, how they are hired, how losses show.

Any failure ends the whole crew: its workers are dismissed, and others are hired when it is asked
again, at the earliest after ``RETRY_S``. So no answer to an earlier question can be taken for one
to a later question. Hiring takes seconds that a plan does not have: it goes on beside the plans,
which do without until it is done.
"""

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar, cast

from optimizer.crew import ASK_S, CrewLost, Held
from optimizer.deadline import Deadline
from scheduler.crew_worker import versions

HIRE_S: Final = 300.0
"""Seconds that hiring may take: on a busy machine Ray alone takes minutes."""
RETRY_S: Final = 300.0
"""Seconds for which a crew that failed is left alone."""

_Part = TypeVar("_Part")
_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


class Call(NamedTuple):
    """A method of the ``crew_worker.Keeper`` of one worker, and what it is given."""

    worker: int
    method: str
    given: tuple[object, ...] = ()


class Workers(Protocol):
    """Workers that each have a keeper."""

    def do(self, calls: Sequence[Call], time_s: float) -> list[object]:
        """Make the calls side by side and return all answers, in order; raise CrewLost."""

    def dismiss(self) -> None:
        """End them all, whatever they are at."""


class RemoteCrew:
    """Workers of one kind, hired when they are first needed."""

    def __init__(self, name: str, size: int, hire: Callable[[int, float], Workers]) -> None:
        """``hire`` finds so many workers within so many seconds, or raises CrewLost."""
        self._name, self._size, self._hire = name, size, hire
        self._lock = threading.RLock()
        self._numbers = itertools.count()
        self._workers: Workers | None = None
        self._hiring: threading.Thread | None = None
        self._failure = "they were not asked yet"
        self._rest: Deadline | None = None

    @property
    def name(self) -> str:
        """Who they are, in words."""
        return self._name

    @property
    def size(self) -> int:
        """How many work side by side."""
        return self._size

    def open(self) -> None:
        """Hire now and wait for it; raise CrewLost."""
        self._begin_hiring()
        if self._hiring is not None:
            self._hiring.join()
        if self._workers is None:
            raise CrewLost(self._failure)

    def close(self) -> None:
        """Dismiss the workers; they are hired again when they are needed."""
        if self._hiring is not None:
            self._hiring.join()
        with self._lock:
            if self._workers is not None:
                self._workers.dismiss()
                self._workers = None

    def hold(self, parts: Sequence[_Part], time_s: float = ASK_S) -> Held[_Part]:
        """Hand out parts to the workers in turn."""
        return self._hold(parts, Deadline(time_s))

    def spread(
        self,
        work: Callable[[_Part, _Item], _Answer],
        common: _Part,
        items: Sequence[_Item],
        time_s: float = ASK_S,
    ) -> list[_Answer]:
        """Deal the items out in turn; a worker gets what is common once."""
        if not items:
            return []
        deadline = Deadline(time_s)
        with self._lock:
            held = self._hold([common] * min(self._size, len(items)), deadline)
            questions = [(at % len(held.places), item) for at, item in enumerate(items)]
            answers = self.work(held, work, questions, deadline.left_s())
            held.close()
            return answers

    def work(
        self,
        held: "_HeldThere[_Part]",
        work: Callable[[_Part, _Item], _Answer],
        questions: Sequence[tuple[int, _Item]],
        time_s: float,
    ) -> list[_Answer]:
        """Return the answers to questions about parts, in their order."""
        places = [held.places[part] for part, _ in questions]
        calls = [
            Call(worker, "work", (number, work, item))
            for (worker, number), (_, item) in zip(places, questions, strict=True)
        ]
        with self._lock:
            if self._workers is None or self._workers is not held.workers:
                raise CrewLost("the workers that held the parts were dismissed")
            return cast(list[_Answer], self._do(calls, time_s))

    def forget(self, held: "_HeldThere[_Part]") -> None:
        """Have the workers forget parts; those that were dismissed have forgotten them."""
        with self._lock:
            if self._workers is not None and self._workers is held.workers:
                self._do([Call(worker, "forget", (number,)) for worker, number in held.places])

    def call_all(self, method: str) -> list[object]:
        """Return what each worker's keeper answers to a method that is given nothing."""
        with self._lock:
            return self._do([Call(worker, method) for worker in range(self._size)])

    def _hold(self, parts: Sequence[_Part], deadline: Deadline) -> "_HeldThere[_Part]":
        with self._lock:
            if self._workers is None:
                self._begin_hiring()
                raise CrewLost(self._failure)
            workers = self._workers
            places = [(at % self._size, next(self._numbers)) for at in range(len(parts))]
            calls = [
                Call(worker, "keep", (number, part))
                for (worker, number), part in zip(places, parts, strict=True)
            ]
            self._do(calls, deadline.left_s())
            return _HeldThere(self, workers, places)

    def _begin_hiring(self) -> None:
        with self._lock:
            is_resting = self._rest is not None and not self._rest.is_over
            is_hiring = self._hiring is not None and self._hiring.is_alive()
            if self._workers is None and not is_resting and not is_hiring:
                self._failure = "they are being started"
                self._hiring = threading.Thread(target=self._hired, name="crew", daemon=True)
                self._hiring.start()

    def _hired(self) -> None:
        """Hire, and make sure that the workers compute what we would."""
        own = dict(versions())
        workers: Workers | None = None
        try:
            workers = self._hire(self._size, HIRE_S)
            calls = [Call(worker, "versions") for worker in range(self._size)]
            others = [theirs for theirs in workers.do(calls, HIRE_S) if theirs != own]
            if others:
                raise CrewLost(f"they run {others[0]}, and this process {own}")
        except CrewLost as failure:
            with self._lock:
                self._fail(failure, workers)
            return
        with self._lock:
            self._workers = workers

    def _do(self, calls: Sequence[Call], time_s: float = ASK_S) -> list[object]:
        """Make calls, or lose the whole crew."""
        if self._workers is None:
            raise CrewLost(self._failure)
        try:
            return self._workers.do(calls, time_s)
        except CrewLost as failure:
            self._fail(failure, self._workers)
            raise

    def _fail(self, failure: CrewLost, workers: Workers | None) -> None:
        if workers is not None:
            workers.dismiss()
        self._workers = None
        self._failure = f"they failed before: {failure.message}"
        self._rest = Deadline(RETRY_S)


class _HeldThere(Held[_Part]):
    """Parts at workers: ``places`` are the worker of each and its number there."""

    def __init__(
        self, crew: RemoteCrew, workers: Workers, places: Sequence[tuple[int, int]]
    ) -> None:
        self._crew, self.workers, self.places = crew, workers, places

    def ask(
        self, work: Callable[[_Part, _Item], _Answer], item: _Item, time_s: float = ASK_S
    ) -> list[_Answer]:
        return self._crew.work(self, work, [(at, item) for at in range(len(self.places))], time_s)

    def close(self) -> None:
        self._crew.forget(self)
