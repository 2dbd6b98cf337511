"""How many cores the processes of a site really use, by psutil."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from suanwang.clock import Clock

_YOUNG_S: Final = 10.0
"""A process may still take on the marker, by an exec, for so long after it was first seen."""


class _Key(NamedTuple):
    """A process for good: pids are used again, with another moment of birth."""

    pid: int
    born: float


@dataclass(slots=True)
class ProcessLoad:
    """Cores used by some process trees since the call before.

    The roots are the pids in ``pid_file`` (a JSON list, or numbers between blanks; read again at
    each call) and every process whose environment has ``marker`` (``NAME=VALUE``). A process that
    once belonged stays in, also when its parent is gone.
    """

    clock: Clock
    pid_file: Path | None = None
    marker: str = ""
    _seconds: dict[_Key, float] = field(default_factory=dict)
    _unmarked: dict[_Key, float] = field(default_factory=dict)
    _measured_at: float | None = None

    def cores(self) -> float:
        """Return the mean number of busy cores since the call before; 0 at the first call."""
        now = self.clock.monotonic()
        used = self._used_seconds(now)
        # A process that was not there before began since then: all that it used counts.
        busy_s = sum(
            max(0.0, seconds - self._seconds.get(key, 0.0)) for key, seconds in used.items()
        )
        before, self._measured_at, self._seconds = self._measured_at, now, used
        if before is None or now <= before:
            return 0.0
        return busy_s / (now - before)

    def _used_seconds(self, now: float) -> dict[_Key, float]:
        processes = {}
        for process in psutil.process_iter(["pid", "ppid", "create_time", "cpu_times"]):
            if process.info["cpu_times"] is not None:
                key = _Key(process.info["pid"], process.info["create_time"])
                processes[key] = process
        roots = self._listed(processes) | self._marked(processes, now)
        members = _descendants(processes, roots | (self._seconds.keys() & processes.keys()))
        times = {key: processes[key].info["cpu_times"] for key in members}
        return {key: float(time.user + time.system) for key, time in times.items()}

    def _listed(self, processes: Iterable[_Key]) -> set[_Key]:
        pids = read_pids(self.pid_file) if self.pid_file else frozenset()
        return {key for key in processes if key.pid in pids}

    def _marked(self, processes: dict[_Key, psutil.Process], now: float) -> set[_Key]:
        if not self.marker:
            return set()
        name, _, value = self.marker.partition("=")
        found = set()
        for key, process in processes.items():
            if now - self._unmarked.get(key, now) > _YOUNG_S:
                continue
            if key in self._seconds or _environment(process).get(name) == value:
                found.add(key)
            else:
                self._unmarked.setdefault(key, now)
        self._unmarked = {key: at for key, at in self._unmarked.items() if key in processes}
        return found


def read_pids(path: Path) -> frozenset[int]:
    """Return the pids in a file; none where it is missing or half written."""
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if text.lstrip().startswith("[") else text.split()
        return frozenset(int(pid) for pid in found)
    except (OSError, ValueError):
        return frozenset()


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def _descendants(processes: dict[_Key, psutil.Process], roots: Iterable[_Key]) -> set[_Key]:
    children: dict[int, list[_Key]] = {}
    for key, process in processes.items():
        children.setdefault(process.info["ppid"], []).append(key)
    found: set[_Key] = set()
    waiting = list(roots)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += children.get(key.pid, [])
    return found
