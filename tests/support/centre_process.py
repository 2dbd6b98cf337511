"""The centre as a process of its own, on a free port and in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.server import ADDRESS_FILE
from suanwang.clock import SystemClock

START_S = 90.0


@contextmanager
def process(folder: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``python -m api`` in a folder of its own, on a free port."""
    (folder / ADDRESS_FILE).unlink(missing_ok=True)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SUANWANG_")
    }
    running = subprocess.Popen(
        [sys.executable, "-m", "api", "--port", "0", "--state-dir", str(folder), *flags],
        env=environment | {"XDG_CONFIG_HOME": str(folder)},
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate(timeout=60)


def address(folder: Path, running: subprocess.Popen[str]) -> str:
    """Wait until the process listens; return where."""
    clock = SystemClock()
    until = clock.monotonic() + START_S
    while clock.monotonic() < until:
        assert running.poll() is None, running.communicate()[1]
        file = folder / ADDRESS_FILE
        if file.is_file() and (found := file.read_text().strip()):
            return found
        clock.sleep(0.1)
    raise AssertionError("the server did not start")
