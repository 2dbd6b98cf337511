"""Samples from the wire to the record: batches of made-up sites, into a real centre over HTTP.

The centre is a process of its own with its upkeep. Two agents send batch after batch for a minute,
as after an outage: five minutes of their site in each, while the upkeep settles and packs beside.
What it has left then is told apart. Then the record is read back and compared.
"""

import http.client
import json
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import numpy as np
import psutil
from sqlalchemy import Engine, func, select

from benchmarks.frame import Figure, Options, Scalar
from benchmarks.submit import SITE, Caller, databases, server
from suanwang.clock import SystemClock, to_epoch_ms
from suanwang.db import samples
from suanwang.db.engine import open_engine, reading
from suanwang.db.tables import energy_window, sample, sample_chunk, series
from suanwang.model.batch import Readings, Rows, SeriesKey
from suanwang.model.reading import SourceReport
from suanwang.wire.batch import CONTENT_TYPE, TelemetryUpload, encode

SITES: Final = 2
METERS: Final = 200
METRICS: Final = ("energy_wh", "power_w", "current_l1_a", "current_l2_a", "current_l3_a")
SWEEPS: Final = 20
"""Sweeps over all meters in one batch: five minutes at 15 s."""
EVERY_MS: Final = 15_000
SECONDS: Final = {True: 10.0, False: 60.0}
BEFORE: Final = timedelta(hours=20)
"""The batches begin so long ago, and end before now: no window of theirs is final yet."""
BATCHES_MAX: Final = 235
SETTLE_S: Final = 600.0
COMPARED: Final = 200
"""Series of each site that are read back."""
_KIND: Final = {"resolution_wh": 1.0, "poll_s": 15, "rated_w": 10_000, "role": "it"}
_CLOCK: Final = SystemClock()
_SERIES: Final = METERS * len(METRICS)


def samples_per_s(options: Options) -> Iterator[Figure]:
    """Measure both databases."""
    for backend, url in databases():
        with server(url, with_scheduler=True) as (address, admin):
            engine = open_engine(url)
            yield from _measure(address, admin, engine, backend, SECONDS[options.quick])
            engine.dispose()


@dataclass(slots=True, kw_only=True)
class _Sent:
    """What one agent sent: batches, and how long each took."""

    site: str
    batches: int = 0
    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def _measure(
    address: str, admin: str, engine: Engine, backend: str, seconds: float
) -> Iterator[Figure]:
    tokens = {f"s{number}": _prepare(address, admin, number) for number in range(SITES)}
    start = (_CLOCK.now() - BEFORE).replace(minute=0, second=0, microsecond=0)
    centre = centre_of(address)
    began, used = _CLOCK.monotonic(), cpu_s(centre)
    sent = _send_all(address, tokens, start, seconds)
    sending_s = _CLOCK.monotonic() - began
    taken = sum(one.batches for one in sent) * SWEEPS * _SERIES
    _await_packed(engine)
    settled_s, used = _CLOCK.monotonic() - began - sending_s, cpu_s(centre) - used
    for one in sent:
        assert not one.failures, one.failures[0]
        _compare(engine, one, start)
    latencies = sorted(latency for one in sent for latency in one.latencies)
    labels: dict[str, Scalar] = {"backend": backend, "meters": SITES * METERS, "samples": taken}
    labels["seconds"] = round(sending_s, 1)
    yield Figure("collectors.samples_per_s", taken / sending_s, "1/s", **labels)
    yield Figure("collectors.samples_per_cpu_s", taken / used, "1/s", **labels)
    yield Figure("collectors.settled_after_s", settled_s, "s", backend=backend)
    rows = SWEEPS * _SERIES
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        latency_ms = latencies[int(len(latencies) * share)] * 1_000
        yield Figure(f"collectors.batch_{name}_ms", latency_ms, "ms", backend=backend, rows=rows)
    yield Figure(
        "collectors.intake_rss_mib", centre.memory_info().rss / 2**20, "MiB", backend=backend
    )


def _prepare(address: str, admin: str, number: int) -> str:
    """Register a site with its meters; return its agent's token. Ids of meters are the site's."""
    caller = Caller(address, admin)
    name = f"s{number}"
    meters = [
        {"id": _meter_id(name, meter), "name": f"Meter {meter}", **_KIND} for meter in range(METERS)
    ]
    caller.post("/v1/sites", {"id": name, "name": name, "pools": [], "meters": meters, **SITE})
    token = caller.post(f"/v1/sites/{name}/token", {})["secret"]
    caller.close()
    return str(token)


def _meter_id(site: str, meter: int) -> str:
    return f"{site}-m{meter}"


def _keys(site: str) -> tuple[SeriesKey, ...]:
    return tuple(
        SeriesKey(f"meter:{_meter_id(site, meter)}", metric)
        for meter in range(METERS)
        for metric in METRICS
    )


def _values(sweep: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return what every series says in a sweep: registers that run on, and what jumps about."""
    place = np.arange(_SERIES)
    meter, metric = place // len(METRICS), place % len(METRICS)
    jumping = 4_800.0 + (place * 7 + sweep * 13) % 97 / 10
    return np.where(metric == 0, 1_000.0 * meter + 20.0 * sweep, jumping)


def _batch(site: str, keys: tuple[SeriesKey, ...], number: int, start: datetime) -> bytes:
    """Return five minutes of a site, as its agent would send it."""
    sweeps = range(number * SWEEPS, (number + 1) * SWEEPS)
    first_ms = to_epoch_ms(start)
    rows = Rows(
        np.tile(np.arange(len(keys), dtype=np.uint32), SWEEPS),
        np.repeat([first_ms + sweep * EVERY_MS for sweep in sweeps], len(keys)),
        np.concatenate([_values(sweep) for sweep in sweeps]),
        np.zeros(SWEEPS * len(keys), np.uint8),
    )
    now = _CLOCK.now()
    reports = tuple(
        SourceReport(source=f"pdu-{meter}", is_up=True, duration_s=0.01, at=now, readings=20)
        for meter in range(METERS)
    )
    upload = TelemetryUpload(
        id=f"{site}-{number}",
        made_at=now,
        readings=Readings(series=keys, labels={}, rows=rows),
        reports=reports,
    )
    return encode(upload)


def _send_all(address: str, tokens: dict[str, str], start: datetime, seconds: float) -> list[_Sent]:
    """Send from each site until the time is over."""
    until = _CLOCK.monotonic() + seconds
    sent = [_Sent(site=site) for site in tokens]
    threads = [
        threading.Thread(target=_send, args=(one, address, tokens[one.site], start, until))
        for one in sent
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sent


def _send(sent: _Sent, address: str, token: str, start: datetime, until: float) -> None:
    """Send batch after batch, while the next ones are made."""
    made: queue.Queue[bytes] = queue.Queue(maxsize=4)
    is_over = threading.Event()

    def make() -> None:
        keys = _keys(sent.site)
        for number in range(BATCHES_MAX):
            if is_over.is_set():
                return
            body = _batch(sent.site, keys, number, start)
            while not is_over.is_set():
                try:
                    made.put(body, timeout=0.1)
                    break
                except queue.Full:
                    continue

    maker = threading.Thread(target=make)
    maker.start()
    line = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)
    headers = {"Content-Type": CONTENT_TYPE, "Authorization": f"Bearer {token}"}
    try:
        while _CLOCK.monotonic() < until and sent.batches < BATCHES_MAX:
            body = made.get()
            asked = _CLOCK.monotonic()
            line.request("POST", "/agent/v1/telemetry", body, headers)
            answer = line.getresponse()
            content = answer.read()
            sent.latencies.append(_CLOCK.monotonic() - asked)
            if answer.status != 200 or json.loads(content)["refused"]:
                sent.failures.append(content.decode())
                return
            sent.batches += 1
    finally:
        is_over.set()
        maker.join()
        line.close()


def _await_packed(engine: Engine) -> None:
    """Wait until no sample of an hour that is over lies row by row."""
    until = _CLOCK.monotonic() + SETTLE_S
    while _CLOCK.monotonic() < until:
        with reading(engine) as connection:
            left = connection.execute(select(sample.c.at_ms).limit(1)).first()
        if left is None:
            return
        _CLOCK.sleep(0.5)
    raise AssertionError(f"hours were not packed within {SETTLE_S:.0f} s")


def _compare(engine: Engine, sent: _Sent, start: datetime) -> None:
    """Check that the record holds every sample, bit for bit, and every watt-hour."""
    sweeps = sent.batches * SWEEPS
    keys = _keys(sent.site)
    first_ms = to_epoch_ms(start)
    with reading(engine) as connection:
        numbers = {
            SeriesKey(row.subject, row.metric): row.id
            for row in connection.execute(select(series).where(series.c.site_id == sent.site))
        }
        stored = connection.scalar(
            select(func.sum(sample_chunk.c.samples)).where(
                sample_chunk.c.series_id.in_(
                    select(series.c.id).where(series.c.site_id == sent.site)
                )
            )
        )
        assert stored == sweeps * len(keys), f"{sent.site}: {stored} of {sweeps * len(keys)}"
        places = range(0, len(keys), max(1, len(keys) // COMPARED))
        values = np.stack([_values(sweep)[list(places)] for sweep in range(sweeps)])
        for column, place in enumerate(places):
            found = samples.read(connection, numbers[keys[place]], 0, 2**62)
            assert np.array_equal(found.at_ms, first_ms + np.arange(sweeps) * EVERY_MS), keys[place]
            assert np.array_equal(found.value, values[:, column]), keys[place]
        energies = connection.execute(
            select(func.sum(energy_window.c.energy_mwh))
            .where(energy_window.c.meter_id.startswith(f"{sent.site}-"))
            .group_by(energy_window.c.meter_id)
        )
        assert {int(total) for (total,) in energies} == {(sweeps - 1) * 20_000}


def centre_of(address: str) -> psutil.Process:
    """Return the process that listens there."""
    port = urlsplit(address).port
    for child in psutil.Process().children(recursive=True):
        if any(each.laddr.port == port for each in child.net_connections("tcp")):
            return child
    raise AssertionError(f"no child process listens at {address}")


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
