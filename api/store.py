"""Rows of the API's own: tenants, keys, packages; it never commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from suanwang.db.tables import api_key, package, site, tenant
from suanwang.errors import BadInput, Conflict, NotFound
from suanwang.ids import TenantId, secret_hash
from suanwang.model.tenant import ApiKey, Role, Tenant

DATABASE_ERRORS: Final = (OperationalError, InterfaceError, PoolTimeout)
"""What a database that is away, or too busy, raises."""
DATABASE_REFUSALS: Final = (IntegrityError, DataError)
"""What a database raises that does not take a row."""


def ping(connection: Connection) -> None:
    """Touch the database and the schema."""
    connection.execute(select(func.count()).select_from(tenant)).scalar_one()


def register_tenant(connection: Connection, new: Tenant, now: datetime) -> bool:
    """Write a tenant and return True, or return False for an equal one; raise Conflict otherwise."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRow:
    """What the registry keeps of a site beside its model."""

    site_id: str
    operator: str
    is_open: bool
    agent_seen_at: datetime | None
    agent_version: str
    executor_state: str
    executor_message: str


def site_rows(connection: Connection, site_ids: Sequence[str] | None = None) -> dict[str, SiteRow]:
    """Return the rows of the named sites, or of all, by id."""
    query = select(site)
    if site_ids is not None:
        query = query.where(site.c.id.in_(site_ids))
    return {
        row.id: SiteRow(
            site_id=row.id,
            operator=row.operator,
            is_open=row.is_open,
            agent_seen_at=row.agent_seen_at,
            agent_version=row.agent_version or "",
            executor_state=row.executor_state or "",
            executor_message=row.executor_message or "",
        )
        for row in connection.execute(query)
    }


def put_package(
    connection: Connection, tenant_id: str, name: str, content: bytes, sha256: str, now: datetime
) -> None:
    """Store a package under its tenant's own name; the same name again overwrites."""
    insert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    values = {"sha256": sha256, "content": content, "created_at": now}
    connection.execute(
        insert(package)
        .values(tenant_id=tenant_id, name=name, **values)
        .on_conflict_do_update(index_elements=["tenant_id", "name"], set_=values)
    )


def package_digest(connection: Connection, tenant_id: str, name: str) -> str | None:
    """Return the digest of a tenant's package, or None when it has none of that name."""
    return connection.execute(
        select(package.c.sha256).where(package.c.tenant_id == tenant_id, package.c.name == name)
    ).scalar_one_or_none()


def check_page(limit: int, limit_max: int) -> int:
    """Return a page size within bounds; raise BadInput."""
    if not 1 <= limit <= limit_max:
        raise BadInput(f"limit {limit} is not between 1 and {limit_max}")
    return limit
