"""A site that is cut off for a day ends with the record that it would have had without a cut.

Two sites read the same registers. One sends each hour what its agent gathered; the other is cut off
for a day and sends what its spool kept. Agent's buffer, spool and channel are the real ones, and
the centre is real HTTP on each database; only time is virtual.
"""

import asyncio
import itertools
import math
import random
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_client import World, site_body
from api_server import PATIENCE_S
from centre_process import address, process
from sqlalchemy import Connection, select

from agent.channel import CentreChannel
from agent.spool import Spool
from agent.telemetry_buffer import TelemetryBuffer
from agent.uplink import Uplink
from api.server import http_server, listen
from collectors import store
from collectors.upkeep import RawUpkeep, keep_up
from suanwang.clock import Clock, SystemClock, from_epoch_ms, to_epoch_ms
from suanwang.db import samples
from suanwang.db.engine import open_engine, reading
from suanwang.db.tables import energy_day, energy_window, kpi_day, series, site_energy
from suanwang.ids import SeededIds, SiteId
from suanwang.model.reading import Reading, SourceReport

HOURS = 42
CUT = range(7, 32)
"""Hours in which the second site reaches nobody: a day and an hour."""
POLL_S = 120
POLLS = 3_600 // POLL_S
NAMES = ("kept", "cut")
METERS: list[dict[str, Any]] = [
    {"id": "facility", "role": "facility", "resolution_wh": 1.0, "modulus_wh": 1_000_000},
    {"id": "it", "role": "it", "resolution_wh": 1.0},
    {"id": "coarse", "role": "it", "resolution_wh": 5_000.0},
    {"id": "powered", "role": "cooling", "resolution_wh": 1.0},
    {"id": "tap", "role": "water", "resolution_wh": 1.0, "carrier": "water"},
]


def readings(site: str, start: datetime, number: int) -> Iterator[Reading]:
    """Yield what one poll reads: a wrap, a reset, a pause, a coarse meter, power alone."""
    at = start + timedelta(seconds=number * POLL_S)
    load_w = 40_000 + 9_000 * math.sin(number / 97) + 50 * (number * 7919 % 60)

    def told(subject: str, metric: str, value: float) -> Reading:
        return Reading(
            subject=subject.replace(":", f":{site}-", 1), metric=metric, value=value, at=at
        )

    it_wh = round(40_000 * POLL_S / 3_600 * number + load_w / 100)
    yield told("gpu:0", "power_w", load_w / 100)
    if 450 <= number < 462:
        return
    yield told("meter:facility", "energy_wh", float(round(it_wh * 2.54) % 1_000_000))
    # The meter is replaced by one that counts from zero, in the middle of the cut.
    yield told("meter:it", "energy_wh", float(it_wh if number < 650 else it_wh - 1_200 * 600))
    yield told("meter:it", "power_w", load_w)
    yield told("meter:coarse", "energy_wh", float(it_wh // 5_000 * 5_000))
    yield told("meter:coarse", "power_w", load_w)
    yield told("meter:powered", "power_w", load_w / 5)
    yield told("meter:tap", "volume_l", number * 3.0)


class Site:
    """A site's agent as far as telemetry goes: buffer, spool, and line to the centre."""

    def __init__(self, name: str, line: tuple[str, str], clock: Clock, folder: Path) -> None:
        self.name = name
        self.spool = Spool(folder, clock)
        self.channel = CentreChannel(*line, clock)
        self.buffer = TelemetryBuffer(self.spool, clock, SeededIds(clock, len(name)))
        self.uplink = Uplink(self.channel, self.spool, clock)

    def poll(self, start: datetime, numbers: range) -> None:
        """Gather some polls as one batch."""
        for number in numbers:
            at = start + timedelta(seconds=number * POLL_S)
            report = SourceReport(source="pdu", is_up=True, duration_s=0.1, at=at)
            self.buffer.take(tuple(readings(self.name, start, number)), report)
        self.buffer.flush()

    async def send(self) -> None:
        """Send what waits, the oldest first."""
        while await self.uplink.send_telemetry():
            pass

    async def send_in_disorder(self, seed: int) -> None:
        """Send what waits in any order, some of it twice, as after lost answers."""
        bodies = []
        while batch := self.spool.batches.next():
            bodies.append(batch.body)
            self.spool.batches.sent(batch.id)
        disorder = random.Random(seed)
        bodies += disorder.sample(bodies, len(bodies) // 2)
        disorder.shuffle(bodies)
        for body in bodies:
            receipt = await self.channel.send_telemetry(body)
            assert not receipt.refused, receipt

    async def close(self) -> None:
        """Let go of file and connections."""
        await self.channel.close()
        self.spool.close()


def meters(site: str) -> list[dict[str, Any]]:
    """Return the meters as a site registers them."""
    known = {"rated_w": 100_000, "poll_s": POLL_S}
    return [known | each | {"id": f"{site}-{each['id']}", "name": each["id"]} for each in METERS]


@contextmanager
def served(world: World) -> Iterator[str]:
    """Serve the world's application on loopback."""
    with listen("127.0.0.1", 0) as listening:
        server = http_server(world.client.app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


@asynccontextmanager
async def two_sites(world: World, folder: Path) -> AsyncIterator[tuple[Site, Site]]:
    """Two sites with the same meters at one centre."""
    with served(world) as url:
        for name in NAMES:
            world.register(name, meters=meters(name))
        sites = [Site(name, (url, world.token(name)), world.clock, folder / name) for name in NAMES]
        try:
            yield sites[0], sites[1]
        finally:
            for site in sites:
                await site.close()


def kept_up(world: World) -> None:
    """Do what the centre does every half minute."""
    keep_up(world.engine, world.clock)
    RawUpkeep(world.engine, world.clock).run()


_PARTS = ("energy_mwh", "covered_ms", "interpolated_ms", "estimated_ms", "quality")
VALUES = {
    energy_window: (*_PARTS, "source"),
    energy_day: (*_PARTS, "end_at"),
    site_energy: (
        "end_at", "facility_mwh", "it_mwh", "common_ms", "facility_ms", "it_ms", "interpolated_ms",
        "estimated_ms", "formula",
    ),
    kpi_day: ("end_at", "numerator", "denominator", "common_ms", "quality", "basis", "formula"),
}  # fmt: skip
"""What a figure says, apart from when and how often it was told."""


def record(connection: Connection, site: str) -> dict[str, dict[tuple[str, ...], tuple[Any, ...]]]:
    """Return the newest revision of everything that is in the record of a site."""
    found: dict[str, dict[tuple[str, ...], tuple[Any, ...]]] = {}
    for table, values in VALUES.items():
        keys = [column for column in table.primary_key if column.name != "revision"]
        owner = keys[0]
        rows = connection.execute(
            select(*keys, *(table.c[name] for name in values))
            .where(owner.startswith(site))
            .order_by(table.c.revision)
        )
        # The names differ by the site alone.
        found[table.name] = {
            tuple(str(key).replace(f"{site}-", "").replace(site, "") for key in row[: len(keys)]): (
                tuple(row[len(keys) :])
            )
            for row in rows
        }
    found["sample"] = {
        (row.subject.replace(f":{site}-", ":"), row.metric): tuple(
            column.tobytes() for column in (raw.at_ms, raw.value, raw.quality)
        )
        for row in connection.execute(select(series).where(series.c.site_id == site))
        for raw in [samples.read(connection, row.id, 0, 2**62)]
    }
    return found


def figures(
    connection: Connection, site: str, start: datetime, clock: Clock
) -> Sequence[tuple[object, ...]]:
    """Return PUE of each day and of all of it, as it is told."""
    days = [start + timedelta(days=day) for day in range(4)]
    periods = [*itertools.pairwise(days), (days[0], days[-1])]
    told = [store.pue(connection, SiteId(site), *period, now=clock.now()) for period in periods]
    return [
        (one.value, one.facility_wh, one.it_wh, one.coverage_facility, one.coverage_it, one.quality)
        for one in told
    ]


@pytest.mark.parametrize("order", ["oldest first", "any order, some twice"])
async def test_a_site_cut_off_for_a_day_ends_with_the_same_record(
    world: World, tmp_path: Path, order: str
) -> None:
    start = from_epoch_ms(to_epoch_ms(world.clock.now()))
    async with two_sites(world, tmp_path) as (kept, cut):
        for hour in range(HOURS):
            numbers = range(hour * POLLS, (hour + 1) * POLLS)
            world.clock.sleep(3_600)
            for site in (kept, cut):
                site.poll(start, numbers)
            await kept.send()
            if hour not in CUT:
                if hour == CUT.stop and order != "oldest first":
                    await cut.send_in_disorder(hour)
                await cut.send()
            if hour % 4 == 0:
                await asyncio.to_thread(kept_up, world)
        assert cut.spool.batches.counts().batches == 0
    world.clock.sleep(2 * 86_400)
    for _ in range(3):
        kept_up(world)
    with reading(world.engine) as connection:
        whole, caught_up = (record(connection, name) for name in NAMES)
        for name, rows in whole.items():
            assert len(rows) > 2, name
            assert caught_up[name] == rows, name
        told, again = (figures(connection, name, start, world.clock) for name in NAMES)
    assert told == again
    assert any(value is not None for value, *_ in told)


class EagerClock(SystemClock):
    """The machine's clock, on which nobody waits longer than a moment."""

    async def wait(self, seconds: float) -> None:
        """Suspend the calling coroutine, briefly."""
        await asyncio.sleep(min(seconds, 0.2))


def prepare(url: str, folder: Path) -> list[str]:
    """Register both sites; return the tokens of their agents."""
    key = (folder / "admin.key").read_text().strip()
    tokens = []
    with httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE_S
    ) as admin:
        for name in NAMES:
            body = site_body(name) | {"meters": meters(name)}
            admin.post("/v1/sites", json=body).raise_for_status()
            tokens.append(admin.post(f"/v1/sites/{name}/token").json()["secret"])
    return tokens


async def catch_up(site: Site, running: subprocess.Popen[str]) -> None:
    """Send what waits; kill the centre when a third of it is taken and the next is on its way."""
    third = site.spool.batches.counts().batches // 3
    for number in itertools.count():
        if number == third:
            asyncio.get_running_loop().call_later(0.004, running.kill)
        if not await site.uplink.send_telemetry():
            return


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "backend", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]
)
async def test_a_centre_that_is_killed_while_a_site_catches_up_loses_and_doubles_nothing(
    backend: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    database = f"sqlite:///{tmp_path / 'centre.db'}"
    if backend == "postgresql":
        database = request.getfixturevalue("postgres_url")
    clock = EagerClock()
    with listen("127.0.0.1", 0) as free:
        port = str(free.getsockname()[1])
    flags = ("--no-scheduler", "--database-url", database, "--port", port)
    with process(tmp_path, *flags) as first:
        url = await asyncio.to_thread(address, tmp_path, first)
        tokens = prepare(url, tmp_path)
        kept, cut = (
            Site(name, (url, token), clock, tmp_path / name)
            for name, token in zip(NAMES, tokens, strict=True)
        )
        start = clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=26)
        for site in (kept, cut):
            for hour in range(25):
                site.poll(start, range(hour * POLLS, (hour + 1) * POLLS))
        await kept.send()
        catching_up = asyncio.create_task(catch_up(cut, first))
        assert await asyncio.to_thread(first.wait, 60) == -signal.SIGKILL
        assert cut.spool.batches.counts().batches > 0
    with process(tmp_path, *flags) as second:
        await asyncio.to_thread(address, tmp_path, second)
        await asyncio.wait_for(catching_up, 60)
    await kept.close()
    await cut.close()
    engine = open_engine(database)
    for _ in range(3):
        keep_up(engine, clock)
    with reading(engine) as connection:
        whole, caught_up = (record(connection, name) for name in NAMES)
    engine.dispose()
    assert whole == caught_up
