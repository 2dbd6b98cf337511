"""Sends a copy of samples to a time series database, on a thread of its own.

The record never waits for it and never reads from it: what cannot be sent is dropped and counted.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Sequence
from typing import Final

from collectors.remote_write.door import HttpDoor
from collectors.remote_write.known import KnownSeries, Samples
from collectors.remote_write.queue import SampleQueue
from collectors.remote_write.request import Dropped
from collectors.remote_write.shard import Pace, Shard
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

    def __init__(self, target: Target, settings: RemoteWriteSettings, clock: Clock) -> None:
        shards = settings.shards
        self._target = target
        self._clock = clock
        self._tally = Tally(clock)
        self._known = KnownSeries(settings.external_labels, shards)
        self._door = HttpDoor(target, settings.timeout_s, shards)
        pace = Pace(batch=settings.batch_samples, flush_s=settings.flush_s)
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
            queued=sum(each.waiting for each in self._shards),
            series=len(self._known),
            lag_s=max(0.0, now_s - oldest_s),
            down_since=tally.down_since,
            trouble=tally.trouble,
        )

    def take(self, site_id: str, readings: Sequence[Reading]) -> None:
        """Take readings to send; the oldest that wait give way where there is no room."""
        if readings:
            now_ms = to_epoch_ms(self._clock.now())
            self._put(self._known.take(site_id, readings, now_ms))

    def take_rows(self, site_id: str, readings: Readings) -> None:
        """Take readings by column."""
        if len(readings):
            now_ms = to_epoch_ms(self._clock.now())
            self._put(self._known.take_rows(site_id, readings, now_ms))

    def start(self) -> None:
        """Begin to send; a second call changes nothing."""
        if self._thread is None:
            ready = threading.Event()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._run(ready)), name="remote-write", daemon=True
            )
            self._thread.start()
            ready.wait()
            _LOG.info("samples are copied", extra={"to": self._target.shown})
            if self._target.is_overheard:
                _LOG.warning("the secret of remote_write goes over the network in clear")

    def stop(self) -> None:
        """Send what is left, for a few seconds, and end."""
        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(2 * STOP_S)
        self._thread = None

    def tell_silent(self) -> None:
        """Mark the series that fell silent, and forget those that did long ago."""
        now_ms = to_epoch_ms(self._clock.now())
        self._put(self._known.silent(now_ms))
        self._known.forget(now_ms)

    def _put(self, samples: Samples) -> None:
        if not len(samples):
            return
        now_s = self._clock.monotonic()
        if len(self._shards) == 1:
            parts = [samples]
        else:
            which = samples.shards()
            parts = [samples.pick(which == number) for number in range(len(self._shards))]
        for shard, part in zip(self._shards, parts, strict=True):
            if len(part):
                self._tally.drop(Dropped.QUEUE_FULL, shard.queue.put(part, now_s))
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it ended just now
                loop.call_soon_threadsafe(self._wake)

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
        left = sum(shard.give_up() for shard in self._shards)
        self._tally.drop(Dropped.STOPPED, left)
        if left:
            _LOG.warning("samples were not sent before the end", extra={"samples": left})

    async def _keep_on(self, shard: Shard) -> None:
        """Let a shard work whatever happens: a fault costs one request, not the copy."""
        while True:
            try:
                await shard.run()
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


def writer_of(settings: RemoteWriteSettings, sender: str, clock: Clock) -> RemoteWriter | None:
    """Return what sends the samples of this kind of process, or None where nothing does.

    Raises BadInput for settings that cannot be.
    """
    if not settings.url or settings.sender != sender:
        return None
    return RemoteWriter(target_of(settings), settings, clock)
