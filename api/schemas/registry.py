"""The registry of organisations, ties, contracts, invoices and receipts."""

from datetime import date, datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from api.schemas.common import In, Out
from api.schemas.grants import RowFaultOut
from voucher.registry.entries import Kind

Value = str | int | list[str] | None


class StatementIn(In):
    """An entry, and from when until when it holds; money in fen, or as text in yuan."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "kind": "organisation",
                "entry": {"code": "91350100M000100Y43", "name": "海云科技", "group": "东海集团"},
                "valid_from": "2026-01-01",
            }
        }
    )

    kind: Kind
    entry: Annotated[dict[str, Value], Field(max_length=30)]
    valid_from: date | None = Field(default=None, description="first day; today if left out")
    valid_to: date | None = Field(default=None, description="last day; no end if left out")


class StatementOut(Out):
    """A statement as recorded; ``version`` counts those about the same entry."""

    kind: Kind
    entry: dict[str, str | int | list[str]]
    version: int
    valid_from: date
    valid_to: date | None
    source: str
    recorded_by: str
    recorded_at: datetime


class RecordedOut(StatementOut):
    """A statement, and whether it was recorded now; else it had been before."""

    is_new: bool


class StatementPage(Out):
    """Statements, and after which key the next page begins."""

    items: list[StatementOut]
    next: str | None = None


class RegistryImportOut(Out):
    """What a table brought: rows that went in, how many were new, and each fault."""

    rows: int
    new: int
    faults: list[RowFaultOut]
    is_dry_run: bool


class TieOut(Out):
    """Whether two organisations are related, and over which way, in both languages.

    ``unknown`` are those of the two about which nothing is registered.
    """

    is_related: bool
    path: str
    path_zh: str
    unknown: list[str]
