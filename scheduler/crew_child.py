"""A child process that does one call at a time, ends with its parent, and can be ended by it."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from multiprocessing.connection import wait
from typing import Final, ParamSpec, TypeVar

from optimizer.crew import CrewLost

_WORDS_MAX: Final = 300
"""Most letters of a complaint that are kept."""

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")


class Child:
    """One process. What fails in it is told as CrewLost, in words, whatever it was."""

    def __init__(self, name: str) -> None:
        self._name = name
        # Not fork: the centre has threads, whose locks would be copied as they are.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent)

    def begin(
        self, work: Callable[_Given, _Answer], *given: _Given.args, **named: _Given.kwargs
    ) -> "Future[_Answer]":
        """Begin a call; raise CrewLost where the child is gone."""
        try:
            return self._pool.submit(work, *given, **named)
        except RuntimeError as failure:  # BrokenProcessPool is one
            raise self._lost(failure) from failure

    def end(self, begun: "Future[_Answer]", time_s: float) -> _Answer:
        """Return what a call answers; raise CrewLost if it does not within so many seconds."""
        try:
            return begun.result(time_s)
        except TooLate as failure:
            raise CrewLost(f"{self._name} was silent for {time_s:.1f} s") from failure
        except CrewLost:
            raise
        except Exception as failure:
            raise self._lost(failure) from failure

    def dismiss(self) -> None:
        """End the process, and wait for its end: killed, since it may be at work."""
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        self._pool.shutdown(wait=True)

    def _lost(self, failure: Exception) -> CrewLost:
        words = " ".join(str(failure).split())
        return CrewLost(f"{self._name}: {type(failure).__name__}: {words}"[:_WORDS_MAX])


def _end_with_parent() -> None:
    threading.Thread(target=_wait_for_parent, name="parent", daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
