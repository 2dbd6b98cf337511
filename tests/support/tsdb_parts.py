"""Real time series databases for tests, on a free port of the loopback: Prometheus and
VictoriaMetrics. Both keep what they have over a restart in the same folder."""

import json
import shutil
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from redfish_parts import free_port

PROMETHEUS: Final = shutil.which("prometheus")
VICTORIA: Final = shutil.which("victoria-metrics")
PROGRAMS: Final = {"prometheus": PROMETHEUS, "victoria-metrics": VICTORIA}
STARTED_S: Final = 30.0


@dataclass(slots=True)
class Database:
    """A running database."""

    kind: str
    port: int
    process: "subprocess.Popen[bytes]"
    scheme: str = "http"
    user: str = ""
    password: str = ""

    @property
    def write_url(self) -> str:
        """Where samples are written to."""
        return f"{self.scheme}://127.0.0.1:{self.port}/api/v1/write"

    def ask(self, path: str, **query: object) -> Any:
        """Return what a query of the API gives, of all that was written before."""
        base = f"{self.scheme}://127.0.0.1:{self.port}"
        if self.kind == "victoria-metrics":
            self._get(f"{base}/internal/force_flush")
        return json.loads(self._get(f"{base}{path}?{urlencode(query)}"))["data"]

    def _get(self, address: str) -> bytes:
        credentials = f"{self.user}:{self.password}".encode()
        request = Request(address)  # noqa: S310 - our own child on loopback
        if self.user:
            request.add_header("Authorization", f"Basic {b64encode(credentials).decode()}")
        # Who the server is says the test of the writer, not the one of this reader.
        trust = ssl._create_unverified_context()  # noqa: S323
        with urlopen(request, timeout=10, context=trust) as answer:  # noqa: S310
            return bytes(answer.read())

    def raw(
        self, selector: str, start_s: float, end_s: float
    ) -> dict[str, list[tuple[int, float]]]:
        """Return every sample of the series of a selector, by the series' subject.

        Their moments in ms; a series' samples by time, without marks of its end.
        """
        length_s = int(end_s - start_s) + 1
        found = self.ask("/api/v1/query", query=f"{selector}[{length_s}s]", time=end_s, nocache=1)
        return {
            each["metric"]["subject"]: [
                (round(at * 1000), float(value)) for at, value in each["values"] if value != "NaN"
            ]
            for each in found["result"]
        }

    def labels(self, selector: str, at_s: float) -> list[Mapping[str, str]]:
        """Return the labels of the series that are there at a moment."""
        found = self.ask("/api/v1/query", query=selector, time=at_s, nocache=1)
        return [each["metric"] for each in found["result"]]

    def kill(self) -> None:
        """End it without warning."""
        self.process.kill()
        self.process.wait(timeout=30)


@contextmanager
def database(
    kind: str, folder: Path, port: int = 0, settings: str = "", arguments: Sequence[str] = ()
) -> Iterator[Database]:
    """Run a database over ``folder``; ``settings`` are those of Prometheus' file."""
    port = port or free_port()
    program = PROGRAMS[kind]
    assert program is not None
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{port}"
    if kind == "prometheus":
        config = folder / "prometheus.yml"
        config.write_text(settings or "global: {}\n", encoding="utf-8")
        own = [
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            "--web.enable-remote-write-receiver",
        ]
        ready = f"http://{address}/-/ready"
    else:
        own = [
            f"-storageDataPath={folder / 'data'}",
            f"-httpListenAddr={address}",
            "-retentionPeriod=10y",
            "-search.latencyOffset=0s",
        ]
        ready = f"http://{address}/health"
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([program, *own, *arguments], stdout=log, stderr=log)
    try:
        _await(ready, process, folder / "log")
        yield Database(kind, port, process)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _await(ready: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(int(STARTED_S / 0.05)):
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")[-2_000:]
        try:
            trust = ssl._create_unverified_context()  # noqa: S323 - our own child on loopback
            urlopen(ready, timeout=2, context=trust).close()  # noqa: S310
        except HTTPError:
            return
        except OSError:
            try:
                process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
        else:
            return
    raise AssertionError(f"{ready} did not answer in {STARTED_S} s")


@contextmanager
def guarded_victoria(
    folder: Path, certificate: Path, key: Path, user: str, password: str
) -> Iterator[Database]:
    """Run a VictoriaMetrics that speaks TLS and asks for a name and a password."""
    assert VICTORIA is not None
    port = free_port()
    arguments = [
        f"-storageDataPath={folder / 'data'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-search.latencyOffset=0s",
        f"-tlsCertFile={certificate}",
        f"-tlsKeyFile={key}",
        "-tls",
        f"-httpAuth.username={user}",
        f"-httpAuth.password={password}",
    ]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([VICTORIA, *arguments], stdout=log, stderr=log)
    try:
        _await(f"https://127.0.0.1:{port}/health", process, folder / "log")
        yield Database("victoria-metrics", port, process, "https", user, password)
    finally:
        process.terminate()
        process.wait(timeout=30)
