"""How an alert moves: pure, so that every step can be tried on a virtual clock.

```
well ──bad──► pending ──bad for long enough──► firing ──clear for long enough──► resolved
  ▲              │                                ▲                                 │
  └──not bad─────┘                                └──────────bad for long enough────┘
```

A subject that fires again within the calm time is flapping: each time it must be clear for twice as
long before it is called resolved, so a receiver hears less and less of it and never hears nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from alerts.model import Alert, AlertState, EventKind, Observation, Rule, Seen, Told

CALM: Final = timedelta(hours=1)
"""Who fires again within this time after it was resolved is flapping."""
FLAP_CLEAR: Final = timedelta(minutes=1)
"""A flapping alert must be clear for at least this long, doubled with each further firing."""
FLAPPING: Final = 3
"""From so many firings on an alert is called flapping."""
DOUBLINGS_MAX: Final = 10
CREEP: Final = 0.05
"""A value is written anew when it moved by more than this share of itself."""

_OPEN: Final = (AlertState.PENDING, AlertState.FIRING, AlertState.EXPLAINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to an alert."""

    alert_id: str
    at: datetime
    kind: EventKind
    value: float | None = None
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An alert before and after one look; None where it is not, or need not be kept."""

    after: Alert | None
    before: Alert | None = None
    events: tuple[Event, ...] = ()


def broken(rule: Rule, value: float, facts: Mapping[str, float]) -> float | None:
    """Return the limit that a value breaks, or None."""
    above = rule.above.value(facts) if rule.above else None
    if above is not None and value > above:
        return above
    below = rule.below.value(facts) if rule.below else None
    return below if below is not None and value < below else None


def is_clear(rule: Rule, value: float, facts: Mapping[str, float]) -> bool:
    """Return whether a value is well inside the limits, by the rule's margin."""
    above = rule.above.value(facts) if rule.above else None
    below = rule.below.value(facts) if rule.below else None
    is_low_enough = above is None or value <= above - rule.margin
    return is_low_enough and (below is None or value >= below + rule.margin)


def clear_for(rule: Rule, firings: int) -> timedelta:
    """Return for how long an alert must be clear: the more often it fired, the longer."""
    if firings <= 1:
        return rule.clear_lasts
    doubled: timedelta = max(rule.clear_lasts, FLAP_CLEAR) * 2 ** min(firings - 1, DOUBLINGS_MAX)
    return min(doubled, CALM)


def judge(
    rule: Rule,
    seen_now: Seen,
    alerts: Iterable[Alert],
    now: datetime,
    new_id: Callable[[], str],
) -> Iterator[Step]:
    """Yield what changes for a rule; ``alerts`` are all of its alerts that are kept.

    A subject that is not observed any more is well, but for sites that can't be seen now.
    """
    known = {(one.site_id, one.subject): one for one in alerts}
    for seen in seen_now.observations:
        one = known.pop((seen.site_id, seen.subject), None)
        if not rule.applies(seen.site_id, seen.subject):
            if one is not None:
                yield from _changed(one, _gone(one, now, "the rule leaves it out"))
            continue
        if seen.site_id not in seen_now.blind:
            yield from _changed(one, look(rule, one, seen, now, new_id))
    for one in known.values():
        if one.site_id in seen_now.blind and rule.applies(one.site_id, one.subject):
            continue
        gone = Observation(site_id=one.site_id, subject=one.subject, value=None)
        yield from _changed(one, _well(rule, one, gone, now))


def retire(one: Alert, now: datetime) -> Iterator[Step]:
    """Yield the end of an alert whose rule does not exist any more."""
    yield from _changed(one, _gone(one, now, "its rule is switched off"))


def _changed(before: Alert | None, step: Step) -> Iterator[Step]:
    if step.events or not _is_same(before, step.after):
        yield replace(step, before=before)


def _is_same(before: Alert | None, after: Alert | None) -> bool:
    """Return whether nothing is worth writing: a value that crept a little is not."""
    if before is None or after is None or before == after:
        return before == after
    old, new = before.value, after.value
    if old is None or new is None or abs(new - old) > CREEP * abs(old):
        return False
    return replace(after, value=old, words=before.words) == before


def look(
    rule: Rule, one: Alert | None, seen: Observation, now: datetime, new_id: Callable[[], str]
) -> Step:
    """Return how an alert stands after its subject was observed."""
    if seen.value is None:
        return Step(after=one)
    limit = broken(rule, seen.value, seen.facts)
    if limit is None:
        is_between = not is_clear(rule, seen.value, seen.facts)
        if is_between and one is not None and one.state is AlertState.FIRING:
            return Step(after=replace(one, value=seen.value, calm_at=None))
        return _well(rule, one, seen, now)
    if one is None:
        one = _begin(rule, seen, limit, now, new_id())
    elif one.state not in _OPEN:
        one = replace(one, state=AlertState.PENDING, bad_at=now)
    one = replace(
        one,
        value=seen.value,
        threshold=limit,
        words=seen.words,
        severity=rule.severity,
        calm_at=None,
    )
    return _bad(rule, one, seen, now)


def _begin(rule: Rule, seen: Observation, limit: float, now: datetime, id_: str) -> Alert:
    return Alert(
        id=id_,
        rule_id=rule.id,
        site_id=seen.site_id,
        subject=seen.subject,
        severity=rule.severity,
        state=AlertState.PENDING,
        value=seen.value,
        threshold=limit,
        words=seen.words,
        bad_at=now,
    )


def _bad(rule: Rule, one: Alert, seen: Observation, now: datetime) -> Step:
    if one.state is AlertState.FIRING:
        return Step(after=one)
    if _is_excused(rule, seen):
        if one.state is AlertState.EXPLAINED:
            return Step(after=replace(one, words=seen.excuse))
        after = replace(one, state=AlertState.EXPLAINED, words=seen.excuse)
        return Step(after=after, events=(_event(after, EventKind.EXPLAINED, now),))
    if now - one.bad_at < rule.lasts:
        return Step(after=replace(one, state=AlertState.PENDING))
    was_lately = one.resolved_at is not None and now - one.resolved_at < CALM
    after = replace(
        one,
        state=AlertState.FIRING,
        fired_at=now,
        resolved_at=None,
        firings=one.firings + 1 if was_lately else 1,
        acked_at=None,
        acked_by="",
        ack_note="",
    )
    return Step(after=after, events=(_event(after, EventKind.FIRED, now),))


def _is_excused(rule: Rule, seen: Observation) -> bool:
    if not seen.excuse:
        return False
    return seen.baseline is None or broken(rule, seen.baseline, seen.facts) is None


def _well(rule: Rule, one: Alert | None, seen: Observation, now: datetime) -> Step:
    if one is None or one.state is AlertState.RESOLVED:
        return Step(after=one)
    if one.state is not AlertState.FIRING:
        return Step(after=_before_it(one))
    calm_at = one.calm_at or now
    one = replace(one, value=seen.value, calm_at=calm_at)
    if now - calm_at < clear_for(rule, one.firings):
        return Step(after=one)
    return _resolved(one, now, seen.words)


def _before_it(one: Alert) -> Alert | None:
    """Return what is kept of an alert that never fired this time: its former life, if any."""
    if one.fired_at is None:
        return None
    return replace(one, state=AlertState.RESOLVED, resolved_at=one.resolved_at or one.bad_at)


def _gone(one: Alert, now: datetime, why: str) -> Step:
    if one.state is AlertState.RESOLVED:
        return Step(after=one)
    if one.state is not AlertState.FIRING:
        return Step(after=_before_it(one))
    return _resolved(one, now, why)


def _resolved(one: Alert, now: datetime, words: str) -> Step:
    after = replace(one, state=AlertState.RESOLVED, resolved_at=now, words=words)
    if after.told is not Told.FIRING:
        # Nobody heard of it, so nobody need hear of its end.
        after = replace(after, told=Told.NOTHING)
    return Step(after=after, events=(_event(after, EventKind.RESOLVED, now),))


def _event(one: Alert, kind: EventKind, now: datetime) -> Event:
    return Event(alert_id=one.id, at=now, kind=kind, value=one.value, words=one.words)
