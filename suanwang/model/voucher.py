"""Vouchers: lots of money with rules of their own, and holds on them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from suanwang.ids import HoldId, LotId, SiteId, TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """One grant to one tenant.

    At any moment ``issued = available + held + spent + expired + recalled``.

    The lot pays at most ``ratio_num / ratio_den`` of a job's price, only at ``sites`` (empty: all)
    and on ``accelerators`` (empty: all), before ``expires_at``. A job that starts before may run up
    to ``grace_s`` seconds beyond. Lots are drawn in the order of (rank, expires_at, id).
    """

    id: LotId
    tenant_id: TenantId
    programme: str
    issued_fen: int
    available_fen: int
    held_fen: int
    spent_fen: int
    expired_fen: int
    ratio_num: int
    ratio_den: int
    expires_at: datetime
    rank: int = 0
    sites: frozenset[SiteId] = frozenset()
    accelerators: frozenset[str] = frozenset()
    recalled_fen: int = 0
    grace_s: int = 0


class HoldState(StrEnum):
    """A hold ends exactly once: captured (with the rest released) or released whole."""

    OPEN = "open"
    CAPTURED = "captured"
    RELEASED = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldSlice:
    """The part of a hold that one lot carries, or cash when ``lot_id`` is None."""

    lot_id: LotId | None
    amount_fen: int
    captured_fen: int = 0
    refunded_fen: int = 0

    @property
    def paid_fen(self) -> int:
        """What it has paid and not got back."""
        return self.captured_fen - self.refunded_fen


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Money set aside for an attempt, at most what it can cost."""

    id: HoldId
    tenant_id: TenantId
    attempt_id: str
    state: HoldState
    slices: tuple[HoldSlice, ...]
    held_at: datetime
    closed_at: datetime | None = None
    payee: str | None = None

    @property
    def amount_fen(self) -> int:
        """All that was set aside."""
        return sum(part.amount_fen for part in self.slices)

    @property
    def captured_fen(self) -> int:
        """All that was paid from it when it ended."""
        return sum(part.captured_fen for part in self.slices)

    @property
    def paid_fen(self) -> int:
        """All that was paid from it and not refunded."""
        return sum(part.paid_fen for part in self.slices)
