"""Messages that must be delivered: written with what they tell, done when a receiver has them.

A channel's messages go out in their order: while the first can't be delivered the others wait, so
no end of an alert overtakes its beginning.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, Row, delete, func, select, update

from alerts.message import MessageBody
from alerts.store import KEPT
from suanwang.db.tables import alert_message
from suanwang.errors import Conflict, NotFound

ERROR_MAX: Final = 1_000


class MessageState(StrEnum):
    """Where a message stands."""

    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of a channel; ``next_at`` is when it is tried again."""

    seq: int
    id: str
    channel: str
    group_key: str
    body: MessageBody
    made_at: datetime
    state: MessageState
    attempts: int
    next_at: datetime
    done_at: datetime | None
    error: str


def add(
    connection: Connection,
    bodies: Mapping[str, MessageBody],
    group_key: str,
    now: datetime,
) -> None:
    """Write a message for each of some channels."""
    connection.execute(
        alert_message.insert(),
        [
            {
                "id": body["id"],
                "channel": channel,
                "group_key": group_key,
                "body": body,
                "made_at": now,
                "state": MessageState.WAITING.value,
                "attempts": 0,
                "next_at": now,
                "error": "",
            }
            for channel, body in bodies.items()
        ],
    )


def told_since(connection: Connection, moment: datetime) -> dict[str, datetime]:
    """Return when each group was told last, of those that were since a moment."""
    rows = connection.execute(
        select(alert_message.c.group_key, func.max(alert_message.c.made_at).label("at"))
        .where(alert_message.c.made_at > moment)
        .group_by(alert_message.c.group_key)
    )
    return {row.group_key: row.at for row in rows}


def _message(row: Row[tuple[object, ...]]) -> Message:
    values = dict(row._mapping)
    return Message(**values | {"state": MessageState(values["state"])})


def take(connection: Connection, channel: str, now: datetime, until: datetime) -> Message | None:
    """Return the message that a channel must send next; nobody else takes it before ``until``."""
    row = connection.execute(
        select(alert_message)
        .where(
            alert_message.c.channel == channel,
            alert_message.c.state == MessageState.WAITING.value,
        )
        .order_by(alert_message.c.seq)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if row is None or row.next_at > now:
        return None
    connection.execute(
        update(alert_message)
        .where(alert_message.c.seq == row.seq)
        .values(next_at=until, attempts=row.attempts + 1)
    )
    return _message(row)


def _set(connection: Connection, seq: int, **values: object) -> None:
    connection.execute(
        update(alert_message)
        .where(alert_message.c.seq == seq, alert_message.c.state == MessageState.WAITING.value)
        .values(values)
    )


def mark_sent(connection: Connection, seq: int, now: datetime) -> None:
    """Write that a receiver has a message."""
    _set(connection, seq, state=MessageState.SENT.value, done_at=now, error="")


def mark_failed(connection: Connection, seq: int, error: str, next_at: datetime) -> None:
    """Write why a try failed, and when the next one is."""
    _set(connection, seq, error=error[:ERROR_MAX], next_at=next_at)


def mark_dead(connection: Connection, seq: int, error: str, now: datetime) -> None:
    """Give a message up; it stays to be looked at and to be sent again by hand."""
    _set(connection, seq, state=MessageState.DEAD.value, error=error[:ERROR_MAX], done_at=now)


def retry(connection: Connection, message_id: str, now: datetime) -> None:
    """Let a message that was given up be tried again; raise NotFound, Conflict."""
    row = connection.execute(
        select(alert_message).where(alert_message.c.id == message_id).with_for_update()
    ).first()
    if row is None:
        raise NotFound(f"there is no message {message_id}")
    if row.state != MessageState.DEAD.value:
        raise Conflict(f"message {message_id} is {row.state}; only a dead one can be tried again")
    connection.execute(
        update(alert_message)
        .where(alert_message.c.seq == row.seq)
        .values(state=MessageState.WAITING.value, next_at=now, made_at=now, attempts=0)
    )


def find(connection: Connection, message_id: str) -> Message:
    """Return a message; raise NotFound."""
    row = connection.execute(select(alert_message).where(alert_message.c.id == message_id)).first()
    if row is None:
        raise NotFound(f"there is no message {message_id}")
    return _message(row)


def give_up_strangers(connection: Connection, channels: Iterable[str], now: datetime) -> None:
    """Give up messages of channels that are not in the settings any more."""
    connection.execute(
        update(alert_message)
        .where(
            alert_message.c.state == MessageState.WAITING.value,
            alert_message.c.channel.not_in(list(channels)),
        )
        .values(state=MessageState.DEAD.value, done_at=now, error="no channel of this name is set")
    )


def counts(connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many messages there are by channel and state."""
    rows = connection.execute(
        select(alert_message.c.channel, alert_message.c.state, func.count()).group_by(
            alert_message.c.channel, alert_message.c.state
        )
    )
    return {(channel, state): int(count) for channel, state, count in rows}


def listed(
    connection: Connection, states: Sequence[MessageState], before: int | None, limit: int
) -> list[Message]:
    """Return messages, the newest first."""
    query = (
        select(alert_message)
        .where(alert_message.c.state.in_([state.value for state in states]))
        .order_by(alert_message.c.seq.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(alert_message.c.seq < before)
    return [_message(row) for row in connection.execute(query)]


def prune(connection: Connection, now: datetime) -> None:
    """Forget messages that were done with long ago."""
    connection.execute(delete(alert_message).where(alert_message.c.done_at < now - KEPT))
