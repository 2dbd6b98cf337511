"""What alerts are made of: rules, what was observed, and where each alert stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

WHOLE_SITE: Final = "site"
"""Subject of an alert that is about a whole site."""
NETWORK: Final = ""
"""Site of an alert that is about all sites together."""


class Severity(StrEnum):
    """How much an alert matters, worst first."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"

    def is_at_least(self, other: "Severity") -> bool:
        """Return whether it matters as much as another, or more."""
        order = list(Severity)
        return order.index(self) <= order.index(other)


class AlertState(StrEnum):
    """Where an alert stands; a subject without one is well."""

    PENDING = "pending"
    FIRING = "firing"
    EXPLAINED = "explained"
    RESOLVED = "resolved"


class Told(StrEnum):
    """What receivers believe of an alert."""

    NOTHING = "nothing"
    FIRING = "firing"
    RESOLVED = "resolved"


class EventKind(StrEnum):
    """What can happen to an alert."""

    FIRED = "fired"
    RESOLVED = "resolved"
    EXPLAINED = "explained"
    TOLD = "told"
    REMINDED = "reminded"
    ACKNOWLEDGED = "acknowledged"


class Chart(StrEnum):
    """The curve that shows what an alert is about."""

    SOURCES = "sources"
    AGENTS = "agents"
    POWER = "power"
    PUE = "pue"
    COMPUTE = "compute"
    ALERTS = "alerts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit of a rule: a number, or a fact such as ``site.pue_limit``."""

    number: float | None = None
    fact: str = ""

    def value(self, facts: Mapping[str, float]) -> float | None:
        """Return the number that holds for a subject with these facts; None where it has none."""
        return self.number if not self.fact else facts.get(self.fact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a signal is bad, for how long it must be so, and whom it concerns.

    Bad is above ``above`` or below ``below``; well again is ``margin`` on the right side of them.
    ``only`` and ``excluded`` are patterns of ``site/subject``.
    """

    id: str
    signal: str
    severity: Severity
    summary: Mapping[str, str]
    above: Limit | None = None
    below: Limit | None = None
    margin: float = 0.0
    lasts: timedelta = timedelta()
    clear_lasts: timedelta = timedelta()
    lookback: timedelta = timedelta()
    repeat: timedelta = timedelta(days=1)
    group_by: tuple[str, ...] = ("rule", "site")
    inhibited_by: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    chart: Chart = Chart.ALERTS
    runbook: str = ""

    def applies(self, site_id: str, subject: str) -> bool:
        """Return whether the rule looks at this subject."""
        name = f"{site_id}/{subject}"
        is_meant = not self.only or any(fnmatchcase(name, pattern) for pattern in self.only)
        return is_meant and not any(fnmatchcase(name, pattern) for pattern in self.excluded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A signal's value for a subject now; None where it cannot be told, which changes nothing.

    ``facts`` are limits that the subject or its site has itself. ``excuse`` says why a bad value is
    nothing to act on, which holds where ``baseline``, the value that it rose from, was not bad.
    """

    site_id: str
    subject: str
    value: float | None
    words: str = ""
    facts: Mapping[str, float] = field(default_factory=dict)
    excuse: str = ""
    baseline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a signal says now. Of sites in ``blind`` nothing can be said, so nothing changes."""

    observations: tuple[Observation, ...] = ()
    blind: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A rule that is or lately was broken by a subject; docs/alarms.md has its life."""

    id: str
    rule_id: str
    site_id: str
    subject: str
    severity: Severity
    state: AlertState
    value: float | None
    threshold: float | None
    words: str
    bad_at: datetime
    fired_at: datetime | None = None
    calm_at: datetime | None = None
    resolved_at: datetime | None = None
    firings: int = 0
    told: Told = Told.NOTHING
    told_at: datetime | None = None
    acked_at: datetime | None = None
    acked_by: str = ""
    ack_note: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What no two alerts share."""
        return (self.rule_id, self.site_id, self.subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Alerts that match its patterns are not told from ``from_at`` until ``until_at``."""

    id: str
    rule_id: str
    site_id: str
    subject: str
    from_at: datetime
    until_at: datetime
    reason: str
    actor: str
    made_at: datetime
    ended_by: str = ""

    def covers(self, one: Alert, now: datetime) -> bool:
        """Return whether it keeps an alert from being told now."""
        return (
            self.from_at <= now < self.until_at
            and fnmatchcase(one.rule_id, self.rule_id)
            and fnmatchcase(one.site_id, self.site_id)
            and fnmatchcase(one.subject, self.subject)
        )
