"""A lock that serves those who wait in the order in which they came.

``threading.Lock`` lets a thread that has just let go take it again before a waiting one has woken,
so that a busy writer starves the others.
"""

import threading
from collections import deque


class FairLock:
    """First come, first served; use it as a context manager. A thread may not take it twice."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._is_held = False

    def __enter__(self) -> None:
        with self._guard:
            if not self._is_held:
                self._is_held = True
                return
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
        called.acquire()

    def __exit__(self, *_exception: object) -> None:
        """Hand the lock to whoever has waited longest; it is free only when nobody waits."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_held = False
