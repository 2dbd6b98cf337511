"""Joins a writer with the record: what the queue cannot hold is read from there."""

import logging
from typing import Protocol

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from collectors.remote_write.catch_up import CatchUp, CopyStore
from collectors.remote_write.known import KnownSeries, Samples
from collectors.remote_write.progress import Progress
from collectors.remote_write.queue import Floors, lowest
from collectors.remote_write.shard import Shard
from suanwang.clock import Clock, to_epoch_ms
from suanwang.model.batch import Readings

_LOG = logging.getLogger(__name__)


class Fed(Protocol):
    """A writer, as it is fed."""

    @property
    def queued(self) -> int:
        """How many samples wait."""

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The ways to the database."""

    @property
    def known(self) -> KnownSeries:
        """The series that were sent of."""

    def parted(self, samples: Samples) -> list[tuple[Shard, Samples]]:
        """Return samples by the ways that their series take."""

    def put(self, samples: Samples, site_id: str = "", *, is_bounded: bool = True) -> None:
        """Queue samples."""


class Feed:
    """What the record adds to a writer: nothing is ever dropped for want of room or of an answer.

    It is the ``Sink`` of the thread that reads the record.
    """

    def __init__(self, store: CopyStore, writer: Fed, most: int, clock: Clock) -> None:
        self._store = store
        self._writer = writer
        self._most = most
        self._clock = clock
        self._catch_up = CatchUp(store, self, clock)
        self._held: list[tuple[str, Samples]] | None = None
        self._fed: list[npt.NDArray[np.int64]] = []
        self.progress = Progress({})
        self.stalls = 0
        self.falls = 0

    def start(self) -> None:
        """Read the positions, and begin to read on from there."""
        found = self._store.begin()
        with self.progress.lock:
            for site_id, at_ms in found.items():
                self.progress.read_until(site_id, at_ms, at_ms)
                self.progress.settled(site_id)
            self._catch_up.written = found
        self._catch_up.start()

    def stop(self) -> None:
        """Read no further."""
        self._catch_up.stop()

    def write_end(self) -> None:
        """Write down exactly how far the copy is."""
        try:
            self._catch_up.write(0)
        except Exception:  # noqa: BLE001 - what was written before is too old, and so never wrong
            _LOG.exception("the position of the copy was not written down at the end")

    def behind_s(self) -> float:
        """Return how old the oldest sample is that the copy may lack, s."""
        now_ms = to_epoch_ms(self._clock.now())
        found = self.progress.positions(self.floors(), now_ms, 0)
        return max(0.0, (now_ms - min(found.values(), default=now_ms)) / 1_000)

    def note(self, connection: Connection, site_id: str, low_ms: int) -> None:
        """Lower the position that is written down, where a batch reaches further back."""
        written = self._catch_up.written.get(site_id)
        if written is None or low_ms < written:
            self._store.lower(connection, site_id, low_ms)

    def take(self, site_id: str, samples: Samples) -> None:
        """Queue what was taken in; where there is no room it is left to the record."""
        with self.progress.lock:
            if self.progress.is_behind:
                return
            if self._held is not None:
                self._held.append((site_id, samples))
                has_room = sum(len(each) for _, each in self._held) <= self._most
            else:
                parts = self._writer.parted(samples)
                has_room = all(way.queue.has_room(len(part)) for way, part in parts)
                if has_room:
                    self._writer.put(samples, site_id)
            if not has_room:
                _LOG.warning("the queue is full: samples are read from the record later")
                self._fall({site_id: int(samples.at_ms.min())} if len(samples) else {})

    def stalled(self, shard: Shard) -> None:
        """Let go of everything that waits: it is read again from the record, later."""
        with self.progress.lock:
            floors = shard.in_hand_floors
            shard.skip()
            self._writer.known.doubt(self._writer.shards.index(shard))
            self.stalls += 1
            self._fall(floors)

    def _fall(self, floors: Floors) -> None:
        queued = [way.queue.floors for way in self._writer.shards]
        now_ms = to_epoch_ms(self._clock.now())
        self.progress.fall_behind(lowest((floors, *queued, *self._held_floors())), now_ms)
        for way in self._writer.shards:
            way.queue.clear()
        self._held = None if self._held is None else []
        self.falls += 1

    def _held_floors(self) -> list[Floors]:
        return [{site: int(one.at_ms.min())} for site, one in self._held or () if len(one)]

    def floors(self) -> Floors:
        """Return the oldest samples that wait, by site."""
        return lowest((*(way.floors for way in self._writer.shards), *self._held_floors()))

    def feed(self, site_id: str, readings: Readings, *, is_last: bool) -> bool:
        """Queue samples of the record; return False where there is no room yet."""
        if self._writer.queued > self._most // 2:
            return False
        now_ms = to_epoch_ms(self._clock.now())
        samples = self._writer.known.take_rows(site_id, readings, now_ms)
        with self.progress.lock:
            if is_last:
                self._fed.append(_keys(samples))
            self._writer.put(samples, site_id if is_last else "", is_bounded=False)
        return True

    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return self._writer.queued == 0

    def hold(self) -> None:
        """Keep what comes in beside the queue."""
        with self.progress.lock:
            self._held, self._fed = [], []

    def release(self) -> None:
        """Queue what was kept beside it, but what was read from the record just before."""
        with self.progress.lock:
            held, self._held = self._held or [], None
            fed = np.concatenate([np.empty(0, np.int64), *self._fed])
            self._fed = []
            if not self.progress.is_behind:
                for site_id, samples in held:
                    fresh = samples.pick(~np.isin(_keys(samples), fed))
                    if len(fresh):
                        self._writer.put(fresh, site_id, is_bounded=False)


def _keys(samples: Samples) -> npt.NDArray[np.int64]:
    """Return a number for each series and moment: 41 bits hold every ms until 2039."""
    numbers = np.fromiter((each.number for each in samples.series), np.int64, len(samples))
    return (numbers << np.int64(41)) + samples.at_ms
