"""Alerts: what is wrong now, its history, who is silenced, and what must be delivered."""

from typing import Final

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, Table, Text, text

from suanwang.db.tables.metadata import metadata
from suanwang.db.types import Int64, Json, UtcDateTime

alert: Final = Table(
    "alert",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the alert"),
    Column("rule_id", Text, nullable=False, comment="rule that it breaks"),
    Column("site_id", Text, nullable=False, comment="its site; empty for the network"),
    Column("subject", Text, nullable=False, comment="what it is about, such as source:pdu-7"),
    Column("severity", Text, nullable=False, comment="critical, warning or info"),
    Column("state", Text, nullable=False, comment="pending, firing, explained or resolved"),
    Column("value", Float, comment="newest value in the rule's unit; empty where there is none"),
    Column("threshold", Float, comment="limit that it broke, in the rule's unit"),
    Column("words", Text, nullable=False, comment="what is known of it, for people"),
    Column("bad_at", UtcDateTime, nullable=False, comment="when the condition began, UTC"),
    Column("fired_at", UtcDateTime, comment="when it fired last, UTC"),
    Column("calm_at", UtcDateTime, comment="since when it is back below its clear level, UTC"),
    Column("resolved_at", UtcDateTime, comment="when it was resolved, UTC"),
    Column("firings", Integer, nullable=False, comment="times it fired with no calm hour between"),
    Column("told", Text, nullable=False, comment="what receivers know: nothing, firing, resolved"),
    Column("told_at", UtcDateTime, comment="when they were told last, UTC"),
    Column("acked_at", UtcDateTime, comment="when somebody took it on, UTC"),
    Column("acked_by", Text, nullable=False, comment="who did"),
    Column("ack_note", Text, nullable=False, comment="what they said"),
    comment="Rules that are or were broken by a subject; one row lives at a time of each pair.",
)
Index("ix_alert_state", alert.c.state, alert.c.resolved_at)
_LIVES: Final = text("state <> 'resolved'")
Index(
    "uq_alert_live",
    alert.c.rule_id,
    alert.c.site_id,
    alert.c.subject,
    unique=True,
    sqlite_where=_LIVES,
    postgresql_where=_LIVES,
)

alert_event: Final = Table(
    "alert_event",
    metadata,
    Column("seq", Int64, primary_key=True, autoincrement=True, comment="order of the events"),
    Column("alert_id", Text, ForeignKey("alert.id"), nullable=False, comment="the alert"),
    Column("at", UtcDateTime, nullable=False, comment="when, UTC"),
    Column(
        "kind",
        Text,
        nullable=False,
        comment="fired, resolved, explained, told, reminded or acknowledged",
    ),
    Column("value", Float, comment="value at that moment"),
    Column("words", Text, nullable=False, comment="more about it"),
    comment="What happened to alerts.",
)
Index("ix_alert_event_alert_id", alert_event.c.alert_id)
Index("ix_alert_event_at", alert_event.c.at)

alert_silence: Final = Table(
    "alert_silence",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the silence"),
    Column("rule_id", Text, nullable=False, comment="pattern of rules, such as meter-*"),
    Column("site_id", Text, nullable=False, comment="pattern of sites"),
    Column("subject", Text, nullable=False, comment="pattern of subjects"),
    Column("from_at", UtcDateTime, nullable=False, comment="its beginning, UTC"),
    Column("until_at", UtcDateTime, nullable=False, comment="its end, UTC"),
    Column("reason", Text, nullable=False, comment="why, in the actor's words"),
    Column("actor", Text, nullable=False, comment="key that made it"),
    Column("made_at", UtcDateTime, nullable=False, comment="when it was made, UTC"),
    Column("ended_by", Text, nullable=False, comment="key that ended it early, if any"),
    comment="Alerts that match are shown, but nobody is told of them until the end.",
)
Index("ix_alert_silence_until_at", alert_silence.c.until_at)

alert_message: Final = Table(
    "alert_message",
    metadata,
    Column("seq", Int64, primary_key=True, autoincrement=True, comment="order of delivery"),
    Column("id", Text, nullable=False, unique=True, comment="by it a receiver knows a repeat"),
    Column("channel", Text, nullable=False, comment="name of the channel"),
    Column("group_key", Text, nullable=False, comment="what its alerts have in common"),
    Column("body", Json, nullable=False, comment="the message, as webhooks get it"),
    Column("made_at", UtcDateTime, nullable=False, comment="when it was written, UTC"),
    Column("state", Text, nullable=False, comment="waiting, sent or dead"),
    Column("attempts", Integer, nullable=False, comment="times it was tried"),
    Column("next_at", UtcDateTime, nullable=False, comment="not tried before, UTC"),
    Column("done_at", UtcDateTime, comment="when it was delivered or given up, UTC"),
    Column("error", Text, nullable=False, comment="why the last try failed"),
    comment="Messages about alerts, written with what they tell, and delivered afterwards.",
)
Index("ix_alert_message_channel_state", alert_message.c.channel, alert_message.c.state)
Index("ix_alert_message_group_key", alert_message.c.group_key, alert_message.c.made_at)

alert_counter: Final = Table(
    "alert_counter",
    metadata,
    Column("series_id", Int64, ForeignKey("series.id"), primary_key=True, comment="its series"),
    Column("value", Float, nullable=False, comment="newest value that was seen"),
    Column("at_ms", Int64, nullable=False, comment="its moment, ms since 1970 UTC"),
    Column("rise", Float, nullable=False, comment="by how much it rose last"),
    Column("rose_at", UtcDateTime, comment="when that was seen, UTC; empty where it never did"),
    comment="Error counters as they were seen last, so that an edge is seen once.",
)

alert_turn: Final = Table(
    "alert_turn",
    metadata,
    Column("name", Text, primary_key=True, comment="evaluation"),
    Column("at", UtcDateTime, nullable=False, comment="moment of the last one, UTC"),
    comment="Until when alerts were evaluated; its lock lets one process do it at a time.",
)
