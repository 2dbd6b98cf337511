"""A Ray cluster of one's own on this machine: a whole site, started and stopped as one process.

Several clusters live side by side on loopback: each has its own address (127.0.0.2, 127.0.0.3, …),
its own block of ports, its own folder and its own token. ``docs/executors.md`` says why each option
is there.
"""

import argparse
import contextlib
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Final

from agent import fence
from suanwang.clock import Clock, SystemClock
from suanwang.errors import BadInput, Conflict, Unavailable

log = logging.getLogger(__name__)

BLOCK: Final = 300
"""Ports of one cluster: 11 single ones from the base on, and workers from base + 100 on."""
FIRST_BASE: Final = 20_000
LAST_BASE: Final = 32_000
"""Blocks end below the range from which the system draws ports for outgoing connections."""
CLUSTER_MARKER: Final = "SUANWANG_CLUSTER"
FOLDER_CHARS_MAX: Final = 40
START_S: Final = 180.0
"""Ray takes some ten seconds, and minutes where many wait for one processor; that its process
ended is noticed at once."""
STOP_S: Final = 6.0
"""Ray drains for up to 30 s while jobs run; what is left after this long is killed."""
SWEEP_S: Final = 20.0
PAUSE_S: Final = 0.25
JOB_START_TIMEOUT_S: Final = 300

_PORT_OPTIONS: Final = (
    "--port",
    "--object-manager-port",
    "--node-manager-port",
    "--ray-client-server-port",
    "--dashboard-port",
    "--dashboard-agent-listen-port",
    "--dashboard-agent-grpc-port",
    "--runtime-env-agent-port",
    "--metrics-export-port",
)
_DASHBOARD: Final = _PORT_OPTIONS.index("--dashboard-port")
_REMOVED: Final = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_JOB_HEADERS", fence.MARKER_NAME)

_OUR_SETTINGS: Final = "SUANWANG_"
"""Our own settings stay out of the environment of jobs: they may hold a site's token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RayClusterConfig:
    """One cluster: ``ip`` is an address of 127.0.0.0/8 that no other cluster uses.

    ``base_port`` 0 takes the first free block. ``folder`` holds its files; None makes a short
    temporary one that ``stop`` removes. ``gpus`` are logical: any number works without a GPU.
    """

    name: str
    ip: str
    base_port: int = 0
    cpus: int = 4
    gpus: int = 0
    folder: Path | None = None
    token: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    object_store_bytes: int = 78_643_200


def _is_free(ip: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
        except OSError:
            return False
    return True


def find_base_port(ip: str, first: int = FIRST_BASE) -> int:
    """Return the start of a block of free ports; raise Unavailable where there is none."""
    for base in range(first, LAST_BASE, BLOCK):
        ports = [*range(base, base + len(_PORT_OPTIONS) + 2), base + 100, base + 299]
        if all(_is_free(address, port) for port in ports for address in (ip, "")):
            return base
    raise Unavailable(f"no {BLOCK} free ports from {first} to {LAST_BASE} on {ip}")


class RayCluster:
    """A local Ray cluster, from ``start`` to ``stop``; also a context manager."""

    def __init__(self, config: RayClusterConfig, clock: Clock | None = None) -> None:
        if not config.ip.startswith("127.") or config.ip == "127.0.0.1":
            raise BadInput(
                f"a local cluster needs an address such as 127.0.0.2, not {config.ip}: Ray replaces"
                " 127.0.0.1 by the address of a network card"
            )
        if config.folder is not None and len(str(config.folder)) > FOLDER_CHARS_MAX:
            raise BadInput(
                f"the folder of a local cluster may have {FOLDER_CHARS_MAX} characters, since the"
                f" names of sockets are short; {config.folder} has {len(str(config.folder))}"
            )
        self._config = config
        self._clock = clock or SystemClock()
        self._base = config.base_port
        self._folder = config.folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> RayClusterConfig:
        """What the cluster was made from."""
        return self._config

    @property
    def address(self) -> str:
        """The HTTP address of its Jobs API."""
        return f"http://{self._config.ip}:{self._base + _DASHBOARD}"

    @property
    def token(self) -> str:
        """The credential of its Jobs API."""
        return self._config.token

    @property
    def pid(self) -> int:
        """The process that ``ray start --block`` runs in."""
        if self._process is None:
            raise Conflict(f"Ray cluster {self._config.name} is not started")
        return self._process.pid

    @property
    def folder(self) -> Path:
        """Where its files are."""
        if self._folder is None:
            raise Conflict(f"Ray cluster {self._config.name} is not started")
        return self._folder

    @property
    def marker(self) -> str:
        """The environment entry that every process of the cluster carries."""
        return f"{CLUSTER_MARKER}={self._config.name}@{self.folder}"

    def start(self) -> None:
        """Start the head; return at once (see ``wait_ready``).

        Call it from a thread that lives as long as the cluster shall: the cluster ends with it.
        """
        if self._process is not None:
            raise Conflict(f"Ray cluster {self._config.name} is started already: pid {self.pid}")
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="swr"))
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        self._base = self._base or find_base_port(self._config.ip)
        (self._folder / "r" / "ray_current_cluster").unlink(missing_ok=True)
        with (self._folder / "ray.log").open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and options
                self._command(),
                env=self._environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        log.info("Ray cluster starts", extra={"cluster": self._config.name, "at": self.address})

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Block until jobs can be submitted; raise Unavailable with the log's end otherwise."""
        deadline = self._clock.monotonic() + timeout_s
        while not self._is_ready():
            if self._process is None or self._process.poll() is not None:
                raise Unavailable(
                    f"Ray cluster {self._config.name} ended while it started:\n{self._log_end()}"
                )
            if self._clock.monotonic() > deadline:
                raise Unavailable(
                    f"Ray cluster {self._config.name} did not answer at {self.address} within"
                    f" {timeout_s:.0f} s:\n{self._log_end()}"
                )
            self._clock.sleep(PAUSE_S)

    def wait(self) -> int:
        """Block until the cluster ends by itself; return its exit code."""
        if self._process is None:
            raise Conflict(f"Ray cluster {self._config.name} is not started")
        return self._process.wait()

    def stop(self) -> None:
        """End the cluster and everything that runs on it; no process is left behind."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(SWEEP_S)
            self._process = None
        if self._folder is not None:
            self._sweep()
            if self._config.folder is None:
                rmtree(self._folder, ignore_errors=True)

    def kill_head(self) -> None:
        """Kill the head's control process without warning, as a crash does (for drills)."""
        for pid in fence.find_command("gcs_server", f"--session-dir={self.folder}/"):
            os.kill(pid, signal.SIGKILL)

    def __enter__(self) -> "RayCluster":
        """Start and wait."""
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop."""
        self.stop()

    def _command(self) -> list[str]:
        ray = Path(sys.executable).parent / "ray"
        ports = [
            text
            for offset, option in enumerate(_PORT_OPTIONS)
            for text in (option, str(self._base + offset))
        ]
        return [
            *(sys.executable, "-m", "agent.die_with_parent", str(os.getpid()), "--"),
            *(sys.executable, str(ray), "start", "--head", "--block"),
            *("--node-ip-address", self._config.ip, "--dashboard-host", self._config.ip),
            *ports,
            *("--min-worker-port", str(self._base + 100)),
            *("--max-worker-port", str(self._base + BLOCK - 1)),
            *("--temp-dir", str(self.folder / "r")),
            *("--num-cpus", str(self._config.cpus), "--num-gpus", str(self._config.gpus)),
            *("--object-store-memory", str(self._config.object_store_bytes)),
            *("--include-log-monitor=false", "--disable-usage-stats"),
        ]

    def _environment(self, outer: Mapping[str, str]) -> dict[str, str]:
        """Return the cluster's environment: entrypoints find our interpreter first on the PATH."""
        kept = {
            name: value
            for name, value in outer.items()
            if name not in _REMOVED and not name.startswith(_OUR_SETTINGS)
        }
        name, _, value = self.marker.partition("=")
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{outer.get('PATH', os.defpath)}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self._config.token,
            "AUTOSCALER_METRIC_PORT": str(self._base + len(_PORT_OPTIONS)),
            "DASHBOARD_METRIC_PORT": str(self._base + len(_PORT_OPTIONS) + 1),
            "RAY_JOB_START_TIMEOUT_SECONDS": str(JOB_START_TIMEOUT_S),
            name: value,
        }

    def _is_ready(self) -> bool:
        """Whether the API answers and the head's agent has announced itself in the job list."""
        request = urllib.request.Request(  # noqa: S310 - loopback http, built here
            f"{self.address}/nodes?view=summary",
            headers={"Authorization": f"Bearer {self._config.token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
                return b'"raylet"' in answer.read() and self._is_agent_up()
        except (urllib.error.URLError, OSError):
            return False

    def _is_agent_up(self) -> bool:
        agent_port = self._base + _PORT_OPTIONS.index("--dashboard-agent-listen-port")
        try:
            socket.create_connection((self._config.ip, agent_port), timeout=1).close()
        except OSError:
            return False
        return True

    def _sweep(self) -> None:
        """Kill what carries this cluster's marker, also leftovers of an earlier one."""
        deadline = self._clock.monotonic() + SWEEP_S
        while (left := fence.scan(self.marker).marked) and self._clock.monotonic() < deadline:
            for process in left:
                fence.send(process, signal.SIGKILL)
            self._clock.sleep(PAUSE_S)

    def _log_end(self) -> str:
        try:
            return (self.folder / "ray.log").read_text(errors="replace")[-2_000:]
        except FileNotFoundError:
            return ""


def main(arguments: list[str] | None = None) -> int:
    """Run one cluster until SIGTERM or Ctrl-C; print its address once it is ready.

    Returns 0 after a signal, 1 where the cluster ended by itself.
    """
    parser = argparse.ArgumentParser(prog="python -m agent.ray_cluster", description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--ip", required=True, help="an address such as 127.0.0.2")
    parser.add_argument("--base-port", type=int, default=0, help="0 takes the first free block")
    parser.add_argument("--cpus", type=int, default=4)
    parser.add_argument("--gpus", type=int, default=0, help="logical GPUs")
    parser.add_argument("--folder", type=Path, default=None, help="a short path")
    parser.add_argument("--token-file", type=Path, default=None, help="read the token from here")
    asked = parser.parse_args(arguments)
    token = asked.token_file.read_text().strip() if asked.token_file else secrets.token_hex(32)
    config = RayClusterConfig(
        name=asked.name,
        ip=asked.ip,
        base_port=asked.base_port,
        cpus=asked.cpus,
        gpus=asked.gpus,
        folder=asked.folder,
        token=token,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), RayCluster(config) as cluster:
        if not asked.token_file:
            path = cluster.folder / "token"
            path.touch(mode=0o600)
            path.write_text(token)
        sys.stdout.write(f"{cluster.address}\n")
        sys.stdout.flush()
        code = cluster.wait()
        sys.stderr.write(f"Ray cluster {asked.name} ended by itself with exit code {code}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
