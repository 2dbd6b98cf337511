"""Brings the copy up to the record after a restart, an outage or a queue that was too small.

A thread of its own reads the record hour by hour, some series at a time, and hands it to the
writer's queue as there is room; so memory stays bounded however long the database was away. The
order of time is kept within a site. When it is nearly at the present, what comes in is held for the
moment that the rest takes, and then goes behind it.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from sqlalchemy import Connection

from collectors.remote_write.progress import Progress
from suanwang.clock import Clock, to_epoch_ms
from suanwang.model.batch import Readings

_LOG = logging.getLogger(__name__)

HOUR_MS: Final = 3_600_000
SETTLE_MS: Final = 30_000
"""The last seconds before the present are left for later: batches of them are still coming."""
NEAR_MS: Final = 90_000
"""Who is no further behind than this goes live."""
WRITE_EVERY_S: Final = 10.0
LOOK_S: Final = 0.2
PARK_S_MIN: Final = 60.0
PARK_S_MAX: Final = 900.0
"""Pauses after a database that answers, but fails over everything."""
FUTURE_MS: Final = 3_600_000
JOIN_S: Final = 10.0


class CopyStore(Protocol):
    """The record, and where positions are kept."""

    def begin(self) -> dict[str, int]:
        """Return the position of each site, ms."""

    def move(self, positions: Mapping[str, int]) -> None:
        """Write positions down."""

    def lower(self, connection: Connection, site_id: str, low_ms: int) -> None:
        """Lower a position in the transaction of a batch."""

    def read(self, site_id: str, low_ms: int, high_ms: int) -> Iterator[Readings]:
        """Yield the samples of a site between two moments, some series at a time."""


class Sink(Protocol):
    """The writer, as it is fed."""

    @property
    def progress(self) -> Progress:
        """How far the copy is."""

    @property
    def stalls(self) -> int:
        """How often the database failed over everything."""

    @property
    def falls(self) -> int:
        """How often the record had to be read again, for that reason or another."""

    def floors(self) -> Mapping[str, int]:
        """Return the oldest samples that wait, by site."""

    def feed(self, site_id: str, readings: Readings, *, is_last: bool) -> bool:
        """Queue samples of the record; return False where there is no room yet."""

    def is_idle(self) -> bool:
        """Whether nothing waits."""

    def hold(self) -> None:
        """Keep what comes in beside the queue."""

    def release(self) -> None:
        """Queue what was kept beside it."""


class CatchUp:
    """The thread. Faults of the database of the record are logged and tried again."""

    def __init__(self, store: CopyStore, sink: Sink, clock: Clock) -> None:
        self._store = store
        self._sink = sink
        self._clock = clock
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._written_s = clock.monotonic()
        self._stalls = 0
        self._falls = 0
        self.written: dict[str, int] = {}
        """Positions as they were written last."""
        self._park_s = PARK_S_MIN
        self._parked_until_s = 0.0

    def start(self) -> None:
        """Begin; ``written`` are the positions as they were found."""
        self._thread = threading.Thread(target=self._run, name="remote-write-record", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End soon; ``write`` may be called afterwards."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def write(self, margin_ms: int | None = None) -> None:
        """Write the positions down."""
        now_ms, floors = self._now_ms(), self._sink.floors()
        progress = self._sink.progress
        with progress.lock:
            found = (
                progress.positions(floors, now_ms)
                if margin_ms is None
                else progress.positions(floors, now_ms, margin_ms)
            )
            # Under the lock, so that a batch that lowers one does not do it just before.
            self._store.move(found)
            self.written = found
        self._written_s = self._clock.monotonic()

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                self._turn()
            except Exception:  # noqa: BLE001 - the outermost place of this thread
                _LOG.exception("the copy could not go on from the record; it is tried again")
                self._stopping.wait(1.0)

    def _turn(self) -> None:
        if self._clock.monotonic() - self._written_s >= WRITE_EVERY_S:
            self.write()
        if self._sink.stalls != self._stalls:
            self._stalls = self._sink.stalls
            self._parked_until_s = self._clock.monotonic() + self._park_s
            _LOG.error(
                "the time series database fails over everything; the copy goes on later",
                extra={"in_s": self._park_s},
            )
            self._park_s = min(2 * self._park_s, PARK_S_MAX)
        if self._sink.progress.is_behind and self._clock.monotonic() >= self._parked_until_s:
            self._catch_up()

    def _catch_up(self) -> None:
        """Read and hand on until the present; return early where it has to be begun anew."""
        progress, self._falls = self._sink.progress, self._sink.falls
        while (found := progress.oldest(self._now_ms() - NEAR_MS)) is not None:
            site_id, low_ms = found
            hour_end = low_ms - low_ms % HOUR_MS + HOUR_MS
            high_ms = min(hour_end, self._now_ms() - SETTLE_MS)
            progress.read_until(site_id, low_ms, high_ms)
            if not (self._hand_on(site_id, low_ms, high_ms - 1) and self._await_idle()):
                return
            progress.settled(site_id)
            self._park_s = PARK_S_MIN
            self.write()
        self._go_live()

    def _go_live(self) -> None:
        self._sink.hold()
        try:
            # Whatever is committed from here on is held, and whatever was before is in the record.
            for site_id, low_ms in self._sink.progress.go_live().items():
                high_ms = self._now_ms() + FUTURE_MS
                if not self._hand_on(site_id, low_ms, high_ms, is_last=True):
                    return
                self._sink.progress.settled(site_id)
        finally:
            self._sink.release()

    def _hand_on(self, site_id: str, low_ms: int, high_ms: int, *, is_last: bool = False) -> bool:
        """Feed a stretch of the record; return False where that came to nothing."""
        for readings in self._store.read(site_id, low_ms, high_ms):
            while not self._sink.feed(site_id, readings, is_last=is_last):
                if not self._may_go_on():
                    return False
        return self._may_go_on(0.0)

    def _await_idle(self) -> bool:
        while not self._sink.is_idle():
            if not self._may_go_on():
                return False
        return self._may_go_on(0.0)

    def _may_go_on(self, pause_s: float = 0.02) -> bool:
        """Wait a moment; return whether neither the end nor a fall has come."""
        if self._clock.monotonic() - self._written_s >= WRITE_EVERY_S:
            self.write()
        return not self._stopping.wait(pause_s) and self._sink.falls == self._falls

    def _now_ms(self) -> int:
        return to_epoch_ms(self._clock.now())
