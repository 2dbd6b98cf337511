"""A fleet of mixed targets polled by one process, with the agent's own poller, buffer and spool."""

import asyncio
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.service import TelemetryBuffer
from agent.spool import Spool
from benchmarks.frame import Figure, Options
from collectors.config import build_sources, parse_sources, places_of
from collectors.poller import Poller
from suanwang.clock import SystemClock
from suanwang.ids import RandomIds
from suanwang.model.reading import Reading, SourceReport

SHARES: Final = {"snmp": 0.575, "redfish": 0.285, "modbus": 0.05, "prometheus": 0.09}
"""Of targets: rack PDUs, BMCs, meters, and machines with GPUs, as in a centre of 65,000 racks."""
INTERVALS_S: Final = {"snmp": 60.0, "redfish": 60.0, "modbus": 15.0, "prometheus": 15.0}
TARGETS: Final = {True: 400, False: 20_000}
SPEED: Final = {True: 15.0, False: 1.0}
"""A quick run polls so many times as often, so that its seconds see every target."""
WARM_S: Final = {True: 6.0, False: 150.0}
MEASURE_S: Final = {True: 4.0, False: 60.0}
FLUSH_S: Final = 5.0
OIDS: Final = tuple(f"1.3.6.1.4.1.318.1.1.26.4.3.1.{column}.1" for column in range(50, 61))
_KEYS: Final = ("energy_wh", "power_w", *(f"outlet-{n}/power_w" for n in range(9)))


@dataclass(slots=True)
class Tally:
    """What the polls of the measured time came to."""

    buffer: TelemetryBuffer
    polls: int = 0
    failures: int = 0
    readings: int = 0
    late_s: list[float] = field(default_factory=list)
    errors: set[str] = field(default_factory=set)

    def take(self, readings: Sequence[Reading], report: SourceReport) -> None:
        """Count a poll, and hand it on."""
        self.polls += 1
        self.readings += report.readings
        if not report.is_up:
            self.failures += 1
            self.errors.add(report.error)
        self.late_s.append(readings[-1].value)
        self.buffer.take(readings, report)

    def reset(self) -> None:
        """Begin anew."""
        self.polls = self.failures = self.readings = 0
        self.late_s.clear()
        self.errors.clear()


def targets(options: Options) -> Iterator[Figure]:
    """Measure one process with all targets; what a machine lacks is said and left out."""
    binary = shutil.which("snmpd", path=os.environ["PATH"] + ":/usr/sbin")
    if binary is None:
        print("collectors: no snmpd, so no fleet is polled (apt install snmpd)")
        return
    with tempfile.TemporaryDirectory(prefix="suanwang-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        ports = {
            "snmp": stack.enter_context(_snmpd(binary, folder)),
            "modbus": stack.enter_context(_server("modbus")),
            "http": stack.enter_context(_server("http")),
        }
        yield from asyncio.run(_measure(_settings(ports, folder, options.quick), folder, options))


async def _measure(raw: list[dict[str, object]], folder: Path, options: Options) -> list[Figure]:
    clock = SystemClock()
    spool = Spool(folder / "spool", clock)
    tally = Tally(TelemetryBuffer(spool, clock, RandomIds(clock)))
    specs = parse_sources(raw)
    poller = Poller(build_sources(specs, clock), tally.take, clock, 1, places_of(specs))
    stop = asyncio.Event()
    polling = asyncio.create_task(poller.run(stop))
    flushing = asyncio.create_task(_flush(tally.buffer))
    await asyncio.sleep(WARM_S[options.quick])
    tally.reset()
    began, cpu_began = time.perf_counter(), time.process_time()
    await asyncio.sleep(MEASURE_S[options.quick])
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    late_s = sorted(tally.late_s)
    labels = {"targets": len(raw), "speed": SPEED[options.quick]}
    figures = [
        Figure("collectors.targets", len(raw), "1", **labels),
        Figure("collectors.lateness_p50_s", late_s[len(late_s) // 2], "s", **labels),
        Figure("collectors.lateness_p99_s", late_s[int(len(late_s) * 0.99)], "s", **labels),
        Figure("collectors.lateness_max_s", late_s[-1], "s", **labels),
        Figure("collectors.cpu_core_share", cpu_s / took_s, "cores", **labels),
        Figure("collectors.rss_mib", _rss_mib(), "MiB", **labels),
        Figure("collectors.polls_per_s", tally.polls / took_s, "1/s", **labels),
        Figure("collectors.polled_samples_per_s", tally.readings / took_s, "1/s", **labels),
        Figure("collectors.failed_polls", tally.failures, "1", **labels),
    ]
    for error in sorted(tally.errors)[:3]:
        print(f"collectors: {error}")
    stop.set()
    flushing.cancel()
    await asyncio.gather(polling, flushing, return_exceptions=True)
    spool.close()
    return figures


async def _flush(buffer: TelemetryBuffer) -> None:
    while True:
        await asyncio.sleep(FLUSH_S)
        buffer.flush()


def _settings(ports: dict[str, int], folder: Path, quick: bool) -> list[dict[str, object]]:
    points = [f'  {key}: {{oid: "{oid}"}}' for key, oid in zip(_KEYS, OIDS, strict=True)]
    profile = folder / "bench_pdu.yaml"
    head = ["name: bench_pdu", "title: a rack PDU of the benchmark", "source: the benchmark"]
    kind = ["protocol: snmp", "device: meter", "rated_w: 22000", "resettable: true", "points:"]
    profile.write_text("\n".join([*head, *kind, *points]) + "\n", encoding="utf-8")
    made: list[dict[str, object]] = []
    for kind_number, (name, share) in enumerate(SHARES.items()):
        for n in range(round(TARGETS[quick] * share)):
            host = f"127.{kind_number + 1}.{n // 250}.{n % 250 + 1}"
            made.append(
                {
                    "kind": name,
                    "name": f"{name}-{n}",
                    "interval_s": INTERVALS_S[name] / SPEED[quick],
                    **_own(name, host, f"{name}-{n}", ports, profile),
                }
            )
    return made


def _own(
    kind: str, host: str, name: str, ports: dict[str, int], profile: Path
) -> dict[str, object]:
    if kind == "snmp":
        return {"device_id": name, "profile": str(profile), "host": host, "port": ports["snmp"]}
    if kind == "modbus":
        own = {"meter_id": name, "profile": "schneider_iem3000"}
        return {**own, "host": host, "port": ports["modbus"]}
    if kind == "redfish":
        return {"url": f"http://{host}:{ports['http']}", "host": name}
    return {"url": f"http://{host}:{ports['http']}/metrics", "preset": "dcgm", "host": name}


@contextmanager
def _snmpd(binary: str, folder: Path) -> Iterator[int]:
    port = _free_port(socket.SOCK_DGRAM)
    config = folder / "snmpd.conf"
    lines = [f"agentAddress udp:0.0.0.0:{port}", "rocommunity public"]
    lines += [f"override .{oid} uinteger {value}" for value, oid in enumerate(OIDS)]
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    environment = {**os.environ, "MIBS": "", "SNMP_PERSISTENT_DIR": str(folder / "state")}
    process = subprocess.Popen([binary, "-f", "-Ln", "-C", "-c", str(config)], env=environment)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


@contextmanager
def _server(kind: str) -> Iterator[int]:
    port = _free_port(socket.SOCK_STREAM)
    command = [sys.executable, "-m", "benchmarks.fleet_servers", kind, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield port
    finally:
        process.kill()
        process.wait()


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _rss_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
