"""Sends a copy of samples to a time series database, on a thread of its own.

The record never waits for it and never takes anything from it. With the record behind it
(``CopyStore``) what does not fit into the queue is read there later; without, at an agent, it is
dropped and counted.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection

from collectors.remote_write.catch_up import CopyStore
from collectors.remote_write.door import HttpDoor
from collectors.remote_write.feed import Feed
from collectors.remote_write.known import KnownSeries, Samples
from collectors.remote_write.queue import SampleQueue
from collectors.remote_write.request import Dropped
from collectors.remote_write.shard import Pace, Shard, Stalled
from collectors.remote_write.tally import RemoteState, Tally
from collectors.remote_write.target import Target, target_of
from suanwang.clock import Clock, to_epoch_ms
from suanwang.model.batch import Readings
from suanwang.model.reading import Reading
from suanwang.settings import RemoteWriteSettings

_LOG = logging.getLogger(__name__)

STOP_S: Final = 5.0
"""How long the end waits for what is left to be sent."""
FAULT_S: Final = 1.0
LOOK_EVERY_S: Final = 15.0
"""Seconds between two looks for series that fell silent."""


class RemoteWriter:
    """A copy for a database. ``take`` may be called from any thread, and costs no wait."""

    def __init__(
        self,
        target: Target,
        settings: RemoteWriteSettings,
        clock: Clock,
        store: CopyStore | None = None,
    ) -> None:
        shards = settings.shards
        self._target = target
        self._clock = clock
        self._tally = Tally(clock)
        self._known = KnownSeries(settings.external_labels, shards)
        self._door = HttpDoor(target, settings.timeout_s, shards)
        pace = Pace(
            batch=settings.batch_samples, flush_s=settings.flush_s, may_stall=store is not None
        )
        self._shards = tuple(
            Shard(
                self._door,
                self._tally,
                clock,
                SampleQueue(settings.queue_samples // shards),
                pace,
                seed,
            )
            for seed in range(shards)
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = asyncio.Event()
        self._feed = None if store is None else Feed(store, self, settings.queue_samples, clock)

    @property
    def state(self) -> RemoteState:
        """Counts and queue as they are now."""
        tally, now_s = self._tally, self._clock.monotonic()
        since = [each.since_s for each in self._shards]
        oldest_s = min((each for each in since if each is not None), default=now_s)
        return RemoteState(
            sent=tally.sent,
            dropped={reason: tally.dropped[reason] for reason in Dropped},
            retries=tally.retries,
            requests=tally.requests,
            queued=self.queued,
            series=len(self._known),
            lag_s=max(0.0, now_s - oldest_s),
            down_since=tally.down_since,
            trouble=tally.trouble,
            is_behind=self._feed is not None and self._feed.progress.is_behind,
            behind_s=0.0 if self._feed is None else self._feed.behind_s(),
            stalls=0 if self._feed is None else self._feed.stalls,
        )

    @property
    def queued(self) -> int:
        """How many samples wait, those under way among them."""
        return sum(each.waiting for each in self._shards)

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The ways to the database."""
        return self._shards

    @property
    def known(self) -> KnownSeries:
        """The series that were sent of."""
        return self._known

    @contextmanager
    def admitting(self, site_id: str, low_ms: int) -> Iterator[None]:
        """Surround the transaction of a batch, and ``take_rows`` of what it has admitted.

        ``low_ms`` is the oldest moment that its samples may have.
        """
        if self._feed is None:
            yield
            return
        with self._feed.progress.admitting(site_id, low_ms):
            yield

    def note(self, connection: Connection, site_id: str, low_ms: int) -> None:
        """Note in the transaction of a batch what the copy lacks should this process die now."""
        if self._feed is not None:
            self._feed.note(connection, site_id, low_ms)

    def take(self, site_id: str, readings: Sequence[Reading]) -> None:
        """Take readings to send; the oldest that wait give way where there is no room."""
        if readings:
            now_ms = to_epoch_ms(self._clock.now())
            self.put(self._known.take(site_id, readings, now_ms))

    def take_rows(self, site_id: str, readings: Readings) -> None:
        """Take readings by column."""
        if not len(readings):
            return
        samples = self._known.take_rows(site_id, readings, to_epoch_ms(self._clock.now()))
        if self._feed is None:
            self.put(samples)
        else:
            self._feed.take(site_id, samples)

    def start(self) -> None:
        """Begin to send; a second call changes nothing."""
        if self._thread is None:
            ready = threading.Event()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._run(ready)), name="remote-write", daemon=True
            )
            self._thread.start()
            ready.wait()
            if self._feed is not None:
                self._feed.start()
            _LOG.info("samples are copied", extra={"to": self._target.shown})
            if self._target.is_overheard:
                _LOG.warning("the secret of remote_write goes over the network in clear")

    def stop(self) -> None:
        """Send what is left, for a few seconds, and end."""
        if self._thread is None or self._loop is None:
            return
        if self._feed is not None:
            self._feed.stop()
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(2 * STOP_S)
        self._thread = None

    def tell_silent(self) -> None:
        """Mark the series that fell silent, and forget those that did long ago."""
        now_ms = to_epoch_ms(self._clock.now())
        self.put(self._known.silent(now_ms))
        self._known.forget(now_ms)

    def put(self, samples: Samples, site_id: str = "", *, is_bounded: bool = True) -> None:
        """Queue samples; ``site_id`` is that of samples which are in the record too."""
        now_s = self._clock.monotonic()
        for shard, part in self.parted(samples):
            gone = shard.queue.put(part, now_s, site_id, is_bounded=is_bounded)
            self._tally.drop(Dropped.QUEUE_FULL, gone)
        loop = self._loop
        if loop is not None and len(samples):
            with contextlib.suppress(RuntimeError):  # it ended just now
                loop.call_soon_threadsafe(self._wake)

    def parted(self, samples: Samples) -> list[tuple[Shard, Samples]]:
        """Return samples by the ways that their series take."""
        if not len(samples):
            return []
        if len(self._shards) == 1:
            return [(self._shards[0], samples)]
        which = samples.shards()
        parts = [samples.pick(which == number) for number in range(len(self._shards))]
        return [(way, part) for way, part in zip(self._shards, parts, strict=True) if len(part)]

    def _wake(self) -> None:
        for shard in self._shards:
            if len(shard.queue):
                shard.wake()

    async def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        async with self._door:
            looking = asyncio.create_task(self._look())
            sending = [asyncio.create_task(self._keep_on(shard)) for shard in self._shards]
            self._wake()
            ready.set()
            await self._stopping.wait()
            self._loop = None
            looking.cancel()
            for shard in self._shards:
                shard.stop()
            await asyncio.wait(sending, timeout=STOP_S)
            for task in sending:
                task.cancel()
            await asyncio.gather(looking, *sending, return_exceptions=True)
        if self._feed is not None:
            self._feed.write_end()
        left = sum(shard.give_up() for shard in self._shards)
        if self._feed is None:
            self._tally.drop(Dropped.STOPPED, left)
        if left:
            _LOG.warning("samples were not sent before the end", extra={"samples": left})

    async def _keep_on(self, shard: Shard) -> None:
        """Let a shard work whatever happens: a fault costs one request, not the copy."""
        while True:
            try:
                await shard.run()
            except Stalled:
                assert self._feed is not None, "only with a record behind it"
                self._feed.stalled(shard)
            except Exception:  # noqa: BLE001 - the outermost place of this thread
                _LOG.exception("a way to the time series database failed and goes on")
                self._tally.drop(Dropped.REJECTED, shard.skip())
                await self._clock.wait(FAULT_S)
                shard.wake()
            else:
                return

    async def _look(self) -> None:
        while True:
            await self._clock.wait(LOOK_EVERY_S)
            self.tell_silent()


def writer_of(
    settings: RemoteWriteSettings, sender: str, clock: Clock, store: CopyStore | None = None
) -> RemoteWriter | None:
    """Return what sends the samples of this kind of process, or None where nothing does.

    Raises BadInput for settings that cannot be.
    """
    if not settings.url or settings.sender != sender:
        return None
    return RemoteWriter(target_of(settings), settings, clock, store)
