"""Builders for tests of the inventory: a small room with two feeds, and files of things."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from collectors.inventory.faults import Ref, Surroundings
from collectors.inventory.fields import read_item
from collectors.store_inventory_edit import (
    Outcome,
    Wishes,
    plan_file,
    plan_put,
    plan_removal,
    write,
)
from collectors.store_inventory_history import Author, Origin
from suanwang.db.tables import site
from suanwang.model.inventory import Inventory, Item, Kind
from suanwang.sheets import write_workbook

AROUND = Surroundings(it_design_w=100_000, pools={"gpu": 8})
Rows = Sequence[Sequence[str]]

HALL: dict[str, Rows] = {
    "rooms": [["id", "name", "zone", "it_design_w"], ["r1", "Hall 1", "", "80000"]],
    "feeds": [
        ["id", "name", "side", "rated_w", "parent_id"],
        ["a1", "Busbar A1", "A", "40000", "a"],
        ["a", "UPS A", "A", "80000", ""],
        ["b1", "Busbar B1", "B", "40000", ""],
    ],
    "racks": [
        ["id", "name", "rated_w", "room_id", "feed_a_id", "feed_b_id", "delivery", "contracted_w"],
        ["k1", "A-01", "10000", "r1", "a1", "b1", "in_use", "8000"],
        ["k2", "A-02", "10000", "r1", "a1", "b1", "delivered", ""],
        ["k3", "A-03", "10000", "r1", "a1", "b1", "planned", ""],
    ],
    "meters": [
        ["id", "name", "role", "rated_w", "measures", "object_id", "parent_id", "category"],
        ["m-main", "Grid", "facility", "200000", "site", "", "", ""],
        ["m-r1", "IT of hall 1", "it", "100000", "room", "r1", "m-main", "PUE2"],
        ["m-k1", "PDU of A-01", "it", "12000", "rack", "k1", "m-r1", "PUE3"],
    ],
    "hosts": [
        ["id", "name", "rack_id", "position_u", "height_u", "model", "bmc"],
        ["h1", "gpu-01", "k1", "1", "8", "DGX", "https://10.0.0.21"],
        ["pdu1", "PDU left", "k1", "", "0", "AP8941", ""],
    ],
    "accelerators": [
        ["id", "model", "host_id", "slot", "pool_id"],
        ["GPU-0001", "nvidia-h100-sxm", "h1", "0", ""],
        ["GPU-0002", "nvidia-h100-sxm", "h1", "1", ""],
    ],
}


def a_workbook(**sheets: Rows) -> bytes:
    """Return a workbook with these sheets."""
    return write_workbook(sheets)


def hall() -> bytes:
    """Return the workbook of the small hall."""
    return a_workbook(**HALL)


def things(**kinds: Sequence[dict[str, Any]]) -> Inventory:
    """Return an inventory of things given by their fields; a name is the id where none is given."""
    found = Inventory()
    for name, of_it in kinds.items():
        kind = Kind(name)
        items: dict[str, Item] = {}
        for values in of_it:
            named = {} if kind is Kind.ACCELERATORS else {"name": values["id"]}
            item = read_item(kind, {**named, **values}, Inventory())
            assert not isinstance(item, tuple), item
            items[item.id] = item
        found = found.with_kind(kind, items)
    return found


def an_author(at: datetime, reason: str = "test", origin: Origin = Origin.IMPORT) -> Author:
    """Return who changes something."""
    return Author(actor="key k", origin=origin, reason=reason, at=at)


def take_in(
    connection: Connection, site_id: str, content: bytes, at: datetime, **wishes: Any
) -> Outcome:
    """Take in a file, all in one transaction."""
    asked = Wishes(**wishes)
    planned = plan_file(connection, site_id, content, asked)
    if asked.is_trial or (asked.is_strict and planned.plan.faults):
        return planned
    done = write(connection, site_id, planned, an_author(at))
    if done is None:
        again = plan_file(connection, site_id, content, asked)
        done = write(connection, site_id, again, an_author(at))
    assert done is not None
    return done


def put(
    connection: Connection,
    site_id: str,
    ref: Ref,
    values: dict[str, Any],
    author: Author,
    expected: int | None = None,
) -> Outcome:
    """Write fields of one thing."""
    done = write(connection, site_id, plan_put(connection, site_id, ref, values, expected), author)
    assert done is not None
    return done


def remove(
    connection: Connection, site_id: str, ref: Ref, author: Author, expected: int | None = None
) -> Outcome:
    """Take one thing away."""
    done = write(connection, site_id, plan_removal(connection, site_id, ref, expected), author)
    assert done is not None
    return done


def set_design(connection: Connection, site_id: str, it_design_w: int) -> None:
    """Give a site another design IT power."""
    connection.execute(site.update().where(site.c.id == site_id).values(it_design_w=it_design_w))
