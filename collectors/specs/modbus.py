"""Settings of a Modbus meter."""

from typing import Annotated, Literal

from pydantic import Field

from collectors.modbus_client import ModbusClient
from collectors.profiles.profile import load_profile
from collectors.sources.modbus import MeterPoint, ModbusSource
from collectors.sources.port import Source
from collectors.specs.base import Factor, Name, Port, Seconds, Spec, Workshop


class ModbusSpec(Spec):
    """A power meter. ``request_timeout_s`` is for each request, ``timeout_s`` for the poll."""

    kind: Literal["modbus"] = "modbus"
    meter_id: Name
    profile: str
    host: str
    port: Port = 502
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    ct: Factor = 1.0
    pt: Factor = 1.0
    request_timeout_s: Seconds = 2.0

    def build(self, workshop: Workshop) -> Source:
        """Return the source; raise BadInput where there is no such profile."""
        client = ModbusClient(
            self.host, self.port, unit=self.unit, timeout_s=self.request_timeout_s
        )
        point = MeterPoint(meter_id=self.meter_id, ct=self.ct, pt=self.pt)
        return ModbusSource(workshop.clock, client, load_profile(self.profile), point, self.pace)
