"""Polls every source at its own pace; one that breaks or hangs delays no other.

One task keeps the schedule of all, and each poll is one task. Three things keep sources apart: a
deadline for each poll, kept by the schedule and not by the source; limits of what runs at the same
time (``collectors.lanes``); and a circuit breaker (``collectors.breaker``). A poll that does not
even end when it is cancelled is left behind, and its source is not polled again until it has ended,
so there is never more than one poll of a source.
"""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast

from collectors.breaker import Breaker
from collectors.lanes import Lanes, Limits, Place
from collectors.phases import Grid, grid_of, share_of
from collectors.poll_stats import Histogram, PollStats
from collectors.sources.port import Discoverer, Source, SourceError
from collectors.turns import Turns
from suanwang.clock import Clock
from suanwang.model.reading import Circuit, Reading, SourceReport

STOP_S_MAX: Final = 5.0
"""Longest that stopping waits for polls under way, and for each source to close."""
ERROR_CHARS_MAX: Final = 2_000
LOOK_S: Final = 1.0
"""Longest that the schedule sleeps, so that what was added meanwhile is seen."""
STARTS_MAX: Final = 32
"""Polls begun in one go before others get a turn; after a standstill thousands may be due."""

Sink = Callable[[Sequence[Reading], SourceReport], None]
"""Takes a poll's outcome in. It does not wait: what may block belongs behind a buffer."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Entry:
    """A source with what the poller knows of it."""

    source: Source
    place: Place
    grid: Grid
    stats: PollStats = field(default_factory=PollStats)
    breaker: Breaker = field(default_factory=Breaker)
    task: asyncio.Task[None] | None = None
    is_gone: bool = False
    discoverer: Discoverer | None = None
    """The source, where it is one that looks through its device."""
    has_turn: bool = False
    """Whether its turn to do so has come."""

    @property
    def wants_turn(self) -> bool:
        """Whether its next poll is so dear that it has to take a turn."""
        return self.discoverer is not None and not self.has_turn and self.discoverer.must_discover


@dataclass(slots=True, eq=False)
class _Poll:
    """One poll, from its turn to its outcome."""

    entry: _Entry
    due_s: float
    began_s: float = 0.0
    at: datetime | None = None
    is_over: bool = False


class Poller:
    """Runs sources until it is told to stop; hands each poll's outcome to the sink.

    ``places`` tells where a source of a name is polled, for the limits; without one it has none.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        sink: Sink,
        clock: Clock,
        seed: int,
        places: Mapping[str, Place] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._seed = seed
        # The grids hang on UTC, but time is measured on the clock that never jumps.
        self._epoch_s = clock.now().timestamp() - clock.monotonic()
        self._entries: dict[str, _Entry] = {}
        self._heap: list[tuple[float, int, _Entry | _Poll]] = []
        self._order = itertools.count()
        self._lanes: Lanes[_Poll] = Lanes(limits or Limits(), self._begin)
        self._leftovers: set[asyncio.Task[None]] = set()
        self._turns = Turns()
        self._removed = PollStats()
        self.lateness = Histogram()
        """How late polls began, but the first ones of each source."""
        self.lateness_of_first = Histogram()
        for source in sources:
            self.add(source, (places or {}).get(source.name, Place()))

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the sources that are polled."""
        return frozenset(self._entries)

    @property
    def stats(self) -> dict[str, PollStats]:
        """Return what each source's polls came to, by its name."""
        return {name: entry.stats for name, entry in self._entries.items()}

    @property
    def totals(self) -> PollStats:
        """Return what the polls of all sources came to, those that were removed among them."""
        totals = PollStats()
        for stats in (self._removed, *(entry.stats for entry in self._entries.values())):
            totals.add(stats)
        return totals

    @property
    def breakers(self) -> dict[str, Breaker]:
        """Return the breaker of each source, by its name."""
        return {name: entry.breaker for name, entry in self._entries.items()}

    @property
    def in_flight(self) -> int:
        """Return the polls under way."""
        return self._lanes.in_flight

    @property
    def waiting(self) -> int:
        """Return the polls that are due and wait for a place."""
        return self._lanes.waiting

    @property
    def left_behind(self) -> int:
        """Return the polls that were given up and have not ended; at most one of each source."""
        return len(self._leftovers)

    def add(self, source: Source, place: Place) -> None:
        """Poll one more source from now on; raise ValueError where there is one of its name."""
        if source.name in self._entries:
            raise ValueError(f"two sources are called {source.name}")
        share = share_of(source.name, self._seed)
        grid = grid_of(share, source.interval_s, self._epoch_s)
        entry = _Entry(source, place, grid, discoverer=_discoverer(source))
        self._entries[source.name] = entry
        self._push(entry.grid.first(self._clock.monotonic()), entry)

    async def remove(self, name: str) -> None:
        """Poll a source no more, and close it; raise KeyError where there is none."""
        entry = self._entries.pop(name)
        entry.is_gone = True
        self._removed.add(entry.stats)
        if entry.task:
            entry.task.cancel()
            await asyncio.wait({entry.task}, timeout=STOP_S_MAX)
        await _close(entry.source)

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until ``stop`` is set, then close every source."""
        schedule = asyncio.create_task(self._schedule(), name="poll schedule")
        stopping = asyncio.create_task(stop.wait(), name="poll stop")
        try:
            await asyncio.wait({schedule, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (schedule, stopping):
                task.cancel()
            await asyncio.gather(schedule, stopping, return_exceptions=True)
            await self._close_all()
        if not schedule.cancelled():
            schedule.result()

    async def _schedule(self) -> None:
        """Begin what is due and end what is overdue, in the order of time."""
        while True:
            now_s, handled = self._clock.monotonic(), 0
            while self._heap and self._heap[0][0] <= now_s:
                at_s, _, item = heapq.heappop(self._heap)
                if isinstance(item, _Entry):
                    self._due(item, at_s)
                else:
                    self._expire(item)
                handled += 1
                if handled % STARTS_MAX == 0:
                    await asyncio.sleep(0)
                    now_s = self._clock.monotonic()
            if handled:
                await asyncio.sleep(0)
                now_s = self._clock.monotonic()
            next_s = self._heap[0][0] if self._heap else now_s + LOOK_S
            await self._clock.wait(min(max(0.0, next_s - now_s), LOOK_S))

    def _push(self, at_s: float, item: "_Entry | _Poll") -> None:
        heapq.heappush(self._heap, (at_s, next(self._order), item))

    def _due(self, entry: _Entry, due_s: float) -> None:
        if entry.is_gone:
            return
        if entry.wants_turn:
            entry.has_turn = True
            turn_s = self._turns.take(due_s)
            if turn_s > due_s:
                self._push(turn_s, entry)
                return
        entry.has_turn = False
        self._lanes.enter(_Poll(entry, due_s), entry.place)

    def _begin(self, poll: _Poll) -> None:
        """Start a poll whose turn has come."""
        entry = poll.entry
        if entry.is_gone:
            # Not at once: many of them in a row would nest as deeply.
            asyncio.get_running_loop().call_soon(self._lanes.leave, entry.place)
            return
        poll.began_s, poll.at = self._clock.monotonic(), self._clock.now()
        entry.breaker = entry.breaker.asked()
        if entry.task is not None:
            entry.stats.stuck += 1
            asyncio.get_running_loop().call_soon(
                self._finish, poll, (), "the poll before was given up and has not ended yet"
            )
            return
        task = asyncio.create_task(self._collect(poll), name=f"poll {entry.source.name}")
        entry.task = task
        task.add_done_callback(lambda done: self._ended(poll, done))
        self._push(poll.began_s + entry.source.timeout_s, poll)

    async def _collect(self, poll: _Poll) -> None:
        """Ask the source, and hand on what came of it."""
        try:
            readings, error = tuple(await poll.entry.source.collect()), ""
        except SourceError as failure:
            readings, error = (), str(failure) or type(failure).__name__
        except Exception as failure:  # noqa: BLE001 - a source's bug takes only the source down
            if not poll.is_over:
                _log.exception("source failed in a way it should not")
            readings, error = (), f"{type(failure).__name__}: {failure}"
        self._finish(poll, readings, error)

    def _ended(self, poll: _Poll, task: asyncio.Task[None]) -> None:
        """Note that a poll's task is over, also one that was given up long ago."""
        self._leftovers.discard(task)
        poll.entry.task = None
        if not task.cancelled() and task.exception() is not None:
            _log.error("a poll broke", exc_info=task.exception())
        if not poll.is_over:
            self._finish(poll, (), "the poll was broken off")

    def _expire(self, poll: _Poll) -> None:
        """Give up a poll that took too long; not awaited, since it may not want to end."""
        entry = poll.entry
        if poll.is_over or entry.task is None:
            return
        entry.stats.timeouts += 1
        self._leftovers.add(entry.task)
        entry.task.cancel()
        self._finish(poll, (), f"no answer within {entry.source.timeout_s:g} s")

    def _finish(self, poll: _Poll, readings: Sequence[Reading], error: str) -> None:
        """Count the outcome, tell it, give the place free, and set when the source is due again."""
        if poll.is_over:
            return
        poll.is_over = True
        entry = poll.entry
        self._lanes.leave(entry.place)
        if entry.is_gone or poll.at is None:
            return
        before, now_s = entry.breaker, self._clock.monotonic()
        entry.breaker = before.failed(poll.at, error) if error else before.answered(poll.at)
        next_s = self._again(poll, now_s)
        lateness_s = max(0.0, poll.began_s - poll.due_s)
        report = SourceReport(
            source=entry.source.name,
            is_up=not error,
            duration_s=max(0.0, now_s - poll.began_s),
            at=poll.at,
            readings=len(readings),
            error=error[:ERROR_CHARS_MAX],
            circuit=entry.breaker.circuit,
            circuit_since=entry.breaker.since,
            next_at=poll.at + timedelta(seconds=next_s - poll.began_s),
            interval_s=entry.source.interval_s,
        )
        self._count(entry, report, lateness_s)
        _tell(before, entry.breaker, report)
        try:
            self._sink((*readings, *_about(report, lateness_s)), report)
        except Exception:  # noqa: BLE001 - the sink's trouble must not end the polling
            entry.stats.sink_failures += 1
            _log.exception("readings were not taken", extra={"source": entry.source.name})

    def _again(self, poll: _Poll, now_s: float) -> float:
        """Set the next poll: on the source's grid, and polls that were missed are not made up."""
        entry, interval_s = poll.entry, poll.entry.source.interval_s
        entry.stats.skipped += max(0, int((now_s - poll.due_s) / interval_s))
        wanted_s = poll.due_s + entry.breaker.pause_s(interval_s) - interval_s / 2
        next_s = entry.grid.after(max(wanted_s, now_s))
        self._push(next_s, entry)
        return next_s

    def _count(self, entry: _Entry, report: SourceReport, lateness_s: float) -> None:
        stats = entry.stats
        stats.polls += 1
        stats.failures += not report.is_up
        stats.lateness_s_max = max(stats.lateness_s_max, lateness_s)
        (self.lateness if stats.polls > 1 else self.lateness_of_first).add(lateness_s)

    async def _close_all(self) -> None:
        tasks = [entry.task for entry in self._entries.values() if entry.task]
        for entry in self._entries.values():
            entry.is_gone = True
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S_MAX)
        await asyncio.gather(*(_close(entry.source) for entry in self._entries.values()))


def _discoverer(source: Source) -> Discoverer | None:
    """Return the source if it looks through its device; its class says so, it is not asked yet."""
    return cast("Discoverer", source) if hasattr(type(source), "must_discover") else None


async def _close(source: Source) -> None:
    try:
        await asyncio.wait_for(source.close(), STOP_S_MAX)
    except Exception as failure:  # noqa: BLE001 - the next source is closed all the same
        _log.warning("source did not close", extra={"source": source.name, "error": failure})


def _tell(before: Breaker, now: Breaker, report: SourceReport) -> None:
    """Log a source that went down, came back, or is asked less often from now on."""
    source = report.source
    if report.is_up and before.failures:
        _log.info("source is up again", extra={"source": source, "failed_polls": before.failures})
    elif not report.is_up and not before.failures:
        _log.warning("source is down", extra={"source": source, "error": report.error})
    elif now.circuit is Circuit.OPEN and before.circuit is Circuit.CLOSED:
        _log.warning("source is asked less often", extra={"source": source, "error": report.error})


def _about(report: SourceReport, lateness_s: float) -> tuple[Reading, ...]:
    """Return the readings of a source about itself."""
    subject, at = f"source:{report.source}", report.at
    return (
        Reading(subject=subject, metric="up_ratio", value=float(report.is_up), at=at),
        Reading(subject=subject, metric="poll_duration_s", value=report.duration_s, at=at),
        Reading(subject=subject, metric="poll_lateness_s", value=lateness_s, at=at),
    )
