"""What was measured: raw samples, the state of sources and meters, and the energy record."""

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from suanwang.db.tables.metadata import metadata
from suanwang.db.types import Int64, Json, UtcDateTime

telemetry_batch: Final = Table(
    "telemetry_batch",
    metadata,
    Column("id", Text, primary_key=True, comment="id drawn by the agent"),
    Column("site_id", Text, ForeignKey("site.id"), nullable=False, comment="site that sent it"),
    Column("digest", Text, nullable=False, comment="SHA-256 of the body"),
    Column("sent_at", UtcDateTime, nullable=False, comment="agent's clock, UTC"),
    Column("received_at", UtcDateTime, nullable=False, comment="centre's clock, UTC"),
    Column("readings", Integer, nullable=False, comment="readings inside"),
    comment="Batches that are in the record; a repeat of one changes nothing.",
)

series: Final = Table(
    "series",
    metadata,
    Column("id", Int64, primary_key=True, autoincrement=True, comment="number of the series"),
    Column("site_id", Text, ForeignKey("site.id"), nullable=False, comment="its site"),
    Column("subject", Text, nullable=False, comment="what is read, such as meter:m1"),
    Column("metric", Text, nullable=False, comment="name with its unit, such as power_w"),
    Column("labels", Json, nullable=False, comment="further labels"),
    UniqueConstraint("site_id", "subject", "metric"),
    comment="Names of the raw series.",
)

sample: Final = Table(
    "sample",
    metadata,
    Column("at_ms", Int64, primary_key=True, comment="source time, ms since 1970 UTC"),
    Column("series_id", Int64, ForeignKey("series.id"), primary_key=True, comment="its series"),
    Column("value", Float, nullable=False, comment="value in the metric's unit"),
    Column("quality", Text, nullable=False, comment="measured, derived, interpolated, estimated"),
    comment="Raw samples, first value wins.",
)
Index("ix_sample_series_id_at_ms", sample.c.series_id, sample.c.at_ms)

source_state: Final = Table(
    "source_state",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="its site"),
    Column("source", Text, primary_key=True, comment="name of the source"),
    Column("is_up", Boolean, nullable=False, comment="whether the last poll succeeded"),
    Column("duration_s", Float, nullable=False, comment="duration of the last poll, s"),
    Column("readings", Integer, nullable=False, comment="readings of the last poll"),
    Column("error", Text, nullable=False, comment="why it is down"),
    Column("polled_at", UtcDateTime, nullable=False, comment="last poll, UTC"),
    Column("up_at", UtcDateTime, comment="last poll that succeeded, UTC"),
    comment="Each source's last word about itself.",
)

meter_state: Final = Table(
    "meter_state",
    metadata,
    Column("meter_id", Text, ForeignKey("meter.id"), primary_key=True, comment="the meter"),
    Column(
        "at_ms", Int64, comment="newest register reading, ms since 1970; empty before the first"
    ),
    Column("register_mwh", Int64, comment="that reading, mWh"),
    Column("quality", Text, nullable=False, comment="quality of that reading"),
    Column("kept_from_ms", Int64, nullable=False, comment="older raw readings are pruned, ms"),
    Column("power_w", Float, comment="newest power, W"),
    Column("power_at_ms", Int64, comment="its moment, ms since 1970"),
    Column("conflicts", Int64, nullable=False, comment="duplicates with another value"),
    Column("resets", Int64, nullable=False, comment="register resets seen"),
    Column("rollovers", Int64, nullable=False, comment="register rollovers seen"),
    Column("rejected", Int64, nullable=False, comment="readings that could not be believed"),
    comment="Where each meter's accumulator stands.",
)

energy_window: Final = Table(
    "energy_window",
    metadata,
    Column("meter_id", Text, ForeignKey("meter.id"), primary_key=True, comment="the meter"),
    Column("start_at", UtcDateTime, primary_key=True, comment="start of the 15 minutes, UTC"),
    Column("revision", Integer, primary_key=True, comment="0, then one more for each change"),
    Column("energy_mwh", Int64, nullable=False, comment="energy, thousandths of a Wh"),
    Column("covered_ms", Int64, nullable=False, comment="part of the window that is known, ms"),
    Column("interpolated_ms", Int64, nullable=False, comment="part bridged over a gap, ms"),
    Column("estimated_ms", Int64, nullable=False, comment="part that is only estimated, ms"),
    Column("quality", Text, nullable=False, comment="worst quality inside"),
    Column("state", Text, nullable=False, comment="provisional, final or revised"),
    Column("reason", Text, nullable=False, comment="why this revision exists"),
    Column("updated_at", UtcDateTime, nullable=False, comment="last change, UTC"),
    comment="15-minute energy of each meter: the record behind PUE and bills.",
)
Index("ix_energy_window_start_at", energy_window.c.start_at)
