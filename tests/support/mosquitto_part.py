"""A real mosquitto for tests, on a free port of the loopback."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from redfish_parts import free_port

PROGRAM: Final = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


@contextmanager
def mosquitto(folder: Path, *lines: str, port: int = 0) -> Iterator[int]:
    """Run a broker with further lines in its settings; yield its port."""
    port = port or free_port()
    settings = folder / f"mosquitto-{port}.conf"
    head = (f"listener {port} 127.0.0.1", "persistence false", "user root")
    access = () if any("allow_anonymous" in line for line in lines) else ("allow_anonymous true",)
    settings.write_text("\n".join([*head, *access, *lines, ""]), encoding="utf-8")
    assert PROGRAM is not None
    process = subprocess.Popen(
        [PROGRAM, "-c", settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_listener(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


def _await_listener(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(400):
        assert process.poll() is None, "mosquitto ended before it listened"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            try:
                process.wait(timeout=0.025)
            except subprocess.TimeoutExpired:
                continue
        else:
            return
    raise AssertionError(f"nothing listens on port {port}")
