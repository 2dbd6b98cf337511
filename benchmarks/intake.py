"""Samples from the wire to the record: batches of a made-up site, into a real centre over HTTP."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import psutil

from benchmarks.frame import Figure, Options, Scalar
from benchmarks.submit import SITE, Caller, databases, server
from suanwang.clock import SystemClock

METERS: Final = 500
METRICS: Final = ("power_w", "current_l1_a", "current_l2_a", "current_l3_a")
BATCHES: Final = {True: 4, False: 60}
SWEEPS: Final = 4
"""Sweeps over all meters in one batch: a minute at 15 s."""
_KIND: Final[Mapping[str, object]] = {"resolution_wh": 1.0, "poll_s": 15}
EVERY: Final = timedelta(seconds=15)
_CLOCK: Final = SystemClock()


def samples_per_s(options: Options) -> Iterator[Figure]:
    """Measure both databases: samples a second, and a second of the centre's processor time."""
    for backend, url in databases():
        with server(url) as (address, admin):
            token = _prepare(address, admin)
            bodies = [_batch(number) for number in range(BATCHES[options.quick])]
            caller = Caller(address, token)
            centre = _centre(address)
            started, used = _CLOCK.monotonic(), _cpu_s(centre)
            taken = 0
            for body in bodies:
                receipt = caller.post("/agent/v1/telemetry", body)
                taken += int(str(receipt["accepted"]))
                assert not receipt["refused"], receipt
            seconds, used = _CLOCK.monotonic() - started, _cpu_s(centre) - used
            caller.close()
            labels: dict[str, Scalar] = {"backend": backend, "meters": METERS, "samples": taken}
            yield Figure("collectors.samples_per_s", taken / seconds, "1/s", **labels)
            yield Figure("collectors.samples_per_cpu_s", taken / used, "1/s", **labels)


def _prepare(address: str, admin: str) -> str:
    """Register a site with its meters; return its agent's token."""
    caller = Caller(address, admin)
    meters = [
        {"id": f"m{number}", "name": f"Meter {number}", "role": "it", "rated_w": 10_000, **_KIND}
        for number in range(METERS)
    ]
    caller.post("/v1/sites", {"id": "s", "name": "S", "pools": [], "meters": meters, **SITE})
    token = caller.post("/v1/sites/s/token", {})["secret"]
    caller.close()
    return str(token)


def _batch(number: int) -> Mapping[str, object]:
    """Return a minute of the site; the newest batch ends now."""
    now = _CLOCK.now().replace(microsecond=0)
    readings = []
    for sweep in range(SWEEPS):
        place = number * SWEEPS + sweep
        at = (now - timedelta(hours=2) + place * EVERY).isoformat()
        for meter in range(METERS):
            subject = f"meter:m{meter}"
            energy = {"subject": subject, "metric": "energy_wh", "at": at}
            readings.append(energy | {"value": 1_000.0 * meter + 20.0 * place})
            readings += [
                {"subject": subject, "metric": metric, "at": at, "value": 4_800.0 + place % 7}
                for metric in METRICS
            ]
    return {
        "id": f"b{number}",
        "sent_at": now.isoformat(),
        "readings": readings,
        "reports": [],
    }


def _centre(address: str) -> psutil.Process:
    """Return the process that listens there."""
    port = urlsplit(address).port
    for child in psutil.Process().children(recursive=True):
        if any(each.laddr.port == port for each in child.net_connections("tcp")):
            return child
    raise AssertionError(f"no child process listens at {address}")


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
