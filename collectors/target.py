"""Addresses of devices as one word: ``snmp://10.0.0.9``, ``modbus://10.0.0.5:502/3``."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from suanwang.errors import BadInput

PORTS: Final = {"snmp": 161, "modbus": 502, "redfish": 443, "redfish+http": 80}
_EXAMPLES: Final = "snmp://10.0.0.9, modbus://10.0.0.5:502/3 (unit 3) or redfish://10.0.0.8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which protocol, host, port, and unit behind it."""

    protocol: str
    host: str
    port: int
    unit: int = 1

    def __str__(self) -> str:
        """Return the address as it may be given again."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.protocol}://{host}:{self.port}/{self.unit}"


def parse_target(text: str) -> Target:
    """Return what an address says; raise BadInput that shows how one looks."""
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError as failure:
        raise BadInput(f"{text!r} is no address: {failure}", next_step=_EXAMPLES) from failure
    if parts.scheme not in PORTS:
        raise BadInput(
            f"{text!r} does not begin with {', '.join(f'{name}://' for name in PORTS)}",
            next_step=f"for example {_EXAMPLES}",
        )
    unit = parts.path.strip("/") or "1"
    if not host or parts.query or parts.fragment or parts.username or not unit.isdecimal():
        raise BadInput(
            f"{text!r} is not protocol://host:port/unit", next_step=f"for example {_EXAMPLES}"
        )
    if int(unit) > (255 if parts.scheme == "modbus" else 65_535):
        raise BadInput(f"unit {unit} in {text!r} is beyond what {parts.scheme} has")
    return Target(
        protocol=parts.scheme, host=host, port=port or PORTS[parts.scheme], unit=int(unit)
    )
