"""What makes proofs of the ledger cheap, and what evidence packs were made with."""

from typing import Final

from sqlalchemy import Column, Integer, Table, Text

from suanwang.db.tables.metadata import metadata
from suanwang.db.types import Int64, UtcDateTime

chain_anchor: Final = Table(
    "chain_anchor",
    metadata,
    Column(
        "block",
        Int64,
        primary_key=True,
        autoincrement=False,
        comment="counts from 0; its entries are 1,024 x block + 1 to 1,024 x (block + 1)",
    ),
    Column("root", Text, nullable=False, comment="root of the hash tree over its links, hex"),
    comment="Roots over full blocks of the ledger's chain; they follow from it and never change.",
)

evidence_invoice: Final = Table(
    "evidence_invoice",
    metadata,
    Column("number", Text, primary_key=True, comment="number of the invoice"),
    Column("line", Integer, primary_key=True, autoincrement=False, comment="its line"),
    Column("tenant_id", Text, primary_key=True, comment="whose pack it was in"),
    Column("payees", Text, primary_key=True, comment="sites that the pack's job paid"),
    Column("contract_no", Text, primary_key=True, comment="contract named, or nothing"),
    Column("job_id", Text, nullable=False, comment="first job it was handed in for"),
    Column("used_at", UtcDateTime, nullable=False, comment="when, UTC"),
    comment="Invoices that were handed in for evidence packs, to see one that is for two things.",
)
