"""What NetBox says of a site, as rows of an inventory. Pure: answers in, rows and notes out.

Only what NetBox knows becomes a column, so what is kept here alone (zones, what is booked) stays.
The table of what becomes what is in docs/inventory.md.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from suanwang.model.inventory import Delivery, Face, HostKind, Kind, RackCooling, Side
from suanwang.model.meter import MeterRole, PueCategory

Document = Mapping[str, object]
"""An object as NetBox's API gives it."""
Rows = Mapping[Kind, Sequence[Sequence[str]]]
ENDPOINTS: Final = (
    "locations",
    "racks",
    "devices",
    "device-types",
    "power-panels",
    "power-feeds",
    "modules",
    "inventory-items",
)
"""What is read of a site, below ``/api/dcim/``; the last two only where a map names parts."""
DELIVERY: Final[Mapping[str, Delivery]] = {
    "planned": Delivery.PLANNED,
    "reserved": Delivery.DELIVERED,
    "available": Delivery.DELIVERED,
    "active": Delivery.IN_USE,
}
"""By the status of a rack; one with another status (``deprecated``) is left out."""
GONE: Final = frozenset({"decommissioning", "inventory"})
"""Devices of these states do not stand in a rack any more, or not yet."""
KIND_WORDS: Final[tuple[tuple[str, HostKind], ...]] = (
    ("pdu", HostKind.POWER),
    ("ups", HostKind.POWER),
    ("power", HostKind.POWER),
    ("switch", HostKind.NETWORK),
    ("router", HostKind.NETWORK),
    ("firewall", HostKind.NETWORK),
    ("network", HostKind.NETWORK),
    ("storage", HostKind.STORAGE),
    ("cdu", HostKind.COOLING),
    ("cool", HostKind.COOLING),
    ("server", HostKind.SERVER),
    ("compute", HostKind.SERVER),
    ("gpu", HostKind.SERVER),
)
"""Words in a device role's slug, and what such a device then is; the first one counts."""
RACK_COLUMNS: Final = (
    "id", "name", "rated_w", "room_id", "height_u", "delivery", "feed_a_id", "feed_b_id",
)  # fmt: skip
HOST_COLUMNS: Final = (
    "id", "name", "rack_id", "position_u", "height_u", "face", "kind", "model", "serial", "bmc",
)  # fmt: skip
METER_COLUMNS: Final = (
    "id", "name", "role", "category", "measures", "object_id", "rated_w", "resolution_wh",
    "modulus_wh", "poll_s", "profile", "address",
)  # fmt: skip
ACCELERATOR_COLUMNS: Final = ("id", "model", "host_id", "slot")
CUSTOM: Final = "cf:"
"""Before the name of a custom field."""
NUMBER_MAX: Final = 1e9
"""No figure of a rack, feed or device is larger."""
_ID_LENGTH: Final = 64
_Key = TypeVar("_Key")


class MeterMap(BaseModel):
    """Devices of a type that are meters: which profile reads them, and what they stand for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: Annotated[str, Field(min_length=1, max_length=64)]
    role: MeterRole = MeterRole.IT
    category: PueCategory = PueCategory.PUE3
    rated_w: Annotated[int, Field(gt=0)] | None = None
    resolution_wh: Annotated[float, Field(gt=0)] = 1.0
    modulus_wh: Annotated[int, Field(ge=0)] = 0
    poll_s: Annotated[float, Field(gt=0)] = 60.0


class AcceleratorMap(BaseModel):
    """Parts that are accelerators: of which model, and where NetBox keeps the driver's UUID.

    ``id_from`` is ``serial``, ``asset_tag``, ``name``, or ``cf:`` with the name of a custom field.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, Field(min_length=1, max_length=200)]
    id_from: Annotated[str, Field(pattern=r"^(serial|asset_tag|name|cf:[A-Za-z0-9_]{1,64})$")] = (
        "serial"
    )


class NetboxMap(BaseModel):
    """What NetBox does not know: rated power and cooling of racks, and which devices are meters.

    ``roles`` are by the slug of a device role, ``meters`` by that of a device type,
    ``accelerators`` by the model of a module type, or the part id of an inventory item.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rack_rated_w: Annotated[int, Field(gt=0)] | None = None
    rack_cooling: RackCooling | None = None
    roles: Mapping[str, HostKind] = {}
    meters: Mapping[str, MeterMap] = {}
    accelerators: Mapping[str, AcceleratorMap] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """Rows by kind, the line of headings first, and what was left out or decided on the way."""

    rows: Rows
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Power:
    """A power feed at a rack: our id of it, its side, and what it carries, W."""

    id: str
    side: Side
    rated_w: int


@dataclass(slots=True, kw_only=True)
class _Survey:
    """Answers by endpoint, what the operator adds, and what was found so far by NetBox's numbers.

    ``rack_w`` is None where nothing tells the rated power of a rack.
    """

    answers: Mapping[str, Sequence[Document]]
    wishes: NetboxMap
    rooms: Mapping[int, str] = field(default_factory=dict)
    racks: Mapping[int, str] = field(default_factory=dict)
    rack_w: dict[int, int | None] = field(default_factory=dict)
    power: dict[int, list[_Power]] = field(default_factory=dict)
    devices: Sequence[Document] = ()
    hosts: Mapping[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def all(self, endpoint: str) -> Sequence[Document]:
        """Return the objects of an endpoint by their numbers."""
        return sorted(self.answers.get(endpoint, ()), key=number_of)


def discover(answers: Mapping[str, Sequence[Document]], wishes: NetboxMap) -> Discovered:
    """Return the inventory that NetBox's answers, by endpoint, describe."""
    survey = _Survey(answers=answers, wishes=wishes)
    rows = {
        Kind.ROOMS: _rooms(survey),
        Kind.FEEDS: _feeds(survey),
        Kind.RACKS: _racks(survey),
        Kind.HOSTS: _hosts(survey),
        Kind.METERS: _meters(survey),
        Kind.ACCELERATORS: _accelerators(survey),
    }
    return Discovered(
        rows={kind: rows[kind] for kind in Kind if len(rows.get(kind, ())) > 1},
        notes=tuple(survey.notes),
    )


def _rooms(survey: _Survey) -> list[Sequence[str]]:
    locations = survey.all("locations")
    survey.rooms = ids(locations, "room", lambda one: text(one, "slug"))
    names = ((survey.rooms[number_of(one)], text(one, "name")) for one in locations)
    return [("id", "name"), *names]


def _feeds(survey: _Survey) -> list[Sequence[str]]:
    """Return panels and the feeds behind them; note down what reaches each rack."""
    panels = survey.all("power-panels")
    feeds = survey.all("power-feeds")
    names = {number_of(one): text(one, "name") for one in panels}

    def full_name(one: Document) -> str:
        words = (names.get(number_in(one, "power_panel"), ""), text(one, "name"))
        return "-".join(word for word in words if word)

    known = ids_by(_feed_key, [*panels, *feeds], "feed", full_name)
    rows: list[Sequence[str]] = [("id", "name", "side", "rated_w", "parent_id")]
    rows += [(known[_feed_key(one)], text(one, "name"), Side.SHARED, "", "") for one in panels]
    for one in feeds:
        panel = known.get(("power-panels", number_in(one, "power_panel")), "")
        rated_w = feed_w(one)
        side = _side(survey, one, known[_feed_key(one)], rated_w)
        rows.append((known[_feed_key(one)], text(one, "name"), side, str(rated_w), panel))
    return rows


def _feed_key(one: Document) -> tuple[str, int]:
    return ("power-feeds" if "power_panel" in one else "power-panels", number_of(one))


def _side(survey: _Survey, feed: Document, feed_id: str, rated_w: int) -> Side:
    """Return the side of a feed: primary is A and redundant B, unless its rack has that already."""
    rack = number_in(feed, "rack")
    there = survey.power.setdefault(rack, []) if rack else []
    side = Side.B if choice(feed, "type") == "redundant" else Side.A
    taken = {one.side for one in there}
    if side in taken and len(taken) == 1:
        side = Side.A if side is Side.B else Side.B
    if side in taken:
        survey.notes.append(f"feed {feed_id} is a third one of its rack, and is not counted there")
    else:
        there.append(_Power(id=feed_id, side=side, rated_w=rated_w))
    return side


def feed_w(feed: Document) -> int:
    """Return what a power feed may carry, W: volts x amperes x the share that may be used."""
    share = real(feed, "max_utilization", 100.0) / 100
    watts = abs(real(feed, "voltage", 0.0)) * real(feed, "amperage", 0.0) * share
    return round(watts * (math.sqrt(3) if choice(feed, "phase") == "three-phase" else 1))


def _racks(survey: _Survey) -> list[Sequence[str]]:
    standing = []
    for one in survey.all("racks"):
        if choice(one, "status") in DELIVERY:
            standing.append(one)
        else:
            survey.notes.append(f"rack {text(one, 'name')} is {choice(one, 'status')}: left out")
    survey.racks = ids(standing, "rack", lambda one: text(one, "name"))
    cooling = survey.wishes.rack_cooling
    rows: list[Sequence[str]] = [(*RACK_COLUMNS, *(["cooling"] if cooling else []))]
    for one in standing:
        number = number_of(one)
        survey.rack_w[number] = _rack_w(survey, number)
        rated_w = survey.rack_w[number]
        by_side = {power.side: power.id for power in survey.power.get(number, ())}
        rows.append(
            (
                survey.racks[number],
                text(one, "name"),
                "" if rated_w is None else str(rated_w),
                survey.rooms.get(number_in(one, "location"), ""),
                str(round(real(one, "u_height", 42.0))),
                DELIVERY[choice(one, "status")],
                by_side.get(Side.A, ""),
                by_side.get(Side.B, ""),
                *([cooling] if cooling else []),
            )
        )
    return rows


def _rack_w(survey: _Survey, number: int) -> int | None:
    """Return what the weakest side of a rack carries, since it must carry all; else the wish."""
    powers = [one.rated_w for one in survey.power.get(number, ()) if one.rated_w > 0]
    return min(powers) if powers else survey.wishes.rack_rated_w


def _hosts(survey: _Survey) -> list[Sequence[str]]:
    types = {number_of(one): one for one in survey.all("device-types")}
    first_unit = {number_of(one): real(one, "starting_unit", 1.0) for one in survey.all("racks")}
    survey.devices = _standing(survey)
    survey.hosts = ids(survey.devices, "host", lambda one: text(one, "name"))
    rows: list[Sequence[str]] = [HOST_COLUMNS]
    for one in survey.devices:
        number, rack = number_of(one), number_in(one, "rack")
        kind_of_it = types.get(number_in(one, "device_type"), {})
        height = math.ceil(real(kind_of_it, "u_height", 1.0))
        position = math.floor(real(one, "position", 0.0) - first_unit.get(rack, 1.0) + 1)
        is_placed = real(one, "position", 0.0) > 0 and rack in survey.racks and height > 0
        rows.append(
            (
                survey.hosts[number],
                text(one, "name") or text(one, "display"),
                survey.racks.get(rack, ""),
                str(position) if is_placed else "",
                str(height),
                _face(one, kind_of_it),
                _kind(one, survey.wishes),
                text(_nested(one, "device_type"), "model"),
                text(one, "serial"),
                address_of(_nested(one, "oob_ip")),
            )
        )
    return rows


def _standing(survey: _Survey) -> list[Document]:
    devices = survey.all("devices")
    gone = [one for one in devices if choice(one, "status") in GONE]
    if gone:
        names = ", ".join(text(one, "name") for one in gone[:3])
        survey.notes.append(f"devices that do not stand now: {len(gone)} ({names})")
    return [one for one in devices if choice(one, "status") not in GONE]


def _face(device: Document, kind_of_it: Document) -> Face:
    if kind_of_it.get("is_full_depth", True) or not choice(device, "face"):
        return Face.BOTH
    return Face.REAR if choice(device, "face") == "rear" else Face.FRONT


def _kind(device: Document, wishes: NetboxMap) -> HostKind:
    slug = text(_nested(device, "role") or _nested(device, "device_role"), "slug")
    if slug in wishes.roles:
        return wishes.roles[slug]
    return next((kind for word, kind in KIND_WORDS if word in slug), HostKind.OTHER)


def _meters(survey: _Survey) -> list[Sequence[str]]:
    """Return devices of types that are meters; each measures its rack."""
    rows: list[Sequence[str]] = [METER_COLUMNS]
    for one in survey.devices:
        wish = survey.wishes.meters.get(text(_nested(one, "device_type"), "slug"))
        rack = number_in(one, "rack")
        if wish is None:
            continue
        rated_w = wish.rated_w or survey.rack_w.get(rack)
        if rack not in survey.racks or rated_w is None:
            why = "is in no rack" if rack not in survey.racks else "has a rack of unknown power"
            survey.notes.append(f"meter {survey.hosts[number_of(one)]} {why}: left out")
            continue
        rows.append(
            (
                survey.hosts[number_of(one)], text(one, "name") or text(one, "display"), wish.role,
                wish.category, "rack", survey.racks[rack], str(rated_w),
                f"{wish.resolution_wh:.15g}", str(wish.modulus_wh), f"{wish.poll_s:.15g}",
                wish.profile, address_of(_nested(one, "oob_ip") or _nested(one, "primary_ip")),
            )
        )  # fmt: skip
    return rows


def _accelerators(survey: _Survey) -> list[Sequence[str]]:
    """Return modules and inventory items that are accelerators, of devices that stand.

    A card that is both a module and an item counts once, as the module.
    """
    rows: list[Sequence[str]] = [ACCELERATOR_COLUMNS]
    known: set[str] = set()
    nameless: Counter[str] = Counter()
    for one in (*survey.all("modules"), *survey.all("inventory-items")):
        part = text(_nested(one, "module_type"), "model") or text(one, "part_id")
        wish = survey.wishes.accelerators.get(part)
        host_id = survey.hosts.get(number_in(one, "device"))
        if wish is None or host_id is None or choice(one, "status") in GONE:
            continue
        uuid = _uuid(one, wish)
        if not uuid:
            nameless[host_id] += 1
        elif uuid not in known:
            known.add(uuid)
            rows.append((uuid, wish.model, host_id, _slot(one)))
    for host_id, count in sorted(nameless.items()):
        survey.notes.append(f"accelerators of {host_id} without a UUID: {count}, left out")
    return rows


def _uuid(part: Document, wish: AcceleratorMap) -> str:
    if wish.id_from.startswith(CUSTOM):
        return text(_nested(part, "custom_fields"), wish.id_from.removeprefix(CUSTOM))
    return text(part, wish.id_from)


def _slot(part: Document) -> str:
    """Return the number at the end of what a part is plugged into, or is called."""
    bay = _nested(part, "module_bay")
    name = text(bay, "position") or text(bay, "name") or text(part, "name")
    found = re.search(r"([0-9]{1,3})$", name)
    return str(int(found[1])) if found else ""


def number_of(one: Document) -> int:
    """Return NetBox's number of an object; 0 where it has none."""
    value = one.get("id")
    return value if isinstance(value, int) else 0


def number_in(one: Document, name: str) -> int:
    """Return the number of an object that another one names; 0 where it names none."""
    return number_of(_nested(one, name))


def _nested(one: Document, name: str) -> Document:
    value = one.get(name)
    return value if isinstance(value, dict) else {}


def text(one: Document, name: str) -> str:
    """Return a text of an object; empty where it is none."""
    value = one.get(name)
    return " ".join(value.split())[:200] if isinstance(value, str) else ""


def choice(one: Document, name: str) -> str:
    """Return the value of a choice, which comes as ``{value, label}``, or as a plain word."""
    value = one.get(name)
    return text(value, "value") if isinstance(value, dict) else text(one, name)


def real(one: Document, name: str, default: float) -> float:
    """Return a number of an object, which may come as text."""
    value = one.get(name)
    try:
        found = float(value) if isinstance(value, int | float | str) else default
    except ValueError:
        return default
    return found if abs(found) <= NUMBER_MAX else default


def address_of(ip: Document) -> str:
    """Return an address without the length of its network."""
    return text(ip, "address").partition("/")[0]


def ids(
    documents: Sequence[Document], kind: str, name: Callable[[Document], str]
) -> dict[int, str]:
    """Return ids of ours for objects of one endpoint by their numbers; see ``ids_by``."""
    return ids_by(number_of, documents, kind, name)


def ids_by(
    key: Callable[[Document], _Key],
    documents: Sequence[Document],
    kind: str,
    name: Callable[[Document], str],
) -> dict[_Key, str]:
    """Return an id of ours for each object, by its name; names that are alike get their numbers.

    A name without a letter or digit that an id may have becomes kind and number.
    """
    short = {key(one): _id(name(one)) for one in documents}
    alike = Counter(short.values())
    found: dict[_Key, str] = {}
    for one in documents:
        base, tail = short[key(one)], f"-{number_of(one)}"
        if not base:
            found[key(one)] = f"{kind}{tail}"
        elif alike[base] > 1:
            found[key(one)] = base[: _ID_LENGTH - len(tail)] + tail
        else:
            found[key(one)] = base
    return found


def _id(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:_ID_LENGTH].rstrip("-._")
