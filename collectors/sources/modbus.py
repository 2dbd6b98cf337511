"""A device on Modbus TCP, read by its profile."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from collectors.modbus_client import Identification, ModbusFailure
from collectors.profiles.base import split_key
from collectors.profiles.modbus import Block, ModbusProfile
from collectors.sources.derive import derived_readings
from collectors.sources.port import Pace
from suanwang.clock import Clock
from suanwang.model.reading import Reading

_ILLEGAL_ADDRESS = 2


class RegisterReader(Protocol):
    """What hands out registers: a live device or a recording."""

    @property
    def target(self) -> str:
        """What is read, for messages."""

    async def read(
        self, address: int, count: int, function: Literal["holding", "input"]
    ) -> tuple[int, ...]:
        """Return ``count`` registers from ``address`` on; raise ModbusFailure."""

    async def identify(self) -> Identification:
        """Return what the device calls itself."""

    def close(self) -> None:
        """Let go of the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterPoint:
    """Which device of the registry this is, and the ratios of its CT and PT."""

    device_id: str
    ct: float = 1.0
    pt: float = 1.0


class ModbusSource:
    """One device; subjects and metrics are the profile's.

    Each request has the timeout of the client; a required register that is not answered takes the
    source down, an optional one that the device does not know is left out.
    """

    def __init__(
        self,
        clock: Clock,
        client: RegisterReader,
        profile: ModbusProfile,
        point: MeterPoint,
        pace: Pace,
    ) -> None:
        self.name = pace.name
        self.interval_s = pace.interval_s
        self.timeout_s = pace.timeout_s
        self._clock = clock
        self._client = client
        self._profile = profile
        self._point = point
        # Required registers first, so that optional ones cannot use up the time of the poll.
        self._blocks = sorted(profile.blocks(), key=lambda block: not block.required)

    async def collect(self) -> Sequence[Reading]:
        """Return the device's quantities, each with the moment at which it was answered."""
        readings: dict[str, Reading] = {}
        for block in self._blocks:
            try:
                words = await self._client.read(block.address, block.words, self._profile.function)
            except ModbusFailure as failure:
                if block.required or failure.exception_code != _ILLEGAL_ADDRESS:
                    raise
                continue
            readings |= self._decode(block, words)
        device = self._profile.subject(self._point.device_id)
        return (*readings.values(), *derived_readings(self._profile.derived, readings, device))

    async def close(self) -> None:
        """Drop the connection."""
        self._client.close()

    def _decode(self, block: Block, words: Sequence[int]) -> dict[str, Reading]:
        at = self._clock.now()
        readings, place = {}, 0
        for key in block.keys:
            size = self._profile.points[key].words
            count = self._profile.decode(key, words[place : place + size])
            place += size
            part, metric = split_key(key)
            try:
                value = self._profile.convert(key, count, self._point.ct, self._point.pt)
            except ValueError as failure:
                if block.required:
                    target = self._client.target
                    raise ModbusFailure(f"{target}, {key}: {failure}", target=target) from failure
                continue
            if value is not None:
                subject = self._profile.subject(self._point.device_id, part)
                readings[key] = Reading(subject=subject, metric=metric, value=value, at=at)
        return readings
