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
}
_MOVES: Final[Mapping[tuple[str, str], str]] = {
    ("funder", "lot"): "{amount} granted as lot {target}",
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
    ("receivable", "funder"): "{amount} owed to {target}",
    ("bank", "receivable"): "{amount} paid in",
}


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
    moves = ", ".join(_move(posting) for posting in entry.postings)
    title = _TITLES.get(entry.kind, entry.kind)
    return StatementLine(
        seq=entry.seq,
        at=entry.at,
        kind=entry.kind,
        text=f"{title}: {moves}" if moves else f"{title}: nothing moved",
        voucher_fen=_change(entry, "lot"),
        cash_fen=_change(entry, "cash"),
    )


def _move(posting: Posting) -> str:
    kinds = (kind_of(posting.source), kind_of(posting.target))
    words = _MOVES.get(kinds, "{amount} from {source} to {target}")
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
