"""Grants: programmes in force, applications for vouchers, and everything that happened to them."""

from typing import Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from suanwang.db.tables.metadata import metadata
from suanwang.db.types import Int64, Json, UtcDateTime

grant_programme: Final = Table(
    "grant_programme",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the programme"),
    Column("version", Integer, primary_key=True, autoincrement=False, comment="of its policy"),
    Column("digest", Text, nullable=False, comment="SHA-256 of the policy's canonical form, hex"),
    Column("policy", Text, nullable=False, comment="the policy file, to the letter"),
    Column("adopted_by", Text, nullable=False, comment="key that adopted it"),
    Column("adopted_at", UtcDateTime, nullable=False, comment="when, UTC"),
    comment="Policies under which vouchers are granted; a version never changes.",
)

grant_application: Final = Table(
    "grant_application",
    metadata,
    Column("id", Text, primary_key=True, comment="id of the application"),
    Column("tenant_id", Text, ForeignKey("tenant.id"), nullable=False, comment="who applies"),
    Column("ref", Text, nullable=False, comment="the applicant's own reference"),
    Column("programme_id", Text, nullable=False, comment="programme"),
    Column("programme_version", Integer, nullable=False, comment="version of its policy"),
    Column("programme_digest", Text, nullable=False, comment="digest of that policy, hex"),
    Column("district", Text, nullable=False, comment="tenant of the district's reviewers, or none"),
    Column("identity", Json, nullable=False, comment="kind, name, code or sponsor"),
    Column("identity_key", Text, nullable=False, comment="who it is, to find the same one again"),
    Column("facts", Json, nullable=False, comment="what is known about the applicant"),
    Column("body_digest", Text, nullable=False, comment="SHA-256 of what was filed, hex"),
    Column("state", Text, nullable=False, comment="where it stands"),
    Column("stage", Text, nullable=False, comment="open stage of the workflow, or nothing"),
    Column("done", Json, nullable=False, comment="who did which stage"),
    Column("flags", Json, nullable=False, comment="what reviewers must look at"),
    Column("revision", Integer, nullable=False, comment="counts changes"),
    Column("created_by", Text, nullable=False, comment="key that filed it"),
    Column("created_at", UtcDateTime, nullable=False, comment="when it was written, UTC"),
    Column("submitted_at", UtcDateTime, comment="when it was first handed in, UTC"),
    Column("publicity_ends_at", UtcDateTime, comment="end of the publicity days, UTC"),
    Column("decided_at", UtcDateTime, comment="when the award was made, UTC"),
    Column("entitled_fen", Int64, nullable=False, comment="fen before caps and pool"),
    Column("award_fen", Int64, nullable=False, comment="fen reserved of the caps"),
    Column("award", Json, comment="the award by line, with its cuts"),
    Column("funding", Json, comment="funders and their fen"),
    Column("lots", Json, nullable=False, comment="lots issued for it"),
    Column("freed", Json, nullable=False, comment="fen of which its caps are free again"),
    Column("redeemed_fen", Int64, nullable=False, comment="fen redeemed, mode claim_then_redeem"),
    Column("settled_fen", Int64, nullable=False, comment="fen paid out, modes 2 and 3"),
    Column("ends_at", UtcDateTime, comment="end of its lots, or of its claim's redemption, UTC"),
    Column("due", Text, nullable=False, comment="what time does next, overdue, or nothing"),
    Column("due_at", UtcDateTime, comment="when that is due, UTC"),
    Column("updated_at", UtcDateTime, nullable=False, comment="last change, UTC"),
    UniqueConstraint("tenant_id", "ref", name="one_ref"),
    CheckConstraint("award_fen >= 0 AND award_fen <= entitled_fen", name="award_within"),
    CheckConstraint("settled_fen >= 0 AND settled_fen <= award_fen", name="settled_within"),
    comment="Applications for vouchers.",
)
Index("ix_grant_application_programme", grant_application.c.programme_id, grant_application.c.state)
Index("ix_grant_application_identity", grant_application.c.identity_key)
Index("ix_grant_application_due_at", grant_application.c.due_at)

grant_line: Final = Table(
    "grant_line",
    metadata,
    Column(
        "application_id",
        Text,
        ForeignKey("grant_application.id"),
        primary_key=True,
        comment="the application",
    ),
    Column("line_id", Text, primary_key=True, comment="id of the line in it"),
    Column("position", Integer, nullable=False, comment="order in the application, from 0"),
    Column("facts", Json, nullable=False, comment="what is known about the spend"),
    Column("contract_no", Text, nullable=False, comment="contract, or nothing"),
    Column("invoice_no", Text, nullable=False, comment="invoice, or nothing"),
    Column("seller_code", Text, nullable=False, comment="the seller's code, or nothing"),
    comment="Spend lines of applications.",
)
Index("ix_grant_line_contract_no", grant_line.c.contract_no)
Index("ix_grant_line_invoice_no", grant_line.c.invoice_no)

grant_file: Final = Table(
    "grant_file",
    metadata,
    Column("sha256", Text, primary_key=True, comment="SHA-256 of the bytes, hex"),
    Column("size_bytes", Int64, nullable=False, comment="bytes"),
    Column("content", LargeBinary, nullable=False, comment="the bytes"),
    comment="Bytes of evidence, each content once.",
)

grant_evidence: Final = Table(
    "grant_evidence",
    metadata,
    Column(
        "application_id",
        Text,
        ForeignKey("grant_application.id"),
        primary_key=True,
        comment="the application",
    ),
    Column("seq", Integer, primary_key=True, autoincrement=False, comment="counts from 1"),
    Column("line_id", Text, nullable=False, comment="line that it proves, or nothing for all"),
    Column("kind", Text, nullable=False, comment="which evidence of the policy it is"),
    Column("file_name", Text, nullable=False, comment="name that the sender gave it"),
    Column("media_type", Text, nullable=False, comment="type that the sender gave it"),
    Column("sha256", Text, ForeignKey("grant_file.sha256"), nullable=False, comment="its bytes"),
    Column("size_bytes", Int64, nullable=False, comment="bytes"),
    Column("added_by", Text, nullable=False, comment="key that sent it"),
    Column("added_at", UtcDateTime, nullable=False, comment="when, UTC"),
    comment="Files attached to applications; none is ever replaced.",
)

grant_event: Final = Table(
    "grant_event",
    metadata,
    Column("application_id", Text, primary_key=True, comment="the application"),
    Column("seq", Integer, primary_key=True, autoincrement=False, comment="counts from 1"),
    Column("at", UtcDateTime, nullable=False, comment="server clock, UTC"),
    Column("actor", Text, nullable=False, comment="key that did it"),
    Column("actor_tenant_id", Text, nullable=False, comment="organisation of that key"),
    Column("role", Text, nullable=False, comment="role of that key"),
    Column("action", Text, nullable=False, comment="what was done"),
    Column("stage", Text, nullable=False, comment="stage of the workflow, or nothing"),
    Column("state_before", Text, nullable=False, comment="state before"),
    Column("state_after", Text, nullable=False, comment="state after"),
    Column("reason", Text, nullable=False, comment="why, in the actor's words"),
    Column("facts", Json, nullable=False, comment="figures and findings of this step"),
    Column("request", Text, nullable=False, comment="SHA-256 of the request it came with, hex"),
    comment="Audit of applications: a row for each step; rows are never changed.",
)

Index("ix_grant_event_request", grant_event.c.request)

grant_request: Final = Table(
    "grant_request",
    metadata,
    Column("person", Text, primary_key=True, comment="key that asked"),
    Column("key", Text, primary_key=True, comment="its own name for the request, for ever"),
    Column("digest", Text, nullable=False, comment="SHA-256 of the request, hex"),
    Column("status", Integer, nullable=False, comment="HTTP status of the answer, 0: the usual"),
    Column("answer", Text, nullable=False, comment="what was answered first, as JSON"),
    Column("at", UtcDateTime, nullable=False, comment="when, UTC"),
    comment="Requests about grants that came under a key, with the first answer to each.",
)

grant_message: Final = Table(
    "grant_message",
    metadata,
    Column("application_id", Text, primary_key=True, comment="the application"),
    Column("seq", Integer, primary_key=True, autoincrement=False, comment="its event"),
    Column("tenant_id", Text, nullable=False, comment="to whom"),
    Column("at", UtcDateTime, nullable=False, comment="when, UTC"),
    Column("code", Text, nullable=False, comment="what it is about"),
    Column("text_en", Text, nullable=False, comment="in English"),
    Column("text_zh", Text, nullable=False, comment="in Chinese"),
    Column("read_at", UtcDateTime, comment="when it was read, UTC"),
    comment="Messages to applicants.",
)
Index("ix_grant_message_tenant_id_at", grant_message.c.tenant_id, grant_message.c.at)

grant_usage: Final = Table(
    "grant_usage",
    metadata,
    Column("programme_id", Text, primary_key=True, comment="programme, all versions"),
    Column("cap_id", Text, primary_key=True, comment="cap of its policy"),
    Column("holder", Text, primary_key=True, comment="whose use; nothing for a pool"),
    Column("period", Text, primary_key=True, comment="year, quarter, month or life"),
    Column("measure", Text, primary_key=True, comment="claimed or redeemed"),
    Column("amount_fen", Int64, nullable=False, comment="fen taken"),
    CheckConstraint("amount_fen >= 0", name="not_below_zero"),
    comment="What awards have taken of each cap.",
)

grant_spent: Final = Table(
    "grant_spent",
    metadata,
    Column("programme_id", Text, primary_key=True, comment="programme, all versions"),
    Column("fact", Text, primary_key=True, comment="line.contract_no or line.invoice_no"),
    Column("number", Text, primary_key=True, comment="the number"),
    Column("application_id", Text, nullable=False, comment="the application that used it"),
    comment="Contracts and invoices that may not be claimed again.",
)

grant_redemption: Final = Table(
    "grant_redemption",
    metadata,
    Column(
        "application_id",
        Text,
        ForeignKey("grant_application.id"),
        primary_key=True,
        comment="the application",
    ),
    Column("seq", Integer, primary_key=True, autoincrement=False, comment="counts from 1"),
    Column("ref", Text, nullable=False, comment="the sender's own reference"),
    Column("body_digest", Text, nullable=False, comment="SHA-256 of what was filed, hex"),
    Column("paid_on", Text, nullable=False, comment="day, ISO 8601"),
    Column("amount_fen", Int64, nullable=False, comment="fen"),
    Column("by_line", Json, nullable=False, comment="fen by line"),
    Column("filed_by", Text, nullable=False, comment="key that filed it"),
    Column("filed_at", UtcDateTime, nullable=False, comment="when, UTC"),
    Column("receipt", Text, nullable=False, comment="number of the bank receipt, or nothing"),
    Column("settled_by", Text, nullable=False, comment="key that settled it, or nothing"),
    Column("settled_at", UtcDateTime, comment="when it was paid out, UTC"),
    UniqueConstraint("application_id", "ref", name="one_ref_each"),
    CheckConstraint("amount_fen > 0", name="positive"),
    comment="Payments that are due or done on awards of the modes 2 and 3.",
)

grant_clawback: Final = Table(
    "grant_clawback",
    metadata,
    Column(
        "application_id",
        Text,
        ForeignKey("grant_application.id"),
        primary_key=True,
        comment="the application",
    ),
    Column("seq", Integer, primary_key=True, autoincrement=False, comment="counts from 1"),
    Column("trigger", Text, nullable=False, comment="trigger of the policy"),
    Column("state", Text, nullable=False, comment="requested, approved or refused"),
    Column("amount_fen", Int64, nullable=False, comment="fen to be paid back"),
    Column("ban_years", Integer, nullable=False, comment="years without new applications"),
    Column("reason", Text, nullable=False, comment="why"),
    Column("requested_by", Text, nullable=False, comment="key that asked for it"),
    Column("requested_at", UtcDateTime, nullable=False, comment="when, UTC"),
    Column("decided_by", Text, nullable=False, comment="key that decided, or nothing"),
    Column("decided_at", UtcDateTime, comment="when, UTC"),
    Column("identity_key", Text, nullable=False, comment="whom a ban keeps out"),
    Column("group_id", Text, nullable=False, comment="group that a ban keeps out, or nothing"),
    Column("banned_until", UtcDateTime, comment="end of the ban, UTC"),
    comment="Demands for money back, and the bans that come with them.",
)
Index("ix_grant_clawback_identity_key", grant_clawback.c.identity_key)
