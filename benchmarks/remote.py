"""Samples to a time series database: one process, into real servers on loopback."""

import gc
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlencode
from urllib.request import urlopen

import psutil

from benchmarks.frame import Figure, Options, Scalar
from collectors.remote_write.tally import RemoteState
from collectors.remote_write.writer import RemoteWriter, writer_of
from suanwang.clock import SystemClock, from_epoch_ms
from suanwang.model.batch import Readings, gathered
from suanwang.model.reading import Reading
from suanwang.settings import RemoteWriteSettings

METERS: Final = 2_000
METRICS: Final = ("energy_wh", "power_w", "current_l1_a", "current_l2_a", "current_l3_a")
SWEEPS: Final = {True: 10, False: 120}
EVERY: Final = timedelta(seconds=15)
WAITING_MAX: Final = 200_000
"""The source pauses while so many wait: what is measured is the pace that is kept."""
STARTED_S: Final = 30.0
_CLOCK: Final = SystemClock()


def samples_per_s(options: Options) -> Iterator[Figure]:
    """Measure each server that is installed: by the clock, and per second of our processor time.

    Ours is what turns readings into requests; ``server_cpu_us`` is the server's for one sample.
    """
    for name in ("prometheus", "victoria-metrics"):
        if shutil.which(name) is None:
            print(f"collectors: no {name}, so nothing is sent to it (apt install {name})")
            continue
        sweeps = [gathered(sweep) for sweep in _sweeps(SWEEPS[options.quick])]
        # Once alive they are not looked through again: the product's processes do likewise.
        gc.collect()
        gc.freeze()
        with _server(name) as (url, server):
            yield from _measure(name, url, server, sweeps)
        gc.unfreeze()


def _measure(
    name: str, url: str, server: psutil.Process, sweeps: list[Readings]
) -> Iterator[Figure]:
    settings = RemoteWriteSettings(url=f"{url}/api/v1/write", flush_s=0.05)
    writer = writer_of(settings, "centre", _CLOCK)
    assert writer is not None
    writer.start()
    theirs = _cpu_s(server)
    began, cpu_began = time.perf_counter(), time.process_time()
    state = _send(writer, sweeps)
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    theirs = _cpu_s(server) - theirs
    writer.stop()
    samples = len(sweeps) * len(sweeps[0])
    stored = _stored(name, url, from_epoch_ms(int(sweeps[-1].rows.at_ms[0])), len(sweeps))
    assert state.sent == samples == stored, (state, samples, stored)
    labels: dict[str, Scalar] = {"server": name, "series": len(sweeps[0]), "samples": samples}
    yield Figure("collectors.tsdb_samples_per_s", samples / took_s, "1/s", **labels)
    yield Figure("collectors.tsdb_samples_per_cpu_s", samples / cpu_s, "1/s", **labels)
    yield Figure("collectors.tsdb_server_cpu_us", theirs / samples * 1e6, "us", **labels)


def _send(writer: RemoteWriter, sweeps: list[Readings]) -> RemoteState:
    for sweep in sweeps:
        while writer.state.queued > WAITING_MAX:
            _CLOCK.sleep(0.005)
        writer.take_rows("bench", sweep)
    while writer.state.queued:
        _CLOCK.sleep(0.005)
    return writer.state


def _sweeps(count: int) -> Iterator[list[Reading]]:
    start = _CLOCK.now().replace(microsecond=0) - count * EVERY
    for sweep in range(count):
        at = start + sweep * EVERY
        yield [
            Reading(
                subject=f"meter:rack-{meter}",
                metric=metric,
                at=at,
                value=4_800.0 + 20.5 * sweep + meter,
            )
            for meter in range(METERS)
            for metric in METRICS
        ]


def _stored(name: str, url: str, last: datetime, sweeps: int) -> int:
    """Return how many samples the server says that it has."""
    if name == "victoria-metrics":
        urlopen(f"{url}/internal/force_flush", timeout=60).close()  # noqa: S310
    length_s = int(sweeps * EVERY.total_seconds()) + 60
    stored = 0
    for metric in METRICS:
        query = f"sum(count_over_time(suanwang_{metric}[{length_s}s]))"
        asked = urlencode({"query": query, "time": last.timestamp(), "nocache": 1})
        with urlopen(f"{url}/api/v1/query?{asked}", timeout=60) as answer:  # noqa: S310
            stored += int(json.load(answer)["data"]["result"][0]["value"][1])
    return stored


@contextmanager
def _server(name: str) -> Iterator[tuple[str, psutil.Process]]:
    """Run a server; yield its address and its process."""
    with (
        tempfile.TemporaryDirectory(prefix="suanwang-bench-") as folder,
        socket.socket() as probe,
    ):
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        config = Path(folder) / "prometheus.yml"
        config.write_text("global: {}\n", encoding="utf-8")
        address = f"127.0.0.1:{port}"
        arguments = {
            "prometheus": [
                f"--config.file={config}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={address}",
                "--web.enable-remote-write-receiver",
                "--log.level=error",
            ],
            "victoria-metrics": [
                f"-storageDataPath={folder}/data",
                f"-httpListenAddr={address}",
                "-search.latencyOffset=0s",
                "-loggerLevel=ERROR",
            ],
        }[name]
        process = subprocess.Popen([name, *arguments])
        try:
            _await(
                f"http://{address}/-/healthy"
                if name == "prometheus"
                else f"http://{address}/health"
            )
            yield f"http://{address}", psutil.Process(process.pid)
        finally:
            process.kill()
            process.wait()


def _await(address: str) -> None:
    until = _CLOCK.monotonic() + STARTED_S
    while True:
        try:
            urlopen(address, timeout=2).close()  # noqa: S310 - our own child on loopback
        except OSError:
            if _CLOCK.monotonic() > until:
                raise
            _CLOCK.sleep(0.05)
        else:
            return


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
