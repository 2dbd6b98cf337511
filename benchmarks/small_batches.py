"""Many small batches: each source's poll comes as a batch of its own, live, into a real centre.

An agent gathers five seconds of polls into one batch; this is the other end of it: 2,000 sources at
20 sites, 10 to 50 samples in a batch, the centre's upkeep beside. What a batch costs beyond its
samples shows here.
"""

import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import numpy as np
from sqlalchemy import func, select

from benchmarks.frame import Figure, Options, Scalar
from benchmarks.intake import centre_of, cpu_s
from benchmarks.submit import SITE, Caller, databases, server
from suanwang.clock import SystemClock, to_epoch_ms
from suanwang.db.engine import open_engine, reading
from suanwang.db.tables import sample
from suanwang.model.batch import Readings, Rows, SeriesKey
from suanwang.model.reading import SourceReport
from suanwang.wire.batch import CONTENT_TYPE, TelemetryUpload, encode

SITES: Final = 20
SOURCES: Final = 100
"""Sources of each site."""
SAMPLES: Final = (10, 20, 30, 40, 50)
SECONDS: Final = {True: 5.0, False: 60.0}
_CLOCK: Final = SystemClock()


@dataclass(slots=True, kw_only=True)
class _Sent:
    site: str
    batches: int = 0
    samples: int = 0
    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def batches_per_s(options: Options) -> Iterator[Figure]:
    """Measure both databases."""
    for backend, url in databases():
        with server(url, with_scheduler=True) as (address, admin):
            tokens = {f"s{number}": _prepare(address, admin, number) for number in range(SITES)}
            centre = centre_of(address)
            began, before = _CLOCK.monotonic(), cpu_s(centre)
            sent = _send_all(address, tokens, SECONDS[options.quick])
            seconds, used = _CLOCK.monotonic() - began, cpu_s(centre) - before
            failures = [failure for one in sent for failure in one.failures]
            assert not failures, failures[0]
            batches, taken = sum(one.batches for one in sent), sum(one.samples for one in sent)
            engine = open_engine(url)
            with reading(engine) as connection:
                stored = connection.scalar(select(func.count()).select_from(sample))
            engine.dispose()
            assert stored == taken, f"{stored} of {taken} samples are in the record"
        latencies = sorted(latency for one in sent for latency in one.latencies)
        labels: dict[str, Scalar] = {"backend": backend, "sources": SITES * SOURCES}
        labels["seconds"] = round(seconds, 1)
        yield Figure("collectors.small_batches_per_s", batches / seconds, "1/s", **labels)
        yield Figure("collectors.small_batches_per_cpu_s", batches / used, "1/s", **labels)
        yield Figure("collectors.small_batch_samples_per_s", taken / seconds, "1/s", **labels)
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            latency_ms = latencies[int(len(latencies) * share)] * 1_000
            yield Figure(f"collectors.small_batch_{name}_ms", latency_ms, "ms", **labels)


def _prepare(address: str, admin: str, number: int) -> str:
    caller = Caller(address, admin)
    name = f"s{number}"
    caller.post("/v1/sites", {"id": name, "name": name, "pools": [], "meters": [], **SITE})
    token = caller.post(f"/v1/sites/{name}/token", {})["secret"]
    caller.close()
    return str(token)


def _batch(site: str, number: int) -> tuple[bytes, int]:
    """Return one poll of a source, and how many samples it has."""
    source = number % SOURCES
    count = SAMPLES[source % len(SAMPLES)]
    now = _CLOCK.now()
    # Two polls of a source never share a moment, however fast they come.
    at_ms = to_epoch_ms(now) // SOURCES * SOURCES + source
    upload = TelemetryUpload(
        id=f"{site}-{number}",
        made_at=now,
        readings=Readings(
            series=tuple(SeriesKey(f"sensor:{source}-{n}", "temperature_c") for n in range(count)),
            labels={},
            rows=Rows(
                np.arange(count, dtype=np.uint32),
                np.full(count, at_ms, np.int64),
                20.0 + np.arange(count) / 8,
                np.zeros(count, np.uint8),
            ),
        ),
        reports=(
            SourceReport(
                source=f"device-{source}", is_up=True, duration_s=0.01, at=now, readings=count,
                interval_s=15.0,
            ),
        ),
    )  # fmt: skip
    return encode(upload), count


def _send_all(address: str, tokens: dict[str, str], seconds: float) -> list[_Sent]:
    until = _CLOCK.monotonic() + seconds
    sent = [_Sent(site=site) for site in tokens]
    threads = [
        threading.Thread(target=_send, args=(one, address, tokens[one.site], until)) for one in sent
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sent


def _send(sent: _Sent, address: str, token: str, until: float) -> None:
    """Send the polls of a site's sources in turn, one after the other."""
    line = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)
    headers = {"Content-Type": CONTENT_TYPE, "Authorization": f"Bearer {token}"}
    try:
        while _CLOCK.monotonic() < until:
            body, count = _batch(sent.site, sent.batches)
            asked = _CLOCK.monotonic()
            line.request("POST", "/agent/v1/telemetry", body, headers)
            answer = line.getresponse()
            content = answer.read()
            sent.latencies.append(_CLOCK.monotonic() - asked)
            if answer.status != 200 or json.loads(content)["accepted"] != count:
                sent.failures.append(content.decode())
                return
            sent.batches += 1
            sent.samples += count
    finally:
        line.close()
