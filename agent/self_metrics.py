"""What an agent tells about itself: readings for the record, and a page in Prometheus' text format.

The page is served on the loopback only, and only where ``agent.metrics_port`` is set.
"""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiohttp import web

from agent.batches import BatchCounts
from agent.spool import Spool
from collectors.poll_stats import Histogram
from collectors.poller import Poller
from collectors.remote_write.metrics import remote_page
from collectors.remote_write.writer import RemoteWriter
from suanwang.model.reading import Circuit, Reading

log = logging.getLogger(__name__)

SUBJECT: Final = "source:agent"
HOST: Final = "127.0.0.1"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfFacts:
    """Numbers of one moment; ``circuits`` counts sources by the state of their breaker."""

    circuits: Mapping[Circuit, int]
    in_flight: int
    waiting: int
    left_behind: int
    polls: int
    failures: int
    timeouts: int
    skipped: int
    sink_failures: int
    spool: BatchCounts


def facts_of(poller: Poller, spool: Spool) -> SelfFacts:
    """Return how poller and spool are now."""
    totals = poller.totals
    return SelfFacts(
        circuits=Counter(breaker.circuit for breaker in poller.breakers.values()),
        in_flight=poller.in_flight,
        waiting=poller.waiting,
        left_behind=poller.left_behind,
        polls=totals.polls,
        failures=totals.failures,
        timeouts=totals.timeouts,
        skipped=totals.skipped,
        sink_failures=totals.sink_failures,
        spool=spool.batches.counts(),
    )


def readings_of(facts: SelfFacts, lateness: Histogram, at: datetime) -> tuple[Reading, ...]:
    """Return the facts as readings of the agent."""
    values = {
        "sources_broken": sum(facts.circuits.values()) - facts.circuits.get(Circuit.CLOSED, 0),
        "polls_in_flight": facts.in_flight,
        "polls_waiting": facts.waiting,
        "polls_left_behind": facts.left_behind,
        "polls_skipped_total": facts.skipped,
        "poll_lateness_p99_s": lateness.quantile(0.99),
        "spool_batches": facts.spool.batches,
        "spool_bytes": facts.spool.bytes,
        "spool_oldest_s": facts.spool.oldest_s,
        "spool_dropped_total": sum(facts.spool.dropped.values()),
    }
    return tuple(
        Reading(subject=SUBJECT, metric=metric, value=float(value), at=at)
        for metric, value in values.items()
    )


def page(facts: SelfFacts, lateness: Histogram, lateness_of_first: Histogram) -> str:
    """Return the facts as Prometheus text."""
    lines = (
        *_lines(facts),
        *_histogram("poll_lateness", lateness),
        *_histogram("first_poll_lateness", lateness_of_first),
    )
    return "\n".join(lines) + "\n"


def _lines(facts: SelfFacts) -> Iterator[str]:
    yield "# TYPE suanwang_agent_sources gauge"
    for circuit in Circuit:
        yield f'suanwang_agent_sources{{circuit="{circuit}"}} {facts.circuits.get(circuit, 0)}'
    for name, kind, value in (
        ("polls_in_flight", "gauge", facts.in_flight),
        ("polls_waiting", "gauge", facts.waiting),
        ("polls_left_behind", "gauge", facts.left_behind),
        ("polls_total", "counter", facts.polls),
        ("poll_failures_total", "counter", facts.failures),
        ("poll_timeouts_total", "counter", facts.timeouts),
        ("polls_skipped_total", "counter", facts.skipped),
        ("sink_failures_total", "counter", facts.sink_failures),
        ("spool_batches", "gauge", facts.spool.batches),
        ("spool_bytes", "gauge", facts.spool.bytes),
        ("spool_held_batches", "gauge", facts.spool.held),
        ("spool_oldest_seconds", "gauge", facts.spool.oldest_s),
    ):
        yield f"# TYPE suanwang_agent_{name} {kind}"
        yield f"suanwang_agent_{name} {value}"
    yield "# TYPE suanwang_agent_spool_dropped_total counter"
    for worth, rows in facts.spool.dropped.items():
        yield f'suanwang_agent_spool_dropped_total{{worth="{worth.name.lower()}"}} {rows}'


def _histogram(of: str, lateness: Histogram) -> Iterator[str]:
    name, seen = f"suanwang_agent_{of}_seconds", 0
    yield f"# TYPE {name} histogram"
    for bound, count in zip((*lateness.bounds, "+Inf"), lateness.counts, strict=True):
        seen += count
        yield f'{name}_bucket{{le="{bound}"}} {seen}'
    yield f"{name}_sum {lateness.total}"
    yield f"{name}_count {seen}"


@asynccontextmanager
async def served(
    poller: Poller, spool: Spool, port: int | None, remote: RemoteWriter | None = None
) -> AsyncIterator[int | None]:
    """Serve the page while the context lasts; nothing where no port is set."""
    if port is None:
        yield None
        return

    async def answer(_: web.Request) -> web.Response:
        text = page(facts_of(poller, spool), poller.lateness, poller.lateness_of_first)
        body = text.encode()
        if remote is not None:
            body += remote_page(remote)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        yield await _listen(runner, port)
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int) -> int | None:
    """Return the port; None where it is taken, since the site's jobs need no page."""
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError as failure:
        log.error("no metrics are served", extra={"port": port, "error": str(failure)})
        return None
    return int(runner.addresses[0][1])
