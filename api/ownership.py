"""Whose site it is: operators manage their own, the admin every one."""

from sqlalchemy import Connection

from api.identity import Identity
from scheduler import registry
from scheduler.registry import RegisteredSite
from suanwang.errors import NotFound
from suanwang.ids import SiteId
from suanwang.model.tenant import Role


def may_manage(identity: Identity, operator: str) -> bool:
    """Whether a caller may manage the sites of an operator."""
    return identity.role is Role.ADMIN or operator == identity.tenant_id


def own_site(connection: Connection, identity: Identity, site_id: str) -> RegisteredSite:
    """Return a site that the caller manages; raise NotFound, also for somebody else's."""
    found = registry.find_site(connection, SiteId(site_id))
    if not may_manage(identity, found.site.operator):
        raise NotFound(f"there is no site {site_id!r} of yours")
    return found
