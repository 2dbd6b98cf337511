"""The machine that the agent runs on, by psutil."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import psutil

from collectors.rapl import POWERCAP, Rapl
from collectors.sources.port import Pace, SourceError
from suanwang.clock import Clock
from suanwang.model.reading import Quality, Reading

_IDLE: Final = ("idle", "iowait")
_DOUBLE_COUNTED: Final = ("guest", "guest_nice")


class HostSource:
    """Cores, memory, load, network and disk of one host; the subject is ``host:<name>``.

    The energy of its processors is told as ``cpu:<host>:<package>`` where RAPL can be read.

    ``cpu_ratio`` is the busy share of all cores since the poll before, so the first poll has none.
    Raises SourceError where the system does not let itself be read.
    """

    def __init__(
        self,
        clock: Clock,
        pace: Pace,
        *,
        host: str,
        disk_paths: Sequence[str],
        powercap: Path = POWERCAP,
    ) -> None:
        self.name = pace.name
        self.interval_s = pace.interval_s
        self.timeout_s = pace.timeout_s
        self._clock = clock
        self._host = host
        self._disk_paths = tuple(disk_paths)
        self._rapl = Rapl(powercap)
        self._cpu_before: tuple[float, float] | None = None

    async def collect(self) -> Sequence[Reading]:
        """Return what the host does now."""
        try:
            found = await asyncio.to_thread(self._read)
        except (psutil.Error, OSError) as failure:
            raise SourceError(
                f"host {self._host} cannot be read: {failure}", host=self._host
            ) from failure
        return found

    async def close(self) -> None:
        """Nothing is held open."""

    def _read(self) -> tuple[Reading, ...]:
        at = self._clock.now()
        memory = psutil.virtual_memory()
        values: dict[str, float] = {
            "cpu_cores": float(psutil.cpu_count() or 1),
            "memory_total_bytes": float(memory.total),
            "memory_used_bytes": float(memory.total - memory.available),
            "load_1m": psutil.getloadavg()[0],
        }
        ratio = self._cpu_ratio()
        if ratio is not None:
            values["cpu_ratio"] = ratio
        values |= _network()
        readings = [_reading(f"host:{self._host}", name, values[name], at) for name in values]
        for path in self._disk_paths:
            usage = psutil.disk_usage(path)
            subject = f"disk:{self._host}:{path}"
            readings.append(_reading(subject, "disk_total_bytes", float(usage.total), at))
            readings.append(_reading(subject, "disk_used_bytes", float(usage.used), at))
        for package, energy_wh in self._rapl.energy_wh(self._clock.monotonic()).items():
            readings.append(_reading(f"cpu:{self._host}:{package}", "energy_wh", energy_wh, at))
        return tuple(readings)

    def _cpu_ratio(self) -> float | None:
        """Return the busy share since the call before, derived from counters of seconds."""
        times: Mapping[str, float] = psutil.cpu_times()._asdict()
        total = sum(value for name, value in times.items() if name not in _DOUBLE_COUNTED)
        busy = total - sum(times.get(name, 0.0) for name in _IDLE)
        before, self._cpu_before = self._cpu_before, (total, busy)
        if before is None or total <= before[0]:
            return None
        return min(1.0, max(0.0, (busy - before[1]) / (total - before[0])))


def _reading(subject: str, metric: str, value: float, at: datetime) -> Reading:
    quality = Quality.DERIVED if metric == "cpu_ratio" else Quality.MEASURED
    return Reading(subject=subject, metric=metric, value=value, at=at, quality=quality)


def _network() -> dict[str, float]:
    """Return bytes through all interfaces but the loopback since the host started."""
    counters = [
        counter
        for name, counter in psutil.net_io_counters(pernic=True).items()
        if not name.startswith("lo")
    ]
    return {
        "net_sent_bytes_total": float(sum(counter.bytes_sent for counter in counters)),
        "net_received_bytes_total": float(sum(counter.bytes_recv for counter in counters)),
    }
