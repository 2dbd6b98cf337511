"""Rows of the API's own: tenants, keys, packages; it never commits."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from suanwang.db.tables import api_key, job, tenant
from suanwang.errors import Conflict, NotFound
from suanwang.ids import TenantId, secret_hash
from suanwang.model.job import JobState
from suanwang.model.tenant import ApiKey, Role, Tenant

DATABASE_AWAY: Final[tuple[type[Exception], ...]] = (
    OperationalError,
    InterfaceError,
    PoolTimeout,
)
"""What a database that does not answer, or is too busy, raises."""
ROW_CONTRADICTS: Final[tuple[type[Exception], ...]] = (IntegrityError,)
"""What a database raises for a row that breaks a rule with other rows."""
ROW_UNSTORABLE: Final[tuple[type[Exception], ...]] = (DataError, UnicodeEncodeError)
"""What a database raises for a value that no column can hold."""


def ping(connection: Connection) -> None:
    """Touch the database and the schema."""
    connection.execute(select(func.count()).select_from(tenant)).scalar_one()


def register_tenant(connection: Connection, new: Tenant, now: datetime) -> bool:
    """Write a tenant and return True; return False for an equal one; else raise Conflict."""
    row = connection.execute(select(tenant).where(tenant.c.id == new.id)).one_or_none()
    if row is None:
        connection.execute(
            tenant.insert().values(id=new.id, name=new.name, uscc=new.uscc, created_at=now)
        )
        return True
    if (row.name, row.uscc) != (new.name, new.uscc):
        raise Conflict(
            f"tenant {new.id!r} is registered as {row.name!r}, not as {new.name!r}",
            next_step="choose another id",
            id=new.id,
        )
    return False


def find_tenant(connection: Connection, tenant_id: str) -> Tenant:
    """Return a tenant; raise NotFound."""
    row = connection.execute(select(tenant).where(tenant.c.id == tenant_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no tenant {tenant_id!r}")
    return Tenant(id=TenantId(row.id), name=row.name, uscc=row.uscc)


def list_tenants(connection: Connection, after_id: str, limit: int) -> tuple[Tenant, ...]:
    """Return tenants in the order of their ids, after ``after_id``."""
    rows = connection.execute(
        select(tenant).where(tenant.c.id > after_id).order_by(tenant.c.id).limit(limit)
    )
    return tuple(Tenant(id=TenantId(row.id), name=row.name, uscc=row.uscc) for row in rows)


def add_key(connection: Connection, key: ApiKey, secret: str) -> None:
    """Store a key by the hash of its secret."""
    connection.execute(
        api_key.insert().values(
            id=key.id,
            tenant_id=key.tenant_id,
            role=key.role.value,
            site_id=key.site_id,
            prefix=key.prefix,
            hash=secret_hash(secret),
            created_at=key.created_at,
        )
    )


def _key(row: Row[tuple[object, ...]]) -> ApiKey:
    return ApiKey(
        id=row.id,
        tenant_id=TenantId(row.tenant_id),
        role=Role(row.role),
        prefix=row.prefix,
        created_at=row.created_at,
        site_id=row.site_id,
        revoked_at=row.revoked_at,
    )


def find_key(connection: Connection, secret: str) -> ApiKey | None:
    """Return the key of a secret, also a revoked one; None when there is none."""
    row = connection.execute(
        select(api_key).where(api_key.c.hash == secret_hash(secret))
    ).one_or_none()
    return None if row is None else _key(row)


def keys_of(connection: Connection, tenant_id: str) -> tuple[ApiKey, ...]:
    """Return a tenant's keys (agents' tokens left out), oldest first."""
    rows = connection.execute(
        select(api_key)
        .where(api_key.c.tenant_id == tenant_id, api_key.c.role != Role.AGENT.value)
        .order_by(api_key.c.created_at, api_key.c.id)
    )
    return tuple(map(_key, rows))


def revoke_key(connection: Connection, tenant_id: str, key_id: str, now: datetime) -> None:
    """End a tenant's key; a repeat changes nothing. Raises NotFound."""
    found = connection.execute(
        select(api_key.c.id).where(api_key.c.id == key_id, api_key.c.tenant_id == tenant_id)
    ).one_or_none()
    if found is None:
        raise NotFound(f"tenant {tenant_id!r} has no key {key_id!r}")
    connection.execute(
        update(api_key)
        .where(api_key.c.id == key_id, api_key.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def revoke_site_tokens(connection: Connection, site_id: str, now: datetime) -> None:
    """End every token of a site's agent."""
    connection.execute(
        update(api_key)
        .where(api_key.c.site_id == site_id, api_key.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def has_admin(connection: Connection) -> bool:
    """Return whether a living admin key exists."""
    count = connection.execute(
        select(func.count())
        .select_from(api_key)
        .where(api_key.c.role == Role.ADMIN.value, api_key.c.revoked_at.is_(None))
    ).scalar_one()
    return count > 0


def jobs_by_state(connection: Connection) -> dict[JobState, int]:
    """Count all jobs by state; a state without jobs has 0."""
    rows = connection.execute(select(job.c.state, func.count()).group_by(job.c.state))
    counts = dict.fromkeys(JobState, 0)
    counts.update({JobState(state): int(count) for state, count in rows})
    return counts


def waiting_by_reason(connection: Connection) -> dict[str, int]:
    """Count the jobs in the queue by the reason code why they wait, the most frequent first."""
    rows = connection.execute(
        select(job.c.reason, func.count())
        .where(job.c.state == JobState.QUEUED.value)
        .group_by(job.c.reason)
        .order_by(func.count().desc(), job.c.reason)
    )
    return {str(reason or "new"): int(count) for reason, count in rows}
