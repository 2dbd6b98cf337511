"""The price board for readers."""

from datetime import datetime

from pydantic import Field

from api.schemas.common import Out
from suanwang.ids import TenantId
from suanwang.model.prices import PoolPrice, PriceBoard


class SlotPriceOut(Out):
    """Yuan for one more unit in use for an hour; ``price`` is the sum of its three parts.

    ``low`` and ``high`` differ where a little more or less of everything gives another price.
    """

    start: datetime
    hours: float
    price: float
    energy: float
    power: float
    scarcity: float
    low: float
    high: float
    units_left: int = Field(description="what the plan's relaxation leaves free")


class PoolPricesOut(Out):
    """A pool's prices, slot by slot."""

    pool_id: str
    site_id: str
    slots: list[SlotPriceOut]


class SitePowerOut(Out):
    """Yuan for one more kilowatt of IT power for an hour under the site's limit, by slot."""

    site_id: str
    power: list[float]


class LotWorthOut(Out):
    """What one more yuan in a lot would save the plan, in yuan."""

    lot_id: str
    tenant_id: str
    worth: float


class PricesOut(Out):
    """The planner's prices; nobody is billed by them."""

    made_at: datetime
    queued: int
    pools: list[PoolPricesOut]
    sites: list[SitePowerOut] = Field(description="where a power limit binds")
    lots: list[LotWorthOut] = Field(description="lots that run short")
    cash: dict[str, float] = Field(
        description="worth of a yuan of cash, by tenant where it is short"
    )


def prices_out(board: PriceBoard, tenant: TenantId | None) -> PricesOut:
    """Return a board; of money only the tenant's own, or everybody's where ``tenant`` is None."""
    return PricesOut(
        made_at=board.made_at,
        queued=board.jobs,
        pools=[_pool(board, pool) for pool in board.pools],
        sites=[
            SitePowerOut(site_id=site.site_id, power=list(site.power))
            for site in board.sites
            if max(site.power, default=0.0) > 0.0
        ],
        lots=[
            LotWorthOut(lot_id=lot.lot_id, tenant_id=lot.tenant_id, worth=lot.worth)
            for lot in board.lots
            if tenant is None or lot.tenant_id == tenant
        ],
        cash={
            name: worth for name, worth in board.cash.items() if tenant is None or name == tenant
        },
    )


def _pool(board: PriceBoard, pool: PoolPrice) -> PoolPricesOut:
    return PoolPricesOut(
        pool_id=pool.pool_id,
        site_id=pool.site_id,
        slots=[
            SlotPriceOut(
                start=start,
                hours=hours,
                price=pool.price(slot),
                energy=pool.energy[slot],
                power=pool.power[slot],
                scarcity=pool.scarcity[slot],
                low=pool.price_range(slot)[0],
                high=pool.price_range(slot)[1],
                units_left=pool.units_left[slot],
            )
            for slot, (start, hours) in enumerate(zip(board.starts, board.hours, strict=True))
        ],
    )
