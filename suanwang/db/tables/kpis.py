"""Green certificates and contracts, their use, and the daily figures of sites."""

from typing import Final

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Table, Text

from suanwang.db.tables.metadata import metadata
from suanwang.db.types import Int64, UtcDateTime

green_instrument: Final = Table(
    "green_instrument",
    metadata,
    Column("id", Text, primary_key=True, comment="number that is printed on it"),
    Column("kind", Text, nullable=False, comment="certificate or contract"),
    Column("energy_wh", Int64, nullable=False, comment="renewable energy that it proves, Wh"),
    Column("made_from", UtcDateTime, nullable=False, comment="start of its generation, UTC"),
    Column("made_until", UtcDateTime, nullable=False, comment="end of its generation, UTC"),
    Column("origin", Text, nullable=False, comment="plant or region that it comes from"),
    Column("owner", Text, nullable=False, comment="operator that holds it"),
    Column("actor", Text, nullable=False, comment="key that registered it"),
    Column("registered_at", UtcDateTime, nullable=False, comment="when, UTC"),
    comment="Green certificates and settled green power contracts, by their own numbers.",
)
Index("ix_green_instrument_owner", green_instrument.c.owner)

green_cancellation: Final = Table(
    "green_cancellation",
    metadata,
    Column(
        "instrument_id",
        Text,
        ForeignKey("green_instrument.id"),
        primary_key=True,
        comment="what is cancelled: once, and whole",
    ),
    Column("site_id", Text, ForeignKey("site.id"), nullable=False, comment="for which site"),
    Column("from_at", UtcDateTime, nullable=False, comment="start of the consumption, UTC"),
    Column("until_at", UtcDateTime, nullable=False, comment="end of the consumption, UTC"),
    Column("reason", Text, nullable=False, comment="in the actor's words"),
    Column("actor", Text, nullable=False, comment="key that cancelled it"),
    Column("cancelled_at", UtcDateTime, nullable=False, comment="when, UTC"),
    comment="Which consumption a certificate was used for; no row is ever changed or deleted.",
)
Index("ix_green_cancellation_site_id_from_at", green_cancellation.c.site_id, "from_at")

kpi_day: Final = Table(
    "kpi_day",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="the site"),
    Column("kpi", Text, primary_key=True, comment="wue, cue_location, cue_market, ref, erf or ere"),
    Column("start_at", UtcDateTime, primary_key=True, comment="start of the site's day, UTC"),
    Column("revision", Integer, primary_key=True, comment="0, then one more for each change"),
    Column("is_newest", Boolean, nullable=False, comment="whether no later revision exists"),
    Column("end_at", UtcDateTime, nullable=False, comment="end of the day, UTC"),
    Column("numerator", Int64, nullable=False, comment="mWh; of water ml, of carbon mg"),
    Column("denominator", Int64, nullable=False, comment="energy, mWh"),
    Column("common_ms", Int64, nullable=False, comment="time that all meters know, ms"),
    Column("quality", Text, nullable=False, comment="worst quality inside"),
    Column("basis", Text, nullable=False, comment="factors and definitions that it rests on"),
    Column("formula", Text, nullable=False, comment="version of the rule"),
    Column("state", Text, nullable=False, comment="provisional, final or revised"),
    Column("reason", Text, nullable=False, comment="why this revision exists"),
    Column("updated_at", UtcDateTime, nullable=False, comment="last change, UTC"),
    comment="Daily figures beside PUE as two sums each: those of a month are the sums of its days.",
)

kpi_due: Final = Table(
    "kpi_due",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True, comment="the site"),
    Column("start_at", UtcDateTime, primary_key=True, comment="start of the site's day, UTC"),
    Column("end_at", UtcDateTime, nullable=False, comment="end of the day, UTC"),
    Column("reason", Text, nullable=False, comment="why"),
    comment="Days of sites whose figures must be computed anew.",
)
