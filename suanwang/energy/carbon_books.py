"""The two books of carbon, which are never mixed.

The *location* book takes every kilowatt-hour with the factor of its region. The *market* book takes
what is covered by certificates that were cancelled, each once, as free of carbon, and the rest with
the residual factor: the average without what was sold as green. Figures and plans both count here.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from suanwang.energy.carbon import CarbonFactor
from suanwang.errors import BadInput

G_PER_KG: Final = 1_000
WH_PER_KWH: Final = 1_000


class CarbonBook(StrEnum):
    """By which book carbon is counted."""

    LOCATION = "location"
    MARKET = "market"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketEntry:
    """Electricity in the market book: what certificates covered, what of them is left over, CO2."""

    covered_wh: float
    surplus_wh: float
    kg: float


def carbon_kg(energy_wh: float, g_per_kwh: float) -> float:
    """Return kilograms of CO2 of an energy at a factor."""
    if energy_wh < 0:
        raise BadInput(f"energy must not be negative, got {energy_wh} Wh")
    return energy_wh / WH_PER_KWH * g_per_kwh / G_PER_KG


def market_entry(energy_wh: float, cancelled_wh: float, residual: CarbonFactor) -> MarketEntry:
    """Return electricity in the market book; certificates beyond it cover nothing else."""
    if cancelled_wh < 0:
        raise BadInput(f"certificates must not be negative, got {cancelled_wh} Wh")
    covered_wh = min(cancelled_wh, energy_wh)
    return MarketEntry(
        covered_wh=covered_wh,
        surplus_wh=cancelled_wh - covered_wh,
        kg=carbon_kg(energy_wh - covered_wh, residual.g_per_kwh),
    )


def marginal_g_per_kwh(
    book: CarbonBook,
    location_g_per_kwh: float,
    residual: CarbonFactor,
    uncovered_certificates_wh: float = 0.0,
) -> float:
    """Return what one more kWh adds to a book, in g.

    In the market book that is nothing while certificates are held that no energy has used yet.
    """
    if book is CarbonBook.LOCATION:
        return location_g_per_kwh
    return 0.0 if uncovered_certificates_wh > 0 else residual.g_per_kwh
