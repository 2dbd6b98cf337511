"""The ledger: its entries for their tenant, its proof for the auditor."""

import json
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from api.context import ApiContext, Context
from api.identity import Auditor, MoneyReader
from api.schemas.common import PAGE_MAX
from api.schemas.money import EntryOut, EntryPage, LedgerCheckOut, PostingOut
from suanwang.units import INT64_MAX
from voucher import store as voucher_store
from voucher.export import export_lines

EXPORT_LINES: Final = 500
"""Entries in one piece of an export."""

router = APIRouter(prefix="/v1/ledger", tags=["money"])


@router.get("/check", summary="Prove the books")
def check_ledger(identity: Auditor, context: Context) -> LedgerCheckOut:
    """Recount everything: sums to zero, lots add up, the hash chain is whole."""
    with context.reading() as connection:
        found = voucher_store.check(connection)
    return LedgerCheckOut(
        is_sound=found.is_sound,
        findings=list(found.findings),
        entries=found.entries,
        postings=found.postings,
        lots=found.lots,
        holds_open=found.holds_open,
        sum_fen=found.sum_fen,
        issued_fen=found.issued_fen,
        available_fen=found.available_fen,
        held_fen=found.held_fen,
        spent_fen=found.spent_fen,
        expired_fen=found.expired_fen,
        recalled_fen=found.recalled_fen,
        owed_fen=found.owed_fen,
        cash_fen=found.cash_fen,
        cash_held_fen=found.cash_held_fen,
        payable_fen=found.payable_fen,
    )


@router.get("/export", summary="Export the journal", response_class=StreamingResponse)
def export_ledger(identity: Auditor, context: Context) -> StreamingResponse:
    """Return the whole journal, a JSON document a line, for ``voucher/verifier.py``."""
    return StreamingResponse(_exported(context), media_type="application/jsonl")


def _exported(context: ApiContext) -> Iterator[str]:
    """Read the journal while it is sent, some hundred entries at once."""
    with context.reading() as connection, closing(export_lines(connection)) as lines:
        while page := "".join(islice(lines, EXPORT_LINES)):
            yield page


@router.get("/entries", summary="List entries")
def list_entries(
    identity: MoneyReader,
    context: Context,
    after: Annotated[int, Query(ge=0, le=INT64_MAX)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> EntryPage:
    """Return a page of the caller's entries (the admin: all), oldest first."""
    with context.reading() as connection:
        entries = voucher_store.entries(connection, identity.tenant_scope, after, limit)
    return EntryPage(
        items=[
            EntryOut(
                seq=entry.seq,
                at=entry.at,
                kind=entry.kind,
                key=entry.key,
                request=json.loads(entry.body),
                postings=[
                    PostingOut(
                        source=posting.source,
                        target=posting.target,
                        amount_fen=posting.amount_fen,
                    )
                    for posting in entry.postings
                ],
            )
            for entry in entries
        ],
        next=entries[-1].seq if len(entries) == limit else None,
    )
