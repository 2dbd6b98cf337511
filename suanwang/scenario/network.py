"""The compute network of a world as its models see it: for plans without any live site."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from suanwang.energy.catalogue import EnergyCatalogue
from suanwang.model.network import ComputeNetwork, Fact, PoolState, SiteState
from suanwang.model.reading import Quality
from suanwang.model.site import Site
from suanwang.scenario.world import World

DAYS_A_MONTH: Final = 30


def network_of(
    world: World,
    catalogue: EnergyCatalogue,
    at: datetime | None = None,
    *,
    with_energy: bool = False,
) -> ComputeNetwork:
    """Return all sites open and idle at ``at`` (None: the world's start), by estimate only.

    ``with_energy`` lets the plan use what the world says of sleep, batteries, sun, promises and
    peaks. A month's peak then costs the share of its rate that the world's days are of a month.
    """
    now = world.start if at is None else at
    states = [_state(site, catalogue, now) for site in world.sites]
    share = (world.end - world.start) / timedelta(days=DAYS_A_MONTH)
    return ComputeNetwork(
        at=now,
        sites=tuple(
            replace(state, terms=world.energy[state.site.id], peak_w=0.0, peak_share=share)
            if with_energy
            else state
            for state in states
        ),
        rtt_ms=world.rtt_ms,
    )


def _state(site: Site, catalogue: EnergyCatalogue, now: datetime) -> SiteState:
    idle_w = sum(pool.units * pool.power_w_idle for pool in site.pools)
    it_w = site.background_it_w + idle_w
    wet_bulb_c = catalogue.climate(site.climate).wet_bulb_at(now, site.timezone)
    facility = catalogue.facility_of(site)

    def estimated(value: float) -> Fact:
        return Fact(value=value, at=now, quality=Quality.ESTIMATED)

    return SiteState(
        site=site,
        pools=tuple(PoolState(pool=pool, units_free=pool.units_usable) for pool in site.pools),
        it_power_w=estimated(it_w),
        facility_power_w=estimated(facility.facility_w(it_w, wet_bulb_c)),
        pue=estimated(facility.pue(it_w, wet_bulb_c) if it_w > 0 else 0.0),
        wet_bulb_c=estimated(wet_bulb_c),
        agent_seen_at=now,
        is_reachable=True,
    )
