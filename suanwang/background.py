"""A thread of a process that works until it is told to stop."""

import threading
from collections.abc import Callable
from typing import Final

JOIN_S: Final = 10.0
"""How long ``stop`` waits for the work that goes on."""


class Background:
    """Runs ``run`` on a thread of its own; it gets the event that says when to stop.

    ``wake`` is called after that event is set, for work that waits for something else as well.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[threading.Event], None],
        *,
        join_s: float = JOIN_S,
        wake: Callable[[], None] | None = None,
    ) -> None:
        self._name = name
        self._run = run
        self._join_s = join_s
        self._wake = wake
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; a second call changes nothing."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, args=(self._stopping,), name=self._name, daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """End after the work that goes on."""
        self._stopping.set()
        if self._wake is not None:
            self._wake()
        if self._thread is not None:
            self._thread.join(self._join_s)
            self._thread = None


def every(seconds: float, act: Callable[[], None]) -> Callable[[threading.Event], None]:
    """Return what runs ``act`` every so many seconds, until it is told to stop."""

    def run(stopping: threading.Event) -> None:
        while not stopping.wait(seconds):
            act()

    return run
