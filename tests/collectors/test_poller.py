"""The poller: phases, timeouts, backoff, and sources that leave each other alone."""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from collectors.poller import Poller
from collectors.sources.port import SourceError
from suanwang.clock import SystemClock, VirtualClock
from suanwang.model.reading import Reading, SourceReport

STUCK = "the poll before was given up and has not ended yet"


class FakeSource:
    """A source that does what it is told to."""

    def __init__(
        self, name: str, *, interval_s: float = 10.0, timeout_s: float = 0.02, mood: str = "well"
    ) -> None:
        self.name = name
        self.interval_s = interval_s
        self.timeout_s = timeout_s
        self.mood = mood
        self.was_polled = asyncio.Event()
        self.is_closed = False

    async def collect(self) -> Sequence[Reading]:
        """Answer, fail, break or hang."""
        self.was_polled.set()
        if self.mood == "down":
            raise SourceError("the cable is cut")
        if self.mood == "broken":
            raise KeyError("gauge")
        if self.mood == "hangs":
            await asyncio.Event().wait()
        if self.mood == "deaf":
            await deaf()
        at = datetime(2026, 10, 14, tzinfo=UTC)
        return [Reading(subject=self.name, metric="power_w", value=1.0, at=at)]

    async def close(self) -> None:
        """Note it."""
        self.is_closed = True


async def deaf() -> None:
    """Wait on, whatever one says."""
    for _ in range(3):
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            continue


class Collected:
    """A sink that stops the poller after so many polls."""

    def __init__(self, stop: asyncio.Event, polls: int) -> None:
        self._stop = stop
        self._polls = polls
        self.reports: list[SourceReport] = []
        self.readings: list[Reading] = []

    def __call__(self, readings: Sequence[Reading], report: SourceReport) -> None:
        """Take one poll in."""
        self.readings += readings
        self.reports.append(report)
        if len(self.reports) >= self._polls:
            self._stop.set()

    def of(self, source: str) -> list[SourceReport]:
        """Return the reports of one source."""
        return [report for report in self.reports if report.source == source]


async def poll(sources: Sequence[FakeSource], polls: int) -> tuple[Poller, Collected]:
    """Run a poller on a virtual clock until so many polls were reported."""
    stop = asyncio.Event()
    sink = Collected(stop, polls)
    poller = Poller(sources, sink, VirtualClock(datetime(2026, 10, 14, tzinfo=UTC)), seed=7)
    await asyncio.wait_for(poller.run(stop), 10)
    return poller, sink


async def test_every_source_is_polled_at_its_own_pace() -> None:
    fast, slow = FakeSource("fast", interval_s=1), FakeSource("slow", interval_s=5)
    _, sink = await poll([fast, slow], 60)
    moments = [report.at for report in sink.of("fast")]
    gaps = {round((b - a).total_seconds(), 3) for a, b in itertools.pairwise(moments)}
    assert gaps == {1.0}
    assert 9 <= len(sink.of("slow")) <= 11
    assert fast.is_closed
    assert slow.is_closed


async def test_phases_are_spread_and_the_same_for_the_same_seed() -> None:
    first = [(await poll([FakeSource(f"s{i}") for i in range(20)], 20))[1] for _ in range(2)]
    seconds = [sorted(r.at.timestamp() % 10 for r in sink.reports) for sink in first]
    assert seconds[0] == seconds[1]
    assert max(b - a for a, b in zip(seconds[0], seconds[0][1:], strict=False)) < 4


@pytest.mark.parametrize(
    ("mood", "words"),
    [
        pytest.param("down", {"the cable is cut"}, id="says that it is down"),
        pytest.param("broken", {"KeyError: 'gauge'"}, id="has a bug"),
        pytest.param("hangs", {"no answer within 0.02 s"}, id="hangs"),
        pytest.param("deaf", {"no answer within 0.02 s", STUCK}, id="cannot be cancelled"),
    ],
)
async def test_a_broken_source_reports_itself_down_and_touches_no_other(
    mood: str, words: set[str]
) -> None:
    clock = SystemClock()
    stop = asyncio.Event()
    sink = Collected(stop, 40)
    sources = [FakeSource("bad", interval_s=0.03, mood=mood), FakeSource("good", interval_s=0.01)]
    poller = Poller(sources, sink, clock, seed=1)
    await asyncio.wait_for(poller.run(stop), 10)
    assert {report.error for report in sink.of("bad")} == words
    assert not any(report.is_up for report in sink.of("bad"))
    assert all(report.is_up for report in sink.of("good"))
    assert len(sink.of("good")) >= 20
    up = [r.value for r in sink.readings if (r.subject, r.metric) == ("source:bad", "up_ratio")]
    assert set(up) == {0.0}
    assert poller.stats["bad"].failures == len(sink.of("bad"))


async def test_a_dead_source_is_asked_less_often_and_soon_again_once_it_is_back() -> None:
    source = FakeSource("meter", interval_s=10, mood="down")
    stop = asyncio.Event()
    sink = Collected(stop, 12)

    def revive(readings: Sequence[Reading], report: SourceReport) -> None:
        sink(readings, report)
        if len(sink.reports) == 8:
            source.mood = "well"

    poller = Poller([source], revive, VirtualClock(datetime(2026, 10, 14, tzinfo=UTC)), seed=3)
    await asyncio.wait_for(poller.run(stop), 10)
    moments = [report.at for report in sink.reports]
    gaps = [round((b - a).total_seconds()) for a, b in itertools.pairwise(moments)]
    assert gaps[:8] == [10, 10, 20, 40, 60, 60, 60, 60]
    assert gaps[-1] == 10
    assert sink.reports[-1].is_up


async def test_a_sink_that_fails_ends_nothing() -> None:
    stop = asyncio.Event()
    seen: list[str] = []

    def sink(_: Sequence[Reading], report: SourceReport) -> None:
        seen.append(report.source)
        if len(seen) == 5:
            stop.set()
        raise OSError("disk full")

    poller = Poller(
        [FakeSource("s")], sink, VirtualClock(datetime(2026, 10, 14, tzinfo=UTC)), seed=3
    )
    await asyncio.wait_for(poller.run(stop), 10)
    assert poller.stats["s"].sink_failures >= 4


async def test_stopping_does_not_wait_for_a_source_that_hangs() -> None:
    stop = asyncio.Event()
    source = FakeSource("s", interval_s=0.001, timeout_s=3600, mood="hangs")
    poller = Poller([source], Collected(stop, 1), SystemClock(), seed=3)
    running = asyncio.create_task(poller.run(stop))
    await asyncio.wait_for(source.was_polled.wait(), 60)
    stop.set()
    await asyncio.wait_for(running, 60)
    assert source.is_closed


def test_two_sources_of_one_name_are_refused() -> None:
    def sink(_: Sequence[Reading], __: SourceReport) -> None:
        """Take nothing."""

    with pytest.raises(ValueError, match="two sources are called a"):
        Poller([FakeSource("a"), FakeSource("a")], sink, SystemClock(), seed=1)
