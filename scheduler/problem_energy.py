"""The energy side of a site for the planner, as far as the site's operator lets it be planned."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from collectors.kpis.tables import load_tables
from optimizer.problem import PeakSpec, PoolSpec, SiteSpec, SleepSpec, Slot
from suanwang.energy.carbon_books import CarbonBook, marginal_g_per_kwh
from suanwang.energy.catalogue import EnergyCatalogue
from suanwang.energy.demand import peak_yuan_per_kw
from suanwang.energy.storage import BatterySpec
from suanwang.energy.versions import TariffVersions
from suanwang.model.network import Freshness, PoolState, SiteState
from suanwang.model.reading import Quality
from suanwang.model.site_terms import EnergyTerms

Spans = Sequence[tuple[datetime, datetime]]
"""Beginning and end of each slot."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR: Final = timedelta(hours=1)


def with_terms(state: SiteState, catalogue: EnergyCatalogue) -> SiteState:
    """Return the site with the terms of its operator's file, where none are registered."""
    terms = catalogue.terms.get(state.site.id)
    is_registered = state.terms != EnergyTerms()
    return state if terms is None or is_registered else replace(state, terms=terms)


def with_energy(
    spec: SiteSpec, state: SiteState, now: datetime, slots: tuple[Slot, ...]
) -> SiteSpec:
    """Return the site with battery, sun and promises; as it was where nothing is allowed."""
    terms = state.terms
    return replace(
        spec,
        battery=_battery(state, now),
        solar_w=_solar_w(terms, state.site.timezone, now, slots),
        events=terms.events,
    )


def is_charge_measured(state: SiteState, now: datetime) -> bool:
    """Whether a source told how full the site's battery is, so lately that it counts."""
    told = state.charge_ratio
    if state.terms.battery is None or told is None or told.quality is Quality.MISSING:
        return False
    return told.freshness(now) is not Freshness.LOST


def _battery(state: SiteState, now: datetime) -> BatterySpec | None:
    """The battery with the charge that its source tells, else with the one that is configured."""
    battery, told = state.terms.battery, state.charge_ratio
    if battery is None or told is None or not is_charge_measured(state, now):
        return battery
    soc_wh = min(1.0, max(0.0, told.value)) * battery.capacity_wh
    return replace(battery, soc_wh=max(battery.soc_min_wh, soc_wh))


def carbon_of(state: SiteState, catalogue: EnergyCatalogue, spans: Spans) -> tuple[float, ...]:
    """What one more kWh adds to the site's book of carbon in each slot, in g.

    In the market book that is the residual factor, which is one for the whole country and year:
    certificates that are left over are not looked at.
    """
    region = state.site.carbon_region
    location = (catalogue.carbon_g_per_kwh(region, start, end) for start, end in spans)
    if state.terms.carbon_book is CarbonBook.LOCATION:
        return tuple(location)
    residual = load_tables().residual_factor()
    return tuple(marginal_g_per_kwh(CarbonBook.MARKET, one, residual) for one in location)


def peak_of(
    state: SiteState, tariff: TariffVersions, now: datetime, base_w: float
) -> PeakSpec | None:
    """What demand costs, where the site pays for it and its meters say what the month had.

    Windows are those of the meter's clock. Of the one that is running counts what the meters told;
    else their newest power, else ``base_w``, what the site draws without new jobs.
    """
    site = state.site
    yuan = peak_yuan_per_kw(tariff, site.voltage, site.demand_terms, now)
    if state.peak_w is None or not yuan:
        return None
    window = timedelta(minutes=tariff.at(now).demand.window_minutes)
    elapsed = (now - _EPOCH) % window
    drawn_w = state.drawn_w
    if drawn_w is None:
        read = state.facility_power_w
        is_usable = (
            read.quality is not Quality.MISSING and read.freshness(now) is not Freshness.LOST
        )
        drawn_w = read.value if is_usable else base_w
    return PeakSpec(
        so_far_w=state.peak_w,
        yuan_per_kw=yuan * state.peak_share,
        window_s=window.total_seconds(),
        elapsed_s=elapsed.total_seconds(),
        drawn_wh=drawn_w * (elapsed / _HOUR),
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
    if terms.solar is not None:
        field = replace(terms.solar, timezone=timezone)
        return tuple(
            field.expected_w(
                now + timedelta(seconds=slot.start_s), now + timedelta(seconds=slot.end_s)
            )
            for slot in slots
        )
    if not terms.solar_w_by_hour:
        return ()
    zone = ZoneInfo(timezone)
    middles = (now + timedelta(seconds=slot.start_s + slot.length_s / 2) for slot in slots)
    return tuple(terms.solar_w_by_hour[moment.astimezone(zone).hour] for moment in middles)
