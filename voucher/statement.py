"""The journal in words, for the people whose money it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from suanwang.units import yuan_text
from voucher.book import kind_of
from voucher.chain import Posting
from voucher.store import JournalEntry, entries

_TITLES: Final[Mapping[str, str]] = {
    "issue": "Voucher granted",
    "deposit": "Cash paid in",
    "open-hold": "Set aside for a run",
    "capture": "Run paid",
    "release": "Set free again",
    "expire": "Voucher ended",
    "extend-hold": "More set aside for a run",
    "refund": "Given back",
    "clawback": "Voucher taken back",
    "repay": "Debt repaid",
    "close-period": "Period closed",
    "claim": "Claim granted",
    "redeem": "Claim redeemed",
    "pay-claim": "Paid out by bank",
    "end-claim": "Claim ended",
    "appropriate": "Put into a pool",
    "withdraw": "Taken out of a pool",
    "pay-out": "Payee paid by bank",
    "pay-back": "Payee paid back",
}
_MOVES: Final[Mapping[tuple[str, str], str]] = {
    ("budget", "lot"): "{amount} granted as lot {target} by {source}",
    ("pool", "lot"): "{amount} granted as lot {target} by {source}",
    ("budget", "claim"): "{amount} kept for claim {target} by {source}",
    ("pool", "claim"): "{amount} kept for claim {target} by {source}",
    ("budget", "pool"): "{amount} by {target}",
    ("pool", "budget"): "{amount} by {source}",
    ("claim", "redeemed"): "{amount} of claim {source}",
    ("due", "claim_due"): "{amount} due to you from {source}",
    ("claim_due", "paid"): "{amount} of claim {source}",
    ("claim_due", "due"): "{amount} of claim {source} is not due any more",
    ("claim", "expired"): "{amount} left of claim {source}",
    ("redeemed", "expired"): "{amount} redeemed of claim {source} and not paid",
    ("claim", "recalled"): "{amount} left of claim {source}",
    ("redeemed", "recalled"): "{amount} that was redeemed of claim {source}",
    ("owed", "paid"): "{amount} earned with vouchers, {source}",
    ("payable", "bank"): "{amount} earned in cash by {source}",
    ("paid", "owed"): "{amount} earned with vouchers, {target}",
    ("bank", "payable"): "{amount} earned in cash by {target}",
    ("reused", "pool"): "{amount} can be granted again by {target}",
    ("reused", "budget"): "{amount} is not needed of {target} any more",
    ("bank", "cash"): "{amount} cash",
    ("lot", "held"): "{amount} from lot {source}",
    ("cash", "cash_held"): "{amount} cash",
    ("held", "spent"): "{amount} paid by lot {source}",
    ("cash_held", "payable"): "{amount} paid in cash to {target}",
    ("held", "lot"): "{amount} back to lot {target}",
    ("held", "expired"): "{amount} back to lot {target}, which has ended",
    ("cash_held", "cash"): "{amount} back to cash",
    ("lot", "expired"): "{amount} left of lot {source}",
    ("spent", "lot"): "{amount} back to lot {target}",
    ("spent", "expired"): "{amount} back to lot {target}, which has ended",
    ("payable", "cash"): "{amount} back to cash from {source}",
    ("lot", "recalled"): "{amount} left of lot {source}",
    ("spent", "recalled"): "{amount} that lot {source} had paid",
    ("receivable", "reclaim"): "{amount} owed to {target}",
    ("bank", "receivable"): "{amount} paid back for {target}",
}


_SILENT: Final = frozenset({("due", "owed"), ("owed", "due")})
"""What programmes owe to payees: no money of the tenant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One entry as its owner reads it. Amounts are in fen.

    ``voucher_fen`` and ``cash_fen`` are how much more can be spent freely after it than before.
    """

    seq: int
    at: datetime
    kind: str
    text: str
    voucher_fen: int
    cash_fen: int


def statement(
    connection: Connection, tenant_id: str, after_seq: int = 0, limit: int = 100
) -> tuple[StatementLine, ...]:
    """Return a tenant's entries above ``after_seq`` in words, oldest first."""
    return tuple(line(entry) for entry in entries(connection, tenant_id, after_seq, limit))


def line(entry: JournalEntry) -> StatementLine:
    """Return one entry in words."""
    told = (one for one in entry.postings if _kinds(one) not in _SILENT)
    moves = ", ".join(_move(posting) for posting in told)
    title = _TITLES.get(entry.kind, entry.kind)
    return StatementLine(
        seq=entry.seq,
        at=entry.at,
        kind=entry.kind,
        text=f"{title}: {moves}" if moves else f"{title}: nothing moved",
        voucher_fen=_change(entry, "lot"),
        cash_fen=_change(entry, "cash"),
    )


def _kinds(posting: Posting) -> tuple[str, str]:
    return kind_of(posting.source), kind_of(posting.target)


def _move(posting: Posting) -> str:
    words = _MOVES.get(_kinds(posting), "{amount} from {source} to {target}")
    return words.format(
        amount=f"{yuan_text(posting.amount_fen)} yuan",
        source=posting.source.partition(":")[2],
        target=posting.target.partition(":")[2],
    )


def _change(entry: JournalEntry, kind: str) -> int:
    return sum(
        posting.amount_fen * ((kind_of(posting.target) == kind) - (kind_of(posting.source) == kind))
        for posting in entry.postings
    )
