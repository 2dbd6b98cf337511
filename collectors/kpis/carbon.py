"""Carbon for a kilowatt-hour of IT, in two books that are never mixed.

The *location* book takes every kilowatt-hour with the yearly average factor of its region. The
*market* book takes electricity that is covered by cancelled certificates or contracts as free of
carbon, and everything else with the residual factor: the average without what was sold as green.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from collectors.kpis.figure import WH_PER_KWH, Known, Kpi, KpiFigure, told, withheld
from collectors.kpis.utilities import NO_IT
from suanwang.energy.carbon import CarbonFactor
from suanwang.energy.carbon_books import carbon_kg, market_entry
from suanwang.model.meter import Carrier


@dataclass(frozen=True, slots=True, kw_only=True)
class CarbonFactors:
    """Factors of a figure: of electricity in each book, and of everything else in g/kWh.

    A carrier that is missing from ``others`` makes the figure impossible where the site uses it.
    """

    location: CarbonFactor
    residual: CarbonFactor
    others: Mapping[Carrier, float] = field(default_factory=dict)


def cue_location(
    known: Known, by_carrier: Mapping[Carrier, float], it_wh: float, factors: CarbonFactors
) -> KpiFigure:
    """Return the location book's kilograms of CO2 for a kilowatt-hour of IT.

    ``by_carrier`` is the energy that crossed the site's border, in Wh.
    """
    factor = factors.location
    electricity_wh = by_carrier.get(Carrier.ELECTRICITY, 0.0)
    electricity_kg = carbon_kg(electricity_wh, factor.g_per_kwh)
    basis = f"location book; {factor.region} {factor.year}: {factor.g_per_kwh:g} g/kWh"
    parts = {"it_wh": it_wh, "electricity_wh": electricity_wh, "electricity_kg": electricity_kg}
    return _cue(Kpi.CUE_LOCATION, known, (by_carrier, factors), (basis, parts))


def cue_market(
    known: Known,
    by_carrier: Mapping[Carrier, float],
    it_wh: float,
    factors: CarbonFactors,
    cancelled_wh: float,
) -> KpiFigure:
    """Return the market book's; ``cancelled_wh`` are certificates cancelled for this time."""
    factor = factors.residual
    electricity_wh = by_carrier.get(Carrier.ELECTRICITY, 0.0)
    entry = market_entry(electricity_wh, cancelled_wh, factor)
    parts = {
        "it_wh": it_wh,
        "electricity_wh": electricity_wh,
        "covered_wh": entry.covered_wh,
        "surplus_wh": entry.surplus_wh,
        "electricity_kg": entry.kg,
    }
    basis = f"market book; residual {factor.region} {factor.year}: {factor.g_per_kwh:g} g/kWh"
    return _cue(Kpi.CUE_MARKET, known, (by_carrier, factors), (basis, parts))


def _cue(
    kpi: Kpi,
    known: Known,
    energy: tuple[Mapping[Carrier, float], CarbonFactors],
    made: tuple[str, dict[str, float]],
) -> KpiFigure:
    (by_carrier, factors), (basis, parts) = energy, made
    if parts["it_wh"] <= 0:
        return withheld(kpi, known, NO_IT, basis=basis, parts=parts)
    kilograms = parts["electricity_kg"]
    for carrier, energy_wh in by_carrier.items():
        if carrier is Carrier.ELECTRICITY or energy_wh <= 0:
            continue
        g_per_kwh = factors.others.get(carrier)
        if g_per_kwh is None:
            why = f"{energy_wh:.0f} Wh of {carrier} came in, and no carbon factor of it is known"
            return withheld(kpi, known, why, basis=basis, parts=parts)
        parts[f"{carrier}_kg"] = carbon_kg(energy_wh, g_per_kwh)
        kilograms += parts[f"{carrier}_kg"]
    value = kilograms / (parts["it_wh"] / WH_PER_KWH)
    return told(kpi, known, value, basis=basis, parts={**parts, "carbon_kg": kilograms})
