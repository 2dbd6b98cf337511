"""Child processes of `up` and `demo`: started with a log file each, stopped in reverse, none left.

Each child leads a session of its own, so Ctrl-C reaches this process alone and children end in
order. Should this process die without a word, Linux sends its children SIGTERM. What escapes even
that carries a marker in its environment and is swept at the end.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

from suanwang.clock import Clock
from suanwang.errors import Unavailable

MARKER: Final = "SUANWANG_RUN"
STOP_GRACE_S: Final = 20.0
POLL_S: Final = 0.1
_UNSET: Final = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_JOB_HEADERS")


@dataclass(slots=True)
class Child:
    """A running child, and where its words go."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def last_words(self, lines: int = 15) -> str:
        """Return the end of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])


class Supervisor:
    """Starts children and answers for their end; use it as a context manager."""

    def __init__(self, clock: Clock, log_dir: Path, tell: Callable[[str], None]) -> None:
        self._clock = clock
        self._log_dir = log_dir
        self._tell = tell
        self._children: list[Child] = []
        self.marker = secrets.token_hex(8)
        self.marker_name = MARKER

    @property
    def children(self) -> tuple[Child, ...]:
        """What was started and not stopped, in the order of starting."""
        return tuple(self._children)

    def __enter__(self) -> Self:
        self._log_dir.mkdir(parents=True, exist_ok=True)
        for kind in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(kind, _interrupt)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        before = [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM)]
        try:
            self.stop_all()
        finally:
            for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
                signal.signal(number, handler)

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Child:
        """Start ``python argv…`` with our environment and ``env``; its output goes to a log."""
        log = self._log_dir / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own modules, no shell
                [*_tied_to_us(), sys.executable, *argv],
                env=self._environment(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = Child(name=name, process=process, log=log)
        self._children.append(child)
        return child

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if name not in _UNSET}
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}"
        return {**env, MARKER: self.marker, "PYTHONUNBUFFERED": "1", **extra}

    def kill(self, child: Child) -> None:
        """End a child without warning, as a crash does, and answer for it no longer."""
        child.process.kill()
        child.process.wait()
        self._children.remove(child)

    def wait_for(self, what: str, is_ready: Callable[[], bool], limit_s: float) -> None:
        """Wait until ``is_ready``; raise Unavailable when a child has died or time is up."""
        deadline = self._clock.monotonic() + limit_s
        while not is_ready():
            self.require_alive()
            if self._clock.monotonic() > deadline:
                raise Unavailable(
                    f"{what} was not ready within {limit_s:.0f} s",
                    next_step=f"look into {self._log_dir}",
                )
            self._clock.sleep(POLL_S)

    def require_alive(self) -> None:
        """Raise Unavailable with a child's last words when one has died."""
        for child in self._children:
            if not child.is_alive:
                raise Unavailable(
                    f"{child.name} ended with exit code {child.process.returncode}:\n"
                    f"{child.last_words()}",
                    next_step=f"its whole log is {child.log}",
                )

    def stop_all(self) -> None:
        """Stop every child, the last started first, and sweep what escaped."""
        while self._children:
            child = self._children.pop()
            if child.is_alive:
                self._tell(f"stopping {child.name}")
                child.process.terminate()
                try:
                    child.process.wait(STOP_GRACE_S)
                except subprocess.TimeoutExpired:
                    child.process.kill()
                    child.process.wait()
        swept = sweep(self.marker)
        if swept:
            self._tell(f"swept {swept} process{'es' if swept > 1 else ''} left behind")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _tied_to_us() -> list[str]:
    """Return the start of a command that ends when this process does."""
    return [sys.executable, "-m", "agent.die_with_parent", str(os.getpid()), "--"]


def sweep(marker: str) -> int:
    """Kill every process that carries the marker in its environment; return how many there were."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARKER) == marker:
                process.kill()
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    psutil.wait_procs(found, timeout=STOP_GRACE_S)
    return len(found)


def free_port_block(count: int, start: int) -> int:
    """Return the first of ``count`` consecutive free loopback ports, from ``start`` on."""
    base = start
    while base + count < 60_000:
        taken = next((port for port in range(base, base + count) if not _is_free(port)), None)
        if taken is None:
            return base
        base = taken + 1
    raise Unavailable(f"no {count} consecutive free ports from {start} on")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
