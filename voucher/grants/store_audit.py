"""Rows around an application: audit, messages, evidence, redemptions, clawbacks. Never commits."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from suanwang.db.tables import (
    grant_clawback,
    grant_event,
    grant_evidence,
    grant_file,
    grant_message,
    grant_redemption,
)
from suanwang.errors import BadInput, Conflict, NotFound
from suanwang.model.tenant import Role
from voucher.actor import Actor
from voucher.grants.case import Case, Event
from voucher.grants.messages import Message

FILE_BYTES_MAX: Final = 4 * 1024 * 1024
FILES_MAX: Final = 100
"""Files of one application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One step: who did what, when and why, and where the application stood before and after."""

    application_id: str
    seq: int
    at: datetime
    actor: Actor
    action: str
    stage: str
    state_before: str
    state_after: str
    reason: str
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A file of an application, without its bytes; ``line_id`` is the line it proves, or none."""

    seq: int
    kind: str
    file_name: str
    media_type: str
    sha256: str
    size_bytes: int
    added_by: str
    added_at: datetime
    line_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redemption:
    """A payment that is due or done. Money in fen; ``paid_on`` is the day the applicant paid."""

    seq: int
    ref: str
    body_digest: str
    paid_on: str
    amount_fen: int
    by_line: Mapping[str, int]
    filed_by: str
    filed_at: datetime
    receipt: str = ""
    settled_by: str = ""
    settled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clawback:
    """A demand for money back."""

    seq: int
    trigger: str
    state: str
    amount_fen: int
    ban_years: int
    reason: str
    requested_by: str
    requested_at: datetime
    decided_by: str
    decided_at: datetime | None
    banned_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inboxed:
    """A message as stored."""

    application_id: str
    seq: int
    at: datetime
    message: Message
    read_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A step to be written down: where the application stood and stands, the act, its figures."""

    before: Case | None
    after: Case
    event: Event
    facts: Mapping[str, object]


def add_event(connection: Connection, step: StepRow, request: str, now: datetime) -> int:
    """Write the audit row of a step and return its number."""
    before, after, event = step.before, step.after, step.event
    newest = connection.execute(
        select(func.max(grant_event.c.seq)).where(grant_event.c.application_id == after.id)
    ).scalar_one()
    seq = (newest or 0) + 1
    connection.execute(
        grant_event.insert().values(
            application_id=after.id,
            seq=seq,
            at=now,
            actor=event.actor.person,
            actor_tenant_id=event.actor.tenant_id,
            role=event.actor.role.value,
            action=event.action.value,
            stage=before.stage if before else "",
            state_before=before.state.value if before else "",
            state_after=after.state.value,
            reason=event.reason,
            facts=dict(step.facts),
            request=request,
        )
    )
    return seq


def events(connection: Connection, application_id: str) -> tuple[AuditRow, ...]:
    """Return the audit of an application, oldest first."""
    rows = connection.execute(
        select(grant_event)
        .where(grant_event.c.application_id == application_id)
        .order_by(grant_event.c.seq)
    )
    return tuple(
        AuditRow(
            application_id=row.application_id,
            seq=row.seq,
            at=row.at,
            actor=Actor(person=row.actor, tenant_id=row.actor_tenant_id, role=Role(row.role)),
            action=row.action,
            stage=row.stage,
            state_before=row.state_before,
            state_after=row.state_after,
            reason=row.reason,
            facts=row.facts,
        )
        for row in rows
    )


def add_message(
    connection: Connection, case: Case, seq: int, message: Message, now: datetime
) -> None:
    """Write a message to the applicant, under the number of its event."""
    connection.execute(
        grant_message.insert().values(
            application_id=case.id,
            seq=seq,
            tenant_id=case.tenant_id,
            at=now,
            code=message.code,
            text_en=message.text_en,
            text_zh=message.text_zh,
        )
    )


def messages(
    connection: Connection, tenant_id: str | None, *, only_unread: bool = False, limit: int = 200
) -> tuple[Inboxed, ...]:
    """Return messages, newest first: a tenant's, or (None) everybody's."""
    chosen = select(grant_message)
    if tenant_id is not None:
        chosen = chosen.where(grant_message.c.tenant_id == tenant_id)
    if only_unread:
        chosen = chosen.where(grant_message.c.read_at.is_(None))
    chosen = chosen.order_by(
        grant_message.c.at.desc(), grant_message.c.application_id, grant_message.c.seq.desc()
    )
    return tuple(
        Inboxed(
            application_id=row.application_id,
            seq=row.seq,
            at=row.at,
            message=Message(code=row.code, text_en=row.text_en, text_zh=row.text_zh),
            read_at=row.read_at,
        )
        for row in connection.execute(chosen.limit(limit))
    )


def mark_read(connection: Connection, tenant_id: str, up_to: datetime, now: datetime) -> int:
    """Mark the messages of a tenant that came until ``up_to`` as read; return how many were not."""
    done = connection.execute(
        update(grant_message)
        .where(
            grant_message.c.tenant_id == tenant_id,
            grant_message.c.read_at.is_(None),
            grant_message.c.at <= up_to,
        )
        .values(read_at=now)
    )
    return done.rowcount


def add_evidence(
    connection: Connection,
    application_id: str,
    file: Evidence,
    content: bytes,
) -> tuple[Evidence, bool]:
    """Store a file and return it with its number, and whether it is new.

    The same bytes as the same kind for the same line change nothing.

    Raises BadInput for an empty or too large file, or too many of them.
    """
    if not 1 <= len(content) <= FILE_BYTES_MAX:
        raise BadInput(f"a file has 1 to {FILE_BYTES_MAX} bytes, this one {len(content)}")
    sha256 = hashlib.sha256(content).hexdigest()
    there = evidence(connection, application_id)
    for one in there:
        if (one.sha256, one.kind, one.line_id) == (sha256, file.kind, file.line_id):
            return one, False
    if len(there) >= FILES_MAX:
        raise BadInput(f"an application has at most {FILES_MAX} files")
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    bytes_row = insert(grant_file).values(sha256=sha256, size_bytes=len(content), content=content)
    connection.execute(bytes_row.on_conflict_do_nothing())
    seq = len(there) + 1
    connection.execute(
        grant_evidence.insert().values(
            application_id=application_id,
            seq=seq,
            line_id=file.line_id,
            kind=file.kind,
            file_name=file.file_name,
            media_type=file.media_type,
            sha256=sha256,
            size_bytes=len(content),
            added_by=file.added_by,
            added_at=file.added_at,
        )
    )
    return replace(file, seq=seq, sha256=sha256, size_bytes=len(content)), True


def evidence(connection: Connection, application_id: str) -> tuple[Evidence, ...]:
    """Return an application's files in the order in which they came."""
    rows = connection.execute(
        select(grant_evidence)
        .where(grant_evidence.c.application_id == application_id)
        .order_by(grant_evidence.c.seq)
    )
    return tuple(
        Evidence(
            seq=row.seq,
            kind=row.kind,
            file_name=row.file_name,
            media_type=row.media_type,
            sha256=row.sha256,
            size_bytes=row.size_bytes,
            added_by=row.added_by,
            added_at=row.added_at,
            line_id=row.line_id,
        )
        for row in rows
    )


def content_of(connection: Connection, application_id: str, seq: int) -> bytes:
    """Return the bytes of a file; raise NotFound, or Conflict where they were altered since."""
    row = connection.execute(
        select(grant_evidence.c.sha256, grant_file.c.content)
        .join(grant_file, grant_file.c.sha256 == grant_evidence.c.sha256)
        .where(grant_evidence.c.application_id == application_id, grant_evidence.c.seq == seq)
    ).one_or_none()
    if row is None:
        raise NotFound(f"application {application_id} has no file {seq}")
    content = bytes(row.content)
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise Conflict(f"file {seq} of {application_id} is not what was filed", sha256=row.sha256)
    return content


def redemptions(connection: Connection, application_id: str) -> tuple[Redemption, ...]:
    """Return the payments on an application in the order in which they were filed."""
    rows = connection.execute(
        select(grant_redemption)
        .where(grant_redemption.c.application_id == application_id)
        .order_by(grant_redemption.c.seq)
    )
    return tuple(
        Redemption(
            seq=row.seq,
            ref=row.ref,
            body_digest=row.body_digest,
            paid_on=row.paid_on,
            amount_fen=row.amount_fen,
            by_line=row.by_line,
            filed_by=row.filed_by,
            filed_at=row.filed_at,
            receipt=row.receipt,
            settled_by=row.settled_by,
            settled_at=row.settled_at,
        )
        for row in rows
    )


def add_redemption(connection: Connection, application_id: str, new: Redemption) -> None:
    """Write a payment that is due."""
    connection.execute(
        grant_redemption.insert().values(
            application_id=application_id,
            seq=new.seq,
            ref=new.ref,
            body_digest=new.body_digest,
            paid_on=new.paid_on,
            amount_fen=new.amount_fen,
            by_line=dict(new.by_line),
            filed_by=new.filed_by,
            filed_at=new.filed_at,
            receipt=new.receipt,
            settled_by=new.settled_by,
            settled_at=new.settled_at,
        )
    )


def settle_redemption(
    connection: Connection, application_id: str, seq: int, receipt: str, person: str, now: datetime
) -> None:
    """Note that a payment was made, under the number of the bank's receipt."""
    connection.execute(
        update(grant_redemption)
        .where(grant_redemption.c.application_id == application_id, grant_redemption.c.seq == seq)
        .values(receipt=receipt, settled_by=person, settled_at=now)
    )


def clawbacks(connection: Connection, application_id: str) -> tuple[Clawback, ...]:
    """Return the demands for money back on an application, oldest first."""
    rows = connection.execute(
        select(grant_clawback)
        .where(grant_clawback.c.application_id == application_id)
        .order_by(grant_clawback.c.seq)
    )
    return tuple(
        Clawback(
            seq=row.seq,
            trigger=row.trigger,
            state=row.state,
            amount_fen=row.amount_fen,
            ban_years=row.ban_years,
            reason=row.reason,
            requested_by=row.requested_by,
            requested_at=row.requested_at,
            decided_by=row.decided_by,
            decided_at=row.decided_at,
            banned_until=row.banned_until,
        )
        for row in rows
    )


def add_clawback(
    connection: Connection, application_id: str, identity_key: str, group_id: str, new: Clawback
) -> None:
    """Write a demand for money back; a ban counts from its approval."""
    connection.execute(
        grant_clawback.insert().values(
            application_id=application_id,
            seq=new.seq,
            trigger=new.trigger,
            state=new.state,
            amount_fen=new.amount_fen,
            ban_years=new.ban_years,
            reason=new.reason,
            requested_by=new.requested_by,
            requested_at=new.requested_at,
            decided_by=new.decided_by,
            identity_key=identity_key,
            group_id=group_id,
        )
    )


def decide_clawback(connection: Connection, application_id: str, decided: Clawback) -> None:
    """Write how a demand was decided."""
    connection.execute(
        update(grant_clawback)
        .where(
            grant_clawback.c.application_id == application_id, grant_clawback.c.seq == decided.seq
        )
        .values(
            state=decided.state,
            decided_by=decided.decided_by,
            decided_at=decided.decided_at,
            banned_until=decided.banned_until,
        )
    )


def banned_until(
    connection: Connection, identity_key: str, group_id: str, now: datetime
) -> datetime | None:
    """Return until when an applicant or its group is kept out, or None."""
    whom = [grant_clawback.c.identity_key == identity_key]
    if group_id:
        whom.append(grant_clawback.c.group_id == group_id)
    found: datetime | None = connection.execute(
        select(func.max(grant_clawback.c.banned_until)).where(
            or_(*whom), grant_clawback.c.banned_until > now
        )
    ).scalar_one()
    return found
