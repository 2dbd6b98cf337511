"""Who uses the product, and what their key lets them do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from suanwang.ids import TenantId


class Role(StrEnum):
    """What an API key may do; ``agent`` is the token of a site's agent, bound to its site."""

    ENTERPRISE = "enterprise"
    RESEARCHER = "researcher"
    OPERATOR = "operator"
    REVIEWER_DISTRICT = "reviewer-district"
    REVIEWER_CITY = "reviewer-city"
    ADMIN = "admin"
    AGENT = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """An organisation; ``uscc`` is its 统一社会信用代码 (unified social credit code), or empty."""

    id: TenantId
    name: str
    uscc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as stored: the secret's hash and its first characters, never the secret."""

    id: str
    tenant_id: TenantId
    role: Role
    prefix: str
    created_at: datetime
    site_id: str | None = None
    revoked_at: datetime | None = None
