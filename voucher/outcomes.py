"""What the ledger answers to each command: accepted, with balances, or a named refusal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class RefusalCode(StrEnum):
    """Why the ledger says no. A refusal books nothing and does not use up its key."""

    KEY_REUSED = "key-reused"
    BAD_TEXT = "bad-text"
    BAD_AMOUNT = "bad-amount"
    BAD_RATIO = "bad-ratio"
    BAD_TIME = "bad-time"
    BAD_SLICES = "bad-slices"
    UNKNOWN_TENANT = "unknown-tenant"
    UNKNOWN_LOT = "unknown-lot"
    UNKNOWN_HOLD = "unknown-hold"
    FOREIGN_LOT = "foreign-lot"
    LOT_EXISTS = "lot-exists"
    LOT_EXPIRED = "lot-expired"
    LOT_NOT_EXPIRED = "lot-not-expired"
    LOT_SHORT = "lot-short"
    LOT_RATIO = "lot-ratio"
    CASH_SHORT = "cash-short"
    HOLD_EXISTS = "hold-exists"
    HOLD_CLOSED = "hold-closed"
    ABOVE_HOLD = "above-hold"
    HOLD_NOT_PAID = "hold-not-paid"
    ABOVE_PAID = "above-paid"
    PAYEE_SHORT = "payee-short"
    LOT_RECALLED = "lot-recalled"
    ABOVE_LOT = "above-lot"
    ABOVE_DEBT = "above-debt"
    BAD_FUNDERS = "bad-funders"
    POOL_SHORT = "pool-short"
    NOT_A_VOUCHER = "not-a-voucher"
    NOT_A_CLAIM = "not-a-claim"
    CLAIM_SHORT = "claim-short"
    ABOVE_DUE = "above-due"
    RECEIPT_USED = "receipt-used"
    PERIOD_EXISTS = "period-exists"
    PERIOD_ORDER = "period-order"
    PERIOD_RUNS = "period-runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Booked as entry ``seq``; ``balances`` are the accounts it touched, in fen, just after it.

    ``is_repeat`` means that the key had been used for the same request before: this is the first
    answer again, and nothing was booked now.
    """

    key: str
    seq: int
    is_repeat: bool
    balances: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Nothing was booked, and why, with the figures that were compared."""

    key: str
    code: RefusalCode
    message: str
    facts: Mapping[str, int | str] = field(default_factory=dict)


Outcome = Accepted | Refusal
