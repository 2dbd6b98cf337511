"""What an agent has to poll at a site, by its inventory: sources as an agent's settings have them.

Meters with a profile and an address, and hosts with a BMC. What the inventory does not hold, such
as who reads and with which secret, comes from the operator's defaults by kind of source.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from collectors.config import parse_source
from collectors.profiles.profile import load_profile
from suanwang.errors import BadInput
from suanwang.model.inventory import Host, Inventory, PlacedMeter

Settings = Mapping[str, object]
"""The settings of a source, as they are in an agent's file."""
BMC: Final = "bmc-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Sources that an agent takes, and what was left out with the reason."""

    sources: tuple[Settings, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a device answers; None is not said."""

    host: str
    port: int | None = None
    unit: int | None = None


def targets(inventory: Inventory, defaults: Mapping[str, Settings]) -> Targets:
    """Return the sources of a site; ``defaults`` are added to each of a kind, by kind."""
    sources: list[Settings] = []
    left_out: list[str] = []
    seen: set[str] = set()
    for name, make in _wanted(inventory):
        try:
            made = make()
            source = {**defaults.get(str(made["kind"]), {}), **made}
            spec = parse_source(source)
        except BadInput as failure:
            left_out.append(f"{name}: {failure.message}")
            continue
        if spec.name in seen:
            left_out.append(f"{name}: another source is called {spec.name} already")
            continue
        seen.add(spec.name)
        sources.append(source)
    return Targets(sources=tuple(sources), left_out=tuple(left_out))


def _wanted(inventory: Inventory) -> Iterator[tuple[str, "_Made"]]:
    for meter in _by_id(inventory.meters.values()):
        assert isinstance(meter, PlacedMeter)
        if meter.profile and meter.address:
            yield f"meter {meter.id}", _Made(meter)
    for host in _by_id(inventory.hosts.values()):
        assert isinstance(host, Host)
        if host.bmc:
            yield f"host {host.id}", _Made(host)


def _by_id(items: Iterable[PlacedMeter | Host]) -> list[PlacedMeter | Host]:
    return sorted(items, key=lambda one: one.id)


@dataclass(frozen=True, slots=True)
class _Made:
    """Makes the settings of one source when it is called."""

    of: PlacedMeter | Host

    def __call__(self) -> dict[str, object]:
        """Return the settings; raise BadInput for a profile or address that cannot be."""
        return of_meter(self.of) if isinstance(self.of, PlacedMeter) else of_bmc(self.of)


def of_meter(one: PlacedMeter) -> dict[str, object]:
    """Return the source that reads a meter by its profile; raise BadInput."""
    address = parse_address(one.address)
    made: dict[str, object] = {
        "kind": load_profile(one.profile).protocol,
        "name": one.id,
        "device_id": one.id,
        "profile": one.profile,
        "host": address.host,
        "interval_s": one.poll_s,
    }
    if address.port is not None:
        made["port"] = address.port
    if address.unit is not None:
        made["unit"] = address.unit
    return made


def of_bmc(one: Host) -> dict[str, object]:
    """Return the source that reads a host's BMC: Redfish, or ``ipmi://`` for those without."""
    scheme, _, rest = one.bmc.rpartition("://")
    if scheme == "ipmi":
        address = parse_address(rest)
        made: dict[str, object] = {
            "kind": "ipmi", "name": BMC + one.id, "host": one.id, "address": address.host,
        }  # fmt: skip
        return made if address.port is None else {**made, "port": address.port}
    url = one.bmc if scheme else f"https://{_bracketed(one.bmc)}"
    return {"kind": "redfish", "name": BMC + one.id, "host": one.id, "url": url}


def _bracketed(host: str) -> str:
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


def parse_address(text: str) -> Address:
    """Return what ``host``, ``host:port`` or ``host:port/unit`` says; raise BadInput."""
    place, slash, unit = text.partition("/")
    try:
        parts = urlsplit(f"//{_bracketed(place)}")
        host, port = parts.hostname, parts.port
        number = int(unit) if slash else None
    except ValueError as failure:
        raise BadInput(f"{text!r} is no address: {failure}") from failure
    if not host or parts.username or parts.query or any(mark.isspace() for mark in place):
        raise BadInput(
            f"{text!r} is no address", next_step="write host, host:port or host:port/unit"
        )
    return Address(host=host, port=port, unit=number)
