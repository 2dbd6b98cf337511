"""Real SNMP agents on loopback: snmpd with fixed values, snmpsim with moving ones, a liar."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import cast

import pytest

from collectors.snmp.pdu import Request, message_2c, request_pdu

USER, AUTH_PASSWORD, PRIV_PASSWORD = "alice", "auth-pass-12", "priv-pass-12"
START_S = 15.0


def free_udp_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def snmpd(folder: Path, overrides: Mapping[str, str]) -> Iterator[int]:
    """Run snmpd with ``{oid: "type value"}`` and yield its port; skip where there is none."""
    binary = shutil.which("snmpd", path=os.environ["PATH"] + ":/usr/sbin")
    if binary is None:
        pytest.skip("no snmpd: apt install snmpd")
    port = free_udp_port()
    lines = [f"agentAddress udp:127.0.0.1:{port}", "rocommunity public"]
    lines += [f'createUser {USER} SHA "{AUTH_PASSWORD}" AES "{PRIV_PASSWORD}"']
    lines += [f'createUser carol SHA-256 "{AUTH_PASSWORD}" AES "{PRIV_PASSWORD}"']
    lines += [f"rouser {USER} authPriv", "rouser carol authPriv"]
    lines += [f"override .{oid} {value}" for oid, value in overrides.items()]
    config = folder / "snmpd.conf"
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    environment = {**os.environ, "MIBS": "", "SNMP_PERSISTENT_DIR": str(folder / "state")}
    process = subprocess.Popen(
        [binary, "-f", "-Lf", str(folder / "snmpd.log"), "-C", "-c", str(config)],
        env=environment,
    )
    try:
        _await_answer(process, port, "public", folder / "snmpd.log")
        yield port
    finally:
        _end(process)


@contextmanager
def snmpsim(folder: Path, records: Mapping[str, str]) -> Iterator[int]:
    """Run snmpsim with ``{community: records}`` and yield its port; skip where there is none."""
    binary = Path(sys.executable).parent / "snmpsim-command-responder"
    if not binary.exists():
        pytest.skip("no snmpsim: it is in the group dev of the dependencies")
    data, cache = folder / "data", folder / "cache"
    data.mkdir()
    cache.mkdir()
    for community, text in records.items():
        (data / f"{community}.snmprec").write_text(text, encoding="utf-8")
    port = free_udp_port()
    arguments = [f"--data-dir={data}", f"--cache-dir={cache}"]
    arguments += [f"--agent-udpv4-endpoint=127.0.0.1:{port}"]
    if os.geteuid() == 0:
        arguments += ["--process-user=root", "--process-group=root"]
    log = folder / "snmpsim.log"
    with log.open("wb") as output:
        process = subprocess.Popen([str(binary), *arguments], stdout=output, stderr=output)
    try:
        _await_answer(process, port, next(iter(records)), log)
        yield port
    finally:
        _end(process)


def _await_answer(process: subprocess.Popen[bytes], port: int, community: str, log: Path) -> None:
    """Ask for sysDescr until something comes back."""
    message = message_2c(community.encode(), request_pdu(Request.NEXT, 0x7F000001, ("1.3.6.1",)))
    until = time.monotonic() + START_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.2)
        while time.monotonic() < until and process.poll() is None:
            probe.sendto(message, ("127.0.0.1", port))
            try:
                probe.recv(65_535)
            except (TimeoutError, ConnectionRefusedError):
                continue
            return
    pytest.fail(f"the agent did not start: {log.read_text(errors='replace')[-2_000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@asynccontextmanager
async def liar(answer: Callable[[bytes, int], list[bytes]]) -> AsyncIterator[int]:
    """Answer each datagram by what a function makes of it and of how many came before."""

    class Agent(asyncio.DatagramProtocol):
        transport: asyncio.DatagramTransport
        heard = 0

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.DatagramTransport", transport)

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            for each in answer(data, self.heard):
                self.transport.sendto(each, addr)
            self.heard += 1

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Agent, local_addr=("127.0.0.1", 0))
    try:
        yield int(transport.get_extra_info("sockname")[1])
    finally:
        transport.close()
