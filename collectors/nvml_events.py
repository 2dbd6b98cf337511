"""Waits for XID errors of the GPUs, so that each is told once, with the moment it came.

A field that shows the last XID sticks until the driver restarts and hides one that follows another.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import pynvml

from collectors.nvml_fields import ABSENT, Handle, text
from suanwang.clock import Clock
from suanwang.model.reading import Reading

WAIT_MS: Final = 500
"""How long one wait takes at most: as long as closing may have to wait for it."""
KEPT_MAX: Final = 10_000
_MILLISECOND: Final = timedelta(milliseconds=1)

_log = logging.getLogger(__name__)


class XidWatch:
    """One thread that waits for the events of all GPUs. NVML must be open while it runs."""

    def __init__(self, clock: Clock, host: str) -> None:
        self._clock = clock
        self._labels = {"host": host}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._kept: deque[Reading] = deque(maxlen=KEPT_MAX)
        self._last: dict[str, datetime] = {}

    def start(self, gpus: Sequence[Handle]) -> None:
        """Begin to wait, where card and driver tell of XIDs at all."""
        if self._thread is not None and self._thread.is_alive():
            return
        try:
            events = pynvml.nvmlEventSetCreate()
        except pynvml.NVMLError as failure:
            if failure.value not in ABSENT:
                raise
            return
        try:
            _register(gpus, events)
        except BaseException:
            _free(events)  # the next poll makes another set
            raise
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, args=(events,), name="xid", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what it found can still be taken."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            thread.join(timeout=4 * WAIT_MS / 1000)

    def take(self) -> list[Reading]:
        """Return the XIDs that came since the last call."""
        found: list[Reading] = []
        while self._kept:
            found.append(self._kept.popleft())
        return found

    def _run(self, events: Handle) -> None:
        try:
            while not self._stop.is_set():
                self._wait(events)
        except pynvml.NVMLError as failure:
            _log.warning("no XIDs are told any more", extra={"error": str(failure)})
        finally:
            _free(events)

    def _wait(self, events: Handle) -> None:
        try:
            event = pynvml.nvmlEventSetWait_v2(events, WAIT_MS)
        except pynvml.NVMLError_Timeout:
            return
        at = self._clock.now()
        subject = f"gpu:{text(pynvml.nvmlDeviceGetUUID, event.device)}"
        # Two in one millisecond would be one sample with two values.
        if subject in self._last:
            at = max(at, self._last[subject] + _MILLISECOND)
        self._last[subject] = at
        self._kept.append(
            Reading(
                subject=subject,
                metric="xid_error",
                value=float(event.eventData),
                at=at,
                labels=self._labels,
            )
        )


def _register(gpus: Sequence[Handle], events: Handle) -> None:
    for gpu in gpus:
        try:
            pynvml.nvmlDeviceRegisterEvents(gpu, pynvml.nvmlEventTypeXidCriticalError, events)
        except pynvml.NVMLError as failure:
            if failure.value not in ABSENT:
                raise


def _free(events: Handle) -> None:
    try:
        pynvml.nvmlEventSetFree(events)
    except pynvml.NVMLError:
        _log.debug("the driver has let go of the events already")
