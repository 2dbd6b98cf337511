"""Settings of a Modbus device."""

from typing import Annotated, ClassVar, Literal

from pydantic import AliasChoices, Field

from collectors.lanes import Place
from collectors.modbus_client import ModbusClient
from collectors.profiles.modbus import ModbusProfile
from collectors.profiles.profile import load_profile_of
from collectors.sources.modbus import MeterPoint, ModbusSource
from collectors.sources.port import Source
from collectors.specs.base import Factor, Name, Port, Seconds, Spec, Workshop


class ModbusSpec(Spec):
    """A meter or another device; ``request_timeout_s`` is for each request, not for the poll."""

    aliases: ClassVar[tuple[str, ...]] = ("meter_id",)

    kind: Literal["modbus"] = "modbus"
    device_id: Name = Field(validation_alias=AliasChoices("device_id", "meter_id"))
    profile: str
    host: str
    port: Port = 502
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    ct: Factor = 1.0
    pt: Factor = 1.0
    request_timeout_s: Seconds = 2.0

    @property
    def place(self) -> Place:
        """Return the protocol and the address."""
        return Place(self.kind, f"modbus {self.host}:{self.port}")

    def build(self, workshop: Workshop) -> Source:
        """Return the source; raise BadInput where there is no such profile."""
        client = ModbusClient(
            self.host, self.port, unit=self.unit, timeout_s=self.request_timeout_s
        )
        point = MeterPoint(device_id=self.device_id, ct=self.ct, pt=self.pt)
        profile = workshop.shared(
            f"modbus profile {self.profile}", lambda: load_profile_of(ModbusProfile, self.profile)
        )
        return ModbusSource(workshop.clock, client, profile, point, self.pace)
