"""Opens the device that a command of ``suanwang collect`` names: live, or a recording of one."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suanwang.errors import BadInput

if TYPE_CHECKING:
    from collectors.profiles.profile import AnyProfile
    from collectors.snmp.client import SnmpClient, SnmpReader
    from collectors.sources.modbus import ModbusSource, RegisterReader
    from collectors.sources.snmp import SnmpSource
    from collectors.target import Target

TargetText = Annotated[
    str, typer.Argument(metavar="TARGET", help="snmp://, modbus:// or redfish://host[:port][/unit]")
]
CommunityFile = Annotated[
    Path | None, typer.Option(help="SNMP 2c: file with the community; without it, public.")
]
User = Annotated[str | None, typer.Option(help="User (SNMP 3, Redfish).")]
Auth = Annotated[str | None, typer.Option(help="SNMP 3: md5, sha1, sha224 … sha512.")]
AuthFile = Annotated[Path | None, typer.Option(help="SNMP 3: file with the password for it.")]
Priv = Annotated[str | None, typer.Option(help="SNMP 3: aes128, aes192 or aes256.")]
PrivFile = Annotated[Path | None, typer.Option(help="SNMP 3: file with the password for it.")]
TimeoutS = Annotated[float, typer.Option(min=0.05, max=60, help="Seconds that one try waits.")]
Tries = Annotated[int, typer.Option(min=1, max=10, help="How often an SNMP message is sent.")]
Ct = Annotated[float, typer.Option(help="Ratio of the current transformers.")]
Pt = Annotated[float, typer.Option(help="Ratio of the voltage transformers.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How the device is spoken to."""

    community_file: Path | None = None
    user: str | None = None
    auth: str | None = None
    auth_file: Path | None = None
    priv: str | None = None
    priv_file: Path | None = None
    timeout_s: float = 1.0
    tries: int = 3

    def settings(self) -> dict[str, object]:
        """Return the settings of a source of kind snmp that say the same."""
        given = {
            "community_file": self.community_file,
            "user": self.user,
            "auth": self.auth,
            "auth_file": self.auth_file,
            "priv": self.priv,
            "priv_file": self.priv_file,
        }
        return {key: str(value) for key, value in given.items() if value is not None}


def snmp_client(target: "Target", access: Access) -> "SnmpClient":
    """Return a client for a live SNMP device; raise BadInput for wrong access."""
    from collectors.config import parse_source
    from collectors.specs.base import Workshop
    from collectors.specs.snmp import SnmpSpec
    from suanwang.clock import SystemClock

    raw: dict[str, object] = {
        "kind": "snmp",
        "name": "device",
        "device_id": "device",
        "profile": "none",
        "host": target.host,
        "port": target.port,
        "unit": target.unit,
        "request_timeout_s": access.timeout_s,
        "tries": access.tries,
    }
    spec = parse_source(raw | access.settings())
    assert isinstance(spec, SnmpSpec)
    return spec.client(Workshop(SystemClock()))


def modbus_client(target: "Target", access: Access) -> "RegisterReader":
    """Return a client for a live Modbus device."""
    from collectors.modbus_client import ModbusClient

    return ModbusClient(target.host, target.port, unit=target.unit, timeout_s=access.timeout_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What is read: objects or registers, of which unit."""

    unit: int
    objects: "SnmpReader | None" = None
    registers: "RegisterReader | None" = None


def live_device(target: "Target", access: Access) -> Device:
    """Return a device that answers now; raise BadInput where it needs no profile."""
    if target.protocol == "snmp":
        return Device(unit=target.unit, objects=snmp_client(target, access))
    if target.protocol == "modbus":
        return Device(unit=target.unit, registers=modbus_client(target, access))
    raise BadInput(
        f"{target} needs no profile: a source of kind redfish looks its readings up by itself",
        next_step=f"see what it reads: suanwang collect probe {target}",
    )


def recorded_device(path: Path) -> Device:
    """Return a device of a recording; raise BadInput where the file is none."""
    from collectors.recording import RecordedObjects, RecordedRegisters, load_recording

    recording = load_recording(path)
    if recording.protocol == "snmp":
        return Device(unit=recording.unit, objects=RecordedObjects(recording, str(path)))
    return Device(unit=recording.unit, registers=RecordedRegisters(recording, str(path)))


def source_of(
    profile: "AnyProfile", device: Device, *, ct: float, pt: float
) -> "SnmpSource | ModbusSource":
    """Return a source that reads by a profile; raise BadInput where the device speaks another."""
    from collectors.probe import DEVICE_ID
    from collectors.profiles.modbus import ModbusProfile
    from collectors.profiles.snmp import SnmpProfile
    from collectors.sources.modbus import MeterPoint, ModbusSource
    from collectors.sources.port import Pace
    from collectors.sources.snmp import SnmpSource
    from suanwang.clock import SystemClock

    pace = Pace(name="test", interval_s=60.0, timeout_s=60.0)
    if isinstance(profile, SnmpProfile) and device.objects is not None:
        return SnmpSource(
            SystemClock(), device.objects, profile, pace, device_id=DEVICE_ID, unit=device.unit
        )
    if isinstance(profile, ModbusProfile) and device.registers is not None:
        point = MeterPoint(device_id=DEVICE_ID, ct=ct, pt=pt)
        return ModbusSource(SystemClock(), device.registers, profile, point, pace)
    spoken = "snmp" if device.objects is not None else "modbus"
    raise BadInput(
        f"profile {profile.name} speaks {profile.protocol}, and the device {spoken}",
        next_step="see the profiles: suanwang collect profile list",
    )
