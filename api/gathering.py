"""Single submits that arrive together share a transaction: one fsync for all of them.

Whoever has the turn writes for all that wait; those that arrive meanwhile are the next group, as
long as the last one took to commit. A lone submit is a group of one and waits for nobody. Each has
its own answer, and nobody is told anything before the commit.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from scheduler.admission import Answer, NewJob
from suanwang.model.job import Job

GROUP_MAX: Final = 200
"""Submits in one transaction."""

Write = Callable[[Sequence[NewJob]], Sequence[Answer]]
"""Takes jobs in, in a transaction of its own; returns once it has committed."""


class _Asked:
    """A submit that waits, and what became of it."""

    def __init__(self, new: NewJob) -> None:
        self.new = new
        self.answer: Answer | Exception | None = None


class Gathering:
    """Where the submits of one process meet; any thread may come."""

    def __init__(self, group_max: int = GROUP_MAX) -> None:
        self._group_max = group_max
        self._waiting: deque[_Asked] = deque()
        self._turn = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many wait for a group to take them."""
        return len(self._waiting)

    def submit(self, new: NewJob, write: Write) -> Job:
        """Take a job in, with others where some wait; return it once that is durable.

        Raises the error that ``write`` answers for it, or what ``write`` raised.
        """
        asked = _Asked(new)
        self._waiting.append(asked)
        with self._turn:
            while asked.answer is None:
                most = min(self._group_max, len(self._waiting))
                self._serve([self._waiting.popleft() for _ in range(most)], write)
        if isinstance(asked.answer, Exception):
            raise asked.answer
        return asked.answer

    def _serve(self, group: Sequence[_Asked], write: Write) -> None:
        """Write a group. Where it fails as a whole each is tried alone, so that only one pays."""
        try:
            answers = write([asked.new for asked in group])
        except Exception as failure:  # noqa: BLE001 - it is the callers', who are told
            if len(group) == 1:
                group[0].answer = failure
            for asked in group if len(group) > 1 else ():
                self._serve([asked], write)
            return
        for asked, answer in zip(group, answers, strict=True):
            asked.answer = answer
