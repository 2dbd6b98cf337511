"""``suanwang up server``: the product's processes, alone or all on this machine."""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.client import Client
from cli.connection import Connection, read_saved
from cli.network import LocalNetwork
from cli.output import AsJson, Json, emit_json, line, note
from cli.processes import Supervisor
from suanwang.clock import SystemClock
from suanwang.errors import Conflict

ConfigFile = Annotated[Path | None, typer.Option("--config", help="Settings file.")]

SITE: Final = "local"
TENANT: Final = "local"
RAY_IP: Final = "127.0.0.2"
WATCH_S: Final = 1.0


def server(config: ConfigFile = None) -> None:
    """Run the centre: API, Ray gateway, agent channel and the scheduler's loop."""
    become("api", config)


def become(module: str, config: Path | None) -> None:
    """Turn this process into one of the product's; it does not return."""
    options = ["--config", str(config)] if config else []
    os.execv(sys.executable, [sys.executable, "-m", module, *options])  # noqa: S606 - our module


def up(
    state_dir: Annotated[Path | None, typer.Option(help="Folder that keeps everything.")] = None,
    port: Annotated[int, typer.Option(help="Port of the centre; 0 takes a free one.")] = 8700,
    cpus: Annotated[int | None, typer.Option(min=1, help="Cores for jobs; all by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run a whole network on this machine: the centre on SQLite, one site with its own Ray."""
    folder = _state_dir(state_dir)
    clock = SystemClock()
    with _only_one(folder), Supervisor(clock, folder / "logs", note) as supervisor:
        network = LocalNetwork(supervisor, folder)
        cores = cpus or os.cpu_count() or 1
        note("starting the centre and Ray …")
        url = network.start_centre(port=port)
        head = network.start_ray(SITE, ip=RAY_IP, cpus=cores)
        with network.wait_for_centre(url) as admin:
            key = _prepare(admin, url, folder, cores)
            network.wait_for_ray([head])
            token = admin.post(f"/v1/sites/{SITE}/token")["secret"]
            sources: list[Json] = [{"kind": "host", "name": "host"}]
            network.start_agent(SITE, url, token, head, sources)
            network.wait_for_agents(admin, [SITE])
        if as_json:
            emit_json({"url": url, "api_key": key, "state_dir": str(folder)})
        else:
            _greet(url, key, folder)
        while True:
            clock.sleep(WATCH_S)
            supervisor.require_alive()


def _state_dir(chosen: Path | None) -> Path:
    from suanwang import settings

    return chosen or settings.load().settings.server.state_dir


class _only_one:  # noqa: N801 - reads as a statement where it is used
    """Refuses a second `up` on the same folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "up.lock"

    def __enter__(self) -> None:
        import fcntl

        self._file = self._path.open("w", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as failure:
            raise Conflict(
                f"a network runs already on {self._path.parent}",
                next_step="use it, or give another --state-dir",
            ) from failure

    def __exit__(self, *_exception: object) -> None:
        self._file.close()


def _prepare(admin: Client, url: str, folder: Path, cores: int) -> str:
    """Register the tenant and the site; return a key for this user, made once."""
    admin.post("/v1/tenants", {"id": TENANT, "name": "This machine", "uscc": ""})
    admin.post("/v1/sites", _site(cores))
    admin.post(
        "/v1/cash",
        {"tenant_id": TENANT, "amount_fen": 100_000_00, "key": "up:first-deposit"},
        key="up:first-deposit",
    )
    saved = read_saved(folder)
    key = saved.api_key if saved else ""
    if not key:
        key = str(admin.post(f"/v1/tenants/{TENANT}/keys", {"role": "enterprise"})["secret"])
    Connection(url=url, api_key=key).save(folder)
    return key


def _site(cores: int) -> dict[str, Json]:
    """Return this machine as a site: one standard rack, a core as the unit."""
    return {
        "id": SITE, "name": "This machine", "operator": "you", "region": "CN-SD",
        "timezone": "Asia/Shanghai", "cooling": "legacy_air_chiller", "climate": "qingdao",
        "it_design_w": 2_500, "background_it_w": 50, "contract_w": 5_000,
        "tariff_id": "cn-sd-tou-2026", "voltage": "1-10kV", "carbon_region": "CN-SD",
        "pue_limit": 1.5, "accepts": ["general", "important", "government"], "data_homes": [],
        "pools": [{
            "id": f"{SITE}-cpu", "accelerator": "cpu", "units": cores, "units_per_node": cores,
            "power_w_idle": 5.0, "power_w_busy": 15.0, "price_uyuan_per_unit_hour": 300_000,
            "is_domestic": True,
        }],
        "meters": [], "links": [{"origin": "*", "rtt_ms": 0.1}],
    }  # fmt: skip


def _greet(url: str, key: str, folder: Path) -> None:
    line(f"The network is up at {url} (state in {folder}; Ctrl-C stops it).")
    line(f"  status page   {url}/status")
    line("  in another terminal:")
    line("    suanwang submit --units 1 -- python -c 'print(6 * 7)'")
    line("    suanwang jobs; suanwang sites; suanwang voucher")
    line("  or with Ray's own client:")
    line(f"    export RAY_AUTH_MODE=token RAY_AUTH_TOKEN={key}")
    line(f"    ray job submit --address {url} --working-dir . -- python train.py")
