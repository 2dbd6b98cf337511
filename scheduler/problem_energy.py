"""The energy side of a site for the planner, as far as the site's operator lets it be planned."""

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from optimizer.problem import PoolSpec, SiteSpec, SleepSpec, Slot
from suanwang.energy.catalogue import EnergyCatalogue
from suanwang.model.network import PoolState, SiteState
from suanwang.model.site_terms import EnergyTerms


def with_terms(state: SiteState, catalogue: EnergyCatalogue) -> SiteState:
    """Return the site with what its operator's file lets be planned, where there is one."""
    terms = catalogue.terms.get(state.site.id)
    return state if terms is None else replace(state, terms=terms)


def with_energy(
    spec: SiteSpec, state: SiteState, now: datetime, slots: tuple[Slot, ...]
) -> SiteSpec:
    """Return the site with battery, sun and promises; as it was where nothing is allowed."""
    terms = state.terms
    return replace(
        spec,
        battery=terms.battery,
        solar_w=_solar_w(terms, state.site.timezone, now, slots),
        events=terms.events,
    )


def sleep_of(state: PoolState, terms: EnergyTerms) -> SleepSpec | None:
    """Return how a pool's nodes may sleep; None where they may not.

    Nodes count as awake now: what a site really put to sleep is not known here yet.
    """
    pool, sleep = state.pool, terms.sleep
    if sleep is None or pool.units_usable == 0:
        return None
    nodes = -(-pool.units_usable // pool.units_per_node)
    return SleepSpec(
        node_units=pool.units_per_node,
        nodes=nodes,
        idle_w=pool.units_usable * pool.power_w_idle / nodes,
        wake_s=sleep.wake_s,
        wake_wh=sleep.wake_wh,
        wear_yuan=sleep.wear_yuan,
        awake_now=nodes,
        spare_nodes=sleep.spare_nodes,
    )


def with_sleep(spec: PoolSpec, state: PoolState, terms: EnergyTerms) -> PoolSpec:
    """Return the pool with its sleep."""
    return replace(spec, sleep=sleep_of(state, terms))


def _solar_w(
    terms: EnergyTerms, timezone: str, now: datetime, slots: tuple[Slot, ...]
) -> tuple[float, ...]:
    if not terms.solar_w_by_hour:
        return ()
    zone = ZoneInfo(timezone)
    middles = (now + timedelta(seconds=slot.start_s + slot.length_s / 2) for slot in slots)
    return tuple(terms.solar_w_by_hour[moment.astimezone(zone).hour] for moment in middles)
