"""What stands in a data centre: rooms, feeds, racks, meters, hosts and accelerators.

Every thing has an id that is unique at its site, and names others by theirs. Whether the things fit
together is for ``collectors.inventory.check`` to say; here is only what each of them is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Final

from suanwang.model.meter import Carrier, MeterRole, PueCategory
from suanwang.units import STANDARD_RACK_W

Value = str | int | float | None
"""What a field holds, as it is written in files, answers and the history."""


class Kind(StrEnum):
    """Kinds of things; the word names the sheet, the route and the rows of the history.

    The order is that of reference: each kind names earlier ones only, and its own.
    """

    ROOMS = "rooms"
    FEEDS = "feeds"
    RACKS = "racks"
    METERS = "meters"
    HOSTS = "hosts"
    ACCELERATORS = "accelerators"


class Delivery(StrEnum):
    """How far a rack is on its way: not there yet, handed over, or with machines of a user."""

    PLANNED = "planned"
    DELIVERED = "delivered"
    IN_USE = "in_use"


class RackCooling(StrEnum):
    """What carries the heat out of a rack."""

    AIR = "air"
    REAR_DOOR = "rear_door"
    COLD_PLATE = "cold_plate"
    IMMERSION = "immersion"


class Side(StrEnum):
    """Which of two independent ways a feed belongs to; ``shared`` is upstream of both."""

    A = "A"
    B = "B"
    SHARED = "shared"


class Measures(StrEnum):
    """What stands behind a meter: the whole site, one thing of it, or plant that serves many."""

    SITE = "site"
    ROOM = "room"
    FEED = "feed"
    RACK = "rack"
    PLANT = "plant"


MEASURED_KINDS: Final[Mapping[Measures, Kind]] = {
    Measures.ROOM: Kind.ROOMS,
    Measures.FEED: Kind.FEEDS,
    Measures.RACK: Kind.RACKS,
}
"""The kind of the thing that a meter's ``object_id`` names; of a site or plant there is none."""


class HostKind(StrEnum):
    """What a machine in a rack is."""

    SERVER = "server"
    NETWORK = "network"
    STORAGE = "storage"
    POWER = "power"
    COOLING = "cooling"
    OTHER = "other"


class Face(StrEnum):
    """Which part of a rack's depth a machine takes."""

    BOTH = "both"
    FRONT = "front"
    REAR = "rear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room; rooms of one ``zone`` share their cooling and have one partial PUE."""

    id: str
    name: str
    zone: str = ""
    floor: str = ""
    it_design_w: int | None = None

    @property
    def zone_or_own(self) -> str:
        """The zone; a room that names none is one by itself."""
        return self.zone or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A way of power: a panel, a busbar or a branch of one; ``rated_w`` None is not known."""

    id: str
    name: str
    side: Side
    rated_w: int | None = None
    parent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rack:
    """A rack by its rated IT power; ``contracted_w`` is what a user has booked of it, if known."""

    id: str
    name: str
    rated_w: int
    room_id: str | None = None
    position: str = ""
    height_u: int = 42
    contracted_w: int | None = None
    cooling: RackCooling = RackCooling.AIR
    delivery: Delivery = Delivery.DELIVERED
    feed_a_id: str | None = None
    feed_b_id: str | None = None

    @property
    def standard_racks(self) -> float:
        """Rated power in standard racks of 2.5 kW."""
        return self.rated_w / STANDARD_RACK_W

    @property
    def is_deliverable(self) -> bool:
        """Whether it stands and can be, or was, handed to a user."""
        return self.delivery is not Delivery.PLANNED


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedMeter:
    """A meter with its place: what it measures, and the meter that it is behind.

    ``profile`` and ``address`` say how the agent reads it; both may be empty. The figures of its
    register are those of ``suanwang.model.meter.Meter``.
    """

    id: str
    name: str
    role: MeterRole
    rated_w: int
    measures: Measures = Measures.SITE
    object_id: str | None = None
    parent_id: str | None = None
    carrier: Carrier = Carrier.ELECTRICITY
    category: PueCategory = PueCategory.PUE3
    resolution_wh: float = 1.0
    modulus_wh: int = 0
    poll_s: float = 60.0
    profile: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A machine; ``position_u`` is its lowest unit, None for one that takes none (a rack PDU)."""

    id: str
    name: str
    rack_id: str | None = None
    position_u: int | None = None
    height_u: int = 1
    face: Face = Face.BOTH
    kind: HostKind = HostKind.SERVER
    model: str = ""
    serial: str = ""
    rated_w: int | None = None
    bmc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """A GPU or NPU by its UUID; ``pool_id`` is the pool that it is scheduled in."""

    id: str
    model: str
    host_id: str | None = None
    slot: int | None = None
    pool_id: str | None = None


Item = Room | Feed | Rack | PlacedMeter | Host | Accelerator
TYPES: Final[Mapping[Kind, type[Item]]] = {
    Kind.ROOMS: Room,
    Kind.FEEDS: Feed,
    Kind.RACKS: Rack,
    Kind.METERS: PlacedMeter,
    Kind.HOSTS: Host,
    Kind.ACCELERATORS: Accelerator,
}


def values_of(item: Item) -> dict[str, Value]:
    """Return a thing's fields as they are written in files and in the history."""
    values: dict[str, Value] = {}
    for each in fields(item):
        value = getattr(item, each.name)
        values[each.name] = value.value if isinstance(value, StrEnum) else value
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Everything that stands at a site, by kind and id."""

    rooms: Mapping[str, Room] = field(default_factory=dict)
    feeds: Mapping[str, Feed] = field(default_factory=dict)
    racks: Mapping[str, Rack] = field(default_factory=dict)
    meters: Mapping[str, PlacedMeter] = field(default_factory=dict)
    hosts: Mapping[str, Host] = field(default_factory=dict)
    accelerators: Mapping[str, Accelerator] = field(default_factory=dict)

    def of(self, kind: Kind) -> Mapping[str, Item]:
        """Return the things of a kind by id."""
        found: Mapping[str, Item] = getattr(self, kind.value)
        return found

    def with_kind(self, kind: Kind, items: Mapping[str, Item]) -> "Inventory":
        """Return an inventory in which a kind is replaced."""
        changed: dict[str, Mapping[str, Item]] = {kind.value: items}
        return replace(self, **changed)  # type: ignore[arg-type]
