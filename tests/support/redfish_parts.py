"""A BMC for tests: sushy-static serves our JSON trees, and a front adds what real BMCs do to us.

The front speaks sessions with a limit, ETags and ``$expand``, and can be told to be slow, busy,
without the right to read, or to break off in the middle of its JSON.
"""

import asyncio
import hashlib
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from collectors.config import build_source, parse_source
from collectors.sources.port import Source
from suanwang.clock import SystemClock
from suanwang.model.reading import Reading

ROOT = "/redfish/v1"
METRICS = f"{ROOT}/Chassis/1/EnvironmentMetrics"
Tree = Mapping[str, Mapping[str, Any]]


def free_port() -> int:
    """Return a TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def link(path: str) -> dict[str, str]:
    """Return a reference to a resource."""
    return {"@odata.id": ROOT + path}


def collection(*paths: str) -> dict[str, Any]:
    """Return a collection of references."""
    return {"Members": [link(path) for path in paths], "Members@odata.count": len(paths)}


SERVER: Tree = {
    "": {
        "Chassis": link("/Chassis"),
        "ProtocolFeaturesSupported": {"ExpandQuery": {"NoLinks": True, "MaxLevels": 2}},
    },
    "/Chassis": collection("/Chassis/1"),
    "/Chassis/1": {
        "Id": "1",
        "Status": {"State": "Enabled", "Health": "OK", "HealthRollup": "Warning"},
        "EnvironmentMetrics": link("/Chassis/1/EnvironmentMetrics"),
        "Power": link("/Chassis/1/Power"),
        "ThermalSubsystem": link("/Chassis/1/ThermalSubsystem"),
        "Thermal": link("/Chassis/1/Thermal"),
        "Sensors": link("/Chassis/1/Sensors"),
    },
    "/Chassis/1/EnvironmentMetrics": {
        "PowerWatts": {"Reading": 6021.5},
        "EnergykWh": {"Reading": 1234.567},
        "TemperatureCelsius": {"Reading": None},
    },
    "/Chassis/1/Power": {"PowerControl": [{"PowerConsumedWatts": 9999}]},
    "/Chassis/1/ThermalSubsystem": {"ThermalMetrics": link("/Chassis/1/ThermalMetrics")},
    "/Chassis/1/ThermalMetrics": {"TemperatureSummaryCelsius": {"Intake": {"Reading": 23.5}}},
    "/Chassis/1/Thermal": {"Temperatures": []},
    "/Chassis/1/Sensors": collection(
        "/Chassis/1/Sensors/Inlet", "/Chassis/1/Sensors/PSU1", "/Chassis/1/Sensors/Empty"
    ),
    "/Chassis/1/Sensors/Inlet": {
        "Id": "Inlet",
        "ReadingType": "Temperature",
        "Reading": 24,
        "Status": {"State": "Enabled"},
    },
    "/Chassis/1/Sensors/PSU1": {"Id": "PSU1", "ReadingType": "EnergykWh", "Reading": 12.5},
    "/Chassis/1/Sensors/Empty": {
        "Id": "Empty",
        "ReadingType": "Temperature",
        "Reading": 0,
        "Status": {"State": "Absent"},
    },
}
OLD_SERVER: Tree = {
    "": {"Chassis": link("/Chassis")},
    "/Chassis": collection("/Chassis/Self"),
    "/Chassis/Self": {
        "Status": {"Health": "Critical"},
        "Power": link("/Chassis/Self/Power"),
        "Thermal": link("/Chassis/Self/Thermal"),
    },
    "/Chassis/Self/Power": {
        "PowerControl": [{"PowerConsumedWatts": 344, "PowerMetrics": {"AverageConsumedWatts": 319}}]
    },
    "/Chassis/Self/Thermal": {
        "Temperatures": [
            {"PhysicalContext": "CPU", "ReadingCelsius": 61},
            {
                "PhysicalContext": "Intake",
                "ReadingCelsius": 0,
                "Status": {"State": "UnavailableOffline"},
            },
            {"PhysicalContext": "Intake", "ReadingCelsius": 22},
        ]
    },
}
SUPPLIES: Tree = {
    "": {"Chassis": link("/Chassis")},
    "/Chassis": collection("/Chassis/N1"),
    "/Chassis/N1": {"PowerSubsystem": link("/Chassis/N1/PowerSubsystem")},
    "/Chassis/N1/PowerSubsystem": {"PowerSupplies": link("/Chassis/N1/PowerSupplies")},
    "/Chassis/N1/PowerSupplies": collection("/Chassis/N1/PSU/0", "/Chassis/N1/PSU/1"),
    "/Chassis/N1/PSU/0": {"Metrics": link("/Chassis/N1/PSU/0/Metrics")},
    "/Chassis/N1/PSU/1": {"Metrics": link("/Chassis/N1/PSU/1/Metrics")},
    "/Chassis/N1/PSU/0/Metrics": {
        "InputPowerWatts": {"Reading": 1500},
        "EnergykWh": {"Reading": 3},
    },
    "/Chassis/N1/PSU/1/Metrics": {
        "InputPowerWatts": {"Reading": 1501},
        "EnergykWh": {"Reading": None},
    },
}
RACK_PDU: Tree = {
    "": {"PowerEquipment": link("/PowerEquipment"), "Chassis": link("/Chassis")},
    "/Chassis": collection(),
    "/PowerEquipment": {"RackPDUs": link("/PowerEquipment/RackPDUs")},
    "/PowerEquipment/RackPDUs": collection("/PowerEquipment/RackPDUs/1"),
    "/PowerEquipment/RackPDUs/1": {
        "Id": "1",
        "Status": {"Health": "OK"},
        "Metrics": link("/PowerEquipment/RackPDUs/1/Metrics"),
    },
    "/PowerEquipment/RackPDUs/1/Metrics": {
        "PowerWatts": {"Reading": 7310, "PowerFactor": 0.98},
        "EnergykWh": {"Reading": 56438.1},
        "HumidityPercent": {"Reading": 41},
    },
}


def settings(url: str, **more: object) -> dict[str, object]:
    """Return the settings of a source for a BMC."""
    return {"kind": "redfish", "name": "bmc", "url": url, "host": "gpu-07"} | more


def a_source(url: str, **more: object) -> Source:
    """Return a source for a BMC."""
    return build_source(parse_source(settings(url, **more)), SystemClock())


def by_series(readings: Sequence[Reading]) -> dict[tuple[str, str], float]:
    """Return values by subject and metric."""
    return {(each.subject, each.metric): each.value for each in readings}


async def read(source: Source) -> dict[tuple[str, str], float]:
    """Poll once and close."""
    try:
        return by_series(await source.collect())
    finally:
        await source.close()


def write_tree(folder: Path, tree: Tree) -> None:
    """Write a tree as sushy-static reads it."""
    for path, document in tree.items():
        file = folder / path.lstrip("/") / "index.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"@odata.id": ROOT + path, **document}), encoding="utf-8")


@contextmanager
def sushy_static(folder: Path, *options: str) -> Iterator[int]:
    """Run sushy-static over a folder; yield its port once it listens."""
    port = free_port()
    program = Path(sys.executable).with_name("sushy-static")
    process = subprocess.Popen(
        [program, "-i", "127.0.0.1", "-p", str(port), "-m", folder, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await_listener(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


def _await_listener(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(400):
        assert process.poll() is None, "the server ended before it listened"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            # Waits for the process without a sleep: it ends early only where it failed.
            try:
                process.wait(timeout=0.025)
            except subprocess.TimeoutExpired:
                continue
        else:
            return
    raise AssertionError(f"nothing listens on port {port}")


def a_certificate(folder: Path) -> tuple[Path, Path, str]:
    """Write a certificate for 127.0.0.1 that signs itself; return it, its key, its fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, key_file = folder / "bmc.pem", folder / "bmc.key"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file, key_file, certificate.fingerprint(hashes.SHA256()).hex()


async def _no_time(_: str) -> None:
    """Take no time over an expanded answer."""


class Front:
    """What stands before the static server. Its attributes are what a test sets and counts."""

    def __init__(self, upstream: int) -> None:
        self._upstream = f"http://127.0.0.1:{upstream}"
        self.url = ""
        self.password = "right"
        self.sessions: dict[str, str] = {}
        self.sessions_max = 8
        self.logins = 0
        self.login_came = asyncio.Event()
        self.is_guarded = False
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.opens_login = asyncio.Event()
        self.opens_login.set()
        self.statuses: dict[str, int] = {}
        self.bodies: dict[str, bytes] = {}
        self.in_flight = 0
        self.in_flight_max = 0
        self.asked: list[tuple[str, int]] = []
        self.expands = True
        self.takes: Callable[[str], Awaitable[None]] = _no_time

    def count(self, path: str) -> int:
        """Return how often a path was asked for."""
        return len([each for each, _ in self.asked if each.startswith(ROOT + path)])

    async def log_in(self, request: web.Request) -> web.Response:
        """Open a session, if one is free and the password is right."""
        self.logins += 1
        self.login_came.set()
        body = await request.json()
        if body["Password"] != self.password:
            return web.Response(status=401)
        if len(self.sessions) >= self.sessions_max:
            text = '{"error": {"code": "Base.1.0.SessionLimitExceeded"}}'
            return web.Response(status=400, text=text)
        token = f"token-{self.logins}"
        path = f"{ROOT}/SessionService/Sessions/{self.logins}"
        self.sessions[token] = path
        await self.opens_login.wait()
        return web.Response(
            status=201, headers={"X-Auth-Token": token, "Location": f"https://bmc{path}"}
        )

    async def log_out(self, request: web.Request) -> web.Response:
        """End a session."""
        token = request.headers.get("X-Auth-Token", "")
        if self.sessions.get(token) != request.path:
            return web.Response(status=404)
        del self.sessions[token]
        return web.Response(status=204)

    async def get(self, request: web.Request) -> web.Response:
        """Hand a resource on, with what a BMC adds and the faults that are set."""
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        try:
            await self.is_open.wait()
            answer = await self._answer(request)
        finally:
            self.in_flight -= 1
        self.asked.append((request.path_qs, answer.status))
        return answer

    async def _answer(self, request: web.Request) -> web.Response:
        if self.is_guarded and request.headers.get("X-Auth-Token") not in self.sessions:
            return web.Response(status=401)
        if request.path in self.statuses:
            return web.Response(status=self.statuses[request.path])
        if request.path in self.bodies:
            return web.Response(body=self.bodies[request.path])
        async with aiohttp.ClientSession() as http:
            body = await self._fetch(http, request.path)
            if body is None:
                return web.Response(status=404)
            if "$expand" in request.query:
                if not self.expands:
                    return web.Response(status=501)
                levels = int(request.query["$expand"].partition("$levels=")[2].rstrip(")"))
                await self.takes(request.path_qs)
                document = await self._expanded(http, json.loads(body), levels)
                body = json.dumps(document).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.Response(body=body, headers={"ETag": etag})

    async def _expanded(self, http: aiohttp.ClientSession, document: Any, levels: int) -> Any:
        """Return a document with what it refers to in it, so many levels deep."""
        if isinstance(document, list):
            return [await self._expanded(http, each, levels) for each in document]
        if not isinstance(document, dict):
            return document
        if document.keys() == {"@odata.id"}:
            found = await self._fetch(http, document["@odata.id"]) if levels else None
            return await self._expanded(http, json.loads(found), levels - 1) if found else document
        return {key: await self._expanded(http, value, levels) for key, value in document.items()}

    async def _fetch(self, http: aiohttp.ClientSession, path: str) -> bytes | None:
        async with http.get(self._upstream + path) as answer:
            return await answer.read() if answer.status == 200 else None


@asynccontextmanager
async def a_bmc(folder: Path, tree: Tree) -> AsyncIterator[Front]:
    """Run a BMC with a tree; yield its front."""
    write_tree(folder, tree)
    with sushy_static(folder) as port:
        front = Front(port)
        app = web.Application()
        app.router.add_post(f"{ROOT}/SessionService/Sessions", front.log_in)
        app.router.add_delete(f"{ROOT}/SessionService/Sessions/{{number}}", front.log_out)
        app.router.add_get("/{path:.*}", front.get)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        own = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # asyncio's
        front.url = f"http://127.0.0.1:{own}"
        try:
            yield front
        finally:
            front.is_open.set()
            front.opens_login.set()
            await runner.cleanup()
