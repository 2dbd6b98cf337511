"""What was measured: raw samples, the state of sources and meters, and the energy record."""

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
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
    Column(
        "shift_ms", Int64, nullable=False, comment="added to its readings' times: clock skew, ms"
    ),
    Column("readings", Integer, nullable=False, comment="readings inside"),
    comment="Batches that are in the record; a repeat of one changes nothing.",
)

Index(
    "ix_telemetry_batch_site_id_received_at",
    telemetry_batch.c.site_id,
    telemetry_batch.c.received_at,
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
Index("ix_series_metric", series.c.metric)

sample: Final = Table(
    "sample",
    metadata,
    Column("at_ms", Int64, primary_key=True, comment="source time, ms since 1970 UTC"),
    Column("series_id", Int64, ForeignKey("series.id"), primary_key=True, comment="its series"),
    Column("value", Float, nullable=False, comment="value in the metric's unit"),
    Column("quality", Text, nullable=False, comment="measured, derived, interpolated, estimated"),
    comment="Raw samples of the hours that are open, first value wins.",
    sqlite_with_rowid=False,
)
Index("ix_sample_series_id_at_ms", sample.c.series_id, sample.c.at_ms)

sample_chunk: Final = Table(
    "sample_chunk",
    metadata,
    Column("series_id", Int64, ForeignKey("series.id"), primary_key=True, comment="its series"),
    Column("start_ms", Int64, primary_key=True, comment="start of the hour, ms since 1970 UTC"),
    Column("first_ms", Int64, nullable=False, comment="oldest sample inside, ms since 1970 UTC"),
    Column("last_ms", Int64, nullable=False, comment="newest sample inside, ms since 1970 UTC"),
    Column("samples", Integer, nullable=False, comment="samples inside"),
    Column("body", LargeBinary, nullable=False, comment="the samples, packed without loss"),
    comment="Raw samples of hours that are over: a series' hour in a row.",
    postgresql_partition_by="RANGE (start_ms)",
)
Index("ix_sample_chunk_start_ms", sample_chunk.c.start_ms)

remote_copy: Final = Table(
    "remote_copy",
    metadata,
    Column("name", Text, primary_key=True, comment="whose copy: the setting remote_write.name"),
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="the site"),
    Column(
        "from_at", UtcDateTime, nullable=False, comment="the copy may lack samples from then on"
    ),
    Column("moved_at", UtcDateTime, nullable=False, comment="last written, UTC"),
    comment="How far the copy for a time series database is.",
)

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
    Column("interval_s", Float, nullable=False, comment="time between polls, s; 0 is not told"),
    Column("retired_at", UtcDateTime, comment="when its agent ceased to poll it, UTC"),
    comment="Each source's last word about itself.",
)

meter_state: Final = Table(
    "meter_state",
    metadata,
    Column("meter_id", Text, ForeignKey("meter.id"), primary_key=True, comment="the meter"),
    Column(
        "at_ms", Int64, comment="newest register reading, ms since 1970; empty before the first"
    ),
    Column("first_ms", Int64, comment="oldest reading ever, ms since 1970"),
    Column("register_mwh", Int64, comment="that reading, mWh"),
    Column("quality", Text, nullable=False, comment="quality of that reading"),
    Column("kept_from_ms", Int64, nullable=False, comment="older raw readings are pruned, ms"),
    Column("settled_until_ms", Int64, nullable=False, comment="days before are settled, ms"),
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
    Column("source", Text, nullable=False, comment="register, scaled, power or mixed"),
    Column("state", Text, nullable=False, comment="provisional, final or revised"),
    Column("reason", Text, nullable=False, comment="why this revision exists"),
    Column("updated_at", UtcDateTime, nullable=False, comment="last change, UTC"),
    comment="15-minute energy of each meter: the record behind PUE and bills.",
    postgresql_partition_by="RANGE (start_at)",
)
Index("ix_energy_window_start_at", energy_window.c.start_at)
_PROVISIONAL: Final = energy_window.c.state == "provisional"
Index(
    "ix_energy_window_provisional",
    energy_window.c.start_at,
    postgresql_where=_PROVISIONAL,
    sqlite_where=_PROVISIONAL,
)

meter_episode: Final = Table(
    "meter_episode",
    metadata,
    Column("meter_id", Text, ForeignKey("meter.id"), primary_key=True, comment="the meter"),
    Column("seq", Integer, primary_key=True, autoincrement=False, comment="counts from 1"),
    Column("from_at", UtcDateTime, nullable=False, comment="first moment, UTC"),
    Column("initial_mwh", Int64, comment="register at its start, mWh; empty where nobody read it"),
    Column("final_mwh", Int64, comment="register at its end, mWh; empty where nobody read it"),
    Column("factor_num", Int64, nullable=False, comment="energy is register x num / den"),
    Column("factor_den", Int64, nullable=False, comment="energy is register x num / den"),
    Column("rated_w", Int64, nullable=False, comment="most power that is believed, W"),
    Column("resolution_wh", Float, nullable=False, comment="one count of the register, Wh"),
    Column("modulus_wh", Int64, nullable=False, comment="where the register wraps, Wh; 0 is never"),
    Column("reason", Text, nullable=False, comment="why it began, in the actor's words"),
    Column("actor", Text, nullable=False, comment="key that recorded it"),
    Column("recorded_at", UtcDateTime, nullable=False, comment="when it was recorded, UTC"),
    comment="Lives of a meter: each device and each transformer ratio that it had.",
)

meter_role: Final = Table(
    "meter_role",
    metadata,
    Column("meter_id", Text, ForeignKey("meter.id"), primary_key=True, comment="the meter"),
    Column("until_at", UtcDateTime, primary_key=True, comment="it was this until then, UTC"),
    Column("role", Text, nullable=False, comment="what it stood for"),
    Column("category", Text, nullable=False, comment="PUE1, PUE2 or PUE3"),
    Column("recorded_at", UtcDateTime, nullable=False, comment="when that was recorded, UTC"),
    comment="What meters stood for before a change that holds from a moment on.",
)

meter_event: Final = Table(
    "meter_event",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="its site"),
    Column("subject", Text, primary_key=True, comment="what it is about, such as meter:m1"),
    Column("kind", Text, primary_key=True, comment="rollover, reset, unknown, conflict, clock, …"),
    Column("at", UtcDateTime, primary_key=True, comment="when it began, UTC"),
    Column("until", UtcDateTime, nullable=False, comment="when it ended, UTC"),
    Column("facts", Json, nullable=False, comment="figures of it"),
    Column("seen_at", UtcDateTime, nullable=False, comment="when the centre saw it, UTC"),
    comment="What was odd about meters and clocks, as it was seen first.",
)
Index("ix_meter_event_seen_at", meter_event.c.seen_at)

energy_due: Final = Table(
    "energy_due",
    metadata,
    Column("meter_id", Text, ForeignKey("meter.id"), primary_key=True, comment="the meter"),
    Column("day_at", UtcDateTime, primary_key=True, comment="start of the day of UTC"),
    Column("not_before", UtcDateTime, nullable=False, comment="work on it from then on, UTC"),
    Column("reason", Text, nullable=False, comment="why"),
    comment="Days of meters whose windows must be computed from the raw readings.",
)

rollup_due: Final = Table(
    "rollup_due",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="the site"),
    Column("hour_at", UtcDateTime, primary_key=True, comment="start of the hour, UTC"),
    Column("reason", Text, nullable=False, comment="why"),
    comment="Hours of sites whose sums must be computed anew from the windows.",
)

site_energy: Final = Table(
    "site_energy",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="the site"),
    Column("category", Text, primary_key=True, comment="PUE1, PUE2 or PUE3: where IT is measured"),
    Column("grain", Text, primary_key=True, comment="hour, or day in the site's time zone"),
    Column("start_at", UtcDateTime, primary_key=True, comment="its start, UTC"),
    Column("revision", Integer, primary_key=True, comment="0, then one more for each change"),
    Column("is_newest", Boolean, nullable=False, comment="whether no later revision exists"),
    Column("end_at", UtcDateTime, nullable=False, comment="its end, UTC"),
    Column("facility_mwh", Int64, nullable=False, comment="facility energy of the common time"),
    Column("it_mwh", Int64, nullable=False, comment="IT energy of the common time, mWh"),
    Column("common_ms", Int64, nullable=False, comment="time at which all meters are known, ms"),
    Column("facility_ms", Int64, nullable=False, comment="time that facility meters know, ms"),
    Column("it_ms", Int64, nullable=False, comment="time that IT meters know, ms"),
    Column("interpolated_ms", Int64, nullable=False, comment="part bridged over a gap, ms"),
    Column("estimated_ms", Int64, nullable=False, comment="part that is only estimated, ms"),
    Column("state", Text, nullable=False, comment="provisional, final or revised"),
    Column("reason", Text, nullable=False, comment="why this revision exists"),
    Column("formula", Text, nullable=False, comment="version of the rules"),
    Column("updated_at", UtcDateTime, nullable=False, comment="last change, UTC"),
    comment="Hours and days of sites: the two energies of PUE over the time that both are known.",
)

energy_day: Final = Table(
    "energy_day",
    metadata,
    Column("meter_id", Text, ForeignKey("meter.id"), primary_key=True, comment="the meter"),
    Column("start_at", UtcDateTime, primary_key=True, comment="start of the site's day, UTC"),
    Column("revision", Integer, primary_key=True, comment="0, then one more for each change"),
    Column("is_newest", Boolean, nullable=False, comment="whether no later revision exists"),
    Column("end_at", UtcDateTime, nullable=False, comment="end of the day, UTC"),
    Column("energy_mwh", Int64, nullable=False, comment="energy, thousandths of a Wh"),
    Column("covered_ms", Int64, nullable=False, comment="part of the day that is known, ms"),
    Column("interpolated_ms", Int64, nullable=False, comment="part bridged over a gap, ms"),
    Column("estimated_ms", Int64, nullable=False, comment="part that is only estimated, ms"),
    Column("quality", Text, nullable=False, comment="worst quality inside"),
    Column("state", Text, nullable=False, comment="provisional, final or revised"),
    Column("reason", Text, nullable=False, comment="why this revision exists"),
    Column("updated_at", UtcDateTime, nullable=False, comment="last change, UTC"),
    comment="Energy of each meter by day, the sum of its windows.",
)

weather_hour: Final = Table(
    "weather_hour",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="the site"),
    Column("start_at", UtcDateTime, primary_key=True, comment="start of the hour, UTC"),
    Column("wet_bulb_c", Float, nullable=False, comment="mean of what its sensor read, °C"),
    Column("samples", Integer, nullable=False, comment="readings behind it"),
    comment="Outdoor wet bulb of sites by the hour, kept when the raw samples are gone.",
)

facility_fit: Final = Table(
    "facility_fit",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="the site"),
    Column("version", Integer, primary_key=True, autoincrement=False, comment="counts from 1"),
    Column("is_newest", Boolean, nullable=False, comment="whether no later version exists"),
    Column("fitted_at", UtcDateTime, nullable=False, comment="when it was fitted, UTC"),
    Column("cooling", Text, nullable=False, comment="cooling kind whose model it falls back to"),
    Column("it_design_w", Int64, nullable=False, comment="design IT power it was fitted at, W"),
    Column("body", Json, nullable=False, comment="coefficients and their quality"),
    Column("actor", Text, nullable=False, comment="key that asked for it, or upkeep"),
    comment="A site's own facility power curve, fitted to its meters: every version is kept.",
)
