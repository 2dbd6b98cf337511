"""The agent as a whole: its loops, each of which may fail or wait without touching the others."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.book import AttemptBook
from agent.channel import LONG_POLL_S, CentreChannel, CentreRefused, CentreUnreachable, persist
from agent.executors.port import Executor, ExecutorError, Health, HealthState
from agent.nodes import reports_of
from agent.runner import Runner
from agent.self_metrics import facts_of, readings_of, served
from agent.source_keeper import SourceKeeper
from agent.spool import Spool
from agent.telemetry_buffer import TelemetryBuffer
from agent.uplink import Uplink
from collectors.lanes import Place
from collectors.poller import Poller
from collectors.remote_write.writer import RemoteWriter
from collectors.sources.port import Source
from suanwang import __version__
from suanwang.clock import Clock
from suanwang.ids import IdSource
from suanwang.model.reading import Reading, SourceReport
from suanwang.wire.agent import Hello, NodeReport

log = logging.getLogger(__name__)

STARTED_AS: Final = "agent"
"""Name under which the agent reports on itself, as if it were a source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """How often each loop turns, in seconds."""

    round_s: float = 1.0
    idle_s: float = 0.5
    batch_s: float = 5.0
    clean_s: float = 3_600.0
    self_s: float = 15.0
    hello_s_max: float = 60.0
    failure_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an agent is made of."""

    executor: Executor
    spool: Spool
    book: AttemptBook
    runner: Runner
    channel: CentreChannel
    sources: Sequence[Source]
    clock: Clock
    ids: IdSource
    seed: int = 0
    places: Mapping[str, Place] = field(default_factory=dict)
    metrics_port: int | None = None
    remote: RemoteWriter | None = None
    site_id: str = ""
    keeper: SourceKeeper | None = None
    watch_s: float = 0.0


class Agent:
    """One site's agent. ``run`` returns after ``stop`` is set; the site's jobs run on."""

    def __init__(self, parts: Parts, beat: Beat | None = None) -> None:
        self._parts = parts
        self._beat = beat or Beat()
        self._clock = parts.clock
        self._buffer = TelemetryBuffer(parts.spool, parts.clock, parts.ids, self._copy)
        self._uplink = Uplink(parts.channel, parts.spool, parts.clock)
        self._greeted = asyncio.Event()
        self._poller: Poller | None = None
        self._hello_every_s = self._beat.failure_s
        self._must_reread = asyncio.Event()
        self._problem = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set."""
        parts = self._parts
        await parts.runner.check_health()
        self._report_set_aside()
        poller = Poller(parts.sources, self._buffer.take, self._clock, parts.seed, parts.places)
        self._poller = poller
        self._list_sources(poller)
        loops = [
            asyncio.create_task(self._forever(name, turn), name=name)
            for name, turn in (
                ("hello", self._hello),
                ("orders", self._orders),
                ("round", self._round),
                ("telemetry", self._telemetry),
                ("attempts", self._attempts),
                ("batch", self._batch),
                ("clean", self._clean),
                ("self", self._tell_of_self),
                ("watch", self._watch),
                ("sources", self._sources),
            )
        ]
        polling = asyncio.create_task(poller.run(stop), name="poller")
        try:
            async with served(poller, parts.spool, parts.metrics_port, parts.remote):
                await stop.wait()
        finally:
            stop.set()  # also where this task was cancelled
            await self._end(loops, polling)

    async def _end(self, loops: list[asyncio.Task[None]], polling: asyncio.Task[None]) -> None:
        """Let go of all that ``run`` opened."""
        parts = self._parts
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await asyncio.gather(polling, return_exceptions=True)
        await parts.runner.close()
        self._buffer.flush()
        await parts.executor.close()
        await parts.channel.close()
        parts.spool.close()

    def _copy(self, readings: Sequence[Reading]) -> None:
        """Hand readings to the copy for a time series database, where there is one."""
        if self._parts.remote is not None:
            self._parts.remote.take(self._parts.site_id, readings)

    async def _forever(self, name: str, turn: Callable[[], Awaitable[float]]) -> None:
        """Call ``turn`` again and again, after the pause that each call asks for."""
        while True:
            try:
                pause_s = await turn()
            except (CentreRefused, CentreUnreachable) as failure:
                pause_s = self._beat.failure_s
                log.warning("centre", extra={"loop": name, "error": failure.message})
            except Exception:
                # The outermost place: a fault in one loop must not end the others.
                pause_s = self._beat.failure_s
                log.exception("a loop failed and goes on", extra={"loop": name})
            await self._clock.wait(pause_s)

    async def _hello(self) -> float:
        """Greet: who we are, how the executor does, what runs; learn what should."""
        parts = self._parts
        health = await parts.runner.check_health()
        greeting = Hello(
            agent_version=__version__,
            clock=self._clock.now(),
            executor_state=health.state.value,
            executor_message=health.message[:2_000],
            executor_session=health.session[:200],
            running=parts.book.running(),
            nodes=await self._nodes(health),
        )
        welcome = await parts.channel.hello(greeting)
        if not self._greeted.is_set():
            log.info("greeted", extra={"site": welcome.site_id, "skew_s": parts.channel.skew_s})
        parts.book.note_skew(parts.channel.skew_s)
        parts.book.compare(welcome.running)
        self._greeted.set()
        return min(welcome.hello_every_s, self._beat.hello_s_max)

    async def _nodes(self, health: Health) -> tuple[NodeReport, ...]:
        """Return the executor's nodes with who uses them; none where it does not tell."""
        if health.state is not HealthState.UP:
            return ()
        try:
            nodes = await self._parts.executor.nodes()
        except ExecutorError as failure:
            log.info("nodes are not known", extra={"why": str(failure)})
            return ()
        return reports_of(nodes, self._parts.book.attempts_by_run())

    async def _orders(self) -> float:
        """Fetch orders, put them on disk, then acknowledge them."""
        await self._greeted.wait()
        parts = self._parts
        found = await persist(lambda: parts.channel.orders(LONG_POLL_S), self._clock)
        if not found.orders:
            return self._beat.idle_s
        ids = parts.runner.take(found.orders)
        await parts.runner.round()
        late = parts.book.late(found.orders)
        await persist(lambda: parts.channel.acknowledge(ids, late), self._clock)
        return 0.0

    async def _round(self) -> float:
        await self._parts.runner.round()
        return self._beat.round_s

    async def _telemetry(self) -> float:
        await self._greeted.wait()
        return 0.0 if await self._uplink.send_telemetry() else self._beat.idle_s

    async def _attempts(self) -> float:
        """Send output before reports: a final report means that the output is there."""
        await self._greeted.wait()
        had_output = await self._uplink.send_output()
        had_reports = await self._uplink.send_reports()
        return 0.0 if had_output or had_reports else self._beat.idle_s

    async def _batch(self) -> float:
        self._buffer.flush()
        return self._beat.batch_s

    async def _tell_of_self(self) -> float:
        """Tell how polling and spool do, as a source and as its readings."""
        if self._poller:
            self._report_of_self(self._problem)
            facts = facts_of(self._poller, self._parts.spool)
            self._buffer.add(readings_of(facts, self._poller.lateness, self._clock.now()))
        return self._beat.self_s

    def reread(self) -> None:
        """Read the settings of the sources anew, soon."""
        self._must_reread.set()

    async def _watch(self) -> float:
        """See whether the settings have changed."""
        keeper = self._parts.keeper
        if keeper and self._parts.watch_s and keeper.has_changed():
            self.reread()
        return self._parts.watch_s or self._beat.clean_s

    async def _sources(self) -> float:
        """Change what is polled, when asked to; tell the centre of settings that are wrong."""
        await self._must_reread.wait()
        self._must_reread.clear()
        keeper, poller = self._parts.keeper, self._poller
        if keeper and poller:
            former = keeper.problem
            if await keeper.reread(poller):
                self._list_sources(poller)
            if keeper.problem != former:
                said = f"the settings are not taken: {keeper.problem}"
                self._report_of_self(said if keeper.problem else "")
        return 0.0

    async def _clean(self) -> float:
        """Keep the spool small; tell again what is polled, since a full spool may drop that."""
        self._parts.spool.clean()
        if self._poller:
            self._list_sources(self._poller)
        return self._beat.clean_s

    def _list_sources(self, poller: Poller) -> None:
        """Tell the centre what is polled from now on: it looks after nothing else then."""
        with contextlib.suppress(OSError):
            self._buffer.list_sources(poller.names | {STARTED_AS})

    def _report_set_aside(self) -> None:
        """Tell the centre, as a source that is down, when the spool could not be read."""
        lost = self._parts.spool.set_aside
        self._report_of_self(
            "" if lost is None else f"the spool could not be read and was kept as {lost.name}"
        )

    def _report_of_self(self, problem: str) -> None:
        """Tell the centre how the agent does, as if it were a source; no problem is up."""
        self._problem = problem
        report = SourceReport(
            source=STARTED_AS,
            is_up=not problem,
            duration_s=0.0,
            at=self._clock.now(),
            error=problem,
            interval_s=self._beat.self_s,
        )
        with contextlib.suppress(OSError):
            self._buffer.take((), report)
