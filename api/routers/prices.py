"""The price board: what a unit, a kilowatt and a yuan are worth in the newest plan."""

from fastapi import APIRouter

from api.context import Context
from api.identity import JobReader
from api.schemas.prices import PricesOut, prices_out
from scheduler import quotes

router = APIRouter(prefix="/v1/prices", tags=["quotes"])


@router.get("", summary="Prices of the newest plan")
def show_prices(identity: JobReader, context: Context) -> PricesOut:
    """Return yuan for a unit-hour of each pool in each slot, and what short money is worth.

    Of vouchers and cash a tenant sees its own. Without a queue nothing is short: ``queued`` is 0
    and a unit costs its electricity.
    """
    with context.reading() as connection:
        standing = quotes.look(connection, context.scheduling)
    return prices_out(standing.prices, identity.tenant_scope)
