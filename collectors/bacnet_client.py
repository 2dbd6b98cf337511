"""The one place that touches bacpypes3, whose refusals are raised as ``BaseException``."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from collectors.sources.port import SourceError

_FAULT: Final = 1
_OUT_OF_SERVICE: Final = 3
"""Places of the flags that say that a value is not the sensor's (ASHRAE 135, 12.2.6)."""
_TOO_LONG: Final = frozenset(
    {"buffer-overflow", "segmentation-not-supported", "apdu-too-long", "out-of-resources"}
)
_UNKNOWN: Final = ("unknown-object", "unknown-property")
_DEVICE_INSTANCE_OWN: Final = 4_194_302
"""Our own device instance: the highest, since nobody asks us anything."""


class BacnetFailure(SourceError):
    """A device did not answer, or refused."""


class TooLong(BacnetFailure):
    """The device cannot answer so much at once."""


class Unknown(BacnetFailure):
    """The device has no such object, or the object no such property."""


class NotMultiple(BacnetFailure):
    """The device does not know ReadPropertyMultiple."""


class BacnetStack:
    """One local address for all sources that use it; the last to close lets go of it."""

    def __init__(self, local: str) -> None:
        self._local = local
        self._app: Any = None
        self._users = 0

    def hold(self) -> None:
        """Count one more user."""
        self._users += 1

    def release(self) -> None:
        """Count one user less; with the last one the socket closes."""
        self._users -= 1
        if self._users <= 0 and self._app is not None:
            app, self._app = self._app, None
            app.close()

    async def has_object(self, device: str, name: str, timeout_s: float) -> bool:
        """Whether a device knows an object; raise BacnetFailure."""
        try:
            found = await self._ask(device, timeout_s, name, "object-identifier")
        except Unknown:
            return False
        return _is_value(found)

    async def read(
        self, device: str, names: Sequence[str], prop: str, timeout_s: float
    ) -> Mapping[str, object]:
        """Return a property of objects that have it and are not faulty, in one request."""
        request: list[object] = []
        for name in names:
            request += [name, [prop, "status-flags"]]
        rows = await self._many(device, timeout_s, request)
        values: dict[str, object] = {}
        faulty: set[str] = set()
        for identifier, which, _, value in rows:
            name = ",".join(map(str, identifier))
            if str(which) == "status-flags":
                if _is_faulty(value):
                    faulty.add(name)
            elif _is_value(value):
                values[name] = value
        return {name: value for name, value in values.items() if name not in faulty}

    async def read_one(self, device: str, name: str, prop: str, timeout_s: float) -> object | None:
        """Return a property of one object, or None where it has none."""
        try:
            value = await self._ask(device, timeout_s, name, prop)
        except Unknown:
            return None
        return value if _is_value(value) else None

    async def _ask(self, device: str, timeout_s: float, name: str, prop: str) -> object:
        app = self._opened()
        from bacpypes3.pdu import Address

        return await self._answered(
            device, timeout_s, app.read_property(Address(device), name, prop)
        )

    async def _many(self, device: str, timeout_s: float, request: Sequence[object]) -> Any:
        app = self._opened()
        from bacpypes3.pdu import Address

        return await self._answered(
            device, timeout_s, app.read_property_multiple(Address(device), list(request))
        )

    async def _answered(self, device: str, timeout_s: float, asked: Any) -> Any:
        from bacpypes3.apdu import AbortPDU, ErrorRejectAbortNack, RejectPDU

        try:
            return await asyncio.wait_for(asked, timeout_s)
        except TimeoutError as failure:
            raise BacnetFailure(
                f"BACnet device {device} did not answer within {timeout_s:g} s",
                next_step="check address and port, and that it is in the same BACnet network",
                device=device,
            ) from failure
        except ErrorRejectAbortNack as refusal:
            words = str(refusal)
            kind: type[BacnetFailure] = BacnetFailure
            if isinstance(refusal, AbortPDU | RejectPDU) and words in _TOO_LONG:
                kind = TooLong
            elif isinstance(refusal, RejectPDU) and words == "unrecognized-service":
                kind = NotMultiple
            elif words.endswith(_UNKNOWN):
                kind = Unknown
            raise kind(f"BACnet device {device} refused: {words}", device=device) from None
        except (OSError, ValueError, TypeError, AttributeError) as failure:
            # What the library makes of an answer that it cannot decode.
            raise BacnetFailure(
                f"the answer of BACnet device {device} cannot be read: {failure}", device=device
            ) from failure

    def _opened(self) -> Any:
        if self._app is None:
            try:
                from bacpypes3.ipv4.app import NormalApplication
                from bacpypes3.local.device import DeviceObject
                from bacpypes3.pdu import IPv4Address
            except ImportError as failure:
                raise BacnetFailure(
                    "bacpypes3 is not installed", next_step="pip install 'suanwang[bacnet]'"
                ) from failure
            own = DeviceObject(
                objectIdentifier=("device", _DEVICE_INSTANCE_OWN),
                objectName="suanwang-collector",
                vendorIdentifier=0,
            )
            self._app = NormalApplication(own, IPv4Address(self._local))
        return self._app


def _is_value(value: object) -> bool:
    from bacpypes3.basetypes import ErrorType
    from bacpypes3.primitivedata import Null

    return value is not None and not isinstance(value, ErrorType | Null)


def _is_faulty(flags: object) -> bool:
    if not isinstance(flags, list):
        return False  # the object has no flags
    return any(len(flags) > place and bool(flags[place]) for place in (_FAULT, _OUT_OF_SERVICE))
