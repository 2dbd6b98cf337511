"""What stands in data centres: rooms, feeds, racks, hosts, accelerators, and who changed it when.

Ids are unique at their site; meters are in ``registry``, since the energy record hangs on them.
"""

from typing import Final

from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
)

from suanwang.db.tables.metadata import metadata
from suanwang.db.types import Int64, JsonOrNull, UtcDateTime

room: Final = Table(
    "room",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="its site"),
    Column("id", Text, primary_key=True, comment="id, unique at the site"),
    Column("name", Text, nullable=False, comment="label for people"),
    Column("zone", Text, nullable=False, comment="rooms of one share a partial PUE; empty: own"),
    Column("floor", Text, nullable=False, comment="floor"),
    Column("it_design_w", Int64, comment="most IT power by design, W"),
    comment="Rooms of data centres.",
)

feed: Final = Table(
    "feed",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="its site"),
    Column("id", Text, primary_key=True, comment="id, unique at the site"),
    Column("name", Text, nullable=False, comment="label for people"),
    Column("side", Text, nullable=False, comment="A, B or shared"),
    Column("rated_w", Int64, comment="most that it carries, W; empty where not known"),
    Column("parent_id", Text, comment="feed that it hangs on"),
    ForeignKeyConstraint(["site_id", "parent_id"], ["feed.site_id", "feed.id"]),
    comment="Ways of power to the racks.",
)

rack: Final = Table(
    "rack",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="its site"),
    Column("id", Text, primary_key=True, comment="id, unique at the site"),
    Column("name", Text, nullable=False, comment="label on the door"),
    Column("rated_w", Int64, nullable=False, comment="rated IT power, W"),
    Column("room_id", Text, comment="room that it stands in"),
    Column("position", Text, nullable=False, comment="row and place, in the operator's words"),
    Column("height_u", Integer, nullable=False, comment="height, U"),
    Column("contracted_w", Int64, comment="booked by its user, W; empty where not known"),
    Column("cooling", Text, nullable=False, comment="air, rear_door, cold_plate or immersion"),
    Column("delivery", Text, nullable=False, comment="planned, delivered or in_use"),
    Column("feed_a_id", Text, comment="feed of side A"),
    Column("feed_b_id", Text, comment="feed of side B"),
    ForeignKeyConstraint(["site_id", "room_id"], ["room.site_id", "room.id"]),
    ForeignKeyConstraint(["site_id", "feed_a_id"], ["feed.site_id", "feed.id"]),
    ForeignKeyConstraint(["site_id", "feed_b_id"], ["feed.site_id", "feed.id"]),
    comment="Racks by rated power; one standard rack is 2.5 kW.",
)

host: Final = Table(
    "host",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="its site"),
    Column("id", Text, primary_key=True, comment="id, unique at the site"),
    Column("name", Text, nullable=False, comment="label for people"),
    Column("rack_id", Text, comment="rack that it is in"),
    Column("position_u", Integer, comment="its lowest unit, from 1; empty where it takes none"),
    Column("height_u", Integer, nullable=False, comment="units that it takes"),
    Column("face", Text, nullable=False, comment="depth that it takes: both, front or rear"),
    Column("kind", Text, nullable=False, comment="server, network, storage, power, cooling, other"),
    Column("model", Text, nullable=False, comment="model"),
    Column("serial", Text, nullable=False, comment="serial number"),
    Column("rated_w", Int64, comment="most power, W; empty where not known"),
    Column("bmc", Text, nullable=False, comment="address of its BMC"),
    ForeignKeyConstraint(["site_id", "rack_id"], ["rack.site_id", "rack.id"]),
    comment="Machines in racks.",
)

accelerator: Final = Table(
    "accelerator",
    metadata,
    Column("id", Text, primary_key=True, comment="UUID that the driver shows"),
    Column("site_id", Text, ForeignKey("site.id"), nullable=False, comment="its site"),
    Column("model", Text, nullable=False, comment="accelerator model"),
    Column("host_id", Text, comment="host that it is in"),
    Column("slot", Integer, comment="its number in the host"),
    Column("pool_id", Text, ForeignKey("pool.id"), comment="pool that it is scheduled in"),
    ForeignKeyConstraint(["site_id", "host_id"], ["host.site_id", "host.id"]),
    comment="GPUs and NPUs, each by its own UUID.",
)
Index("ix_accelerator_site_id", accelerator.c.site_id)

inventory_revision: Final = Table(
    "inventory_revision",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="the site"),
    Column("revision", Integer, primary_key=True, autoincrement=False, comment="counts from 1"),
    Column("at", UtcDateTime, nullable=False, comment="when, UTC; never before the one before"),
    Column("actor", Text, nullable=False, comment="key that did it"),
    Column("origin", Text, nullable=False, comment="import, edit, registration or episode"),
    Column("reason", Text, nullable=False, comment="in the actor's words"),
    Column("added", Integer, nullable=False, comment="things that were added"),
    Column("changed", Integer, nullable=False, comment="things that were changed"),
    Column("removed", Integer, nullable=False, comment="things that were removed"),
    comment="Changes of a site's inventory: who, when and why; only grows.",
)
Index("ix_inventory_revision_site_id_at", inventory_revision.c.site_id, inventory_revision.c.at)

inventory_change: Final = Table(
    "inventory_change",
    metadata,
    Column("site_id", Text, primary_key=True, comment="the site"),
    Column("kind", Text, primary_key=True, comment="rooms, feeds, racks, meters, hosts, …"),
    Column("object_id", Text, primary_key=True, comment="id of the thing"),
    Column("revision", Integer, primary_key=True, autoincrement=False, comment="of the inventory"),
    Column("verb", Text, nullable=False, comment="added, changed or removed"),
    Column("before", JsonOrNull, comment="all its fields before; empty where it was added"),
    Column("after", JsonOrNull, comment="all its fields after; empty where it was removed"),
    ForeignKeyConstraint(
        ["site_id", "revision"], ["inventory_revision.site_id", "inventory_revision.revision"]
    ),
    comment="Each thing that a revision changed, whole, before and after; only grows.",
)
Index(
    "ix_inventory_change_site_id_revision",
    inventory_change.c.site_id,
    inventory_change.c.revision,
)
