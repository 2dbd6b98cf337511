"""Partial PUE of a site's zones: which meters are in which, and what the others share.

A zone is a room, or rooms that name the same one. Energy of plant that no zone has for itself is
what the facility meters count beyond the meters of the zones.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from collectors import store_inventory
from collectors.inventory.check_meters import ancestors
from collectors.kpis.effectiveness import ZoneEnergy, partial_pue
from collectors.kpis.figure import Known, Kpi, KpiFigure, withheld
from suanwang.model.inventory import Inventory, Kind, Measures, PlacedMeter
from suanwang.model.meter import MeterRole
from suanwang.model.site import SplitKey

_OWN: frozenset[MeterRole] = frozenset({MeterRole.COOLING, MeterRole.OTHER})


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneMeters:
    """The meters of zones: IT, and infrastructure that serves one zone alone; ``lacks`` stops.

    ``cooling`` are those of the infrastructure that measure cooling.
    """

    zones: tuple[str, ...]
    it: Mapping[str, str]
    own: Mapping[str, str]
    cooling: frozenset[str] = frozenset()
    lacks: str = ""


def zones_of(connection: Connection, site_id: str, it: Sequence[str]) -> ZoneMeters | None:
    """Return which meters are in which zone; None of a site whose rooms nobody has written down.

    ``it`` are the IT meters of the category that the site's PUE is of.
    """
    placed = _placed(connection, site_id)
    return zone_meters(placed, it) if placed.rooms else None


def zone_figures(
    known: Known,
    found: ZoneMeters,
    by_meter: Mapping[str, float],
    facility_wh: float,
    split: SplitKey = SplitKey.HEAT,
) -> Iterator[KpiFigure]:
    """Yield the partial PUE of every zone, out of energies over one time."""
    cooling = {one: zone for one, zone in found.own.items() if one in found.cooling}
    zones = [
        ZoneEnergy(
            zone=zone,
            it_wh=_sum(by_meter, found.it, zone),
            own_wh=_sum(by_meter, found.own, zone),
            cooling_wh=_sum(by_meter, cooling, zone) if zone in cooling.values() else None,
        )
        for zone in found.zones
    ]
    shared_wh = facility_wh - sum(one.it_wh + one.own_wh for one in zones)
    if shared_wh < 0:
        why = f"meters of the zones count {-shared_wh:,.0f} Wh more than the facility's"
        yield from withheld_zones(known, found, why)
        return
    yield from partial_pue(known, zones, shared_wh, split).values()


def withheld_zones(known: Known, found: ZoneMeters, why: str) -> Iterator[KpiFigure]:
    """Yield a figure without a value for every zone."""
    for zone in found.zones:
        yield withheld(Kpi.PPUE, known, why, basis=f"zone {zone}")


def _placed(connection: Connection, site_id: str) -> Inventory:
    found = Inventory()
    for kind in (Kind.ROOMS, Kind.RACKS, Kind.METERS):
        found = found.with_kind(kind, store_inventory.load_kind(connection, site_id, kind))
    return found


def _sum(by_meter: Mapping[str, float], zones: Mapping[str, str], zone: str) -> float:
    return sum(by_meter[meter_id] for meter_id, of_it in zones.items() if of_it == zone)


def zone_meters(placed: Inventory, it: Sequence[str]) -> ZoneMeters:
    """Return which of the IT meters, and of the infrastructure's, are in which zone."""
    zones = tuple(sorted({room.zone_or_own for room in placed.rooms.values()}))
    in_zones: dict[str, str] = {}
    lost: list[str] = []
    for meter_id in it:
        zone = zone_of(placed, placed.meters[meter_id])
        if zone is None:
            lost.append(meter_id)
        else:
            in_zones[meter_id] = zone
    own = {one.id: zone for one, zone in _own(placed)}
    cooling = frozenset(one for one in own if placed.meters[one].role is MeterRole.COOLING)
    if lost:
        names = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
        why = f"IT meters measure no room or rack of a zone: {names}"
        return ZoneMeters(zones=zones, it=in_zones, own=own, cooling=cooling, lacks=why)
    return ZoneMeters(zones=zones, it=in_zones, own=own, cooling=cooling)


def zone_of(placed: Inventory, one: PlacedMeter) -> str | None:
    """Return the zone of what a meter measures; None where it is in none."""
    room_id = one.object_id if one.measures is Measures.ROOM else None
    if one.measures is Measures.RACK:
        rack = placed.racks.get(one.object_id or "")
        room_id = None if rack is None else rack.room_id
    room = placed.rooms.get(room_id or "")
    return None if room is None else room.zone_or_own


def _own(placed: Inventory) -> Iterator[tuple[PlacedMeter, str]]:
    """Yield infrastructure meters of one zone that hold no IT and are in no other such meter."""
    above = {one.id: list(ancestors(one, placed.meters)) for one in placed.meters.values()}
    holds_it = {
        parent.id
        for one in placed.meters.values()
        if one.role is MeterRole.IT
        for parent in above[one.id]
    }
    found: dict[str, tuple[PlacedMeter, str]] = {}
    for one in placed.meters.values():
        zone = zone_of(placed, one)
        if one.role in _OWN and zone is not None and one.id not in holds_it:
            found[one.id] = (one, zone)
    for one, zone in found.values():
        if not any(up.id in found or up.role is MeterRole.IT for up in above[one.id]):
            yield one, zone
