"""Quotes: what a job would cost in each pool, or why it cannot run there."""

from fastapi import APIRouter

from api.context import Context
from api.identity import JobReader
from api.schemas.jobs import QuoteIn, QuoteOut
from scheduler import quotes
from suanwang.model.wishes import parse_wishes

router = APIRouter(prefix="/v1/quotes", tags=["quotes"])


@router.post("", summary="Ask for a quote")
def ask_quote(body: QuoteIn, identity: JobReader, context: Context) -> QuoteOut:
    """Return a row for each pool: start, price in voucher and cash, energy, carbon, latency."""
    wishes = parse_wishes(
        body.metadata, num_cpus=body.entrypoint_num_cpus, num_gpus=body.entrypoint_num_gpus
    )
    with context.reading() as connection:
        rows = quotes.quote(connection, wishes, identity.tenant_id, context.scheduling)
    return QuoteOut(rows=list(rows))
