"""Jobs accepted a second and their latency, through real HTTP, on both databases.

The server is a process of its own without a scheduler; clients keep their connections open. Each
submit is authenticated, checked against every site and the tenant's money, and then on disk.
"""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

from benchmarks.frame import Figure, Options
from suanwang.clock import SystemClock

CONNECTIONS: Final = (1, 16)
START_S: Final = 60.0
_CLOCK: Final = SystemClock()
_SUPPORT: Final = Path(__file__).parents[1] / "tests" / "support"
_JSON: Final = {"Content-Type": "application/json"}
SITE: Final[Mapping[str, object]] = {
    "operator": "benchmark",
    "region": "CN-SD",
    "timezone": "Asia/Shanghai",
    "cooling": "modern_wse_warmwater",
    "climate": "qingdao",
    "it_design_w": 10_000_000,
    "contract_w": 20_000_000,
    "tariff_id": "cn-sd-tou-2026",
    "voltage": "1-10kV",
    "carbon_region": "CN-SD",
    "pue_limit": 1.3,
    "accepts": ["general"],
    "links": [{"origin": "*", "rtt_ms": 10.0}],
}
_POOL: Final[Mapping[str, object]] = {
    "accelerator": "cpu",
    "units": 10_000,
    "units_per_node": 100,
    "power_w_idle": 2.0,
    "power_w_busy": 8.0,
    "price_uyuan_per_unit_hour": 120_000,
}


class Caller:
    """One open connection with one key."""

    def __init__(self, address: str, key: str) -> None:
        self._http = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
        self._headers = {**_JSON, "Authorization": f"Bearer {key}"}

    def post(self, path: str, body: Mapping[str, object]) -> Mapping[str, object]:
        """Make one call that must succeed; return its answer."""
        self._http.request("POST", path, json.dumps(body), self._headers)
        answer = self._http.getresponse()
        content = answer.read()
        if answer.status not in (200, 201):
            raise AssertionError(f"{path}: {answer.status} {content[:500]!r}")
        found: Mapping[str, object] = json.loads(content)
        return found

    def close(self) -> None:
        """End the connection."""
        self._http.close()


def run(options: Options) -> Sequence[Figure]:
    """Measure both databases; ``quick`` submits a tenth of the jobs."""
    figures: list[Figure] = []
    for backend, url in databases():
        with server(url) as (address, admin):
            key = _prepare(address, admin)
            for connections in CONNECTIONS:
                jobs = (100 if options.quick else 1_000) * (1 if connections == 1 else 2)
                latencies, seconds = _submit(address, key, connections, jobs)
                labels = {"backend": backend, "connections": connections}
                p99_ms = latencies[len(latencies) * 99 // 100] * 1_000
                p50_ms = latencies[len(latencies) // 2] * 1_000
                figures += [
                    Figure("submit.rate_per_s", len(latencies) / seconds, "1/s", **labels),
                    Figure("submit.p50_ms", p50_ms, "ms", **labels),
                    Figure("submit.p99_ms", p99_ms, "ms", **labels),
                ]
    return figures


def _submit(address: str, key: str, connections: int, jobs: int) -> tuple[list[float], float]:
    """Return the sorted latencies in seconds, and the time for all of them."""

    def call(number: int) -> list[float]:
        caller = Caller(address, key)
        latencies = []
        metadata = {"units": "4", "max_minutes": "30", "caller": str(number)}
        for _ in range(jobs // connections):
            asked = _CLOCK.monotonic()
            caller.post("/v1/jobs", {"entrypoint": "python train.py", "metadata": metadata})
            latencies.append(_CLOCK.monotonic() - asked)
        caller.close()
        return latencies

    before = _CLOCK.monotonic()
    with ThreadPoolExecutor(connections) as callers:
        latencies = [one for many in callers.map(call, range(connections)) for one in many]
    return sorted(latencies), _CLOCK.monotonic() - before


def _prepare(address: str, admin: str) -> str:
    """Register three sites and a tenant with money; return the tenant's key."""
    caller = Caller(address, admin)
    caller.post("/v1/tenants", {"id": "benchmark", "name": "Benchmark"})
    for number in range(3):
        pool = {"id": f"pool-{number}", **_POOL}
        site = {"id": f"site-{number}", "name": f"Site {number}", "pools": [pool], **SITE}
        caller.post("/v1/sites", site)
    caller.post("/v1/cash", {"tenant_id": "benchmark", "amount_fen": 10**12, "key": "first"})
    secret = caller.post("/v1/tenants/benchmark/keys", {"role": "enterprise"})["secret"]
    caller.close()
    return str(secret)


@contextmanager
def server(database: str, *, with_scheduler: bool = False) -> Iterator[tuple[str, str]]:
    """Run the centre; yields its address and the admin's key."""
    with TemporaryDirectory() as folder:
        state = Path(folder)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SUANWANG_")}
        process = subprocess.Popen(
            [
                sys.executable, "-m", "api", "--port", "0",
                "--state-dir", folder, "--database-url", database,
                *([] if with_scheduler else ["--no-scheduler"]),
            ],
            cwd=folder,
            env=environment | {"SUANWANG_LOG__LEVEL": "warning"},
        )  # fmt: skip
        try:
            address = _wait(state / "server.address", process)
            yield address, (state / "admin.key").read_text().strip()
        finally:
            process.terminate()
            process.wait(30)


def _wait(file: Path, process: subprocess.Popen[bytes]) -> str:
    until = _CLOCK.monotonic() + START_S
    while _CLOCK.monotonic() < until and process.poll() is None:
        if file.is_file() and (address := file.read_text().strip()):
            return address
        _CLOCK.sleep(0.1)
    raise AssertionError(f"the server did not start within {START_S:.0f} s")


def databases() -> Iterator[tuple[str, str]]:
    """Yield a fresh SQLite file, then a PostgreSQL that is started for this, where one is found."""
    with TemporaryDirectory() as folder:
        yield "sqlite", f"sqlite:///{Path(folder) / 'submit.db'}"
    sys.path.append(str(_SUPPORT))
    from postgres_server import ServerUnavailable, running_server

    try:
        with running_server() as server:
            yield "postgresql", server.create("submit")
    except ServerUnavailable as missing:
        print(f"PostgreSQL left out: {missing}", file=sys.stderr)
