"""A real Alertmanager for tests, on a free port of the loopback."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from redfish_parts import free_port

PROGRAM: Final = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
_CONFIG: Final = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


class RunningAlertmanager:
    """Where it listens, and what it knows."""

    def __init__(self, url: str) -> None:
        self.url = url

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that fire there."""
        answer = httpx.get(f"{self.url}/api/v2/alerts", trust_env=False, timeout=60)
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found


@contextmanager
def alertmanager(folder: Path) -> Iterator[RunningAlertmanager]:
    """Run it until the block ends."""
    port = free_port()
    settings = folder / "alertmanager.yml"
    settings.write_text(_CONFIG, encoding="utf-8")
    assert PROGRAM is not None
    process = subprocess.Popen(
        [
            PROGRAM,
            f"--config.file={settings}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _await_ready(url, process)
        yield RunningAlertmanager(url)
    finally:
        process.terminate()
        process.wait(timeout=10)


def _await_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(400):
        assert process.poll() is None, "alertmanager ended before it was ready"
        try:
            if httpx.get(f"{url}/-/ready", trust_env=False, timeout=60).is_success:
                return
        except httpx.HTTPError:
            pass
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("alertmanager is not ready")
