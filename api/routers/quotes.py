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
    """Return a row for each pool: start, price in voucher and cash, energy, carbon, latency.

    ``estimate`` and ``best`` count the queue at the newest plan's prices. Where these are not sure
    of the best place the plan is solved again, unless ``is_exact`` is false.
    """
    wishes = parse_wishes(
        body.metadata, num_cpus=body.entrypoint_num_cpus, num_gpus=body.entrypoint_num_gpus
    )
    with context.reading() as connection:
        asked = quotes.ask(connection, wishes, identity.tenant_id, context.scheduling)
    found = quotes.answer(asked, is_exact=body.is_exact)
    return QuoteOut(
        rows=list(found.rows),
        made_at=found.made_at,
        queued=found.queued,
        pool_id=found.pool_id,
        best=found.best,
        is_sure=found.is_sure,
    )
