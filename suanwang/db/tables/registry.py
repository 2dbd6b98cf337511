"""What exists: sites, pools, meters, and the latency between origins and sites."""

from typing import Final

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, Table, Text

from suanwang.db.tables.metadata import metadata
from suanwang.db.types import Int64, Json, UtcDateTime

site: Final = Table(
    "site",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the data centre"),
    Column("name", Text, nullable=False, comment="name for people"),
    Column("operator", Text, nullable=False, comment="organisation that owns it"),
    Column("region", Text, nullable=False, comment="region, such as CN-SD"),
    Column("timezone", Text, nullable=False, comment="IANA zone of its tariff"),
    Column("cooling", Text, nullable=False, comment="cooling kind with a power model"),
    Column(
        "climate", Text, nullable=False, comment="climate table for the wet bulb, if not measured"
    ),
    Column("it_design_w", Int64, nullable=False, comment="design IT power, W"),
    Column("background_it_w", Int64, nullable=False, comment="IT power outside the network, W"),
    Column("contract_w", Int64, nullable=False, comment="most facility power by contract, W"),
    Column("tariff_id", Text, nullable=False, comment="tariff file"),
    Column("voltage", Text, nullable=False, comment="voltage class of the tariff"),
    Column("carbon_region", Text, nullable=False, comment="region of the emission factor"),
    Column("pue_limit", Float, nullable=False, comment="limit of the yearly PUE"),
    Column("site_class", Text, comment="new, retrofit or hub_new, if the operator says so"),
    Column("pue_category", Text, comment="declared category PUE1, PUE2 or PUE3, if any"),
    Column("ppue_split", Text, comment="how zones share a plant: heat, even or cooling"),
    Column("demand_basis", Text, comment="max_demand, capacity or none; empty: not said"),
    Column(
        "transformer_kva",
        Int64,
        nullable=False,
        server_default="0",
        comment="transformer capacity, kVA; 0: not said",
    ),
    Column(
        "power_chain",
        Text,
        nullable=False,
        server_default="",
        comment="its transformers and UPS, by name; empty: the usual one of its cooling",
    ),
    Column("energy_terms", Json, comment="what of its energy may be planned, as registered"),
    Column("accepts", Json, nullable=False, comment="data classes that may come from elsewhere"),
    Column("data_homes", Json, nullable=False, comment="data sets that are kept here"),
    Column("is_open", Boolean, nullable=False, comment="whether the operator takes new jobs"),
    Column("registered_at", UtcDateTime, nullable=False, comment="first registration, UTC"),
    Column("agent_seen_at", UtcDateTime, comment="last call of its agent, UTC"),
    Column("agent_version", Text, comment="version of its agent"),
    Column("executor_state", Text, comment="up, degraded or unreachable, by the agent"),
    Column("executor_message", Text, comment="what the agent says of its executor"),
    comment="Data centres of different owners.",
)

pool: Final = Table(
    "pool",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the pool"),
    Column("site_id", Text, ForeignKey("site.id"), nullable=False, comment="its site"),
    Column("accelerator", Text, nullable=False, comment="accelerator model, or cpu"),
    Column("units", Integer, nullable=False, comment="installed units"),
    Column("units_per_node", Integer, nullable=False, comment="units in one node"),
    Column("power_w_idle", Float, nullable=False, comment="power of an idle unit, W"),
    Column("power_w_busy", Float, nullable=False, comment="power of a busy unit, W"),
    Column(
        "price_uyuan_per_unit_hour", Int64, nullable=False, comment="price, micro-yuan a unit-hour"
    ),
    Column("is_domestic", Boolean, nullable=False, comment="whether the accelerator is domestic"),
    Column("drained_units", Integer, nullable=False, comment="units taken out by the operator"),
    comment="Equal accelerators at one site.",
)
Index("ix_pool_site_id", pool.c.site_id)

site_node: Final = Table(
    "site_node",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="its site"),
    Column("name", Text, primary_key=True, comment="name at the executor"),
    Column("address", Text, nullable=False, comment="address, where it has one"),
    Column("kind", Text, nullable=False, comment="model of its accelerators, if the executor says"),
    Column("cpu_milli", Int64, nullable=False, comment="cores, thousandths"),
    Column("gpu_milli", Int64, nullable=False, comment="accelerators, thousandths"),
    Column("reported_at", UtcDateTime, nullable=False, comment="last change at the site, UTC"),
    comment="Nodes of the executors, as the agents said last.",
)

node_use: Final = Table(
    "node_use",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="its site"),
    Column("node", Text, primary_key=True, comment="name of the node"),
    Column("attempt_id", Text, primary_key=True, comment="who uses it; empty: no attempt of ours"),
    Column("cpu_milli", Int64, nullable=False, comment="cores in use, thousandths"),
    Column("gpu_milli", Int64, nullable=False, comment="accelerators in use, thousandths"),
    comment="What attempts use of each node, as the agents said last.",
)

reservation: Final = Table(
    "reservation",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the reservation, of its maker's choice"),
    Column("pool_id", Text, ForeignKey("pool.id"), nullable=False, comment="its pool"),
    Column("units", Integer, nullable=False, comment="units that are kept"),
    Column("from_at", UtcDateTime, nullable=False, comment="its beginning, UTC"),
    Column("until_at", UtcDateTime, nullable=False, comment="its end, UTC"),
    Column("tenants", Json, nullable=False, comment="tenants whose jobs may use them"),
    Column("jobs", Json, nullable=False, comment="submission ids of jobs that may use them"),
    Column("reason", Text, nullable=False, comment="why, in the maker's words"),
    Column("actor", Text, nullable=False, comment="key that made it"),
    Column("made_at", UtcDateTime, nullable=False, comment="when it was made, UTC"),
    Column("ended_by", Text, nullable=False, comment="key that ended it early, if any"),
    comment="Units of a pool that only some may use for some time.",
)
Index("ix_reservation_until_at", reservation.c.until_at)

meter: Final = Table(
    "meter",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the meter"),
    Column("site_id", Text, ForeignKey("site.id"), nullable=False, comment="its site"),
    Column("parent_id", Text, ForeignKey("meter.id"), comment="meter that it is behind"),
    Column("name", Text, nullable=False, comment="label"),
    Column(
        "role",
        Text,
        nullable=False,
        comment="facility, it, cooling, water, reuse, renewable or other",
    ),
    Column(
        "carrier", Text, nullable=False, comment="electricity, diesel, gas, water, heat and others"
    ),
    Column("category", Text, nullable=False, comment="PUE1, PUE2 or PUE3: where IT is measured"),
    Column("rated_w", Int64, nullable=False, comment="most power that is believed, W"),
    Column("resolution_wh", Float, nullable=False, comment="one count of the register, Wh"),
    Column("modulus_wh", Int64, nullable=False, comment="where the register wraps, Wh; 0 is never"),
    Column("poll_s", Float, nullable=False, comment="seconds between two readings"),
    Column(
        "measures",
        Text,
        nullable=False,
        server_default="site",
        comment="what stands behind it: site, room, feed, rack or plant",
    ),
    Column("object_id", Text, comment="id of that room, feed or rack"),
    Column(
        "profile", Text, nullable=False, server_default="", comment="device profile that reads it"
    ),
    Column("address", Text, nullable=False, server_default="", comment="where the agent reads it"),
    comment="Meters with a cumulative register.",
)
Index("ix_meter_site_id", meter.c.site_id)

link: Final = Table(
    "link",
    metadata,
    Column("origin", Text, primary_key=True, comment="where users are, * for anywhere else"),
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="the site"),
    Column("rtt_ms", Float, nullable=False, comment="round-trip time, ms"),
    comment="Latency between the origins of demand and the sites.",
)
