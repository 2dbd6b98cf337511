"""The ledger: accounts, lots, holds, and a journal that only grows."""

from typing import Final

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text

from suanwang.db.tables.metadata import metadata
from suanwang.db.types import Int64, Json, UtcDateTime

_ROOM: Final = {"fillfactor": 50}
"""For rows that change: PostgreSQL then puts the new version beside the old, no index changes."""

account: Final = Table(
    "account",
    metadata,
    Column("id", Text, primary_key=True, comment="kind and owner, such as lot:l1"),
    Column(
        "kind",
        Text,
        nullable=False,
        comment="budget, pool, bank, lot, held, spent, claim, redeemed, expired, recalled, reused, "
        "cash, cash_held, payable, owed, due, claim_due, paid, receivable, reclaim",
    ),
    Column("balance_fen", Int64, nullable=False, comment="fen; sum of its postings"),
    Column("is_guarded", Integer, nullable=False, comment="1: may never be below zero"),
    CheckConstraint("is_guarded = 0 OR balance_fen >= 0", name="not_below_zero"),
    comment="Accounts of the double-entry ledger.",
    postgresql_with=_ROOM,
)

lot: Final = Table(
    "lot",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the lot"),
    Column("tenant_id", Text, ForeignKey("tenant.id"), nullable=False, comment="whose voucher"),
    Column("programme", Text, nullable=False, comment="programme that granted it"),
    Column("issued_fen", Int64, nullable=False, comment="fen granted"),
    Column("ratio_num", Int64, nullable=False, comment="pays at most num/den of a price"),
    Column("ratio_den", Int64, nullable=False, comment="pays at most num/den of a price"),
    Column("rank", Integer, nullable=False, comment="lower is drawn first"),
    Column("sites", Json, nullable=False, comment="sites where it pays, empty for all"),
    Column("accelerators", Json, nullable=False, comment="accelerators it pays for, empty for all"),
    Column("issued_at", UtcDateTime, nullable=False, comment="when it was granted, UTC"),
    Column("expires_at", UtcDateTime, nullable=False, comment="when it ends, UTC"),
    Column("grace_s", Int64, nullable=False, comment="s beyond its end for jobs that run then"),
    Column(
        "funders",
        Text,
        nullable=False,
        comment="whose money it is, JSON: funder and fen, the first takes the remainders",
    ),
    Column("is_claim", Integer, nullable=False, comment="1: is redeemed and pays for no jobs"),
    Column("is_reused", Integer, nullable=False, comment="1: what it does not pay is granted anew"),
    comment="Voucher lots and claims: the unit of rules and expiry.",
)
Index("ix_lot_tenant_id", lot.c.tenant_id)
Index("ix_lot_expires_at", lot.c.expires_at)

hold: Final = Table(
    "hold",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the hold"),
    Column("tenant_id", Text, ForeignKey("tenant.id"), nullable=False, comment="who pays"),
    Column("attempt_id", Text, nullable=False, unique=True, comment="what it is for"),
    Column("state", Text, nullable=False, comment="open, captured or released"),
    Column("payee", Text, comment="who was paid from it"),
    Column(
        "slices",
        Text,
        nullable=False,
        comment="in the order in which they pay, JSON: lot (null: cash), fen held, paid, refunded",
    ),
    Column("held_at", UtcDateTime, nullable=False, comment="when, UTC"),
    Column("closed_at", UtcDateTime, comment="when it ended, UTC"),
    comment="Money set aside for attempts; each ends once.",
    postgresql_with=_ROOM,
)

journal: Final = Table(
    "journal",
    metadata,
    Column("seq", Int64, primary_key=True, autoincrement=False, comment="counts from 1, no holes"),
    Column("key", Text, nullable=False, unique=True, comment="the caller's key, for ever"),
    Column("kind", Text, nullable=False, comment="issue, deposit, open-hold, capture, …"),
    Column("tenant_id", Text, nullable=False, comment="whose money"),
    Column("at", UtcDateTime, nullable=False, comment="server clock, UTC"),
    Column("body", Text, nullable=False, comment="the request as canonical JSON, without its key"),
    Column("digest", Text, nullable=False, comment="SHA-256 of the body, hex"),
    Column("balances", Text, nullable=False, comment="accounts touched, after it, canonical JSON"),
    Column(
        "moves",
        Text,
        nullable=False,
        comment="its postings, a line each: giving account, tab, taking account, tab, fen",
    ),
    Column(
        "late_for", Text, nullable=False, comment="closed period that the use belongs to, or empty"
    ),
    Column("chain", Text, nullable=False, comment="version byte and digest over the former link"),
    comment="Every event of the ledger, in order; rows are never changed.",
)
Index("ix_journal_tenant_id_seq", journal.c.tenant_id, journal.c.seq)

ledger_period: Final = Table(
    "ledger_period",
    metadata,
    Column("id", Text, primary_key=True, comment="name of the period, such as 2026-10"),
    Column("ends_at", UtcDateTime, nullable=False, unique=True, comment="its last moment, UTC"),
    Column("seq", Int64, ForeignKey("journal.seq"), nullable=False, comment="entry that closed it"),
    comment="Periods that are closed; rows are never changed.",
)

ledger_actor: Final = Table(
    "ledger_actor",
    metadata,
    Column(
        "seq",
        Int64,
        ForeignKey("journal.seq"),
        primary_key=True,
        autoincrement=False,
        comment="entry that somebody caused; the centre's own have no row",
    ),
    Column("person", Text, nullable=False, comment="id of the key that asked"),
    Column("tenant_id", Text, nullable=False, comment="whose key it is"),
    Column("role", Text, nullable=False, comment="role of the key"),
    comment="Who caused an entry of the journal; rows are never changed.",
)

ledger_receipt: Final = Table(
    "ledger_receipt",
    metadata,
    Column("id", Text, primary_key=True, comment="number of the bank's receipt"),
    Column("seq", Int64, ForeignKey("journal.seq"), nullable=False, comment="entry that names it"),
    comment="Bank receipts that were booked; each once.",
)

ledger_head: Final = Table(
    "ledger_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="always 1"),
    Column("seq", Int64, nullable=False, comment="newest entry, 0 for none"),
    Column("chain", Text, nullable=False, comment="its link"),
    Column("writer", Text, nullable=False, comment="process that writes the ledger, or empty"),
    Column("epoch", Int64, nullable=False, comment="counts the writers, from 1"),
    Column("writer_until", UtcDateTime, comment="when its lease ends, UTC"),
    Column("writer_url", Text, nullable=False, comment="where other replicas reach it, or empty"),
    CheckConstraint("id = 1", name="only_one"),
    comment="End of the chain; whoever writes the ledger holds this row.",
)
