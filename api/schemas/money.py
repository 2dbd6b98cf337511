"""Vouchers, cash and the ledger."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from api.schemas.common import INT32_MAX, FenAboveZero, In, Moment, Name, Out, Title

IdempotencyKey = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


Reference = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
"""An id that the platform made, such as an attempt's or a hold's."""
LotName = Annotated[str, Field(min_length=1, max_length=200)]
"""Id of a lot or a claim."""
Receipt = Annotated[str, Field(min_length=1, max_length=200, description="the bank's, once only")]


class FunderPartIn(In):
    """What one funder puts into a lot."""

    funder: Title
    amount_fen: FenAboveZero


class VoucherIn(In):
    """A grant: one lot for one tenant, which pays at most ``ratio_num / ratio_den`` of a price."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "lot_id": "qd-2026-0001",
                "tenant_id": "haiyun",
                "programme": "qingdao-2026",
                "amount_fen": 10_000_000,
                "ratio_num": 1,
                "ratio_den": 5,
                "expires_at": "2027-01-01T00:00:00+08:00",
            }
        }
    )

    lot_id: Name
    tenant_id: Name
    programme: Title
    amount_fen: FenAboveZero
    ratio_num: int = Field(ge=1, le=1_000_000)
    ratio_den: int = Field(ge=1, le=1_000_000)
    expires_at: Moment
    rank: int = Field(default=0, ge=0, le=INT32_MAX, description="lower is drawn first")
    sites: list[Name] = Field(default=[], max_length=1_000, description="empty: every site")
    accelerators: list[Name] = Field(default=[], max_length=1_000, description="empty: all")
    funders: list[FunderPartIn] = Field(
        default=[], max_length=50, description="whose money it is; empty: the platform's"
    )
    is_reused: bool = Field(default=False, description="what it does not pay is granted anew")
    key: IdempotencyKey | None = Field(default=None, description="instead of Idempotency-Key")


class CashIn(In):
    """Cash that a tenant paid in."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"tenant_id": "haiyun", "amount_fen": 500_000, "key": "bank-2026-10-14-17"}
        }
    )

    tenant_id: Name
    amount_fen: FenAboveZero
    key: IdempotencyKey | None = Field(default=None, description="instead of Idempotency-Key")


class RefundIn(In):
    """Money that goes back to the lots and the cash that paid for an attempt."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "attempt_id": "job_0123-a1",
                "amount_fen": 1_200,
                "reason": "the site stood still",
                "key": "ticket-17",
            }
        }
    )

    attempt_id: Reference | None = Field(default=None, description="or hold_id")
    hold_id: Reference | None = Field(default=None, description="or attempt_id")
    amount_fen: FenAboveZero
    reason: Title
    key: IdempotencyKey | None = Field(default=None, description="instead of Idempotency-Key")

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.attempt_id is None) == (self.hold_id is None):
            raise ValueError("name either attempt_id or hold_id")
        return self


class RepaymentIn(In):
    """Money that a tenant paid against its debt from the clawback of a lot or a claim."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "tenant_id": "haiyun",
                "lot_id": "qd-2026-0001",
                "amount_fen": 50_000,
                "receipt": "YH-2026-10-14-18",
                "key": "repay-18",
            }
        }
    )

    tenant_id: Name
    lot_id: LotName
    amount_fen: FenAboveZero
    receipt: Receipt
    key: IdempotencyKey | None = Field(default=None, description="instead of Idempotency-Key")


class PeriodIn(In):
    """A period that has ended and is to be closed."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"period_id": "2026-10", "ends_at": "2026-11-01T00:00:00+08:00"}
        }
    )

    period_id: Name
    ends_at: Moment
    key: IdempotencyKey | None = Field(default=None, description="instead of Idempotency-Key")


class Booked(Out):
    """The ledger's entry; ``is_repeat`` says that the same request was booked before.

    ``balances_fen`` are the accounts that it touched, just after it.
    """

    seq: int
    is_repeat: bool
    balances_fen: dict[str, int]


class LotOut(Out):
    """A lot: issued = available + held + spent + expired."""

    id: str
    tenant_id: str
    programme: str
    issued_fen: int
    available_fen: int
    held_fen: int
    spent_fen: int
    expired_fen: int
    recalled_fen: int
    ratio_num: int
    ratio_den: int
    expires_at: datetime
    rank: int
    sites: list[str]
    accelerators: list[str]


class Purse(Out):
    """Lots in the order in which they are drawn, and free cash by tenant."""

    items: list[LotOut]
    cash_fen: dict[str, int]


class WriterOut(Out):
    """Which process writes the ledger and places the jobs; empty and null where none does."""

    writer: str = Field(description="name of the process, new at each start")
    url: str = Field(description="where the other replicas reach it")
    epoch: int = Field(description="counts the writers")
    until: datetime | None = Field(description="end of its lease unless it is renewed")
    is_here: bool = Field(description="whether it is the process that answers")
    waiting: int = Field(description="units of work that wait in the process that answers")


class LedgerCheckOut(Out):
    """The books' own proof: ``findings`` is empty when they are sound."""

    is_sound: bool
    findings: list[str]
    entries: int
    postings: int
    lots: int
    holds_open: int
    sum_fen: int = Field(description="sum of all accounts; 0 in sound books")
    issued_fen: int = Field(description="= available + held + spent + expired")
    available_fen: int
    held_fen: int
    spent_fen: int
    expired_fen: int
    recalled_fen: int
    claimed_fen: int = Field(description="kept for claims and not redeemed yet")
    redeemed_fen: int
    pooled_fen: int = Field(description="appropriated and not granted")
    due_fen: int = Field(description="owed to payees and claimants for vouchers and claims")
    owed_fen: int
    cash_fen: int
    cash_held_fen: int
    payable_fen: int


class PostingOut(Out):
    """Money that moved."""

    source: str
    target: str
    amount_fen: int


class ActorOut(Out):
    """Who caused something: the id of a key, whose key it is, and its role."""

    person: str
    tenant_id: str
    role: str


class EntryOut(Out):
    """One event of the ledger; ``request`` is what was asked for under ``key``.

    ``late_for`` names the closed period whose use it pays; else it is empty. ``by`` is who caused
    it; null for the centre itself.
    """

    seq: int
    at: datetime
    kind: str
    key: str
    request: dict[str, object]
    postings: list[PostingOut]
    late_for: str
    by: ActorOut | None


class EntryPage(Out):
    """A page of entries, oldest first; ``next`` goes into ``after``."""

    items: list[EntryOut]
    next: int | None


class PeriodOut(Out):
    """A closed period; ``chain`` is the end of the ledger's chain when it was closed."""

    id: str
    ends_at: datetime
    closed_at: datetime
    seq: int = Field(description="entry that closed it")
    chain: str
    totals_fen: dict[str, int] = Field(description="sum of all accounts of a kind at that entry")


class PeriodList(Out):
    """The closed periods in order of time."""

    items: list[PeriodOut]
