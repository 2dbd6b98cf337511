"""A whole network on this machine: the centre, and a Ray cluster, meters and an agent a site."""

import json
import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.client import Client
from cli.output import Json
from cli.processes import Child, Supervisor, free_port_block
from suanwang.errors import SuanwangError, Unavailable
from suanwang.model.meter import Meter, MeterRole
from suanwang.model.site import Site

CENTRE_START_S: Final = 180.0
RAY_START_S: Final = 240.0
AGENT_START_S: Final = 180.0
"""Bounds for a machine that is busy otherwise; a process that ended is noticed at once."""
FIRST_CENTRE_PORT: Final = 8700
FIRST_METER_PORT: Final = 15020
FIRST_RAY_BASE: Final = 20_000
RAY_BASES: Final = 16
RAY_STEP: Final = 600
"""Two networks that start at one moment look for ports from different places on."""
METER_PROFILE: Final = "reference_meter"


@dataclass(frozen=True, slots=True, kw_only=True)
class RayHead:
    """A local Ray cluster: its process, its address, and the file with its token."""

    name: str
    child: Child
    token: str
    folder: Path

    @property
    def marker(self) -> str:
        """The environment entry that every process of the cluster carries."""
        return f"SUANWANG_CLUSTER={self.name}@{self.folder}"

    @property
    def address(self) -> str:
        """The address of its Jobs API, or nothing while it starts."""
        for text in self.child.log.read_text(encoding="utf-8", errors="replace").splitlines():
            if text.startswith("http://127."):
                return text.strip()
        return ""


class LocalNetwork:
    """Starts the parts in ``folder`` under a supervisor, which answers for their end."""

    def __init__(self, supervisor: Supervisor, folder: Path) -> None:
        self._supervisor = supervisor
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._next_meter_port = FIRST_METER_PORT
        self._next_ray_base = FIRST_RAY_BASE + os.getpid() % RAY_BASES * RAY_STEP

    def start_centre(self, *, port: int, cycle_s: float = 1.0) -> str:
        """Start the centre on SQLite; return its address. ``port`` 0 takes a free one."""
        port = port or free_port_block(1, FIRST_CENTRE_PORT)
        config = self._write(
            "centre.yaml",
            {
                "server": {"port": port, "state_dir": str(self._folder)},
                "scheduler": {"cycle_s": cycle_s},
            },
        )
        self._supervisor.start("centre", ["-m", "api", "--config", str(config)])
        return f"http://127.0.0.1:{port}"

    def wait_for_centre(self, url: str) -> Client:
        """Wait until the centre answers; return a client with the admin's key."""
        with Client(url, "") as probe:
            self._supervisor.wait_for("the centre", lambda: _answers(probe), CENTRE_START_S)
        key = (self._folder / "admin.key").read_text(encoding="utf-8").strip()
        return Client(url, key)

    def start_ray(self, name: str, *, ip: str, cpus: int, gpus: int = 0) -> RayHead:
        """Start a Ray cluster of its own for a site; ``wait_for_ray`` waits for it."""
        from agent import ray_cluster

        # Two clusters that look for ports at the same moment would find the same ones.
        base = ray_cluster.find_base_port(ip, self._next_ray_base)
        self._next_ray_base = base + ray_cluster.BLOCK
        folder = Path(tempfile.mkdtemp(prefix="sw"))
        token = secrets.token_hex(32)
        token_file = folder / "token"
        token_file.touch(mode=0o600)
        token_file.write_text(token, encoding="utf-8")
        child = self._supervisor.start(
            f"ray-{name}",
            [
                *("-m", "agent.ray_cluster", "--name", name, "--ip", ip),
                *("--base-port", str(base)),
                *("--cpus", str(cpus), "--gpus", str(gpus)),
                *("--folder", str(folder), "--token-file", str(token_file)),
            ],
        )
        return RayHead(name=name, child=child, token=token, folder=folder)

    def wait_for_ray(self, heads: Sequence[RayHead]) -> None:
        """Wait until every cluster answers."""
        self._supervisor.wait_for("Ray", lambda: all(head.address for head in heads), RAY_START_S)

    def start_meters(self, site: Site, meters: Sequence[Meter], head: RayHead) -> list[Json]:
        """Start a site's emulated Modbus meters, driven by the real load of its Ray cluster.

        Returns the telemetry sources with which an agent reads them, and this host beside.
        """
        ports = {MeterRole.IT: self._meter_port(), MeterRole.FACILITY: self._meter_port()}
        pools = site.pools
        idle_w = site.background_it_w + sum(pool.units * pool.power_w_idle for pool in pools)
        busy_w = max(pool.power_w_busy - pool.power_w_idle for pool in pools)
        self._supervisor.start(
            f"meters-{site.id}",
            [
                *("-m", "simulator.devices.site_meters", "--site", site.id),
                *("--it-port", str(ports[MeterRole.IT])),
                *("--facility-port", str(ports[MeterRole.FACILITY])),
                *("--idle-w", str(idle_w), "--busy-w-per-core", str(busy_w)),
                *("--cooling", site.cooling, "--it-design-w", str(site.it_design_w)),
                *("--marker", head.marker),
            ],
        )
        sources: list[Json] = [{"kind": "host", "name": "host", "interval_s": 5}]
        sources += [
            {
                "kind": "modbus",
                "name": meter.id,
                "meter_id": meter.id,
                "profile": METER_PROFILE,
                "host": "127.0.0.1",
                "port": ports[meter.role],
                "interval_s": meter.poll_s,
                "timeout_s": 2,
                "request_timeout_s": 1,
            }
            for meter in meters
            if meter.role in ports
        ]
        return sources

    def _meter_port(self) -> int:
        port = free_port_block(1, self._next_meter_port)
        self._next_meter_port = port + 1
        return port

    def start_agent(
        self, site_id: str, centre_url: str, token: str, head: RayHead, sources: Sequence[Json]
    ) -> Child:
        """Start the agent of a site with its token, its cluster and its telemetry sources."""
        config = self._write(
            f"agent-{site_id}.yaml",
            {
                "agent": {
                    "centre_url": centre_url,
                    "token": token,
                    "site_id": site_id,
                    "spool_dir": str(self._folder / f"spool-{site_id}"),
                    "executor": {
                        "kind": "ray_jobs",
                        "address": head.address,
                        "token": head.token,
                    },
                    "sources": list(sources),
                }
            },
        )
        return self._supervisor.start(f"agent-{site_id}", ["-m", "agent", "--config", str(config)])

    def wait_for_agents(self, admin: Client, sites: Sequence[str]) -> None:
        """Wait until the centre has heard every agent with its executor up."""

        def all_up() -> bool:
            seen = {site["id"]: site for site in admin.get("/v1/sites")["items"]}
            return all(
                seen[name]["is_reachable"] and seen[name]["executor_state"] == "up"
                for name in sites
            )

        self._supervisor.wait_for("an agent", all_up, AGENT_START_S)

    def _write(self, name: str, document: Mapping[str, Json]) -> Path:
        """Write a settings file (JSON is YAML), readable by this user alone: it holds secrets."""
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_text(json.dumps(document, indent=1), encoding="utf-8")
        return path


def _answers(client: Client) -> bool:
    try:
        client.get("/readyz")
    except Unavailable:
        return False
    except SuanwangError:
        return True
    return True
