"""Who calls, and what they may do: the only place that decides.

A credential travels as ``Authorization: Bearer <secret>`` (Ray's ``RAY_AUTH_TOKEN`` does exactly
that). A role gives rights; a tenant's key sees its own tenant only: what is foreign does not exist.
"""

import base64
import binascii
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from fastapi import Depends
from sqlalchemy import Connection
from starlette.requests import HTTPConnection

from api.context import ApiContext, Context
from api.store import add_key, find_key, has_admin, register_tenant
from suanwang.clock import Clock
from suanwang.errors import Forbidden, Unauthorised
from suanwang.ids import IdSource, SiteId, TenantId, new_secret
from suanwang.model.tenant import ApiKey, Role, Tenant
from voucher.actor import Actor

logger = logging.getLogger(__name__)

PLATFORM: Final = Tenant(id=TenantId("platform"), name="Platform")
"""The tenant of the admin's key."""
ADMIN_KEY_FILE: Final = "admin.key"
PREFIX_SHOWN: Final = 12
"""Characters of a secret that are stored in clear, to tell keys apart."""

_PREFIXES: Final[Mapping[Role, str]] = {Role.ADMIN: "swa", Role.AGENT: "swt"}


class Right(StrEnum):
    """What a route may demand."""

    KNOW_ONESELF = "know-oneself"
    MANAGE_TENANTS = "manage-tenants"
    MANAGE_KEYS = "manage-keys"
    READ_SITES = "read-sites"
    MANAGE_SITES = "manage-sites"
    READ_JOBS = "read-jobs"
    RUN_JOBS = "run-jobs"
    READ_MONEY = "read-money"
    MOVE_MONEY = "move-money"
    AUDIT = "audit"
    MANAGE_PROGRAMMES = "manage-programmes"
    READ_GRANTS = "read-grants"
    FILE_GRANTS = "file-grants"
    REVIEW_GRANTS = "review-grants"
    PAY_GRANTS = "pay-grants"
    SPEAK_FOR_SITE = "speak-for-site"


_TENANT: Final = frozenset({Role.ENTERPRISE, Role.RESEARCHER})
_PEOPLE: Final = _TENANT | {Role.OPERATOR, Role.ADMIN}
_REVIEWERS: Final = frozenset({Role.REVIEWER_DISTRICT, Role.REVIEWER_CITY, Role.ADMIN})

ALLOWED: Final[Mapping[Right, frozenset[Role]]] = {
    Right.KNOW_ONESELF: _PEOPLE | _REVIEWERS | {Role.AGENT},
    Right.MANAGE_TENANTS: frozenset({Role.ADMIN}),
    Right.MANAGE_KEYS: frozenset({Role.ENTERPRISE, Role.ADMIN}),
    Right.READ_SITES: _PEOPLE,
    Right.MANAGE_SITES: frozenset({Role.OPERATOR, Role.ADMIN}),
    Right.READ_JOBS: _TENANT | {Role.ADMIN},
    Right.RUN_JOBS: _TENANT | {Role.ADMIN},
    Right.READ_MONEY: _TENANT | {Role.ADMIN},
    Right.MOVE_MONEY: frozenset({Role.ADMIN}),
    Right.AUDIT: frozenset({Role.ADMIN}),
    Right.MANAGE_PROGRAMMES: frozenset({Role.ADMIN}),
    Right.READ_GRANTS: _REVIEWERS | {Role.ENTERPRISE},
    Right.FILE_GRANTS: frozenset({Role.ENTERPRISE, Role.ADMIN}),
    Right.REVIEW_GRANTS: _REVIEWERS,
    Right.PAY_GRANTS: frozenset({Role.REVIEWER_CITY, Role.ADMIN}),
    Right.SPEAK_FOR_SITE: frozenset({Role.AGENT}),
}
"""Which roles have which right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The caller. ``site_id`` is set for an agent only."""

    key_id: str
    tenant_id: TenantId
    role: Role
    prefix: str
    site_id: SiteId | None = None

    @property
    def tenant_scope(self) -> TenantId | None:
        """The tenant that the caller may look into; None means every one."""
        return None if self.role is Role.ADMIN else self.tenant_id

    @property
    def actor(self) -> Actor:
        """The caller as the audit and the ledger name it."""
        return Actor(person=self.key_id, tenant_id=self.tenant_id, role=self.role)

    @property
    def site(self) -> SiteId:
        """The site that an agent speaks for; raise Forbidden for people."""
        if self.site_id is None:
            raise Forbidden("this key is bound to no site", next_step="use the site's token")
        return self.site_id


def authorise(identity: Identity, right: Right) -> None:
    """Let the caller pass, or raise Forbidden with the roles that would."""
    allowed = ALLOWED[right]
    if identity.role not in allowed:
        raise Forbidden(
            f"the role {identity.role.value} may not {right.value.replace('-', ' ')}",
            next_step=f"use a key of the role {' or '.join(sorted(allowed))}",
            role=identity.role.value,
            right=right.value,
        )


def identify(connection: Connection, secret: str) -> Identity:
    """Return whose secret this is; raise Unauthorised for none, a wrong or a revoked one."""
    if not secret:
        raise Unauthorised(
            "no API key came with the request",
            next_step="send Authorization: Bearer KEY (RAY_AUTH_MODE=token RAY_AUTH_TOKEN=KEY)",
        )
    key = find_key(connection, secret)
    if key is None or key.revoked_at is not None:
        raise Unauthorised(
            "the API key is unknown or revoked", next_step="ask the platform's admin for a new one"
        )
    return Identity(
        key_id=key.id,
        tenant_id=key.tenant_id,
        role=key.role,
        prefix=key.prefix,
        site_id=SiteId(key.site_id) if key.site_id is not None else None,
    )


def secret_of(headers: Mapping[str, str]) -> str:
    """Return the secret in the Authorization header: a bearer, or a browser's Basic password."""
    scheme, _, credential = headers.get("authorization", "").partition(" ")
    credential = credential.strip()
    if scheme.lower() == "bearer":
        return credential
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credential, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def identity_of(context: ApiContext, connection: HTTPConnection, right: Right) -> Identity:
    """Return the caller of a request or a socket who has ``right``.

    Raises Unauthorised, Forbidden.
    """
    with context.reading() as rows:
        identity = identify(rows, secret_of(connection.headers))
    authorise(identity, right)
    return identity


def needs(right: Right) -> Callable[[HTTPConnection, ApiContext], Identity]:
    """Return the dependency of a route that demands ``right``."""

    def dependency(connection: HTTPConnection, context: Context) -> Identity:
        return identity_of(context, connection, right)

    return dependency


Self = Annotated[Identity, Depends(needs(Right.KNOW_ONESELF))]
TenantManager = Annotated[Identity, Depends(needs(Right.MANAGE_TENANTS))]
KeyManager = Annotated[Identity, Depends(needs(Right.MANAGE_KEYS))]
SiteReader = Annotated[Identity, Depends(needs(Right.READ_SITES))]
SiteManager = Annotated[Identity, Depends(needs(Right.MANAGE_SITES))]
JobReader = Annotated[Identity, Depends(needs(Right.READ_JOBS))]
JobRunner = Annotated[Identity, Depends(needs(Right.RUN_JOBS))]
MoneyReader = Annotated[Identity, Depends(needs(Right.READ_MONEY))]
MoneyMover = Annotated[Identity, Depends(needs(Right.MOVE_MONEY))]
Auditor = Annotated[Identity, Depends(needs(Right.AUDIT))]
ProgrammeManager = Annotated[Identity, Depends(needs(Right.MANAGE_PROGRAMMES))]
GrantReader = Annotated[Identity, Depends(needs(Right.READ_GRANTS))]
GrantFiler = Annotated[Identity, Depends(needs(Right.FILE_GRANTS))]
GrantReviewer = Annotated[Identity, Depends(needs(Right.REVIEW_GRANTS))]
GrantPayer = Annotated[Identity, Depends(needs(Right.PAY_GRANTS))]
Agent = Annotated[Identity, Depends(needs(Right.SPEAK_FOR_SITE))]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key just made; the secret is shown this once."""

    key: ApiKey
    secret: str


def make_key(
    connection: Connection,
    clock: Clock,
    ids: IdSource,
    *,
    tenant_id: TenantId,
    role: Role,
    site_id: str | None = None,
) -> NewKey:
    """Draw a secret for a tenant's role, store its hash, and return it."""
    secret = new_secret(_PREFIXES.get(role, "swk"))
    key = ApiKey(
        id=ids.new("key"),
        tenant_id=tenant_id,
        role=role,
        prefix=secret[:PREFIX_SHOWN],
        created_at=clock.now(),
        site_id=site_id,
    )
    add_key(connection, key, secret)
    return NewKey(key=key, secret=secret)


def ensure_admin(connection: Connection, clock: Clock, ids: IdSource, state_dir: Path) -> Path:
    """Make the first admin key of a new centre, in a file for its owner only; return the file.

    A centre that has an admin key is left as it is.
    """
    path = state_dir / ADMIN_KEY_FILE
    if has_admin(connection):
        return path
    register_tenant(connection, PLATFORM, clock.now())
    made = make_key(connection, clock, ids, tenant_id=PLATFORM.id, role=Role.ADMIN)
    state_dir.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(made.secret + "\n")
    logger.info("made the first admin key", extra={"file": str(path), "prefix": made.key.prefix})
    return path
