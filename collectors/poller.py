"""Polls every source at its own pace; one that breaks or hangs delays no other.

The sources' phases are spread by a seed, so that a hundred meters are not read in one moment. A
source that failed three times in a row is asked less and less often, at most a minute apart (or at
its own interval, where that is longer), until it answers again.
"""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from collectors.sources.port import Source, SourceError
from suanwang.clock import Clock
from suanwang.model.reading import Reading, SourceReport

FAILURES_BEFORE_BACKOFF: Final = 3
BACKOFF_S_MAX: Final = 60.0
STOP_S_MAX: Final = 5.0
"""Longest that stopping waits for polls under way."""
ERROR_CHARS_MAX: Final = 2_000

Sink = Callable[[Sequence[Reading], SourceReport], Awaitable[None]]

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class PollStats:
    """What a source's polls came to. ``skipped`` polls were due while one was still under way."""

    polls: int = 0
    failures: int = 0
    timeouts: int = 0
    skipped: int = 0
    sink_failures: int = 0
    failures_in_a_row: int = 0
    lateness_s_max: float = 0.0


class Poller:
    """Runs sources until it is told to stop; hands each poll's outcome to the sink."""

    def __init__(self, sources: Sequence[Source], sink: Sink, clock: Clock, seed: int) -> None:
        names = [source.name for source in sources]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two sources are called {', '.join(sorted(twice))}")
        self._sources = tuple(sources)
        self._sink = sink
        self._clock = clock
        self._random = Random(seed)  # noqa: S311 - spreads phases, guards no secret
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._leftovers: set[asyncio.Task[Sequence[Reading]]] = set()
        self.stats = {source.name: PollStats() for source in sources}

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until ``stop`` is set, then close every source."""
        order = itertools.count()
        began = self._clock.monotonic()
        due = [
            (began + self._random.uniform(0, source.interval_s), next(order), source)
            for source in self._sources
        ]
        heapq.heapify(due)
        try:
            while due and not stop.is_set():
                at, _, source = due[0]
                wait_s = at - self._clock.monotonic()
                if wait_s > 0:
                    await self._wait(wait_s, stop)
                    continue
                self._start(source, lateness_s=-wait_s)
                # From now and not from the moment it was due: polls missed are not made up for.
                next_at = max(at, self._clock.monotonic() - source.interval_s)
                heapq.heapreplace(due, (next_at + self._pause_s(source), next(order), source))
                await asyncio.sleep(0)
            if not due:
                await stop.wait()
        finally:
            await self._close()

    async def _wait(self, seconds: float, stop: asyncio.Event) -> None:
        tasks = {
            asyncio.ensure_future(self._clock.wait(seconds)),
            asyncio.ensure_future(stop.wait()),
        }
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _pause_s(self, source: Source) -> float:
        failures = self.stats[source.name].failures_in_a_row
        if failures < FAILURES_BEFORE_BACKOFF:
            return source.interval_s
        longest = max(source.interval_s, BACKOFF_S_MAX)
        doublings = min(failures - FAILURES_BEFORE_BACKOFF + 1, 32)
        return float(min(source.interval_s * 2**doublings, longest))

    def _start(self, source: Source, *, lateness_s: float) -> None:
        stats = self.stats[source.name]
        stats.lateness_s_max = max(stats.lateness_s_max, lateness_s)
        if source.name in self._under_way:
            stats.skipped += 1
            return
        task = asyncio.create_task(self._poll(source, lateness_s), name=f"poll {source.name}")
        self._under_way[source.name] = task
        task.add_done_callback(lambda _: self._under_way.pop(source.name, None))

    async def _poll(self, source: Source, lateness_s: float) -> None:
        stats = self.stats[source.name]
        at, began = self._clock.now(), self._clock.monotonic()
        readings, error = await self._collect(source)
        report = SourceReport(
            source=source.name,
            is_up=not error,
            duration_s=max(0.0, self._clock.monotonic() - began),
            at=at,
            readings=len(readings),
            error=error[:ERROR_CHARS_MAX],
        )
        stats.polls += 1
        stats.failures += not report.is_up
        if report.is_up and stats.failures_in_a_row:
            _log.info("source is up again", extra={"source": source.name})
        elif not report.is_up and stats.failures_in_a_row == 0:
            _log.warning("source is down", extra={"source": source.name, "error": report.error})
        stats.failures_in_a_row = 0 if report.is_up else stats.failures_in_a_row + 1
        try:
            await self._sink((*readings, *_about(report, lateness_s)), report)
        except Exception:  # noqa: BLE001 - the sink's trouble must not end the polling
            stats.sink_failures += 1
            _log.exception("readings were not taken", extra={"source": source.name})

    async def _collect(self, source: Source) -> tuple[Sequence[Reading], str]:
        """Return the readings and an empty text, or nothing and why the source is down."""
        task = asyncio.get_running_loop().create_task(_collected(source))
        try:
            done, _ = await asyncio.wait({task}, timeout=source.timeout_s)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            # Not awaited: a source that will not be cancelled must not hold this up either.
            task.cancel()
            self._leftovers.add(task)
            task.add_done_callback(self._forget)
            self.stats[source.name].timeouts += 1
            return (), f"no answer within {source.timeout_s:g} s"
        failure = task.exception()
        if failure is None:
            return task.result(), ""
        if not isinstance(failure, SourceError):
            _log.error("source failed in a way it should not", exc_info=failure)
            return (), f"{type(failure).__name__}: {failure}"
        return (), str(failure)

    def _forget(self, task: asyncio.Task[Sequence[Reading]]) -> None:
        self._leftovers.discard(task)
        if not task.cancelled():
            task.exception()

    async def _close(self) -> None:
        under_way = list(self._under_way.values())
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way, timeout=STOP_S_MAX)
        for source in self._sources:
            try:
                await asyncio.wait_for(source.close(), STOP_S_MAX)
            except Exception as failure:  # noqa: BLE001 - the next source is closed all the same
                _log.warning(
                    "source did not close", extra={"source": source.name, "error": failure}
                )


def _about(report: SourceReport, lateness_s: float) -> tuple[Reading, ...]:
    """Return the readings of a source about itself."""
    values = {
        "up_ratio": float(report.is_up),
        "poll_duration_s": report.duration_s,
        "poll_lateness_s": max(0.0, lateness_s),
    }
    return tuple(
        Reading(subject=f"source:{report.source}", metric=metric, value=value, at=report.at)
        for metric, value in values.items()
    )


async def _collected(source: Source) -> Sequence[Reading]:
    return await source.collect()
