"""The part of the ledger's state that a batch can meet, and what a command does to it.

``fold`` takes an accepted draft into the book, so that the next command of a batch meets the state
after this one. The same function serves the replay of a journal.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from suanwang.model.voucher import Hold
from voucher.chain import Posting
from voucher.commands import Command, Issue, canonical
from voucher.funding import Mix, pair, read_mix
from voucher.outcomes import Refusal, RefusalCode

BANK: Final = "bank:deposits"
UNGUARDED: Final = frozenset({"budget", "bank", "due", "receivable", "reused"})
"""Kinds that go below zero: the world outside, and what tenants owe after a clawback."""
NEVER_ABOVE_ZERO: Final = frozenset({"budget", "due", "receivable", "reused"})
"""Kinds of these that owe, and are never owed."""
LOT_PARTS: Final = ("lot", "held", "spent", "expired", "recalled")
"""Kinds of the accounts of a voucher's lot; together they are always what was granted."""
CLAIM_PARTS: Final = ("claim", "redeemed", "expired", "recalled")
"""Kinds of the accounts of a claim; together they are always what was granted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LotTerms:
    """What never changes about a lot and decides over its money."""

    id: str
    tenant_id: str
    programme: str
    ratio_num: int
    ratio_den: int
    expires_at: datetime
    rank: int = 0
    funders: str = ""
    is_claim: bool = False
    is_reused: bool = False

    @property
    def mix(self) -> Mix:
        """Whose money it is, in fen by funder."""
        return read_mix(self.funders)

    @property
    def free(self) -> str:
        """The account of what can still be used."""
        return f"claim:{self.id}" if self.is_claim else f"lot:{self.id}"

    @property
    def used(self) -> str:
        """The account of what was used."""
        return f"redeemed:{self.id}" if self.is_claim else f"spent:{self.id}"


def terms_of(command: Issue) -> LotTerms:
    """Return the terms of the lot that a grant makes."""
    return LotTerms(
        id=command.lot_id,
        tenant_id=command.tenant_id,
        programme=command.programme,
        ratio_num=command.ratio_num,
        ratio_den=command.ratio_den,
        expires_at=command.expires_at,
        rank=command.rank,
        funders=canonical(command.mix),
        is_claim=command.is_claim,
        is_reused=command.is_reused,
    )


class Period(NamedTuple):
    """A closed period: its name and its last moment."""

    id: str
    ends_at: datetime


class Draft(NamedTuple):
    """What an accepted command does: money that moves, and what it leaves behind.

    ``told`` is what the entry says instead of the balances of the accounts that it touched.
    """

    tenant_id: str
    postings: tuple[Posting, ...]
    lot: LotTerms | None = None
    hold: Hold | None = None
    period: Period | None = None
    late_for: str = ""
    told: Mapping[str, int] | None = None
    receipt: str = ""


@dataclass(slots=True, kw_only=True)
class Book:
    """The state. A missing account stands at zero; ``periods`` are in order of time.

    ``receipts`` are those of the bank that were used, each with its entry, 0 for this batch's.
    ``totals`` adds up all accounts of a kind; without it no period can be closed.
    """

    tenants: set[str] = field(default_factory=set)
    balances: dict[str, int] = field(default_factory=dict)
    lots: dict[str, LotTerms] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    attempts: dict[str, str] = field(default_factory=dict)
    periods: list[Period] = field(default_factory=list)
    receipts: dict[str, int] = field(default_factory=dict)
    totals: Counter[str] | None = None

    def fold(self, draft: Draft) -> Mapping[str, int]:
        """Take the draft in, and return what its entry tells: the accounts it touched, in fen."""
        touched = self.move(draft.postings)
        if draft.lot is not None:
            self.lots[draft.lot.id] = draft.lot
        if draft.hold is not None:
            self.holds[draft.hold.id] = draft.hold
            self.attempts[draft.hold.attempt_id] = draft.hold.id
        if draft.period is not None:
            self.periods.append(draft.period)
        if draft.receipt:
            self.receipts[draft.receipt] = 0
        return touched if draft.told is None else draft.told

    def move(self, postings: tuple[Posting, ...]) -> dict[str, int]:
        """Move money, and return the balances of the accounts it touched, in fen."""
        balances, touched = self.balances, {}
        for source, target, amount in postings:
            balances[source] = touched[source] = balances.get(source, 0) - amount
            balances[target] = touched[target] = balances.get(target, 0) + amount
            if self.totals is not None:
                self.totals[kind_of(source)] -= amount
                self.totals[kind_of(target)] += amount
        return touched

    def balance_fen(self, account: str) -> int:
        """Return what stands on an account."""
        return self.balances.get(account, 0)

    def available_fen(self, lot: LotTerms, now: datetime) -> int:
        """Return what the lot can still be held for: nothing from its last moment on."""
        return 0 if now >= lot.expires_at else self.balances.get(lot.free, 0)

    def source_of(self, programme: str, funder: str) -> str:
        """Return where a funder's money for a lot is from: its pool, or (it has none) its budget.

        A funder that never appropriated is open-ended: each grant appropriates what it needs.
        """
        owner = pair(programme, funder)
        return f"pool:{owner}" if f"pool:{owner}" in self.balances else f"budget:{owner}"


def kind_of(account: str) -> str:
    """Return the kind of an account, the part before the first colon of its id."""
    return account.partition(":")[0]


def refuse(command: Command, code: RefusalCode, message: str, **facts: int | str) -> Refusal:
    """Return a refusal of the command."""
    return Refusal(key=command.key, code=code, message=message, facts=facts)


def unknown_tenant(command: Command, tenant_id: str) -> Refusal:
    """Return the refusal of a tenant that is not there."""
    return refuse(command, RefusalCode.UNKNOWN_TENANT, f"there is no tenant {tenant_id}")
