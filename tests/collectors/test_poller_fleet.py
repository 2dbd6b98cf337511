"""A fleet of sources with bad units among them: nobody is late for another's sake."""

import asyncio
import contextlib
import gc
import itertools
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from collectors.config import build_sources, parse_sources, places_of
from collectors.lanes import Limits, Place
from collectors.poller import Poller
from collectors.sources.port import SourceError
from suanwang.clock import SystemClock, VirtualClock
from suanwang.model.reading import Circuit, Reading, SourceReport

TIMEOUT_S = 4.9
"""Of a poll on real sockets; who waits for a unit that hangs is later than that."""
START = datetime(2026, 10, 14, tzinfo=UTC)
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Unit:
    """A source in memory; ``mood`` is what is wrong with it."""

    def __init__(self, name: str, mood: str = "well", interval_s: float = 15.0) -> None:
        self.name = name
        self.interval_s = interval_s
        self.timeout_s = 5.0
        self.mood = mood
        self.is_freed = asyncio.Event()
        self.under_way = self.most_under_way = 0

    async def collect(self) -> Sequence[Reading]:
        """Answer, hang, or be down."""
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        try:
            if self.mood == "down":
                raise SourceError("refused")
            if self.mood == "hangs":
                await asyncio.Event().wait()
            if self.mood == "deaf":
                await self._deaf()
        finally:
            self.under_way -= 1
        return [Reading(subject=self.name, metric="power_w", value=1.0, at=START)]

    async def _deaf(self) -> None:
        while not self.is_freed.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await self.is_freed.wait()

    async def close(self) -> None:
        """Nothing is open."""


class Tally:
    """A sink that keeps the reports and the lateness, and stops after so many polls."""

    def __init__(self, polls: int) -> None:
        self.stop = asyncio.Event()
        self.reports: dict[str, list[SourceReport]] = {}
        self.late_s: dict[str, float] = {}
        self._left = polls

    def __call__(self, readings: Sequence[Reading], report: SourceReport) -> None:
        """Take one poll in."""
        self.reports.setdefault(report.source, []).append(report)
        (late_s,) = [each.value for each in readings if each.metric == "poll_lateness_s"]
        self.late_s[report.source] = max(late_s, self.late_s.get(report.source, 0.0))
        self._left -= 1
        if not self._left:
            self.stop.set()


@pytest.mark.parametrize("mood", ["hangs", "down", "deaf"])
async def test_one_bad_unit_among_500_makes_nobody_late(mood: str) -> None:
    tally = Tally(500 * 20)
    units = [Unit(f"unit-{n}", mood if n == 250 else "well") for n in range(500)]
    places = {unit.name: Place("snmp", f"snmp {unit.name}") for unit in units}
    poller = Poller(units, tally, VirtualClock(START), seed=1, places=places)
    running = asyncio.create_task(poller.run(tally.stop))
    await asyncio.wait_for(tally.stop.wait(), 60)
    units[250].mood = "well"
    assert max(tally.late_s.values()) < 0.001
    for unit in units:
        reports = tally.reports[unit.name]
        assert all(report.is_up == (unit is not units[250]) for report in reports)
        gaps = {round((b.at - a.at).total_seconds(), 3) for a, b in itertools.pairwise(reports)}
        assert unit is units[250] or gaps == {15.0}
    assert units[250].most_under_way == 1
    assert poller.breakers["unit-250"].circuit is not Circuit.CLOSED
    assert tally.reports["unit-250"][-1].next_at is not None
    units[250].is_freed.set()
    await running
    assert poller.left_behind == 0


async def test_sources_of_one_bmc_take_turns_and_of_others_do_not_wait() -> None:
    tally = Tally(200)
    slow = [Unit(f"slow-{n}", "hangs") for n in range(10)]
    quick = [Unit(f"quick-{n}") for n in range(10)]
    places = {unit.name: Place("redfish", "bmc 10.0.0.8") for unit in slow}
    places |= {unit.name: Place("redfish", f"bmc {unit.name}") for unit in quick}
    poller = Poller([*slow, *quick], tally, VirtualClock(START), seed=1, places=places)
    most = 0
    running = asyncio.create_task(poller.run(tally.stop))
    while not tally.stop.is_set():
        most = max(most, sum(unit.under_way for unit in slow))
        await asyncio.sleep(0)
    await running
    assert most == 2
    assert all(tally.late_s[unit.name] < 0.001 for unit in quick)
    assert all(unit.name in tally.reports for unit in slow)


async def test_two_hundred_dead_units_leave_no_tasks_and_no_memory_behind() -> None:
    tally = Tally(4_000)
    units = [Unit(f"unit-{n}", "hangs", interval_s=15) for n in range(200)]
    poller = Poller(units, lambda *_: tally_only(tally), VirtualClock(START), seed=1)
    before = len(asyncio.all_tasks())
    running = asyncio.create_task(poller.run(tally.stop))
    await _polls(tally, 1_000)
    tracemalloc.start()
    gc.collect()
    base = tracemalloc.get_traced_memory()[0]
    await _polls(tally, 4_000)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - base
    tracemalloc.stop()
    await running
    assert poller.left_behind == 0
    assert (poller.in_flight, poller.waiting) == (0, 0)
    assert len(asyncio.all_tasks()) == before
    assert grown < 1_600_000  # the polls under way: at most 200, each a few kB


def tally_only(tally: Tally) -> None:
    """Count a poll without keeping it."""
    tally._left -= 1
    if not tally._left:
        tally.stop.set()


async def _polls(tally: Tally, done: int) -> None:
    while 4_000 - tally._left < done:  # noqa: ASYNC110 - virtual time moves with every turn
        await asyncio.sleep(0)


async def test_a_source_that_is_removed_is_closed_and_not_polled_again() -> None:
    tally = Tally(100)
    units = [Unit(f"unit-{n}", interval_s=1) for n in range(2)]
    poller = Poller(units, tally, VirtualClock(START), seed=1)
    running = asyncio.create_task(poller.run(tally.stop))
    while len(tally.reports.get("unit-0", ())) < 5:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0)
    total = poller.totals.polls
    await poller.remove("unit-0")
    assert poller.totals.polls >= total, "what was counted stays counted"
    polls = len(tally.reports["unit-0"])
    poller.add(Unit("unit-2", interval_s=1), Place())
    await running
    assert len(tally.reports["unit-0"]) == polls
    assert tally.reports["unit-2"]


class Bmc(Unit):
    """A unit that has to look through its device before the first poll."""

    def __init__(self, name: str) -> None:
        super().__init__(name, interval_s=15.0)
        self._is_known = False

    @property
    def must_discover(self) -> bool:
        """Whether the device was not looked through yet."""
        return not self._is_known

    async def collect(self) -> Sequence[Reading]:
        """Look through the device, then answer."""
        self._is_known = True
        return await super().collect()


async def test_a_start_looks_through_fifty_devices_a_second_and_makes_nobody_late() -> None:
    bmcs = [Bmc(f"bmc-{n}") for n in range(1_500)]
    quick = [Unit(f"quick-{n}") for n in range(100)]
    first: dict[str, float] = {}
    tally = Tally(1_500 * 4)

    def sink(readings: Sequence[Reading], report: SourceReport) -> None:
        first.setdefault(report.source, report.at.timestamp())
        tally(readings, report)

    poller = Poller([*bmcs, *quick], sink, VirtualClock(START), seed=1)
    await asyncio.wait_for(poller.run(tally.stop), 60)
    begun = sorted(at for name, at in first.items() if name.startswith("bmc-"))
    assert len(begun) == 1_500
    assert min(b - a for a, b in zip(begun, begun[51:], strict=False)) >= 1.0 - 1e-3
    assert max(tally.late_s.values()) < 0.001
    assert poller.lateness_of_first.count == 1_600
    assert poller.lateness.count > 1_500


@asynccontextmanager
async def a_server(talk: Talk) -> AsyncIterator[int]:
    """Serve on loopback with one way to talk; yield the port."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield int(server.sockets[0].getsockname()[1])
    server.close()
    for writer in writers:
        writer.transport.abort()
    await server.wait_closed()


async def _well(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nnode_load1 0.5\n")
        await writer.drain()


async def _hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(bytes(range(256)) * 64)
    await writer.drain()


async def _drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not reader.at_eof():
        writer.write(b"#")
        await writer.drain()
        await asyncio.wait({asyncio.ensure_future(reader.read(1))}, timeout=0.01)


async def _refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(_hangs, id="hangs"),
        pytest.param(_garbage, id="garbage"),
        pytest.param(_drips, id="slow drip"),
        pytest.param(_refuses, id="refuses"),
    ],
)
async def test_a_bad_unit_on_real_sockets_delays_none_of_500(talk: Talk) -> None:
    async with a_server(_well) as good, a_server(talk) as bad:
        raw = [
            {
                "kind": "prometheus",
                "name": f"unit-{n}",
                "preset": "node",
                "url": f"http://127.0.0.1:{bad if n == 0 else good}/metrics",
                "interval_s": 5.0,
                "timeout_s": TIMEOUT_S,
            }
            for n in range(500)
        ]
        clock, tally = SystemClock(), Tally(1_000)
        specs = parse_sources(raw)
        poller = Poller(
            build_sources(specs, clock), tally, clock, 1, places_of(specs), Limits(of_address={})
        )
        await asyncio.wait_for(poller.run(tally.stop), 60)
    assert not any(report.is_up for report in tally.reports["unit-0"])
    others = [name for name in tally.reports if name != "unit-0"]
    assert len(others) == 499
    assert {report.error for name in others for report in tally.reports[name]} == {""}
    assert sorted(tally.late_s[name] for name in others)[250] < TIMEOUT_S
