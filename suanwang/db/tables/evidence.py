"""What makes proofs of the ledger cheap."""

from typing import Final

from sqlalchemy import Column, Table, Text

from suanwang.db.tables.metadata import metadata
from suanwang.db.types import Int64

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
