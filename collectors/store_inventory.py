"""The inventory of a site in the database: what stands there now, and writing changes to it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Table, bindparam, delete, func, select

from collectors import store_meters
from collectors.inventory.change import Change, Verb
from collectors.inventory.check import references
from collectors.inventory.faults import Ref, Surroundings
from collectors.inventory.fields import field_names, item_of
from collectors.store_samples import chunks
from suanwang.db.tables import (
    accelerator,
    energy_due,
    energy_window,
    feed,
    host,
    meter,
    meter_episode,
    meter_state,
    pool,
    rack,
    room,
    site,
)
from suanwang.errors import NotFound
from suanwang.model.inventory import Delivery, Inventory, Item, Kind, Value

TABLES: Final[Mapping[Kind, Table]] = {
    Kind.ROOMS: room,
    Kind.FEEDS: feed,
    Kind.RACKS: rack,
    Kind.METERS: meter,
    Kind.HOSTS: host,
    Kind.ACCELERATORS: accelerator,
}
_NETWORK_WIDE: Final = (Kind.METERS, Kind.ACCELERATORS)
"""Kinds whose ids are unique in the whole network, not at their site alone."""


def load(connection: Connection, site_id: str) -> Inventory:
    """Return what stands at a site now."""
    found = Inventory()
    for kind in Kind:
        found = found.with_kind(kind, load_kind(connection, site_id, kind))
    return found


def load_kind(
    connection: Connection, site_id: str, kind: Kind, *, after: str = "", limit: int | None = None
) -> dict[str, Item]:
    """Return the things of a kind at a site, in the order of their ids, those behind ``after``."""
    table = TABLES[kind]
    columns = [table.c[name] for name in field_names(kind)]
    query = select(*columns).where(table.c.site_id == site_id, table.c.id > after)
    rows = connection.execute(query.order_by(table.c.id).limit(limit)).mappings()
    return {
        row["id"]: item_of(kind, {str(name): value for name, value in row.items()}) for row in rows
    }


def find(connection: Connection, site_id: str, ref: Ref) -> Item | None:
    """Return a thing of a site, or None."""
    table = TABLES[ref.kind]
    columns = [table.c[name] for name in field_names(ref.kind)]
    query = select(*columns).where(table.c.site_id == site_id, table.c.id == ref.id)
    row = connection.execute(query).mappings().first()
    return None if row is None else item_of(ref.kind, {str(key): row[key] for key in row})


def counts_by_site(connection: Connection) -> dict[tuple[str, Kind], int]:
    """Return how many things of each kind stand at each site that has any."""
    found: dict[tuple[str, Kind], int] = {}
    for kind, table in TABLES.items():
        rows = connection.execute(
            select(table.c.site_id, func.count().label("things")).group_by(table.c.site_id)
        )
        found |= {(row.site_id, kind): row.things for row in rows}
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RacksOf:
    """Racks of a site that are as far on their way as each other, and their rated power."""

    site_id: str
    delivery: Delivery
    racks: int
    rated_w: int


def racks_by_delivery(connection: Connection) -> tuple[RacksOf, ...]:
    """Return how many racks of which power are planned, delivered and in use, by site."""
    rows = connection.execute(
        select(rack.c.site_id, rack.c.delivery, func.count(), func.sum(rack.c.rated_w))
        .group_by(rack.c.site_id, rack.c.delivery)
        .order_by(rack.c.site_id, rack.c.delivery)
    )
    return tuple(
        RacksOf(site_id=site_id, delivery=Delivery(delivery), racks=racks, rated_w=int(rated_w))
        for site_id, delivery, racks, rated_w in rows
    )


def surroundings(connection: Connection, site_id: str, used: Iterable[Ref]) -> Surroundings:
    """Return what else is known of a site, and whose the ``used`` network-wide ids are."""
    row = connection.execute(select(site.c.it_design_w).where(site.c.id == site_id)).first()
    if row is None:
        raise NotFound(f"there is no site {site_id}", site_id=site_id)
    pools = connection.execute(select(pool.c.id, pool.c.units).where(pool.c.site_id == site_id))
    return Surroundings(
        it_design_w=row.it_design_w,
        pools={one.id: one.units for one in pools},
        elsewhere=_elsewhere(connection, site_id, used),
        with_energy=_with_energy(connection, site_id),
    )


def _elsewhere(connection: Connection, site_id: str, used: Iterable[Ref]) -> dict[Ref, str]:
    found: dict[Ref, str] = {}
    wanted = set(used)
    for kind in _NETWORK_WIDE:
        table = TABLES[kind]
        for piece in chunks(sorted(ref.id for ref in wanted if ref.kind is kind)):
            rows = connection.execute(
                select(table.c.id, table.c.site_id).where(
                    table.c.id.in_(piece), table.c.site_id != site_id
                )
            )
            found |= {Ref(kind, row.id): row.site_id for row in rows}
    return found


def _with_energy(connection: Connection, site_id: str) -> frozenset[str]:
    """Return the meters of a site that have been read, or have windows."""
    read = (
        select(meter.c.id)
        .join(meter_state, meter_state.c.meter_id == meter.c.id)
        .where(meter.c.site_id == site_id, meter_state.c.first_ms.is_not(None))
    )
    counted = select(meter.c.id).where(
        meter.c.site_id == site_id,
        select(energy_window.c.meter_id).where(energy_window.c.meter_id == meter.c.id).exists(),
    )
    return frozenset(connection.scalars(read.union(counted)))


def used_ids(items: Iterable[tuple[Kind, Item]]) -> Iterator[Ref]:
    """Yield the network-wide ids that things have or name."""
    for kind, item in items:
        if kind in _NETWORK_WIDE:
            yield Ref(kind, item.id)
        for _, ref in references(kind, item):
            if ref.kind in _NETWORK_WIDE:
                yield ref


def write(connection: Connection, site_id: str, changes: Sequence[Change]) -> None:
    """Write sound changes: what others name first, and away what names others first."""
    by: dict[tuple[Kind, Verb], list[Change]] = {}
    for change in changes:
        by.setdefault((change.kind, change.verb), []).append(change)
    for kind in Kind:
        added = by.get((kind, Verb.ADDED), [])
        _insert(connection, site_id, kind, added)
        if kind is Kind.METERS:
            store_meters.add_states(connection, [change.id for change in added])
    for kind in Kind:
        _update(connection, site_id, kind, by.get((kind, Verb.CHANGED), []))
    for kind in reversed(Kind):
        _delete(connection, site_id, kind, by.get((kind, Verb.REMOVED), []))


def _insert(connection: Connection, site_id: str, kind: Kind, added: Sequence[Change]) -> None:
    for layer in layers({change.id: change.after or {} for change in added}):
        rows = [{**values, "site_id": site_id} for values in layer]
        connection.execute(TABLES[kind].insert(), rows)


def layers(items: Mapping[str, Mapping[str, Value]]) -> Iterator[list[Mapping[str, Value]]]:
    """Yield things in layers, each behind its parent where that is among them too."""
    left = dict(items)
    while left:
        layer = [one for one in left.values() if one.get("parent_id") not in left]
        assert layer, f"a ring was not refused: {sorted(left)}"
        for one in layer:
            del left[str(one["id"])]
        yield layer


def _update(connection: Connection, site_id: str, kind: Kind, changed: Sequence[Change]) -> None:
    if not changed:
        return
    table = TABLES[kind]
    names = [name for name in field_names(kind) if name != "id"]
    statement = (
        table.update()
        .where(table.c.id == bindparam("of_id"), table.c.site_id == site_id)
        .values({name: bindparam(f"new_{name}") for name in names})
    )
    rows: list[dict[str, Value]] = []
    for change in changed:
        assert change.after is not None
        values = {f"new_{name}": change.after[name] for name in names}
        rows.append({"of_id": change.id, **values})
    connection.execute(statement, rows)


def _delete(connection: Connection, site_id: str, kind: Kind, removed: Sequence[Change]) -> None:
    table = TABLES[kind]
    for layer in reversed(list(layers({change.id: change.before or {} for change in removed}))):
        for piece in chunks([str(values["id"]) for values in layer]):
            if kind is Kind.METERS:
                for dependent in (meter_state, meter_episode, energy_due):
                    connection.execute(delete(dependent).where(dependent.c.meter_id.in_(piece)))
            connection.execute(
                delete(table).where(table.c.site_id == site_id, table.c.id.in_(piece))
            )
