"""What an agent tells about itself."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from agent.self_metrics import SUBJECT, facts_of, readings_of, served
from agent.spool import Spool
from agent.telemetry_buffer import TelemetryBuffer
from collectors.poller import Poller
from collectors.sources.port import SourceError
from suanwang.clock import VirtualClock
from suanwang.ids import SeededIds
from suanwang.model.reading import Reading, SourceReport
from suanwang.wire.batch import decode


class Down:
    """A source that never answers."""

    name, interval_s, timeout_s = "pdu-7", 10.0, 1.0

    async def collect(self) -> Sequence[Reading]:
        """Be down."""
        raise SourceError("the cable is cut")

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_broken_source_is_seen_on_the_page_in_the_readings_and_in_its_report(
    tmp_path: Path,
) -> None:
    clock, stop = VirtualClock(datetime(2026, 10, 14, tzinfo=UTC)), asyncio.Event()
    spool = Spool(tmp_path, clock)
    buffer = TelemetryBuffer(spool, clock, SeededIds(clock, 1))

    def sink(readings: Sequence[Reading], report: SourceReport) -> None:
        buffer.take(readings, report)
        if report.circuit != "closed":
            stop.set()

    poller = Poller([Down()], sink, clock, seed=1)
    await asyncio.wait_for(poller.run(stop), 10)
    buffer.flush()
    batch = spool.batches.next()
    assert batch is not None
    words = decode(batch.body).reports[-1].error
    assert words.startswith("circuit open since 2026-10-14 00:00:2")
    assert words.endswith("UTC: the cable is cut")

    facts = facts_of(poller, spool)
    told = {each.metric: each.value for each in readings_of(facts, poller.lateness, clock.now())}
    assert {each.subject for each in readings_of(facts, poller.lateness, clock.now())} == {SUBJECT}
    assert (told["sources_broken"], told["spool_batches"], told["polls_in_flight"]) == (1, 1, 0)

    async with (
        served(poller, spool, 0) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        text = await answer.text()
    assert 'suanwang_agent_sources{circuit="open"} 1' in text
    assert "suanwang_agent_poll_failures_total 3" in text
    assert 'suanwang_agent_poll_lateness_seconds_bucket{le="+Inf"} 2' in text
    assert 'suanwang_agent_first_poll_lateness_seconds_bucket{le="+Inf"} 1' in text
    spool.close()


async def test_a_taken_port_ends_no_agent_and_no_port_serves_nothing(tmp_path: Path) -> None:
    clock = VirtualClock(datetime(2026, 10, 14, tzinfo=UTC))
    spool = Spool(tmp_path, clock)
    poller = Poller([], lambda *_: None, clock, seed=1)
    async with served(poller, spool, 0) as port, served(poller, spool, port) as second:
        assert port
        assert second is None
    async with served(poller, spool, None) as none:
        assert none is None
    spool.close()
