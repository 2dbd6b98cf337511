"""Tenants, their keys, and who the caller is."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api import store
from api.context import Context
from api.identity import ALLOWED, KeyManager, Self, TenantManager, make_key
from api.schemas.common import PAGE_MAX
from api.schemas.identity import (
    KeyIn,
    KeyList,
    KeyOut,
    KeySecret,
    TenantIn,
    TenantOut,
    TenantPage,
    WhoAmI,
)
from suanwang.errors import Forbidden, NotFound
from suanwang.ids import TenantId
from suanwang.model.tenant import Role, Tenant

router = APIRouter(prefix="/v1", tags=["identity"])

_GRANTED_BY_ENTERPRISE = frozenset({Role.ENTERPRISE, Role.RESEARCHER})


@router.get("/whoami", summary="Who am I")
def whoami(identity: Self) -> WhoAmI:
    """Return the caller's tenant, role and rights."""
    return WhoAmI(
        key_id=identity.key_id,
        prefix=identity.prefix,
        tenant_id=identity.tenant_id,
        role=identity.role,
        site_id=identity.site_id,
        rights=sorted(right.value for right, roles in ALLOWED.items() if identity.role in roles),
    )


@router.post("/tenants", status_code=201, summary="Register a tenant")
def register_tenant(
    body: TenantIn, identity: TenantManager, context: Context, response: Response
) -> TenantOut:
    """Register an organisation: 201 when it is new, 200 when the same one is there already."""
    tenant = Tenant(id=TenantId(body.id), name=body.name, uscc=body.uscc)
    with context.writing() as connection:
        if not store.register_tenant(connection, tenant, context.clock.now()):
            response.status_code = 200
    return TenantOut(id=tenant.id, name=tenant.name, uscc=tenant.uscc)


@router.get("/tenants", summary="List tenants")
def list_tenants(
    identity: TenantManager,
    context: Context,
    after: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> TenantPage:
    """Return a page of tenants in the order of their ids."""
    with context.reading() as connection:
        tenants = store.list_tenants(connection, after, limit)
    return TenantPage(
        items=[TenantOut(id=found.id, name=found.name, uscc=found.uscc) for found in tenants],
        next=tenants[-1].id if len(tenants) == limit else None,
    )


def _own_tenant(tenant_id: str, scope: TenantId | None) -> None:
    if scope is not None and tenant_id != scope:
        raise NotFound(f"there is no tenant {tenant_id!r}")


@router.post("/tenants/{tenant_id}/keys", status_code=201, summary="Make a key")
def make_tenant_key(
    tenant_id: str, body: KeyIn, identity: KeyManager, context: Context
) -> KeySecret:
    """Make a key for a tenant; the secret is in this answer and nowhere else.

    An enterprise makes keys for its own people; other roles are given by the admin.
    """
    _own_tenant(tenant_id, identity.tenant_scope)
    role = Role(body.role)
    if identity.role is not Role.ADMIN and role not in _GRANTED_BY_ENTERPRISE:
        raise Forbidden(
            f"the role {identity.role.value} may not grant the role {role.value}",
            next_step="ask the platform's admin",
        )
    with context.writing() as connection:
        tenant = store.find_tenant(connection, tenant_id)
        made = make_key(connection, context.clock, context.ids, tenant_id=tenant.id, role=role)
    return KeySecret(id=made.key.id, secret=made.secret, prefix=made.key.prefix)


@router.get("/tenants/{tenant_id}/keys", summary="List keys")
def list_tenant_keys(tenant_id: str, identity: KeyManager, context: Context) -> KeyList:
    """Return a tenant's keys without their secrets, oldest first."""
    _own_tenant(tenant_id, identity.tenant_scope)
    with context.reading() as connection:
        store.find_tenant(connection, tenant_id)
        keys = store.keys_of(connection, tenant_id)
    return KeyList(
        items=[
            KeyOut(
                id=key.id,
                role=key.role,
                prefix=key.prefix,
                created_at=key.created_at,
                revoked_at=key.revoked_at,
            )
            for key in keys
        ]
    )


@router.delete("/tenants/{tenant_id}/keys/{key_id}", status_code=204, summary="Revoke a key")
def revoke_tenant_key(tenant_id: str, key_id: str, identity: KeyManager, context: Context) -> None:
    """End a key at once; a repeat changes nothing."""
    _own_tenant(tenant_id, identity.tenant_scope)
    with context.writing() as connection:
        store.revoke_key(connection, tenant_id, key_id, context.clock.now())
