"""Whether the things of an inventory fit together: every fault is found and named, none is mended.

Pure. Meters have a page of their own, ``check_meters``.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from collectors.inventory.check_meters import meter_faults
from collectors.inventory.faults import Code, Fault, Ref, Surroundings, cycles
from suanwang.model.inventory import (
    MEASURED_KINDS,
    Delivery,
    Face,
    Feed,
    Host,
    Inventory,
    Item,
    Kind,
    PlacedMeter,
    Rack,
    Side,
)
from suanwang.units import STANDARD_RACK_W

REFERENCES: Final[Mapping[Kind, Mapping[str, Kind]]] = {
    Kind.FEEDS: {"parent_id": Kind.FEEDS},
    Kind.RACKS: {"room_id": Kind.ROOMS, "feed_a_id": Kind.FEEDS, "feed_b_id": Kind.FEEDS},
    Kind.METERS: {"parent_id": Kind.METERS},
    Kind.HOSTS: {"rack_id": Kind.RACKS},
    Kind.ACCELERATORS: {"host_id": Kind.HOSTS},
}
"""Fields that name another thing, and of which kind it is."""


def faults(inventory: Inventory, around: Surroundings) -> tuple[Fault, ...]:
    """Return everything that cannot be: by kind and id, each with the things that it is about."""
    found = [
        *_unknown(inventory, around),
        *_foreign(inventory, around),
        *cycles(Kind.FEEDS, {one.id: one.parent_id for one in inventory.feeds.values()}),
        *_sides(inventory),
        *_over_feeds(inventory),
        *_over_design(inventory, around),
        *_places(inventory),
        *_slots(inventory),
        *meter_faults(inventory, around),
    ]
    order = list(Kind)
    return tuple(sorted(found, key=lambda one: (order.index(one.kind), one.id, one.field)))


def references(kind: Kind, item: Item) -> Iterator[tuple[str, Ref]]:
    """Yield what a thing names, each with the field in which it does."""
    for name, to in REFERENCES.get(kind, {}).items():
        value = getattr(item, name)
        if value is not None:
            yield name, Ref(to, value)
    if isinstance(item, PlacedMeter) and item.object_id is not None:
        behind = MEASURED_KINDS.get(item.measures)
        if behind is not None:
            yield "object_id", Ref(behind, item.object_id)


def _unknown(inventory: Inventory, around: Surroundings) -> Iterator[Fault]:
    for kind in Kind:
        for item in inventory.of(kind).values():
            for name, ref in references(kind, item):
                if ref.id not in inventory.of(ref.kind):
                    yield _names_nothing(Ref(kind, item.id), name, ref, around)
    for one in inventory.accelerators.values():
        if one.pool_id is not None and one.pool_id not in around.pools:
            known = ", ".join(sorted(around.pools)) or "none"
            yield Fault(
                Code.UNKNOWN, Kind.ACCELERATORS, one.id, "pool_id",
                f"there is no pool {one.pool_id} at this site; there are: {known}",
            )  # fmt: skip


def _names_nothing(of: Ref, field: str, named: Ref, around: Surroundings) -> Fault:
    site_id = around.elsewhere.get(named)
    if site_id is not None:
        why = f"{named} is at site {site_id}, not at this one"
        return Fault(Code.OTHER_SITE, of.kind, of.id, field, why)
    why = f"{named} is not there, or its row is bad"
    return Fault(Code.UNKNOWN, of.kind, of.id, field, why, others=(named,))


def _foreign(inventory: Inventory, around: Surroundings) -> Iterator[Fault]:
    """Find things of this site whose ids, unique in the network, another site has already."""
    for ref, site_id in around.elsewhere.items():
        if ref.id in inventory.of(ref.kind):
            why = f"the id belongs to site {site_id} already; give it another one"
            yield Fault(Code.OTHER_SITE, ref.kind, ref.id, "id", why)


def _sides(inventory: Inventory) -> Iterator[Fault]:
    for rack in inventory.racks.values():
        for name, side in (("feed_a_id", Side.A), ("feed_b_id", Side.B)):
            feed = inventory.feeds.get(getattr(rack, name) or "")
            if feed is not None and feed.side not in (side, Side.SHARED):
                yield Fault(
                    Code.SIDE, Kind.RACKS, rack.id, name,
                    f"feed {feed.id} is of side {feed.side}, not of side {side}",
                    others=(Ref(Kind.FEEDS, feed.id),),
                )  # fmt: skip


def _over_feeds(inventory: Inventory) -> Iterator[Fault]:
    """Find racks that one side alone could not carry when the other is gone."""
    for rack in inventory.racks.values():
        for name in ("feed_a_id", "feed_b_id"):
            feed = inventory.feeds.get(getattr(rack, name) or "")
            if feed is None or feed.rated_w is None or rack.rated_w <= feed.rated_w:
                continue
            yield Fault(
                Code.OVER_FEED, Kind.RACKS, rack.id, name,
                f"the rack is rated {rack.rated_w:,} W, feed {feed.id} carries {feed.rated_w:,} W",
                others=(Ref(Kind.FEEDS, feed.id),),
            )  # fmt: skip


def _over_design(inventory: Inventory, around: Surroundings) -> Iterator[Fault]:
    """Find racks for which the design IT power of their site or room has no room."""
    standing = [one for one in inventory.racks.values() if one.is_deliverable]
    yield from _beyond(standing, around.it_design_w, "the site", ())
    by_room: dict[str, list[Rack]] = defaultdict(list)
    for rack in standing:
        by_room[rack.room_id or ""].append(rack)
    for room in inventory.rooms.values():
        if room.it_design_w is not None:
            others = (Ref(Kind.ROOMS, room.id),)
            yield from _beyond(by_room[room.id], room.it_design_w, f"room {room.id}", others)


def _beyond(
    racks: Sequence[Rack], design_w: int, of: str, others: tuple[Ref, ...]
) -> Iterator[Fault]:
    """Find the racks, by id, from which on the sum passes the design."""
    total_w = sum(rack.rated_w for rack in racks)
    if total_w <= design_w:
        return
    others = (*others, *(Ref(Kind.RACKS, rack.id) for rack in racks))
    before_w = 0
    for rack in sorted(racks, key=lambda one: one.id):
        before_w += rack.rated_w
        if before_w > design_w:
            yield Fault(
                Code.OVER_DESIGN, Kind.RACKS, rack.id, "rated_w",
                f"racks that stand in {of} are rated {total_w:,} W "
                f"({total_w / STANDARD_RACK_W:,.1f} standard racks), its design IT power is "
                f"{design_w:,} W ({design_w / STANDARD_RACK_W:,.1f}); this rack is beyond it",
                others=others,
            )  # fmt: skip


def _places(inventory: Inventory) -> Iterator[Fault]:
    taken: dict[tuple[str, int, Face], Host] = {}
    for host in sorted(inventory.hosts.values(), key=lambda one: one.id):
        if host.position_u is None:
            continue
        rack = inventory.racks.get(host.rack_id or "")
        if host.rack_id is None or host.height_u == 0:
            why = "a position needs a rack" if host.rack_id is None else "it is 0 units high"
            yield Fault(Code.PLACE, Kind.HOSTS, host.id, "position_u", f"{why}; leave it empty")
            continue
        yield from _too_high(host, rack)
        yield from _collides(host, taken)


def _too_high(host: Host, rack: Rack | None) -> Iterator[Fault]:
    top_u = (host.position_u or 0) + host.height_u - 1
    if rack is not None and top_u > rack.height_u:
        yield Fault(
            Code.PLACE, Kind.HOSTS, host.id, "position_u",
            f"it reaches unit {top_u}, rack {rack.id} has {rack.height_u}",
            others=(Ref(Kind.RACKS, rack.id),),
        )  # fmt: skip


def _collides(host: Host, taken: dict[tuple[str, int, Face], Host]) -> Iterator[Fault]:
    """Find who is in the units of a host already, and write the host down there."""
    low = host.position_u or 0
    faces = (Face.FRONT, Face.REAR) if host.face is Face.BOTH else (host.face,)
    met: dict[str, int] = {}
    for unit in range(low, low + host.height_u):
        for face in faces:
            other = taken.setdefault((host.rack_id or "", unit, face), host)
            if other is not host:
                met.setdefault(other.id, unit)
    for other_id, unit in met.items():
        yield Fault(
            Code.SAME_UNIT, Kind.HOSTS, host.id, "position_u",
            f"unit {unit} of rack {host.rack_id} is taken by {other_id}",
            others=(Ref(Kind.HOSTS, other_id),),
        )  # fmt: skip


def _slots(inventory: Inventory) -> Iterator[Fault]:
    taken: dict[tuple[str, int], str] = {}
    for one in sorted(inventory.accelerators.values(), key=lambda each: each.id):
        if one.slot is None or one.host_id is None:
            continue
        other_id = taken.setdefault((one.host_id, one.slot), one.id)
        if other_id != one.id:
            yield Fault(
                Code.SAME_SLOT, Kind.ACCELERATORS, one.id, "slot",
                f"slot {one.slot} of host {one.host_id} is taken by {other_id}",
                others=(Ref(Kind.ACCELERATORS, other_id),),
            )  # fmt: skip


def warnings(inventory: Inventory, around: Surroundings) -> tuple[str, ...]:
    """Return what is odd, but may be meant."""
    return (
        *_feed_loads(inventory),
        *_planned_but_full(inventory),
        *_pools(inventory, around),
        *_unplaced(inventory),
    )


def _feed_loads(inventory: Inventory) -> Iterator[str]:
    own_w: dict[str, int] = defaultdict(int)
    for rack in inventory.racks.values():
        for feed_id in {rack.feed_a_id, rack.feed_b_id} - {None}:
            own_w[str(feed_id)] += rack.rated_w if rack.is_deliverable else 0
    loads = dict(own_w)
    for feed_id, watts in own_w.items():
        for above in _above(inventory.feeds, feed_id):
            loads[above] = loads.get(above, 0) + watts
    for feed in sorted(inventory.feeds.values(), key=lambda one: one.id):
        load_w = loads.get(feed.id, 0)
        if feed.rated_w is not None and load_w > feed.rated_w:
            yield (
                f"feed {feed.id}: the racks on it are rated {load_w:,} W together, it carries "
                f"{feed.rated_w:,} W"
            )


def _above(feeds: Mapping[str, Feed], feed_id: str) -> Iterator[str]:
    """Yield the feeds upstream of one, each once."""
    seen = {feed_id}
    feed = feeds.get(feed_id)
    while feed is not None and feed.parent_id is not None and feed.parent_id not in seen:
        seen.add(feed.parent_id)
        yield feed.parent_id
        feed = feeds.get(feed.parent_id)


def _planned_but_full(inventory: Inventory) -> Iterator[str]:
    full = {host.rack_id for host in inventory.hosts.values()}
    for rack in sorted(inventory.racks.values(), key=lambda one: one.id):
        if rack.delivery is Delivery.PLANNED and rack.id in full:
            yield f"rack {rack.id} is planned, and has hosts already"


def _pools(inventory: Inventory, around: Surroundings) -> Iterator[str]:
    counts: dict[str, int] = defaultdict(int)
    for one in inventory.accelerators.values():
        if one.pool_id is not None:
            counts[one.pool_id] += 1
    for pool_id in sorted(counts):
        units = around.pools.get(pool_id, counts[pool_id])
        if counts[pool_id] != units:
            yield f"pool {pool_id} is registered with {units} units, and has {counts[pool_id]} here"


def _unplaced(inventory: Inventory) -> Iterator[str]:
    if not inventory.rooms:
        return
    count = sum(rack.room_id is None for rack in inventory.racks.values())
    if count:
        yield f"racks in no room: {count}"
