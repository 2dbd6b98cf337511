"""A thread for a source whose library or disk may hang."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from collectors.sources.port import SourceError

Found = TypeVar("Found")


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
        """Run a last call, unless one hangs, and let go of the thread; may be called twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if not self.is_busy:
            await asyncio.get_running_loop().run_in_executor(thread, last)
        thread.shutdown(wait=False, cancel_futures=True)
