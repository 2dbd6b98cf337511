"""Objects of a BACnet/IP device: meters, chillers and sensors of a building's automation."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from collectors.bacnet_client import BacnetStack, NotMultiple, TooLong, Unknown
from collectors.json_values import number
from collectors.sources.port import Pace, SourceError
from suanwang.clock import Clock
from suanwang.model.reading import Reading

OBJECTS_AT_ONCE: Final = 20
"""Most objects in one request, until a device says that this is too much."""
_NAMED_MAX: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRule:
    """Turns a property of one object, such as ``analog-input,1``, into a reading."""

    name: str
    metric: str
    subject: str
    scale: float = 1.0
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BacnetDevice:
    """Where a device is; with ``instance`` it must be the one with that device instance."""

    address: str
    instance: int | None = None
    timeout_s: float = 5.0


class BacnetSource:
    """One device. A required object without a value, or with a faulty one, takes it down."""

    def __init__(
        self,
        clock: Clock,
        stack: BacnetStack,
        device: BacnetDevice,
        rules: Sequence[ObjectRule],
        pace: Pace,
        *,
        gate: asyncio.Semaphore,
    ) -> None:
        self.name = pace.name
        self.interval_s = pace.interval_s
        self.timeout_s = pace.timeout_s
        self._clock = clock
        self._stack = stack
        self._device = device
        self._rules = tuple(rules)
        self._gate = gate
        self._at_once = OBJECTS_AT_ONCE
        self._is_known = device.instance is None
        self._is_open = True
        stack.hold()

    async def collect(self) -> Sequence[Reading]:
        """Return the objects' values, each chunk with the moment of its answer."""
        async with self._gate:
            try:
                await self._check_instance()
                return await self._read()
            except SourceError:
                self._is_known = self._device.instance is None
                raise

    async def close(self) -> None:
        """Let go of the socket, if no other source needs it."""
        if self._is_open:
            self._is_open = False
            self._stack.release()

    async def _check_instance(self) -> None:
        """Make sure that the address is still that of the device: addresses wander."""
        if self._is_known:
            return
        device = self._device
        name = f"device,{device.instance}"
        if not await self._stack.has_object(device.address, name, device.timeout_s):
            raise SourceError(
                f"the BACnet device at {device.address} is not instance {device.instance}",
                next_step="correct address or device_instance",
                device=device.address,
            )
        self._is_known = True

    async def _read(self) -> list[Reading]:
        readings: list[Reading] = []
        names = list(dict.fromkeys(rule.name for rule in self._rules))
        place = 0
        while place < len(names):
            chunk = names[place : place + self._at_once]
            try:
                values = await self._values(chunk)
            except TooLong:
                if len(chunk) == 1:
                    raise
                self._at_once = max(1, len(chunk) // 2)
                continue
            except NotMultiple:
                self._at_once = 1
                values = await self._single(chunk[:1])
                chunk = chunk[:1]
            readings += self._mapped(chunk, values)
            place += len(chunk)
        return readings

    async def _values(self, names: Sequence[str]) -> Mapping[str, object]:
        device = self._device
        try:
            return await self._stack.read(device.address, names, "present-value", device.timeout_s)
        except Unknown:
            return await self._single(names)  # the device refuses all for what it does not know

    async def _single(self, names: Sequence[str]) -> Mapping[str, object]:
        device = self._device
        values: dict[str, object] = {}
        for name in names:
            value = await self._stack.read_one(
                device.address, name, "present-value", device.timeout_s
            )
            if value is not None:
                values[name] = value
        return values

    def _mapped(self, names: Sequence[str], values: Mapping[str, object]) -> Iterator[Reading]:
        at = self._clock.now()
        for rule in self._rules:
            if rule.name not in names:
                continue
            value = number(values.get(rule.name))
            scaled = None if value is None else number(value * rule.scale)
            if scaled is not None:
                yield Reading(subject=rule.subject, metric=rule.metric, value=scaled, at=at)
            elif rule.required:
                raise SourceError(
                    f"{rule.name} of the BACnet device at {self._device.address} has no value, or "
                    "a faulty one",
                    next_step="correct the object, or set required: false",
                    device=self._device.address,
                )
