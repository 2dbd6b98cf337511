"""The price board: what a unit, a kilowatt and a yuan are worth in the newest plan, slot by slot.

These are the planner's own prices (shadow prices, in yuan as its objective is), not what anybody
pays: a bill is units, hours and the registered price. They say what one more job would add to the
cost of the whole plan, with the jobs that it would push aside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from suanwang.ids import PoolId, SiteId, TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPrice:
    """Yuan for one more unit of a pool in use for an hour, by slot.

    ``energy`` is its electricity at the load of the plan, ``power`` its share of a site's power
    limit that binds, ``scarcity`` what others lose that would use the unit; the price is all three.
    ``scarcity_low`` and ``scarcity_high`` are a range where a little more or less of everything
    would give another price, as at pools that are just full. ``units_left`` is what the relaxation
    of the plan leaves free, in whole units.
    """

    pool_id: PoolId
    site_id: SiteId
    energy: tuple[float, ...]
    power: tuple[float, ...]
    scarcity: tuple[float, ...]
    scarcity_low: tuple[float, ...]
    scarcity_high: tuple[float, ...]
    units_left: tuple[int, ...]

    def price(self, slot: int) -> float:
        """Yuan for a unit-hour in a slot."""
        return self.energy[slot] + self.power[slot] + self.scarcity[slot]

    def price_range(self, slot: int) -> tuple[float, float]:
        """Both ends of the range of the price; equal where there is only one."""
        fixed = self.energy[slot] + self.power[slot]
        return fixed + self.scarcity_low[slot], fixed + self.scarcity_high[slot]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandPrice:
    """Yuan for one more kilowatt of IT power through a part of a slot, for the month's peak.

    The part is from ``begin`` to ``end`` as shares of the slot. The scarcity of the site's pools
    has it for units that are in use until the end of their slots.
    """

    slot: int
    begin: float
    end: float
    yuan: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePrice:
    """Yuan for one more kilowatt of IT power for an hour under a site's power limit, by slot.

    It is 0 where the limit does not bind. ``load_w`` is the mean IT power of the plan, above what
    runs now. ``demand`` are the parts of slots in which more power lifts the month's peak.
    """

    site_id: SiteId
    power: tuple[float, ...]
    load_w: tuple[float, ...]
    demand: tuple[DemandPrice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LotPrice:
    """What one more yuan in a voucher lot would save the plan, in yuan; 0 where enough is left."""

    lot_id: str
    tenant_id: TenantId
    worth: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBoard:
    """Prices of all pools, sites, lots and of tenants' cash, as the newest plan has them.

    Slots begin at ``starts`` and are ``hours`` long. Lots and cash that are not listed are worth
    nothing more to the plan: they do not run short. ``jobs`` were planned.
    """

    made_at: datetime
    jobs: int
    starts: tuple[datetime, ...]
    hours: tuple[float, ...]
    pools: tuple[PoolPrice, ...]
    sites: tuple[SitePrice, ...]
    lots: tuple[LotPrice, ...] = ()
    cash: Mapping[str, float] = field(default_factory=dict)
