"""What receivers get: one form of message, from which each channel makes its own.

The id of a message is drawn when it is written, so a receiver that gets it twice knows that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypedDict
from urllib.parse import quote, urlencode

from alerts.evaluate import FLAPPING
from alerts.model import Alert, AlertState, Chart, Rule, Severity, Told
from alerts.notify import Group
from alerts.rules import LANGUAGES, Rules
from alerts.signals import SIGNALS, value_text

SCHEMA: Final = "suanwang.alerts/v1"
BOARD: Final = "suanwang-overview"
PANELS: Final[Mapping[Chart, int]] = {
    Chart.AGENTS: 1,
    Chart.SOURCES: 2,
    Chart.PUE: 3,
    Chart.POWER: 4,
    Chart.COMPUTE: 5,
    Chart.ALERTS: 6,
}
"""Panel of the Grafana board for each chart, by its id there."""
SAMPLE: Final = "sample"
RUNBOOKS: Final = "docs/runbooks"
BEFORE_MS: Final = 3_600_000
"""A chart begins so long before the alert did."""


class AlertBody(TypedDict):
    """An alert as it is told."""

    id: str
    rule: str
    state: str
    severity: str
    site: str
    subject: str
    value: float | None
    value_text: str
    threshold: float | None
    summary: dict[str, str]
    words: str
    bad_at: str
    fired_at: str
    resolved_at: str
    firings: int
    is_flapping: bool
    is_reminder: bool
    chart: str
    runbook: str


class MessageBody(TypedDict):
    """A message as webhooks get it."""

    schema: str
    id: str
    made_at: str
    centre: str
    status: str
    group: dict[str, str]
    alerts: list[AlertBody]


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where charts and runbooks are: addresses without a slash at the end, or nothing."""

    centre: str = ""
    grafana: str = ""
    runbooks: str = ""

    def chart(self, one: Alert, rule: Rule | None) -> str:
        """Return the address of the curve that shows an alert."""
        if not self.grafana:
            return f"{self.centre}/status"
        panel = PANELS[rule.chart if rule else Chart.ALERTS]
        start_ms = int(one.bad_at.timestamp() * 1000) - BEFORE_MS
        asked = {"from": start_ms, "to": "now", "viewPanel": panel, "var-site": one.site_id}
        return f"{self.grafana}/d/{BOARD}?{urlencode(asked)}"

    def runbook(self, rule_id: str, rule: Rule | None) -> str:
        """Return the address of the page that says what to do."""
        if rule is not None and rule.runbook:
            return rule.runbook
        return f"{self.runbooks or RUNBOOKS}/{quote(rule_id)}.md"


def alert_body(one: Alert, rules: Rules, links: Links) -> AlertBody:
    """Return an alert as it is told."""
    rule = rules.find(one.rule_id)
    return AlertBody(
        id=one.id,
        rule=one.rule_id,
        state=one.state.value,
        severity=one.severity.value,
        site=one.site_id,
        subject=one.subject,
        value=one.value,
        value_text=_text(rule, one.value),
        threshold=one.threshold,
        summary={language: summary(one, rule, language) for language in LANGUAGES},
        words=one.words,
        bad_at=_moment(one.bad_at),
        fired_at=_moment(one.fired_at),
        resolved_at=_moment(one.resolved_at if one.state is AlertState.RESOLVED else None),
        firings=one.firings,
        is_flapping=one.firings >= FLAPPING,
        is_reminder=one.state is AlertState.FIRING and one.told is Told.FIRING,
        chart=links.chart(one, rule),
        runbook=links.runbook(one.rule_id, rule),
    )


def summary(one: Alert, rule: Rule | None, language: str) -> str:
    """Return the line that says what is wrong."""
    if rule is None:
        return f"{one.rule_id}: {one.site_id} {one.subject}".strip()
    return rule.summary[language].format(
        site=one.site_id or "network",
        subject=one.subject,
        value=_text(rule, one.value),
        limit=_text(rule, one.threshold),
    )


def _text(rule: Rule | None, value: float | None) -> str:
    if rule is None:
        return "–" if value is None else f"{value:g}"
    return value_text(SIGNALS[rule.signal].unit, value)


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.isoformat()


def message_body(id_: str, group: Group, rules: Rules, links: Links, now: datetime) -> MessageBody:
    """Return a group as a message; its status is firing while any of its alerts is."""
    is_firing = any(one.state is AlertState.FIRING for one in group.alerts)
    return MessageBody(
        schema=SCHEMA,
        id=id_,
        made_at=now.isoformat(),
        centre=links.centre,
        status="firing" if is_firing else "resolved",
        group=dict(group.labels),
        alerts=[alert_body(one, rules, links) for one in group.alerts],
    )


def of_route(group: Group, alerts: Sequence[Alert]) -> Group:
    """Return a group with fewer alerts."""
    return Group(key=group.key, labels=group.labels, alerts=tuple(alerts))


def sample_message(id_: str, links: Links, now: datetime) -> MessageBody:
    """Return a message that tries a channel: it says that nothing is wrong."""
    one = Alert(
        id="alert_sample",
        rule_id=SAMPLE,
        site_id="",
        subject="sample",
        severity=Severity.INFO,
        state=AlertState.RESOLVED,
        value=None,
        threshold=None,
        words="a sample of suanwang alerts test; nothing is wrong",
        bad_at=now,
        fired_at=now,
        resolved_at=now,
        firings=1,
    )
    group = Group(key=SAMPLE, labels={"rule": SAMPLE}, alerts=(one,))
    return message_body(id_, group, Rules({}), links, now)
