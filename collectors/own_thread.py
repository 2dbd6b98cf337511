"""A thread for a source whose library or disk may hang."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from collectors.sources.port import SourceError

Found = TypeVar("Found")
CLOSE_S = 1.0
"""Longest that closing waits for a call that still runs."""


class OwnThread:
    """Runs one call at a time in a thread of its own; while one hangs, the next says so at once."""

    def __init__(self, name: str, hangs: str) -> None:
        self._name = name
        self._hangs = hangs
        self._thread: ThreadPoolExecutor | None = None
        self._is_running: Callable[[], bool] = lambda: False

    async def run(self, call: Callable[[], Found]) -> Found:
        """Return what the call gives; raise what it raises, or SourceError where one still runs."""
        if self.is_busy:
            raise SourceError(self._hangs)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=self._name)
        running = asyncio.get_running_loop().run_in_executor(self._thread, call)
        # After a timeout nobody waits for it any more, and its failure was told already.
        running.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._is_running = lambda: not running.done()
        return await asyncio.shield(running)

    @property
    def is_busy(self) -> bool:
        """Whether a call still runs."""
        return self._is_running()

    async def close(self, last: Callable[[], object]) -> None:
        """Let go of the thread after a last call; may be called twice.

        The last call stands behind one that still runs, so that what that one opens is closed too
        once it ends; it is waited for no longer than ``CLOSE_S``.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        closing = asyncio.get_running_loop().run_in_executor(thread, last)
        thread.shutdown(wait=False)
        # As above: one that ends after the wait has nobody left to tell its failure to.
        closing.add_done_callback(lambda done: done.cancelled() or done.exception())
        done, _ = await asyncio.wait({closing}, timeout=CLOSE_S)
        for one in done:
            one.result()
