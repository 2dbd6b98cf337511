"""Alerts, their history and silences in the database. Callers open the transaction."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Row, Select, and_, bindparam, delete, func, or_, select, update

from alerts.evaluate import CALM, Event, Step
from alerts.model import Alert, AlertState, EventKind, Severity, Silence, Told
from collectors.store_samples import chunks, insert_new
from suanwang.db.tables import alert, alert_event, alert_silence, alert_turn
from suanwang.errors import BadInput, Conflict, NotFound

EVALUATION: Final = "evaluation"
SILENCE_MAX: Final = timedelta(days=90)
KEPT: Final = timedelta(days=90)
"""Alerts that are over, their history, silences and messages are forgotten after this."""
EVENTS_SHOWN: Final = 200
_LIVE: Final = (AlertState.PENDING.value, AlertState.FIRING.value, AlertState.EXPLAINED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Alerts of one site, rule, severity and state."""

    site_id: str
    rule_id: str
    severity: str
    state: str
    alerts: int
    bad_at: datetime


def take_turn(connection: Connection, now: datetime) -> bool:
    """Lock the evaluation for this transaction; False where a later one has been done already."""
    connection.execute(insert_new(connection, alert_turn).values(name=EVALUATION, at=now))
    row = connection.execute(
        select(alert_turn.c.at).where(alert_turn.c.name == EVALUATION).with_for_update()
    ).one()
    if row.at > now:
        return False
    connection.execute(update(alert_turn).where(alert_turn.c.name == EVALUATION).values(at=now))
    return True


def evaluated_at(connection: Connection) -> datetime | None:
    """Return when alerts were evaluated last."""
    return connection.scalar(select(alert_turn.c.at).where(alert_turn.c.name == EVALUATION))


def _alert(row: Row[tuple[object, ...]]) -> Alert:
    values = dict(row._mapping)
    return Alert(
        **values
        | {
            "severity": Severity(values["severity"]),
            "state": AlertState(values["state"]),
            "told": Told(values["told"]),
        }
    )


def kept(connection: Connection, rule_ids: Sequence[str], now: datetime) -> list[Alert]:
    """Return the alerts of rules that an evaluation needs: those that live or lately did."""
    return [
        _alert(row)
        for row in connection.execute(
            select(alert)
            .where(
                alert.c.rule_id.in_(rule_ids),
                or_(alert.c.state.in_(_LIVE), alert.c.resolved_at > now - CALM),
            )
            .order_by(alert.c.id)
        )
    ]


def strangers(connection: Connection, rule_ids: Sequence[str]) -> list[Alert]:
    """Return alerts that live although their rule is not among these."""
    query = select(alert).where(alert.c.state.in_(_LIVE), alert.c.rule_id.not_in(rule_ids))
    return [_alert(row) for row in connection.execute(query)]


def untold(connection: Connection, reminded_before: datetime) -> list[Alert]:
    """Return the alerts that somebody may have to be told of.

    What fires and was told is among them where that was before ``reminded_before``.
    """
    is_news = or_(alert.c.told != Told.FIRING.value, alert.c.told_at <= reminded_before)
    query = (
        select(alert)
        .where(
            or_(
                and_(alert.c.state == AlertState.FIRING.value, is_news),
                and_(
                    alert.c.state == AlertState.RESOLVED.value,
                    alert.c.told == Told.FIRING.value,
                ),
            )
        )
        .order_by(alert.c.fired_at, alert.c.subject, alert.c.id)
    )
    return [_alert(row) for row in connection.execute(query)]


def firing_keys(connection: Connection, rule_ids: Sequence[str]) -> frozenset[tuple[str, str, str]]:
    """Return rule, site and subject of what fires by some rules."""
    query = select(alert.c.rule_id, alert.c.site_id, alert.c.subject).where(
        alert.c.state == AlertState.FIRING.value, alert.c.rule_id.in_(rule_ids)
    )
    return frozenset((rule, site, subject) for rule, site, subject in connection.execute(query))


def told_firing(connection: Connection, limit: int) -> list[Alert]:
    """Return what fires and was told."""
    query = (
        select(alert)
        .where(alert.c.state == AlertState.FIRING.value, alert.c.told == Told.FIRING.value)
        .order_by(alert.c.id)
        .limit(limit)
    )
    return [_alert(row) for row in connection.execute(query)]


def write(connection: Connection, steps: Sequence[Step]) -> None:
    """Write what an evaluation changed, with its history."""
    new = [_row(step.after) for step in steps if step.after and step.before is None]
    if new:
        connection.execute(alert.insert(), new)
    _update(connection, [step.after for step in steps if step.after and step.before is not None])
    gone = [step.before.id for step in steps if step.before and step.after is None]
    for piece in chunks(gone):
        _forget(connection, piece)
    note(connection, [event for step in steps if step.after for event in step.events])


def _row(one: Alert) -> dict[str, object]:
    return asdict(one) | {
        "severity": one.severity.value,
        "state": one.state.value,
        "told": one.told.value,
    }


def _update(connection: Connection, alerts: Sequence[Alert]) -> None:
    if not alerts:
        return
    rows = [_row(one) for one in alerts]
    for row in rows:
        row["key"] = row.pop("id")
    connection.execute(update(alert).where(alert.c.id == bindparam("key")), rows)


def _forget(connection: Connection, ids: Sequence[str]) -> None:
    connection.execute(delete(alert_event).where(alert_event.c.alert_id.in_(ids)))
    connection.execute(delete(alert).where(alert.c.id.in_(ids)))


def note(connection: Connection, events: Sequence[Event]) -> None:
    """Add to the history of alerts."""
    rows = [asdict(event) | {"kind": event.kind.value} for event in events]
    if rows:
        connection.execute(alert_event.insert(), rows)


def mark_told(connection: Connection, told: Sequence[Alert], now: datetime) -> None:
    """Write that receivers are told of alerts as they are now."""
    words = {
        one.id: Told.FIRING if one.state is AlertState.FIRING else Told.RESOLVED for one in told
    }
    for word in Told:
        ids = [id_ for id_, known in words.items() if known is word]
        for piece in chunks(ids):
            known = update(alert).where(alert.c.id.in_(piece))
            connection.execute(known.values(told=word.value, told_at=now))
    note(
        connection,
        [
            Event(
                alert_id=one.id,
                at=now,
                kind=EventKind.REMINDED if one.told is words[one.id] else EventKind.TOLD,
                words=words[one.id].value,
            )
            for one in told
        ],
    )


def acknowledge(
    connection: Connection, alert_id: str, actor: str, note_text: str, now: datetime
) -> Alert:
    """Write who takes an alert on; a repeat of the same person changes nothing. Raise Conflict."""
    row = connection.execute(select(alert).where(alert.c.id == alert_id).with_for_update()).first()
    if row is None:
        raise NotFound(f"there is no alert {alert_id}")
    one = _alert(row)
    if one.state is not AlertState.FIRING:
        raise Conflict(
            f"alert {alert_id} is {one.state.value}; only one that fires can be acknowledged",
            next_step="see `suanwang alerts list`",
        )
    if one.acked_by == actor and one.ack_note == note_text:
        return one
    after = replace(one, acked_at=now, acked_by=actor, ack_note=note_text)
    _update(connection, [after])
    words = f"{actor}: {note_text}" if note_text else actor
    note(
        connection,
        [Event(alert_id=alert_id, at=now, kind=EventKind.ACKNOWLEDGED, words=words)],
    )
    return after


def find(connection: Connection, alert_id: str) -> Alert:
    """Return an alert; raise NotFound."""
    row = connection.execute(select(alert).where(alert.c.id == alert_id)).first()
    if row is None:
        raise NotFound(f"there is no alert {alert_id}")
    return _alert(row)


def history(connection: Connection, alert_id: str) -> list[Event]:
    """Return what happened to an alert, the newest first."""
    rows = connection.execute(
        select(alert_event)
        .where(alert_event.c.alert_id == alert_id)
        .order_by(alert_event.c.seq.desc())
        .limit(EVENTS_SHOWN)
    )
    return [
        Event(
            alert_id=row.alert_id,
            at=row.at,
            kind=EventKind(row.kind),
            value=row.value,
            words=row.words,
        )
        for row in rows
    ]


def listed(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    states: Sequence[AlertState],
    rule_id: str = "",
    before: str = "",
    limit: int = 100,
) -> list[Alert]:
    """Return alerts, the newest first; ``sites`` None means all of them."""
    query: Select[tuple[object, ...]] = select(alert).order_by(alert.c.id.desc()).limit(limit)
    query = query.where(alert.c.state.in_([state.value for state in states]))
    if sites is not None:
        query = query.where(alert.c.site_id.in_(sites))
    if rule_id:
        query = query.where(alert.c.rule_id == rule_id)
    if before:
        query = query.where(alert.c.id < before)
    return [_alert(row) for row in connection.execute(query)]


def counts(connection: Connection) -> list[Count]:
    """Return how many alerts live, and since when the oldest of them is bad."""
    columns = (alert.c.site_id, alert.c.rule_id, alert.c.severity, alert.c.state)
    rows = connection.execute(
        select(*columns, func.count().label("alerts"), func.min(alert.c.bad_at).label("bad_at"))
        .where(alert.c.state.in_(_LIVE))
        .group_by(*columns)
        .order_by(alert.c.site_id, alert.c.rule_id, alert.c.state)
    )
    return [Count(**row._mapping) for row in rows]


def add_silence(connection: Connection, new: Silence) -> None:
    """Write a silence; raise BadInput for one that is empty or too long."""
    if new.until_at <= max(new.from_at, new.made_at):
        raise BadInput(
            f"the silence ends at {new.until_at.isoformat()}, before it silences anything",
            next_step="give a later end",
        )
    if new.until_at - new.made_at > SILENCE_MAX:
        raise BadInput(
            f"a silence may end within {SILENCE_MAX.days} days, not at {new.until_at.isoformat()}",
            next_step="switch the rule off in alerts.rules_file if nobody wants it",
        )
    connection.execute(alert_silence.insert().values(asdict(new)))


def silences(connection: Connection, now: datetime, *, with_past: bool = False) -> list[Silence]:
    """Return the silences that hold now or will, the next to end first; all on request."""
    query = select(alert_silence).order_by(alert_silence.c.until_at, alert_silence.c.id)
    if not with_past:
        query = query.where(alert_silence.c.until_at > now)
    return [Silence(**row._mapping) for row in connection.execute(query)]


def find_silence(connection: Connection, silence_id: str) -> Silence:
    """Return a silence; raise NotFound."""
    row = connection.execute(select(alert_silence).where(alert_silence.c.id == silence_id)).first()
    if row is None:
        raise NotFound(f"there is no silence {silence_id}")
    return Silence(**row._mapping)


def end_silence(connection: Connection, silence_id: str, actor: str, now: datetime) -> Silence:
    """End a silence now; one that is over stays as it is. Raise NotFound."""
    one = find_silence(connection, silence_id)
    if one.until_at <= now:
        return one
    connection.execute(
        update(alert_silence)
        .where(alert_silence.c.id == silence_id)
        .values(until_at=now, ended_by=actor)
    )
    return replace(one, until_at=now, ended_by=actor)


def prune(connection: Connection, now: datetime) -> int:
    """Forget what is over for long; return how many alerts that were."""
    before = now - KEPT
    ids = list(
        connection.scalars(
            select(alert.c.id).where(
                alert.c.state == AlertState.RESOLVED.value,
                alert.c.resolved_at < before,
                alert.c.told != Told.FIRING.value,
            )
        )
    )
    for piece in chunks(ids):
        _forget(connection, piece)
    connection.execute(delete(alert_event).where(alert_event.c.at < before))
    connection.execute(delete(alert_silence).where(alert_silence.c.until_at < before))
    return len(ids)
