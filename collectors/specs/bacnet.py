"""Settings of a BACnet/IP source."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field

from collectors.bacnet_client import BacnetStack
from collectors.lanes import Place
from collectors.sources.bacnet import BacnetDevice, BacnetSource, ObjectRule
from collectors.sources.port import Source
from collectors.specs.base import Factor, Metric, Part, Seconds, Spec, Workshop

_IPV4 = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}"
_PORT = r"(?::(?:6553[0-5]|655[0-2]\d|65[0-4]\d{2}|6[0-4]\d{3}|[1-5]?\d{1,4}))?"


class ObjectSpec(Part):
    """One object of the device; see ``ObjectRule``."""

    object: Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)*,\d{1,7}$")]
    metric: Metric
    subject: Annotated[str, Field(min_length=1, max_length=200)]
    scale: Factor = 1.0
    required: bool = True


class BacnetSpec(Spec):
    """A BACnet/IP device and those of its objects that are wanted."""

    parts: ClassVar[tuple[type[BaseModel], ...]] = (ObjectSpec,)

    kind: Literal["bacnet"] = "bacnet"
    address: Annotated[str, Field(pattern=rf"^{_IPV4}{_PORT}$")]
    device_instance: Annotated[int, Field(ge=0, le=4_194_302)] | None = None
    local_address: Annotated[str, Field(pattern=rf"^{_IPV4}(?:/(?:3[0-2]|[12]?\d))?{_PORT}$")] = (
        "0.0.0.0:0"
    )
    objects: Annotated[tuple[ObjectSpec, ...], Field(min_length=1, max_length=5_000)]
    timeout_s: Seconds = 10.0
    request_timeout_s: Seconds = 5.0

    @property
    def place(self) -> Place:
        """Return the protocol and the address."""
        return Place(self.kind, f"bacnet {self.address}")

    def build(self, workshop: Workshop) -> Source:
        """Return the source; sources share the local address, and the gate of a device."""
        local = self.local_address
        stack = workshop.shared(f"bacnet {local}", lambda: BacnetStack(local))
        device = BacnetDevice(
            address=self.address, instance=self.device_instance, timeout_s=self.request_timeout_s
        )
        rules = tuple(
            ObjectRule(
                name=each.object,
                metric=each.metric,
                subject=each.subject,
                scale=each.scale,
                required=each.required,
            )
            for each in self.objects
        )
        gate = workshop.gate(f"bacnet {self.address}", 1)
        return BacnetSource(workshop.clock, stack, device, rules, self.pace, gate=gate)
