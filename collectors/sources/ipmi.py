"""Sensors and DCMI power of a server by IPMI, for BMCs without Redfish."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from collectors import ipmi_text
from collectors.ipmitool import IpmiFailure, Ipmitool
from collectors.sources.port import Pace, SourceError
from suanwang.clock import Clock
from suanwang.model.reading import Reading

CACHE_S: Final = 86_400.0
"""How long the list of sensors is kept: reading it anew takes a BMC many seconds."""
_NAMED_MAX: Final = 12
_LIST: Final = ("-c", "sdr", "list", "full")


@dataclass(frozen=True, slots=True, kw_only=True)
class IpmiWants:
    """What to read of a host: DCMI power, sensors as metrics of the host, every other sensor."""

    host: str
    dcmi: bool = True
    sensors: Mapping[str, str] = field(default_factory=dict)
    all_sensors: bool = False


class IpmiSource:
    """One BMC; the subject is ``host:<host>``, of further sensors ``sensor:<host>:<name>``."""

    def __init__(self, clock: Clock, tool: Ipmitool, wants: IpmiWants, pace: Pace) -> None:
        self.name = pace.name
        self.interval_s = pace.interval_s
        self.timeout_s = pace.timeout_s
        self._clock = clock
        self._tool = tool
        self._wants = wants
        self._has_dcmi: bool | None = None if wants.dcmi else False
        self._folder: Path | None = None
        self._cached_at = 0.0

    async def collect(self) -> Sequence[Reading]:
        """Return DCMI power where the BMC has it, and the sensors that are wanted."""
        readings = [*await self._power(), *await self._sensors()]
        if not readings:
            raise SourceError(
                f"{self._tool.target.words} measures no power by DCMI and no sensor is named",
                next_step="name sensors, such as {'Inlet Temp': inlet_temperature_c}",
                target=self._tool.target.words,
            )
        return readings

    async def close(self) -> None:
        """Delete the kept list of sensors."""
        folder, self._folder = self._folder, None
        if folder:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _power(self) -> list[Reading]:
        if self._has_dcmi is False:
            return []
        try:
            text = await self._tool.ask("dcmi", "power", "reading", timeout_s=self.timeout_s)
        except IpmiFailure as failure:
            if not failure.is_refused:
                raise
            text = ""
        values = ipmi_text.dcmi_power(text)
        if self._has_dcmi and not values:
            raise SourceError(
                f"{self._tool.target.words} gives no DCMI power any more",
                target=self._tool.target.words,
            )
        self._has_dcmi = bool(values)
        at = self._clock.now()
        return [
            Reading(subject=f"host:{self._wants.host}", metric=metric, value=value, at=at)
            for metric, value in values.items()
        ]

    async def _sensors(self) -> list[Reading]:
        if not self._wants.sensors and not self._wants.all_sensors:
            return []
        cache = await self._cache()
        text = await self._tool.ask("-S", str(cache), *_LIST, timeout_s=self.timeout_s)
        found = {sensor.name: sensor for sensor in ipmi_text.sensors(text)}
        missing = sorted(self._wants.sensors.keys() - found.keys())
        if missing:
            self._cached_at = float("-inf")  # perhaps the list is another one by now
            names = ", ".join(sorted(found)[:_NAMED_MAX]) or "none"
            raise SourceError(
                f"{self._tool.target.words} has no value for {', '.join(missing)}; "
                f"sensors with a value are: {names}",
                next_step="correct the names in sensors",
                target=self._tool.target.words,
            )
        return list(self._mapped(found))

    def _mapped(self, found: Mapping[str, ipmi_text.Sensor]) -> Iterator[Reading]:
        at = self._clock.now()
        host = self._wants.host
        for name, sensor in found.items():
            metric = self._wants.sensors.get(name)
            if metric:
                yield Reading(subject=f"host:{host}", metric=metric, value=sensor.value, at=at)
            elif self._wants.all_sensors:
                subject = f"sensor:{host}:{name}"
                yield Reading(subject=subject, metric=sensor.metric, value=sensor.value, at=at)

    async def _cache(self) -> Path:
        """Return the file with the list of sensors, read from the BMC when it is too old."""
        if self._folder is None:
            self._folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="suanwang-ipmi-"))
            self._cached_at = float("-inf")
        file = self._folder / "sdr"
        if self._clock.monotonic() - self._cached_at > CACHE_S:
            file.unlink(missing_ok=True)
            await self._tool.ask("sdr", "dump", str(file), timeout_s=self.timeout_s)
            self._cached_at = self._clock.monotonic()
        return file
