"""The registry: organisations and their ties, contracts, invoices and receipts, with history."""

from typing import Final

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Integer, Table, Text

from suanwang.db.tables.metadata import metadata
from suanwang.db.types import Json, UtcDateTime

registry_entry: Final = Table(
    "registry_entry",
    metadata,
    Column(
        "kind",
        Text,
        primary_key=True,
        comment="organisation, relation, contract, invoice or receipt",
    ),
    Column("key", Text, primary_key=True, comment="what tells it apart in its kind, a JSON list"),
    Column("version", Integer, primary_key=True, autoincrement=False, comment="counts from 1"),
    Column("body", Json, nullable=False, comment="what is stated; money in fen, shares in ppm"),
    Column("valid_from", Text, nullable=False, comment="first day it holds, ISO 8601"),
    Column("valid_to", Text, nullable=False, comment="last day it holds, ISO 8601, or nothing"),
    Column("source", Text, nullable=False, comment="hand, table, or the application it is from"),
    Column("digest", Text, nullable=False, comment="SHA-256 of what is stated, hex"),
    Column("recorded_by", Text, nullable=False, comment="key that recorded it"),
    Column("recorded_at", UtcDateTime, nullable=False, comment="when, UTC"),
    comment="Statements about parties and papers; a later one takes over, rows are never changed.",
)

registry_term: Final = Table(
    "registry_term",
    metadata,
    Column("kind", Text, primary_key=True, comment="kind of the entry"),
    Column("field", Text, primary_key=True, comment="field of its body"),
    Column("value", Text, primary_key=True, comment="value of the field"),
    Column("key", Text, primary_key=True, comment="key of the entry"),
    Column("version", Integer, primary_key=True, autoincrement=False, comment="its version"),
    ForeignKeyConstraint(
        ["kind", "key", "version"],
        ["registry_entry.kind", "registry_entry.key", "registry_entry.version"],
        name="fk_registry_term_registry_entry",
    ),
    comment="By which values entries are found.",
)
Index("ix_registry_term_key", registry_term.c.kind, registry_term.c.key, registry_term.c.version)

registry_salt: Final = Table(
    "registry_salt",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="always 1"),
    Column("salt", Text, nullable=False, comment="secret that pseudonyms are made with"),
    CheckConstraint("id = 1", name="only_one"),
    comment="What keeps pseudonyms of people from being guessed; whoever records holds this row.",
)
