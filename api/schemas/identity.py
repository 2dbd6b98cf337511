"""Tenants and keys."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field, field_validator
from stdnum.cn import uscc as uscc_number

from api.schemas.common import In, Name, Out, Title
from suanwang.model.tenant import Role


class TenantIn(In):
    """An organisation that submits jobs and holds vouchers, or operates sites."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"id": "haiyun", "name": "海云科技", "uscc": ""}}
    )

    id: Name
    name: Title
    uscc: str = Field(
        default="",
        max_length=18,
        description="unified social credit code (统一社会信用代码), or empty",
    )

    @field_validator("uscc")
    @classmethod
    def _check_digit(cls, value: str) -> str:
        if value and not uscc_number.is_valid(value):
            raise ValueError(
                f"{value!r} is not a unified social credit code: 18 characters, the last checks"
            )
        return value.upper()


class TenantOut(Out):
    """A tenant as registered."""

    id: str
    name: str
    uscc: str


class TenantPage(Out):
    """A page of tenants; ``next`` goes into ``after``."""

    items: list[TenantOut]
    next: str | None


class KeyIn(In):
    """What the new key may do."""

    model_config = ConfigDict(json_schema_extra={"example": {"role": "enterprise"}})

    role: Literal[
        "enterprise", "researcher", "operator", "reviewer-district", "reviewer-city", "admin"
    ]


class KeySecret(Out):
    """A new key. The secret is shown this once."""

    id: str
    secret: str = Field(examples=["swk_…"])
    prefix: str


class KeyOut(Out):
    """A key without its secret."""

    id: str
    role: Role
    prefix: str
    created_at: datetime
    revoked_at: datetime | None


class KeyList(Out):
    """A tenant's keys, oldest first."""

    items: list[KeyOut]


class WhoAmI(Out):
    """The caller."""

    key_id: str
    prefix: str
    tenant_id: str
    role: Role
    site_id: str | None
    rights: list[str]
