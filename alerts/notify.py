"""Whom to tell what: pure, out of where alerts stand and what receivers were told already.

It is decided anew each time from the alerts themselves, not from what has just happened. So an
alert that fired while it was silenced is told when the silence ends, and the end of whatever was
told is told too, whoever restarts in between.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from alerts.model import WHOLE_SITE, Alert, AlertState, Rule, Severity, Silence, Told
from alerts.rules import Rules

ALERTS_MAX = 200
"""Alerts in one message; more go into further ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which alerts a channel wants."""

    channel: str
    at_least: Severity = Severity.INFO
    sites: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    def wants(self, one: Alert) -> bool:
        """Return whether the channel is told of an alert."""
        return (
            one.severity.is_at_least(self.at_least)
            and (not self.sites or any(fnmatchcase(one.site_id, each) for each in self.sites))
            and (not self.rules or any(fnmatchcase(one.rule_id, each) for each in self.rules))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Alerts that are told together, and what they have in common."""

    key: str
    labels: Mapping[str, str]
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What decides who is told: the rules, silences, and which rules fire where."""

    rules: Rules
    silences: Sequence[Silence] = ()
    firing: frozenset[tuple[str, str, str]] = field(default_factory=frozenset)

    def is_silenced(self, one: Alert, now: datetime) -> bool:
        """Return whether somebody silenced an alert."""
        return any(silence.covers(one, now) for silence in self.silences)

    def inhibitor(self, one: Alert) -> str:
        """Return the rule that says the same more plainly, or nothing."""
        rule = self.rules.find(one.rule_id)
        for other in rule.inhibited_by if rule else ():
            for subject in (one.subject, WHOLE_SITE):
                if (other, one.site_id, subject) in self.firing:
                    return other
        return ""


def must_tell(one: Alert, situation: Situation, now: datetime) -> bool:
    """Return whether receivers must hear of an alert now."""
    if one.state is AlertState.RESOLVED:
        # Whoever heard of it hears of its end, silenced or not: else it stays open with them.
        return one.told is Told.FIRING
    if one.state is not AlertState.FIRING:
        return False
    if situation.is_silenced(one, now) or situation.inhibitor(one):
        return False
    return one.told is not Told.FIRING or _is_forgotten(one, situation.rules, now)


def _is_forgotten(one: Alert, rules: Rules, now: datetime) -> bool:
    """Return whether it is time for a reminder of what nobody took on."""
    rule = rules.find(one.rule_id)
    if rule is None or one.acked_at is not None or one.told_at is None:
        return False
    return now - one.told_at >= rule.repeat


def groups_to_tell(
    alerts: Iterable[Alert],
    situation: Situation,
    told_lately: Mapping[str, datetime],
    interval: timedelta,
    now: datetime,
) -> list[Group]:
    """Return what must be told now; a group that was told within ``interval`` waits."""
    found: dict[str, list[Alert]] = {}
    labels: dict[str, dict[str, str]] = {}
    for one in alerts:
        if not must_tell(one, situation, now):
            continue
        common = _labels(one, situation.rules.find(one.rule_id))
        key = ",".join(f"{name}={value}" for name, value in common.items())
        last = told_lately.get(key)
        if last is not None and now - last < interval:
            continue
        found.setdefault(key, []).append(one)
        labels[key] = common
    return [
        Group(key=key, labels=labels[key], alerts=tuple(piece))
        for key, members in found.items()
        for piece in _pieces(members)
    ]


def _pieces(members: Sequence[Alert]) -> Iterable[Sequence[Alert]]:
    return (members[low : low + ALERTS_MAX] for low in range(0, len(members), ALERTS_MAX))


def _labels(one: Alert, rule: Rule | None) -> dict[str, str]:
    known = {
        "rule": one.rule_id,
        "site": one.site_id,
        "subject": one.subject,
        "severity": one.severity.value,
    }
    names = rule.group_by if rule else ("rule", "site")
    return {name: known[name] for name in names}
