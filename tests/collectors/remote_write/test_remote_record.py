"""The centre's copy goes on from the record: after outages, restarts and failures nothing lacks."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import cramjam
import pytest
from aiohttp import web
from redfish_parts import free_port
from remote_builders import DATABASES, QuickClock, now, until
from sqlalchemy import Engine, select, update
from telemetry_builders import SITE, add_site
from tsdb_parts import PROGRAMS, database

from collectors import store
from collectors.remote_write.request import Dropped
from collectors.remote_write.tally import RemoteState
from collectors.remote_write.writer import RemoteWriter, writer_of
from collectors.store_copy import CopyRecord
from collectors.upkeep import RawUpkeep
from suanwang.clock import SystemClock, to_epoch_ms
from suanwang.db.engine import reading, writing
from suanwang.db.tables import remote_copy
from suanwang.model.batch import TelemetryBatch, gathered
from suanwang.model.reading import Reading
from suanwang.settings import RemoteWriteSettings

GPUS = 300
REQUEST = 1_000


def sweeps(start: datetime, count: int, step_s: float = 15.0) -> list[list[Reading]]:
    """Return readings of many GPUs, sweep by sweep."""
    return [
        [
            Reading(subject=f"gpu:{n}", metric="power_w", at=at, value=100.0 + n + sweep / 8)
            for n in range(GPUS)
        ]
        for sweep in range(count)
        for at in (start + timedelta(seconds=step_s * sweep),)
    ]


def expected(told: Sequence[Sequence[Reading]]) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for each in (each for sweep in told for each in sweep):
        found.setdefault(each.subject, []).append((to_epoch_ms(each.at), each.value))
    return {subject: sorted(rows) for subject, rows in found.items()}


def is_done(state: RemoteState) -> bool:
    return not state.is_behind and state.queued == 0


class Centre:
    """What of a centre the copy hangs on: batches go in as its route takes them in."""

    def __init__(self, engine: Engine, port: int, *, queue_samples: int = 10_000) -> None:
        self._engine = engine
        self._settings = RemoteWriteSettings(
            url=f"http://127.0.0.1:{port}/api/v1/write",
            batch_samples=REQUEST,
            queue_samples=queue_samples,
            flush_s=0.5,
        )
        self.batches = 0

    @contextmanager
    def running(self) -> Iterator[RemoteWriter]:
        """Run the copy; its end is that of the centre."""
        clock = QuickClock()
        record = CopyRecord(engine=self._engine, clock=clock, name="centre")
        writer = writer_of(self._settings, "centre", clock, record)
        assert writer is not None
        writer.start()
        try:
            yield writer
        finally:
            writer.stop()

    def take(self, readings: Sequence[Reading], writer: RemoteWriter | None) -> None:
        """Take a batch in; without a writer the process dies before the copy has it."""
        self.batches += 1
        batch = TelemetryBatch(
            id=f"b{self.batches}", site_id=SITE, sent_at=now(), readings=gathered(readings)
        )
        low_ms = min(to_epoch_ms(each.at) for each in readings)
        with ExitStack() as stack:
            if writer is not None:
                stack.enter_context(writer.admitting(SITE, low_ms))
            with writing(self._engine) as connection:
                taken = store.ingest(connection, batch, "d", now())
                if writer is not None:
                    writer.note(connection, SITE, low_ms)
            assert taken.accepted == len(readings)
            assert taken.admitted is not None
            if writer is not None:
                writer.take_rows(SITE, taken.admitted)


@pytest.fixture(autouse=True)
def _ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.remote_write.writer.STOP_S", 0.3)
    monkeypatch.setattr("collectors.remote_write.catch_up.PARK_S_MIN", 0.3)


@pytest.fixture
def site(engine: Engine) -> Engine:
    with writing(engine) as connection:
        add_site(connection)
    return engine


@pytest.mark.parametrize("kind", DATABASES)
def test_an_outage_longer_than_the_queue_and_a_restart_lose_nothing(
    kind: str, site: Engine, tmp_path: Path
) -> None:
    port = free_port()
    centre = Centre(site, port)
    start = now() - timedelta(minutes=20)
    told = sweeps(start, 78)
    once = ("-dedup.minScrapeInterval=1ms",) if kind == "victoria-metrics" else ()
    with database(kind, tmp_path, port, arguments=once), centre.running() as writer:
        until(writer, is_done)
        for sweep in told[:10]:
            centre.take(sweep, writer)
        assert until(writer, is_done).sent == 10 * GPUS
    # The database is away; the queue of 10,000 is soon too small.
    with centre.running() as writer:
        until(writer, lambda state: not state.is_behind)
        for sweep in told[10:60]:
            centre.take(sweep, writer)
            # A request that is under way is out of the queue, and counts among those that wait.
            assert writer.queued <= 10_000 + REQUEST
        state = until(writer, lambda state: state.retries > 0)
        assert state.is_behind
        assert state.behind_s > 600
    # The centre is started again, still without it.
    with centre.running() as writer:
        for sweep in told[60:70]:
            centre.take(sweep, writer)
        with database(kind, tmp_path, port, arguments=once) as found:
            until(writer, is_done)
            for sweep in told[70:]:
                centre.take(sweep, writer)
            state = until(writer, is_done)
            assert state.dropped[Dropped.QUEUE_FULL] == state.dropped[Dropped.STOPPED] == 0
            got = found.raw(
                'suanwang_power_w{site="qd"}', start.timestamp() - 60, now().timestamp()
            )
            assert got == expected(told)
    with reading(site) as connection:
        (at,) = connection.scalars(select(remote_copy.c.from_at))
    assert now() - at < timedelta(minutes=1)


@pytest.mark.prometheus
@pytest.mark.skipif(
    PROGRAMS["victoria-metrics"] is None, reason="victoria-metrics is not installed"
)
def test_what_a_process_that_died_had_taken_in_is_read_from_packed_hours_and_rows(
    site: Engine, tmp_path: Path
) -> None:
    port = free_port()
    centre = Centre(site, port)
    start = now() - timedelta(hours=5)
    told = sweeps(start, 20, step_s=900.0)
    with centre.running() as writer:
        until(writer, lambda state: not state.is_behind)
    for sweep in told:
        centre.take(sweep, None)
    # As the transactions of those batches would have left it.
    with writing(site) as connection:
        connection.execute(update(remote_copy).values(from_at=start))
    assert RawUpkeep(site, SystemClock()).run().samples > 0
    late = sweeps(start + timedelta(minutes=1), 1)
    with (
        database("victoria-metrics", tmp_path, port) as found,
        centre.running() as writer,
    ):
        until(writer, is_done)
        centre.take(late[0], writer)
        until(writer, lambda state: is_done(state) and state.sent >= 21 * GPUS)
        got = found.raw('suanwang_power_w{site="qd"}', start.timestamp() - 60, now().timestamp())
    assert got == expected([*told, *late])


def test_a_late_batch_lowers_the_position_in_its_own_transaction(site: Engine) -> None:
    centre = Centre(site, free_port())
    with centre.running() as writer:
        until(writer, lambda state: not state.is_behind)
        start = now() - timedelta(days=2)
        centre.take(sweeps(start, 1)[0], writer)
        with reading(site) as connection:
            (at,) = connection.scalars(select(remote_copy.c.from_at))
    assert at <= start


@contextmanager
def failing(port: int) -> Iterator[Event]:
    """A database that fails over bodies with ``gpu:7``, and while the event is set over all."""
    fails = Event()

    async def write(request: web.Request) -> web.Response:
        body = bytes(cramjam.snappy.decompress_raw(await request.read()))
        if fails.is_set() or b"gpu:7\x1a" in body or b"gpu:7\x12" in body:
            return web.Response(status=500, text="index is broken")
        return web.Response(status=204)

    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_post("/api/v1/write", write)
    runner = web.AppRunner(app)

    async def begin() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()

    loop.run_until_complete(begin())
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield fails
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_request_over_which_the_database_fails_for_ever_holds_up_no_other(site: Engine) -> None:
    port = free_port()
    centre = Centre(site, port)
    told = sweeps(now() - timedelta(minutes=1), 2)
    with failing(port), centre.running() as writer:
        until(writer, lambda state: not state.is_behind)
        for sweep in told:
            centre.take(sweep, writer)
        state = until(writer, lambda state: is_done(state) and state.sent > 0)
    failed = state.dropped[Dropped.FAILED]
    assert state.sent + failed == 2 * GPUS
    assert 0 < failed < GPUS, "those that share a request with it, halved as far as it may be"
    assert state.stalls == 0


def test_where_the_database_fails_over_everything_the_copy_goes_on_later_and_lacks_nothing(
    site: Engine,
) -> None:
    port = free_port()
    centre = Centre(site, port)
    told = [[each for each in sweep if "7" not in each.subject] for sweep in
            sweeps(now() - timedelta(minutes=3), 4)]  # fmt: skip
    with failing(port) as fails, centre.running() as writer:
        until(writer, lambda state: not state.is_behind)
        fails.set()
        for sweep in told:
            centre.take(sweep, writer)
        state = until(writer, lambda state: state.stalls > 0)
        assert state.behind_s > 100
        fails.clear()
        state = until(writer, lambda state: is_done(state) and state.sent > 0)
    assert state.dropped[Dropped.FAILED] == 0
    assert state.sent >= 4 * len(told[0])
