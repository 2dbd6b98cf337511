"""Alerts, rules and silences as they come in and go out."""

from typing import Annotated

from pydantic import AwareDatetime, Field, model_validator

from alerts.evaluate import FLAPPING, Event
from alerts.message import Links, summary
from alerts.model import Alert, AlertState, EventKind, Limit, Rule, Severity, Silence
from alerts.rules import Rules
from alerts.signals import SIGNALS, value_text
from alerts.store_outbox import Message, MessageState
from api.schemas.common import In, Out

Pattern = Annotated[str, Field(min_length=1, max_length=200)]
Words = Annotated[str, Field(min_length=1, max_length=500)]


class AlertOut(Out):
    """An alert with what it means, where its curve is, and what to do."""

    id: str
    rule: str
    site: str
    subject: str
    severity: Severity
    state: AlertState
    value: float | None
    value_text: str
    threshold: float | None
    summary: dict[str, str]
    words: str
    bad_at: AwareDatetime
    fired_at: AwareDatetime | None
    calm_at: AwareDatetime | None
    resolved_at: AwareDatetime | None
    firings: int
    is_flapping: bool
    told_at: AwareDatetime | None
    acked_at: AwareDatetime | None
    acked_by: str
    ack_note: str
    silenced_until: AwareDatetime | None
    chart: str
    runbook: str


class AlertList(Out):
    """A page of alerts, the newest first; ``next`` goes into ``before``."""

    items: list[AlertOut]
    next: str | None


class EventOut(Out):
    """Something that happened to an alert."""

    at: AwareDatetime
    kind: EventKind
    value: float | None
    words: str


class AlertStory(AlertOut):
    """An alert with its history, the newest first."""

    events: list[EventOut]


class AckIn(In):
    """What somebody says who takes an alert on."""

    note: Annotated[str, Field(max_length=500)] = ""


class RuleOut(Out):
    """A rule as it is in force."""

    id: str
    signal: str
    words: str
    unit: str
    above: float | str | None
    below: float | str | None
    margin: float
    lasts_s: float
    clear_lasts_s: float
    lookback_s: float
    repeat_s: float
    severity: Severity
    group_by: list[str]
    inhibited_by: list[str]
    only: list[str]
    excluded: list[str]
    summary: dict[str, str]
    runbook: str


class RuleList(Out):
    """The rules that are switched on."""

    items: list[RuleOut]


class SilenceIn(In):
    """Whom nobody is to be told of, how long, and why. Patterns know ``*`` and ``?``."""

    rule: Pattern = "*"
    site: Pattern = "*"
    subject: Pattern = "*"
    from_at: AwareDatetime | None = None
    until_at: AwareDatetime
    reason: Words

    @model_validator(mode="after")
    def _is_no_blanket(self) -> "SilenceIn":
        if self.rule == self.site == self.subject == "*":
            raise ValueError("name a rule, a site or a subject: this would silence everything")
        return self


class SilenceOut(Out):
    """A silence; ``ended_by`` names who ended it early."""

    id: str
    rule: str
    site: str
    subject: str
    from_at: AwareDatetime
    until_at: AwareDatetime
    reason: str
    actor: str
    made_at: AwareDatetime
    ended_by: str


class SilenceList(Out):
    """Silences, the next to end first."""

    items: list[SilenceOut]


class ChannelOut(Out):
    """A channel, and how its messages do."""

    name: str
    kind: str
    at_least: Severity
    sites: list[str]
    rules: list[str]
    waiting: int
    sent: int
    dead: int


class ChannelList(Out):
    """The channels of the settings."""

    items: list[ChannelOut]


class MessageOut(Out):
    """A message that was or must be delivered."""

    id: str
    seq: int
    channel: str
    group: str
    status: str
    alerts: int
    made_at: AwareDatetime
    state: MessageState
    attempts: int
    next_at: AwareDatetime
    done_at: AwareDatetime | None
    error: str


class MessageList(Out):
    """A page of messages, the newest first; ``next`` goes into ``before``."""

    items: list[MessageOut]
    next: int | None


class TestOut(Out):
    """What became of a sample that was sent through a channel."""

    channel: str
    message_id: str
    is_delivered: bool
    error: str


def message_out(one: Message) -> MessageOut:
    """Return a message for people."""
    return MessageOut(
        id=one.id,
        seq=one.seq,
        channel=one.channel,
        group=one.group_key,
        status=one.body["status"],
        alerts=len(one.body["alerts"]),
        made_at=one.made_at,
        state=one.state,
        attempts=one.attempts,
        next_at=one.next_at,
        done_at=one.done_at,
        error=one.error,
    )


def alert_out(one: Alert, rules: Rules, links: Links, silenced: Silence | None) -> AlertOut:
    """Return an alert for people."""
    rule = rules.find(one.rule_id)
    unit = SIGNALS[rule.signal].unit if rule else None
    return AlertOut(
        id=one.id,
        rule=one.rule_id,
        site=one.site_id,
        subject=one.subject,
        severity=one.severity,
        state=one.state,
        value=one.value,
        value_text=value_text(unit, one.value) if unit else "",
        threshold=one.threshold,
        summary={language: summary(one, rule, language) for language in ("en", "zh")},
        words=one.words,
        bad_at=one.bad_at,
        fired_at=one.fired_at,
        calm_at=one.calm_at,
        resolved_at=one.resolved_at,
        firings=one.firings,
        is_flapping=one.firings >= FLAPPING,
        told_at=one.told_at,
        acked_at=one.acked_at,
        acked_by=one.acked_by,
        ack_note=one.ack_note,
        silenced_until=silenced.until_at if silenced else None,
        chart=links.chart(one, rule),
        runbook=links.runbook(one.rule_id, rule),
    )


def event_out(event: Event) -> EventOut:
    """Return an event for people."""
    return EventOut(at=event.at, kind=event.kind, value=event.value, words=event.words)


def rule_out(rule: Rule, links: Links) -> RuleOut:
    """Return a rule for people."""
    signal = SIGNALS[rule.signal]
    return RuleOut(
        id=rule.id,
        signal=rule.signal,
        words=signal.words,
        unit=signal.unit.value,
        above=_limit(rule.above),
        below=_limit(rule.below),
        margin=rule.margin,
        lasts_s=rule.lasts.total_seconds(),
        clear_lasts_s=rule.clear_lasts.total_seconds(),
        lookback_s=rule.lookback.total_seconds(),
        repeat_s=rule.repeat.total_seconds(),
        severity=rule.severity,
        group_by=list(rule.group_by),
        inhibited_by=list(rule.inhibited_by),
        only=list(rule.only),
        excluded=list(rule.excluded),
        summary=dict(rule.summary),
        runbook=links.runbook(rule.id, rule),
    )


def _limit(limit: Limit | None) -> float | str | None:
    if limit is None:
        return None
    return limit.fact or limit.number


def silence_out(one: Silence) -> SilenceOut:
    """Return a silence for people."""
    return SilenceOut(
        id=one.id,
        rule=one.rule_id,
        site=one.site_id,
        subject=one.subject,
        from_at=one.from_at,
        until_at=one.until_at,
        reason=one.reason,
        actor=one.actor,
        made_at=one.made_at,
        ended_by=one.ended_by,
    )
