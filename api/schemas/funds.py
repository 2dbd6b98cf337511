"""Funders and pools, payments by bank, and debts from clawbacks."""

from typing import Literal

from pydantic import ConfigDict, Field

from api.schemas.common import FenAboveZero, In, Out, Title
from api.schemas.money import IdempotencyKey, Receipt


class AppropriationIn(In):
    """Money that a funder puts into a programme's pool, or takes out of it again."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "programme": "qingdao-2026",
                "funder": "city",
                "amount_fen": 1_000_000_000,
                "document": "财预2026-17",
                "key": "budget-2026-city",
            }
        }
    )

    programme: Title
    funder: Title
    amount_fen: FenAboveZero
    document: Title = Field(description="what says so: number of the order")
    is_withdrawal: bool = Field(default=False, description="out of the pool again")
    key: IdempotencyKey | None = Field(default=None, description="instead of Idempotency-Key")


class PaymentIn(In):
    """A payment by bank to somebody who earned it, or back from there."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "payee": "laoshan",
                "programme": "qingdao-2026",
                "amount_fen": 250_000,
                "receipt": "YH-2026-11-03-7",
                "key": "settle-2026-10-laoshan",
            }
        }
    )

    payee: Title = Field(description="whom the ledger owes: a site")
    programme: Title | None = Field(
        default=None, description="whose vouchers it earned it with; none: cash of tenants"
    )
    amount_fen: FenAboveZero
    receipt: Receipt
    is_return: bool = Field(default=False, description="the payee paid it back")
    key: IdempotencyKey | None = Field(default=None, description="instead of Idempotency-Key")


class FunderOut(Out):
    """A funder of a programme: appropriated = pool + granted - returned.

    granted = available + held + spent + expired + recalled; of claims, what is kept counts as
    available and what was redeemed as spent.
    """

    programme: str
    funder: str
    has_pool: bool = Field(description="false: each grant appropriates what it needs")
    appropriated_fen: int
    pool_fen: int
    granted_fen: int
    returned_fen: int = Field(description="not used, and can be granted again")
    available_fen: int
    held_fen: int
    spent_fen: int
    expired_fen: int
    recalled_fen: int


class PoolList(Out):
    """Funders by programme."""

    items: list[FunderOut]


class PayableOut(Out):
    """What is owed and not paid."""

    kind: Literal["voucher", "cash", "claim"]
    payee: str = Field(description="a site; of a claim, its id")
    programme: str = Field(description="empty for cash")
    open_fen: int


class PayableList(Out):
    """What is owed."""

    items: list[PayableOut]


class DebtOut(Out):
    """What a tenant owes from the clawback of a lot or a claim."""

    tenant_id: str
    lot_id: str
    programme: str
    open_fen: int


class DebtList(Out):
    """Debts from clawbacks."""

    items: list[DebtOut]
