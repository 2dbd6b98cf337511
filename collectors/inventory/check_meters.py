"""Whether the meters of a site can be what they are said to be, and stand where they are said to.

A wrong role makes a wrong PUE that nobody sees, so what cannot be is refused.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from collectors.inventory.faults import Code, Fault, Ref, Surroundings, cycles
from suanwang.model.inventory import Inventory, Kind, Measures, PlacedMeter
from suanwang.model.meter import Carrier, MeterRole, PueCategory

_ENERGY: Final = frozenset(Carrier) - {Carrier.WATER}
CARRIERS: Final[Mapping[MeterRole, frozenset[Carrier]]] = {
    MeterRole.FACILITY: _ENERGY - {Carrier.HEAT},
    MeterRole.IT: frozenset({Carrier.ELECTRICITY}),
    MeterRole.COOLING: frozenset({Carrier.ELECTRICITY, Carrier.DISTRICT_COOLING}),
    MeterRole.WATER: frozenset({Carrier.WATER}),
    MeterRole.REUSE: frozenset({Carrier.HEAT}),
    MeterRole.RENEWABLE: frozenset({Carrier.ELECTRICITY}),
    MeterRole.OTHER: frozenset(Carrier),
}
"""What can flow through a meter of each role."""
IT_PLACES: Final[Mapping[PueCategory, frozenset[Measures]]] = {
    PueCategory.PUE1: frozenset({Measures.SITE, Measures.ROOM, Measures.FEED}),
    PueCategory.PUE2: frozenset({Measures.SITE, Measures.ROOM, Measures.FEED, Measures.RACK}),
    PueCategory.PUE3: frozenset({Measures.SITE, Measures.ROOM, Measures.RACK}),
}
"""What an IT meter can measure: PUE1 is the output of a UPS, PUE3 the input of equipment."""
_DOWNSTREAM: Final = tuple(PueCategory)
"""Categories in the order in which power passes their points."""


def meter_faults(inventory: Inventory, around: Surroundings) -> Iterator[Fault]:
    """Find meters whose role, carrier, category, object or place in the tree cannot be."""
    meters = inventory.meters
    rings = list(cycles(Kind.METERS, {one.id: one.parent_id for one in meters.values()}))
    yield from rings
    in_rings = {fault.id for fault in rings}
    for one in meters.values():
        yield from _object(one)
        yield from _role(one)
        if one.id not in in_rings:
            yield from _ancestors(one, meters)


def _object(one: PlacedMeter) -> Iterator[Fault]:
    has_object = one.measures in (Measures.ROOM, Measures.FEED, Measures.RACK)
    if has_object and one.object_id is None:
        yield _fault(Code.UNKNOWN, one, "object_id", f"which {one.measures} does it measure?")
    if not has_object and one.object_id is not None:
        why = f"a meter of the {one.measures} names no object; {one.object_id} is one"
        yield _fault(Code.UNKNOWN, one, "object_id", why)


def _role(one: PlacedMeter) -> Iterator[Fault]:
    if one.carrier not in CARRIERS[one.role]:
        known = ", ".join(sorted(CARRIERS[one.role]))
        why = f"a meter of the role {one.role} counts {known}, not {one.carrier}"
        yield _fault(Code.ROLE, one, "carrier", why)
    if one.role is MeterRole.FACILITY and one.measures is Measures.RACK:
        why = "what crosses the site's border is not measured at a rack"
        yield _fault(Code.ROLE, one, "measures", why)
    if one.role is MeterRole.IT and one.measures is Measures.PLANT:
        why = "plant is no IT; use the role cooling or other"
        yield _fault(Code.ROLE, one, "measures", why)
    elif one.role is MeterRole.IT and one.measures not in IT_PLACES[one.category]:
        points = {"PUE1": "UPS output", "PUE2": "PDU output", "PUE3": "equipment input"}
        why = f"{one.category} is the {points[one.category]}, which no meter of a {one.measures} is"
        yield _fault(Code.CATEGORY, one, "category", why)


def _ancestors(one: PlacedMeter, meters: Mapping[str, PlacedMeter]) -> Iterator[Fault]:
    parent = meters.get(one.parent_id or "")
    if parent is not None and parent.carrier is not one.carrier:
        why = f"it counts {one.carrier}, meter {parent.id} before it {parent.carrier}"
        yield _fault(Code.CARRIER, one, "parent_id", why, parent)
    for above in ancestors(one, meters):
        yield from _counted_twice(one, above)


def ancestors(one: PlacedMeter, meters: Mapping[str, PlacedMeter]) -> Iterator[PlacedMeter]:
    """Yield the meters that one is behind, the nearest first, each once."""
    seen = {one.id}
    above = meters.get(one.parent_id or "")
    while above is not None and above.id not in seen:
        seen.add(above.id)
        yield above
        above = meters.get(above.parent_id or "")


def _counted_twice(one: PlacedMeter, above: PlacedMeter) -> Iterator[Fault]:
    both = {one.role, above.role}
    if both == {MeterRole.FACILITY}:
        why = f"its energy is in facility meter {above.id} already, and would count twice"
        yield _fault(Code.DOUBLE_COUNT, one, "role", why, above)
    if one.role is MeterRole.FACILITY and above.role is not MeterRole.FACILITY:
        why = f"a facility meter is at the border, not behind {above.role} meter {above.id}"
        yield _fault(Code.ROLE, one, "role", why, above)
    if both != {MeterRole.IT}:
        return
    if one.category is above.category:
        why = f"its energy is in {above.category} meter {above.id} already, and would count twice"
        yield _fault(Code.DOUBLE_COUNT, one, "category", why, above)
    elif _DOWNSTREAM.index(one.category) < _DOWNSTREAM.index(above.category):
        why = f"{one.category} comes before {above.category}, and {above.id} is before it"
        yield _fault(Code.CATEGORY, one, "category", why, above)


def _fault(
    code: Code, one: PlacedMeter, field: str, why: str, other: PlacedMeter | None = None
) -> Fault:
    others = () if other is None else (Ref(Kind.METERS, other.id),)
    return Fault(code, Kind.METERS, one.id, field, why, others)
