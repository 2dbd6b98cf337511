"""Settings of an IPMI source."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from collectors.ipmitool import IpmiTarget, Ipmitool
from collectors.lanes import Place
from collectors.redfish_client import IN_FLIGHT_MAX
from collectors.sources.ipmi import IpmiSource, IpmiWants
from collectors.sources.port import Source
from collectors.specs.base import Metric, Name, Port, Seconds, Spec, Workshop, this_host

# An address that begins with a dash would be an option to the program.
_Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@%+][A-Za-z0-9._:@%+-]{0,252}$")]


class IpmiSpec(Spec):
    """A BMC by IPMI over LAN, or this machine's own where no address is given."""

    kind: Literal["ipmi"] = "ipmi"
    host: Name = Field(default_factory=this_host)
    address: _Word | None = None
    port: Port = 623
    username: _Word | None = None
    password_file: Path | None = None
    cipher: Literal[3, 8, 12, 15, 16, 17] = 17
    privilege: Literal["USER", "OPERATOR", "ADMINISTRATOR"] = "USER"
    dcmi: bool = True
    sensors: dict[str, Metric] = Field(default_factory=dict)
    all_sensors: bool = False
    program: str = "ipmitool"
    interval_s: Seconds = 60.0
    timeout_s: Seconds = 55.0

    @model_validator(mode="after")
    def _is_whole(self) -> "IpmiSpec":
        if not (self.dcmi or self.sensors or self.all_sensors):
            raise ValueError("give dcmi, sensors or all_sensors")
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username and password_file go together")
        if self.username and not self.address:
            raise ValueError("a username is for an address; this machine's BMC needs none")
        return self

    @property
    def place(self) -> Place:
        """Return the protocol and the address."""
        return Place(self.kind, f"bmc {self.address or 'here'}")

    def build(self, workshop: Workshop) -> Source:
        """Return the source; it shares the gate of its BMC with Redfish sources."""
        target = IpmiTarget(
            host=self.address or "",
            port=self.port,
            username=self.username or "",
            password_file=self.password_file,
            cipher=self.cipher,
            privilege=self.privilege,
        )
        gate = workshop.gate(f"bmc {self.address or 'here'}", IN_FLIGHT_MAX)
        tool = Ipmitool(target, gate, program=self.program)
        wants = IpmiWants(
            host=self.host, dcmi=self.dcmi, sensors=self.sensors, all_sensors=self.all_sensors
        )
        return IpmiSource(workshop.clock, tool, wants, self.pace)
