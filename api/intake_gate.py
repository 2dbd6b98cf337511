"""The door for telemetry: how many batches are taken in at a time, and what becomes of them.

After an outage many sites send what they kept, all at once. They get a queue of their own with few
threads, so that people's requests are answered meanwhile; who finds it full is told when to come
again, before its batch is read into memory.
"""

import math
from collections import Counter as Tally
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from anyio import CapacityLimiter
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from collectors.store import Ingested
from suanwang.clock import Clock
from suanwang.errors import Unavailable

THREADS: Final = 2
"""Batches that are worked in at a time: on SQLite one writes while the next is unpacked."""
BATCHES_MAX: Final = 32
"""Batches in this process, under way or waiting."""
SITE_BATCHES_MAX: Final = 4
"""Batches of one site among them; an agent sends one after the other."""
RETRY_AFTER_S_MAX: Final = 30
BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SMOOTHING: Final = 0.1


class IntakeBusy(Unavailable):
    """More batches came at once than are taken in: send it again later."""

    code = "intake-busy"


class TooManyBatches(Unavailable):
    """One site sends more batches at once than its agent would."""

    code = "too-many-batches"
    status = 429


class IntakeGate:
    """The queue of batches of one process, and its metrics."""

    def __init__(self, clock: Clock, most: int = BATCHES_MAX) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self._most = most
        self._inside: Tally[str] = Tally()
        self._threads = CapacityLimiter(THREADS)
        self._seconds = 0.1
        self._make_metrics()

    @property
    def threads(self) -> CapacityLimiter:
        """Limits the threads that work batches in."""
        return self._threads

    @asynccontextmanager
    async def entered(self, site_id: str) -> AsyncIterator[None]:
        """Hold a place in the queue; raise IntakeBusy or TooManyBatches where there is none."""
        waiting = self._inside.total()
        if waiting >= self._most:
            self._turned_away.labels("busy").inc()
            raise IntakeBusy(
                f"{waiting} batches of telemetry wait, no more than {self._most} may",
                next_step="keep the batch and send it again; agents do so by themselves",
                retry_after_s=self._retry_after_s(waiting),
            )
        if self._inside[site_id] >= SITE_BATCHES_MAX:
            self._turned_away.labels("site").inc()
            raise TooManyBatches(
                f"{self._inside[site_id]} batches of site {site_id} wait, no more than "
                f"{SITE_BATCHES_MAX} may",
                next_step="send one batch after the other",
                retry_after_s=self._retry_after_s(self._inside[site_id]),
            )
        self._inside[site_id] += 1
        began = self._clock.monotonic()
        try:
            yield
        finally:
            self._inside[site_id] -= 1
            if not self._inside[site_id]:
                del self._inside[site_id]
            self._note(self._clock.monotonic() - began, waiting)

    def count(self, taken: Ingested, refused: int) -> None:
        """Count what became of a batch."""
        self._batches.labels("repeat" if taken.is_repeat else "new").inc()
        for outcome, rows in (
            ("new", taken.accepted),
            ("duplicate", taken.duplicates),
            ("refused", refused),
        ):
            self._samples.labels(outcome).inc(rows)

    def _note(self, seconds: float, waited_for: int) -> None:
        self._duration.observe(seconds)
        each = seconds / (1 + waited_for / THREADS)
        self._seconds += _SMOOTHING * (each - self._seconds)

    def _retry_after_s(self, waiting: int) -> int:
        """Return in how many seconds those that wait now will be through."""
        return min(max(1, math.ceil(waiting * self._seconds / THREADS)), RETRY_AFTER_S_MAX)

    def _make_metrics(self) -> None:
        self._batches = Counter(
            "suanwang_intake_batches",
            "Batches of telemetry by outcome.",
            ("outcome",),
            registry=self.registry,
        )
        self._samples = Counter(
            "suanwang_intake_samples",
            "Samples in batches by outcome.",
            ("outcome",),
            registry=self.registry,
        )
        self._turned_away = Counter(
            "suanwang_intake_turned_away",
            "Batches turned away since too many waited, by whose limit it was.",
            ("limit",),
            registry=self.registry,
        )
        self._duration = Histogram(
            "suanwang_intake_duration_seconds",
            "Time from a batch's head to its receipt, waiting included.",
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        waiting = Gauge(
            "suanwang_intake_waiting",
            "Batches under way or waiting.",
            registry=self.registry,
        )
        waiting.set_function(self._inside.total)
