"""Collectors: polls a second of one process, by protocol, against real agents on loopback."""

import asyncio
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks import fleet, intake, remote, small_batches
from benchmarks.frame import Figure, Options
from collectors.snmp.client import Patience, SnmpClient, SnmpFailure
from collectors.snmp.port import SnmpPort
from collectors.snmp.usm import Auth, Priv, User
from collectors.snmp.voices import CommunityVoice, UserVoice, Voice

PARTS: Final = ("snmp", "intake", "small", "remote", "fleet")
"""What ``--only`` may name."""

OIDS: Final = tuple(f"1.3.6.1.4.1.318.1.1.26.4.3.1.{column}.1" for column in range(50, 61))
SIDE_BY_SIDE: Final = 64
TARGETS: Final = {True: 200, False: 2_000}
SECONDS: Final = {True: 1.0, False: 8.0}
AGENTS: Final = 2
_PASSWORD: Final = "benchmark-password"  # noqa: S105 - of an agent that lives for seconds


def run(options: Options) -> Iterator[Figure]:
    """Measure each part that was asked for; what a machine lacks is said and left out."""
    if not options.only or "snmp" in options.only:
        yield from _snmp(options)
    if not options.only or "intake" in options.only:
        yield from intake.samples_per_s(options)
    if not options.only or "small" in options.only:
        yield from small_batches.batches_per_s(options)
    if not options.only or "remote" in options.only:
        yield from remote.samples_per_s(options)
    if not options.only or "fleet" in options.only:
        yield from fleet.targets(options)


def _snmp(options: Options) -> Iterator[Figure]:
    binary = shutil.which("snmpd", path=os.environ["PATH"] + ":/usr/sbin")
    if binary is None:
        print("collectors: no snmpd, so nothing of SNMP is measured (apt install snmpd)")
        return
    voices: dict[str, Callable[[], Voice]] = {
        "v2c": lambda: CommunityVoice("public"),
        "v3": lambda: UserVoice(
            User(
                name="bench",
                auth=Auth.SHA1,
                auth_password=_PASSWORD,
                priv=Priv.AES128,
                priv_password=_PASSWORD,
            )
        ),
    }
    with _agents(binary) as ports:
        for name, voice in voices.items():
            rate, cpu_us, lost = asyncio.run(_polls(ports, voice, options.quick))
            labels = {"oids": len(OIDS), "targets": TARGETS[options.quick], "agents": AGENTS}
            yield Figure(f"collectors.snmp_{name}_polls_per_s", rate, "1/s", **labels)
            yield Figure(f"collectors.snmp_{name}_cpu_us", cpu_us, "us", **labels)
            yield Figure(f"collectors.snmp_{name}_lost", lost, "polls", **labels)


class Polls:
    """Polls by many clients side by side: how many were answered, and how many lost."""

    def __init__(self, clients: Sequence[SnmpClient], seconds: float) -> None:
        self._clients = clients
        self._until = time.perf_counter() + seconds
        self.done = self.lost = 0

    async def run(self) -> None:
        """Poll until the time is over."""
        await asyncio.gather(
            *(self._work(self._clients[n::SIDE_BY_SIDE]) for n in range(SIDE_BY_SIDE))
        )

    async def _work(self, own: Sequence[SnmpClient]) -> None:
        for client in itertools.cycle(own):
            if time.perf_counter() >= self._until:
                return
            try:
                await client.get(OIDS)
            except SnmpFailure:
                self.lost += 1
            else:
                self.done += 1


async def _polls(
    ports: list[int], voice: Callable[[], Voice], quick: bool
) -> tuple[float, float, float]:
    """Return polls a second, our processor time of one in us, and polls that got no answer."""
    port, patience = SnmpPort(), Patience(timeout_s=2.0, tries=1)
    clients = [
        SnmpClient(port, "127.0.0.1", ports[n % len(ports)], voice(), patience)
        for n in range(TARGETS[quick])
    ]
    for client in clients:
        await client.get(OIDS[:1])  # meets the engine, and derives the keys
    polls = Polls(clients, SECONDS[quick])
    began, cpu_began = time.perf_counter(), time.process_time()
    await polls.run()
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    for client in clients:
        client.close()
    return polls.done / took_s, cpu_s / max(1, polls.done) * 1e6, float(polls.lost)


@contextmanager
def _agents(binary: str) -> Iterator[list[int]]:
    """Run agents, each a process of its own, and yield their ports."""
    with tempfile.TemporaryDirectory(prefix="suanwang-bench-") as folder:
        processes, ports = [], []
        for number in range(AGENTS):
            port = _free_port()
            config = Path(folder) / f"{number}.conf"
            lines = [
                f"agentAddress udp:127.0.0.1:{port}",
                "rocommunity public",
                f'createUser bench SHA "{_PASSWORD}" AES "{_PASSWORD}"',
                "rouser bench authPriv",
                *(f"override .{oid} uinteger {value}" for value, oid in enumerate(OIDS)),
            ]
            config.write_text("\n".join(lines) + "\n", encoding="utf-8")
            state = Path(folder) / f"state-{number}"
            processes.append(
                subprocess.Popen(
                    [binary, "-f", "-Ln", "-C", "-c", str(config)],
                    env={**os.environ, "MIBS": "", "SNMP_PERSISTENT_DIR": str(state)},
                )
            )
            ports.append(port)
        try:
            asyncio.run(_await_agents(ports))
            yield ports
        finally:
            for process in processes:
                process.kill()
                process.wait()


async def _await_agents(ports: list[int]) -> None:
    shared = SnmpPort()
    for port in ports:
        client = SnmpClient(
            shared, "127.0.0.1", port, CommunityVoice("public"), Patience(timeout_s=0.3, tries=10)
        )
        await client.get(OIDS[:1])
        client.close()


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
