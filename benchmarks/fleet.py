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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from agent.process import allow_files, settle_later, settle_memory
from agent.source_keeper import connections_of
from agent.spool import Spool
from agent.telemetry_buffer import TelemetryBuffer
from benchmarks.frame import Figure, Options
from collectors.config import build_sources, parse_sources, places_of
from collectors.poller import Poller
from suanwang.clock import SystemClock
from suanwang.ids import RandomIds
from suanwang.model.reading import Reading, SourceReport

SHARES: Final = {"snmp": 0.575, "redfish": 0.285, "modbus": 0.05, "prometheus": 0.09}
"""Of targets: rack PDUs, BMCs, meters, and machines with GPUs, as in a centre of 65,000 racks."""
INTERVALS_S: Final = {"snmp": 60.0, "redfish": 60.0, "modbus": 15.0, "prometheus": 15.0}
TARGETS: Final = {True: (400,), False: (10_000, 20_000)}
"""Half as many first: where the servers starve the agent, the difference shows it."""
SPEED: Final = {True: 15.0, False: 1.0}
"""A quick run polls so many times as often, so that its seconds see every target."""
WARM_S: Final = {True: 16.0, False: 200.0}
"""Until every device was looked through, at 50 a second, and polled again after that."""
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


@dataclass(frozen=True, slots=True)
class Server:
    """A process of devices, and the port that all of them listen on."""

    pid: int
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """The processes that play the devices."""

    snmp: Server
    modbus: Server
    http: Server


def targets(options: Options) -> Iterator[Figure]:
    """Measure one process with all targets; what a machine lacks is said and left out."""
    binary = shutil.which("snmpd", path=os.environ["PATH"] + ":/usr/sbin")
    if binary is None:
        print("collectors: no snmpd, so no fleet is polled (apt install snmpd)")
        return
    for count in TARGETS[options.quick]:
        with tempfile.TemporaryDirectory(prefix="suanwang-bench-") as name, ExitStack() as stack:
            folder = Path(name)
            servers = Servers(
                snmp=stack.enter_context(_snmpd(binary, folder)),
                modbus=stack.enter_context(_server("modbus")),
                http=stack.enter_context(_server("http")),
            )
            yield from asyncio.run(_measure(servers, folder, count, options.quick))


async def _measure(servers: Servers, folder: Path, count: int, quick: bool) -> list[Figure]:
    clock = SystemClock()
    spool = Spool(folder / "spool", clock)
    tally = Tally(TelemetryBuffer(spool, clock, RandomIds(clock)))
    raw = _settings(servers, folder, count, SPEED[quick])
    specs = parse_sources(raw)
    allow_files(connections_of(specs))
    sources = build_sources(specs, clock, folder / "sources")
    poller = Poller(sources, tally.take, clock, 1, places_of(specs))
    settle_memory()
    settling = settle_later(asyncio.get_running_loop())
    stop = asyncio.Event()
    polling = asyncio.create_task(poller.run(stop))
    flushing = asyncio.create_task(_flush(tally.buffer))
    await asyncio.sleep(WARM_S[quick])
    labels = {"targets": len(raw), "speed": SPEED[quick]}
    figures = _late("start_lateness", tally, labels)
    tally.reset()
    began = _usage(servers)
    await asyncio.sleep(MEASURE_S[quick])
    used = _usage(servers).since(began)
    figures += [Figure("collectors.targets", len(raw), "1", **labels)]
    figures += _late("lateness", tally, labels)
    figures += [
        Figure("collectors.cpu_core_share", used.own_s / used.took_s, "cores", **labels),
        Figure("collectors.starved_share", used.starved_s / used.took_s, "1", **labels),
        Figure("collectors.servers_core_share", used.servers_s / used.took_s, "cores", **labels),
        Figure("collectors.machine_core_share", used.machine_s / used.took_s, "cores", **labels),
        Figure("collectors.rss_mib", _rss_mib(), "MiB", **labels),
        Figure("collectors.polls_per_s", tally.polls / used.took_s, "1/s", **labels),
        Figure("collectors.polled_samples_per_s", tally.readings / used.took_s, "1/s", **labels),
        Figure("collectors.failed_polls", tally.failures, "1", **labels),
    ]
    for error in sorted(tally.errors)[:3]:
        print(f"collectors: {error}")
    stop.set()
    flushing.cancel()
    for each in settling:
        each.cancel()
    await asyncio.gather(polling, flushing, return_exceptions=True)
    spool.close()
    return figures


def _late(name: str, tally: Tally, labels: Mapping[str, float]) -> list[Figure]:
    """Return how late the polls of a tally began."""
    late_s = sorted(tally.late_s)
    return [
        Figure(f"collectors.{name}_p50_s", late_s[len(late_s) // 2], "s", **labels),
        Figure(f"collectors.{name}_p99_s", late_s[int(len(late_s) * 0.99)], "s", **labels),
        Figure(f"collectors.{name}_max_s", late_s[-1], "s", **labels),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Seconds of processors, and of the clock; ``starved_s`` we could have run and had no core."""

    took_s: float
    own_s: float
    starved_s: float
    servers_s: float
    machine_s: float

    def since(self, before: "Usage") -> "Usage":
        """Return what was used between two moments."""
        return Usage(
            took_s=self.took_s - before.took_s,
            own_s=self.own_s - before.own_s,
            starved_s=self.starved_s - before.starved_s,
            servers_s=self.servers_s - before.servers_s,
            machine_s=self.machine_s - before.machine_s,
        )


def _usage(servers: Servers) -> Usage:
    of_machine, of_servers = psutil.cpu_times(), 0.0
    for process in (servers.snmp, servers.modbus, servers.http):
        times = psutil.Process(process.pid).cpu_times()
        of_servers += times.user + times.system
    waited = Path("/proc/self/schedstat")
    return Usage(
        took_s=time.perf_counter(),
        own_s=time.process_time(),
        starved_s=int(waited.read_text().split()[1]) / 1e9 if waited.exists() else 0.0,
        servers_s=of_servers,
        machine_s=sum(of_machine) - of_machine.idle - getattr(of_machine, "iowait", 0.0),
    )


async def _flush(buffer: TelemetryBuffer) -> None:
    while True:
        await asyncio.sleep(FLUSH_S)
        buffer.flush()


def _settings(servers: Servers, folder: Path, count: int, speed: float) -> list[dict[str, object]]:
    points = [f'  {key}: {{oid: "{oid}"}}' for key, oid in zip(_KEYS, OIDS, strict=True)]
    profile = folder / "bench_pdu.yaml"
    head = ["name: bench_pdu", "title: a rack PDU of the benchmark", "source: the benchmark"]
    kind = ["protocol: snmp", "device: meter", "rated_w: 22000", "resettable: true", "points:"]
    profile.write_text("\n".join([*head, *kind, *points]) + "\n", encoding="utf-8")
    made: list[dict[str, object]] = []
    for kind_number, (name, share) in enumerate(SHARES.items()):
        for n in range(round(count * share)):
            host = f"127.{kind_number + 1}.{n // 250}.{n % 250 + 1}"
            made.append(
                {
                    "kind": name,
                    "name": f"{name}-{n}",
                    "interval_s": INTERVALS_S[name] / speed,
                    **_own(name, host, f"{name}-{n}", servers, profile),
                }
            )
    return made


def _own(kind: str, host: str, name: str, servers: Servers, profile: Path) -> dict[str, object]:
    if kind == "snmp":
        return {"device_id": name, "profile": str(profile), "host": host, "port": servers.snmp.port}
    if kind == "modbus":
        own = {"meter_id": name, "profile": "schneider_iem3000"}
        return {**own, "host": host, "port": servers.modbus.port}
    if kind == "redfish":
        return {"url": f"http://{host}:{servers.http.port}", "host": name}
    return {"url": f"http://{host}:{servers.http.port}/metrics", "preset": "dcgm", "host": name}


@contextmanager
def _snmpd(binary: str, folder: Path) -> Iterator[Server]:
    port = _free_port(socket.SOCK_DGRAM)
    config = folder / "snmpd.conf"
    lines = [f"agentAddress udp:0.0.0.0:{port}", "rocommunity public"]
    lines += [f"override .{oid} uinteger {value}" for value, oid in enumerate(OIDS)]
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    environment = {**os.environ, "MIBS": "", "SNMP_PERSISTENT_DIR": str(folder / "state")}
    process = subprocess.Popen([binary, "-f", "-Ln", "-C", "-c", str(config)], env=environment)
    try:
        yield Server(process.pid, port)
    finally:
        process.kill()
        process.wait()


@contextmanager
def _server(kind: str) -> Iterator[Server]:
    port = _free_port(socket.SOCK_STREAM)
    command = [sys.executable, "-m", "benchmarks.fleet_servers", kind, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield Server(process.pid, port)
    finally:
        process.kill()
        process.wait()


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _rss_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
