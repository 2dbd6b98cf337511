"""A power meter on Modbus TCP, read by its profile."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from collectors.modbus_client import ModbusClient, ModbusFailure
from collectors.profiles.profile import Block, MeterProfile
from collectors.sources.port import Pace
from suanwang.clock import Clock
from suanwang.model.reading import Reading

_ILLEGAL_ADDRESS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterPoint:
    """Which meter of the registry this is, and the ratios of its CT and PT."""

    meter_id: str
    ct: float = 1.0
    pt: float = 1.0


class ModbusSource:
    """One meter; the subject is ``meter:<meter id>`` and the metrics are the profile's.

    Each request has the timeout of the client; a required register that is not answered takes the
    source down, an optional one that the device does not know is left out.
    """

    def __init__(
        self,
        clock: Clock,
        client: ModbusClient,
        profile: MeterProfile,
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
        self._subject = f"meter:{point.meter_id}"
        # Required registers first, so that optional ones cannot use up the time of the poll.
        self._blocks = sorted(profile.blocks(), key=lambda block: not block.required)

    async def collect(self) -> Sequence[Reading]:
        """Return the meter's quantities, each with the moment at which it was answered."""
        readings: list[Reading] = []
        for block in self._blocks:
            try:
                words = await self._client.read(block.address, block.words, self._profile.function)
            except ModbusFailure as failure:
                if block.required or failure.exception_code != _ILLEGAL_ADDRESS:
                    raise
                continue
            readings += self._decode(block, words)
        return readings

    async def close(self) -> None:
        """Drop the connection."""
        self._client.close()

    def _decode(self, block: Block, words: Sequence[int]) -> list[Reading]:
        at = self._clock.now()
        readings, place = [], 0
        for metric in block.metrics:
            size = self._profile.registers[metric].words
            count = self._profile.decode(metric, words[place : place + size])
            place += size
            value = count * self._profile.factor(metric, self._point.ct, self._point.pt)
            if math.isfinite(value):
                readings.append(Reading(subject=self._subject, metric=metric, value=value, at=at))
            elif block.required:
                raise ModbusFailure(
                    f"{self._client.target} gave {value} for {metric}", target=self._client.target
                )
        return readings
