"""What was asked under which key, and what was answered first. Never commits.

Two things make a retry harmless. A request under a key of the sender's is answered once: the first
answer is kept in the transaction of the step and told again for ever. A request without a key is
known again by its digest, as long as its sender's newest step on the application came from it.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from suanwang.db.tables import grant_event, grant_request
from suanwang.errors import Conflict


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request: who asks, under which key of its own (or none), and its digest in hex."""

    person: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered: an HTTP status (0: the route's own) and the body as JSON."""

    status: int
    body: str


def begin(connection: Connection, request: Request, now: datetime) -> Answer | None:
    """Take the key for this request, or return the answer that it got before.

    Others who come with the key wait until this transaction ends. Raises Conflict for a key that
    was used for another request.
    """
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    taken = connection.execute(
        insert(grant_request)
        .values(
            person=request.person, key=request.key, digest=request.digest, status=0, answer="",
            at=now,
        )
        .on_conflict_do_nothing()
        .returning(grant_request.c.key)
    ).one_or_none()  # fmt: skip
    if taken is not None:
        return None
    row = connection.execute(
        select(grant_request).where(
            grant_request.c.person == request.person, grant_request.c.key == request.key
        )
    ).one()
    if row.digest != request.digest:
        raise Conflict(
            f"the key {request.key!r} was used for another request at {row.at.isoformat()}",
            next_step="send the first request again to hear its answer, or take another key",
            used_digest=row.digest,
            digest=request.digest,
        )
    return Answer(status=row.status, body=row.answer)


def end(connection: Connection, request: Request, answer: Answer) -> None:
    """Keep the first answer to a request under a key, for ever."""
    connection.execute(
        update(grant_request)
        .where(grant_request.c.person == request.person, grant_request.c.key == request.key)
        .values(status=answer.status, answer=answer.body)
    )


def is_repeat(connection: Connection, request: Request, application_id: str) -> bool:
    """Say whether the sender's newest step on an application came from the same request."""
    newest = connection.execute(
        select(grant_event.c.request)
        .where(
            grant_event.c.application_id == application_id, grant_event.c.actor == request.person
        )
        .order_by(grant_event.c.seq.desc())
        .limit(1)
    ).scalar_one_or_none()
    return newest == request.digest


def steps_of(connection: Connection, request: Request) -> tuple[str, ...]:
    """Return the applications that this request moved when it came last, in order of their ids."""
    own = (grant_event.c.request == request.digest) & (grant_event.c.actor == request.person)
    newest = select(func.max(grant_event.c.at)).where(own).scalar_subquery()
    rows = connection.execute(
        select(grant_event.c.application_id)
        .where(own, grant_event.c.at == newest)
        .distinct()
        .order_by(grant_event.c.application_id)
    )
    return tuple(row.application_id for row in rows)
