"""Tenants and API keys."""

from typing import Final

from sqlalchemy import Column, ForeignKey, Table, Text

from suanwang.db.tables.metadata import metadata
from suanwang.db.types import UtcDateTime

tenant: Final = Table(
    "tenant",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the organisation"),
    Column("name", Text, nullable=False, comment="name for people"),
    Column("uscc", Text, nullable=False, comment="unified social credit code, empty if none"),
    Column("created_at", UtcDateTime, nullable=False, comment="when it was registered, UTC"),
    comment="Organisations that submit jobs and hold vouchers.",
)

api_key: Final = Table(
    "api_key",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the key"),
    Column("tenant_id", Text, ForeignKey("tenant.id"), nullable=False, comment="whose key it is"),
    Column("role", Text, nullable=False, comment="enterprise, researcher, operator or admin"),
    Column("site_id", Text, ForeignKey("site.id"), comment="the site an agent's token is bound to"),
    Column("prefix", Text, nullable=False, comment="first characters, to tell keys apart"),
    Column("hash", Text, nullable=False, unique=True, comment="SHA-256 of the secret"),
    Column("created_at", UtcDateTime, nullable=False, comment="when it was made, UTC"),
    Column("revoked_at", UtcDateTime, comment="when it was revoked, UTC"),
    comment="Credentials of people, programs and site agents; the secret itself is never stored.",
)
