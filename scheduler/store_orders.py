"""Orders to agents, the output of attempts and the packages of jobs, in the database."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from scheduler.events import IssueOrder, OrderKind
from scheduler.rows import attempt_of
from scheduler.store import DEAD, insert_if_new
from suanwang.db.tables import agent_command as command_table
from suanwang.db.tables import attempt as attempt_table
from suanwang.db.tables import attempt_log as log_table
from suanwang.db.tables import job as job_table
from suanwang.db.tables import package as package_table
from suanwang.errors import NotFound
from suanwang.ids import AttemptId, JobId, SiteId, TenantId
from suanwang.model.attempt import Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order that its site has not acknowledged; ``message`` is a line for the job's output."""

    id: str
    kind: str
    number: int
    message: str
    attempt: Attempt


def order_id(attempt_id: AttemptId, kind: str, number: int) -> str:
    """Return the id of an order: the same order is the same id."""
    return f"{attempt_id}-{kind}{number}" if number else f"{attempt_id}-{kind}"


def issue_order(connection: Connection, order: IssueOrder, at: datetime) -> None:
    """Write an order; the same one, acknowledged before, is handed out again."""
    row = _order_row(order, at)
    name = row["id"]
    if not insert_if_new(connection, command_table, row):
        connection.execute(
            update(command_table).where(command_table.c.id == name).values(acknowledged_at=None)
        )


def _order_row(order: IssueOrder, at: datetime) -> dict[str, object]:
    return {
        "id": order_id(order.attempt_id, order.kind, order.number),
        "site_id": order.site_id,
        "attempt_id": order.attempt_id,
        "kind": order.kind,
        "number": order.number,
        "message": order.message,
        "issued_at": at,
        "is_handed_out": False,
    }


def issue_new_orders(connection: Connection, orders: Sequence[IssueOrder], at: datetime) -> None:
    """Write orders of attempts that are new, so that none of them can be there yet."""
    if orders:
        connection.execute(insert(command_table), [_order_row(order, at) for order in orders])


def withdraw_orders(connection: Connection, attempt_id: AttemptId) -> None:
    """Take back what the agent does not have yet."""
    connection.execute(
        delete(command_table).where(
            command_table.c.attempt_id == attempt_id,
            command_table.c.acknowledged_at.is_(None),
        )
    )


def was_handed_out(connection: Connection, attempt_id: AttemptId) -> bool:
    """Return whether the agent may know of an attempt's start; locks the order."""
    query = (
        select(command_table.c.is_handed_out)
        .where(command_table.c.attempt_id == attempt_id, command_table.c.kind == "start")
        .with_for_update()
    )
    row = connection.execute(query).first()
    return row is None or bool(row.is_handed_out)


def is_pending(connection: Connection, attempt_id: AttemptId, kind: OrderKind) -> bool:
    """Return whether there is an order of this kind that the agent has not acknowledged."""
    query = select(command_table.c.id).where(
        command_table.c.attempt_id == attempt_id,
        command_table.c.kind == kind,
        command_table.c.acknowledged_at.is_(None),
    )
    return connection.execute(query).first() is not None


def open_orders(connection: Connection, site_id: SiteId) -> tuple[OpenOrder, ...]:
    """Return the orders that a site has not acknowledged, oldest first."""
    return _orders(
        connection,
        command_table.c.site_id == site_id,
        command_table.c.acknowledged_at.is_(None),
    )


def open_orders_among(
    connection: Connection, site_id: SiteId, order_ids: Sequence[str], kind: OrderKind
) -> tuple[OpenOrder, ...]:
    """Return those of the named orders that are of a kind and not acknowledged, oldest first."""
    return _orders(
        connection,
        command_table.c.site_id == site_id,
        command_table.c.id.in_(order_ids),
        command_table.c.kind == kind,
        command_table.c.acknowledged_at.is_(None),
    )


def _orders(connection: Connection, *which: ColumnElement[bool]) -> tuple[OpenOrder, ...]:
    query = (
        select(
            command_table.c.id.label("order_id"),
            command_table.c.kind,
            command_table.c.number.label("order_number"),
            command_table.c.message.label("order_message"),
            attempt_table,
        )
        .join(attempt_table, attempt_table.c.id == command_table.c.attempt_id)
        .where(*which)
        .order_by(
            command_table.c.issued_at,
            command_table.c.attempt_id,
            command_table.c.number,
            command_table.c.kind,
        )
    )
    return tuple(
        OpenOrder(
            id=row["order_id"],
            kind=row["kind"],
            number=row["order_number"],
            message=row["order_message"],
            attempt=attempt_of(dict(row)),
        )
        for row in connection.execute(query).mappings()
    )


def acknowledged_live_attempts(connection: Connection, site_id: SiteId) -> tuple[str, ...]:
    """Return the attempts of a site that are not proven dead and whose start order it has."""
    query = (
        select(attempt_table.c.id)
        .join(command_table, command_table.c.attempt_id == attempt_table.c.id)
        .where(
            attempt_table.c.site_id == site_id,
            attempt_table.c.state.not_in(DEAD),
            command_table.c.kind == "start",
            command_table.c.acknowledged_at.is_not(None),
        )
        .order_by(attempt_table.c.id)
    )
    return tuple(row.id for row in connection.execute(query))


def mark_handed_out(connection: Connection, order_ids: Sequence[str]) -> list[str]:
    """Note that an agent may know of these orders; return the ids that are still there."""
    connection.execute(
        update(command_table)
        .where(command_table.c.id.in_(order_ids), command_table.c.is_handed_out.is_(False))
        .values(is_handed_out=True)
    )
    query = select(command_table.c.id).where(command_table.c.id.in_(order_ids))
    return [str(row.id) for row in connection.execute(query)]


def acknowledge(
    connection: Connection, site_id: SiteId, order_ids: Sequence[str], at: datetime
) -> int:
    """Note that the agent has these orders on disk; return how many were new."""
    result = connection.execute(
        update(command_table)
        .where(
            command_table.c.site_id == site_id,
            command_table.c.id.in_(order_ids),
            command_table.c.acknowledged_at.is_(None),
        )
        .values(acknowledged_at=at)
    )
    return result.rowcount


# --- output -------------------------------------------------------------------------------------


def log_length(connection: Connection, attempt_id: AttemptId) -> int:
    """Return how many characters of an attempt's output are here."""
    query = (
        select(log_table.c.offset, log_table.c.text)
        .where(log_table.c.attempt_id == attempt_id)
        .order_by(log_table.c.offset.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return 0 if row is None else row.offset + len(row.text)


def append_log(connection: Connection, attempt_id: AttemptId, offset: int, text: str) -> None:
    """Add a piece that begins where the last one ends, unless one that begins there is here."""
    insert_if_new(connection, log_table, {"attempt_id": attempt_id, "offset": offset, "text": text})


def log_pieces(connection: Connection, job_id: JobId) -> tuple[str, ...]:
    """Return the output of all attempts of a job, piece by piece, in order."""
    query = (
        select(log_table.c.text)
        .join(attempt_table, attempt_table.c.id == log_table.c.attempt_id)
        .where(attempt_table.c.job_id == job_id)
        .order_by(attempt_table.c.number, log_table.c.offset)
    )
    return tuple(row.text for row in connection.execute(query))


# --- packages -----------------------------------------------------------------------------------


def put_package(
    connection: Connection, tenant_id: TenantId, name: str, content: bytes, at: datetime
) -> str:
    """Store a package under the client's name for it; return the digest of its bytes."""
    digest = hashlib.sha256(content).hexdigest()
    row = {"sha256": digest, "content": content, "created_at": at}
    key = {"tenant_id": tenant_id, "name": name}
    if not insert_if_new(connection, package_table, key | row):
        connection.execute(
            update(package_table)
            .where(package_table.c.tenant_id == tenant_id, package_table.c.name == name)
            .values(**row)
        )
    return digest


def package_digests(
    connection: Connection, tenant_id: TenantId, names: Sequence[str]
) -> dict[str, str]:
    """Return name → digest for those of the names that the tenant has stored."""
    query = select(package_table.c.name, package_table.c.sha256).where(
        package_table.c.tenant_id == tenant_id, package_table.c.name.in_(names)
    )
    return {row.name: row.sha256 for row in connection.execute(query)}


def package_for_site(connection: Connection, site_id: SiteId, sha256: str) -> bytes:
    """Return bytes for a site: only of tenants that have an attempt there. Raises NotFound."""
    tenants = (
        select(job_table.c.tenant_id)
        .join(attempt_table, attempt_table.c.job_id == job_table.c.id)
        .where(attempt_table.c.site_id == site_id)
    )
    query = (
        select(package_table.c.content)
        .where(package_table.c.sha256 == sha256, package_table.c.tenant_id.in_(tenants))
        .limit(1)
    )
    row = connection.execute(query).first()
    if row is None:
        raise NotFound(f"there is no package with digest {sha256}", sha256=sha256)
    return bytes(row.content)
