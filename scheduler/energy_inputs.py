"""What an energy schedule rests on at a site: which inputs were measured, and which were not.

An input that nobody measured has its design value or what the operator registered, and says so.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from collectors.kpis.tables import load_tables
from scheduler.problem_energy import is_charge_measured
from suanwang.energy.carbon_books import CarbonBook
from suanwang.model.network import SiteState


class Standing(StrEnum):
    """How much an input is worth: read by a meter, forecast, told by the operator, or a design."""

    MEASURED = "measured"
    FORECAST = "forecast"
    REGISTERED = "registered"
    DESIGN = "design"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyInput:
    """One input of a site's schedule, what it is worth, and what stands behind it, in words."""

    name: str
    standing: Standing
    note: str


def energy_inputs(state: SiteState, now: datetime) -> tuple[EnergyInput, ...]:
    """Return the inputs that the site's schedule has, always in one order."""
    found = [_facility(state), _carbon(state)]
    if state.terms.battery is not None:
        found.append(_charge(state, now))
    if state.terms.solar is not None:
        note = "a clear sky times what a usual month lets through; it knows no cloud"
        found.append(EnergyInput(name="sun", standing=Standing.FORECAST, note=note))
    elif state.terms.solar_w_by_hour:
        note = "the operator's usual power by hour of the day"
        found.append(EnergyInput(name="sun", standing=Standing.REGISTERED, note=note))
    if state.peak_w is not None:
        found.append(_demand(state))
    return tuple(found)


def _facility(state: SiteState) -> EnergyInput:
    if state.own_facility is not None:
        note = "a curve fitted to the site's meters"
        return EnergyInput(name="facility", standing=Standing.MEASURED, note=note)
    site = state.site
    chain = f"the power chain {site.power_chain}" if site.power_chain else "its usual power chain"
    note = f"the design of {site.cooling.value} with {chain}"
    return EnergyInput(name="facility", standing=Standing.DESIGN, note=note)


def _carbon(state: SiteState) -> EnergyInput:
    note = f"location book, {state.site.carbon_region}"
    if state.terms.carbon_book is CarbonBook.MARKET:
        residual = load_tables().residual_factor()
        note = f"market book, residual factor of {residual.year}: {residual.g_per_kwh:g} g/kWh"
    return EnergyInput(name="carbon", standing=Standing.REGISTERED, note=note)


def _charge(state: SiteState, now: datetime) -> EnergyInput:
    told = state.charge_ratio
    if told is None or told.at is None or not is_charge_measured(state, now):
        note = "no source told the charge lately: the one that is configured counts"
        return EnergyInput(name="battery", standing=Standing.DESIGN, note=note)
    age_s = (now - told.at).total_seconds()
    note = f"{told.value:.0%} full, told {age_s:.0f} s ago by {state.terms.charge_from}"
    return EnergyInput(name="battery", standing=Standing.MEASURED, note=note)


def _demand(state: SiteState) -> EnergyInput:
    if state.drawn_w is not None:
        note = "the running quarter of an hour as the meters told it"
        return EnergyInput(name="demand", standing=Standing.MEASURED, note=note)
    note = "no meter told of the running quarter of an hour: the site's newest power counts"
    return EnergyInput(name="demand", standing=Standing.DESIGN, note=note)
