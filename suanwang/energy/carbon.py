"""Location-based carbon factors: yearly averages, always named with their year.

No public hourly factor exists for China, so there carbon says nothing about the hour, only about
the place and the amount (``carbon_hourly`` is for grids that publish one). Factors appear one to
two years late; a figure keeps the year it was made with, so that it can be made again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from suanwang.errors import NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class CarbonFactor:
    """Grams of CO2 a kilowatt-hour, the region and the year it was published for."""

    region: str
    year: int
    g_per_kwh: float


@dataclass(frozen=True, slots=True)
class CarbonTable:
    """Factors by region code (CN-SD, north, national) and year."""

    g_per_kwh: Mapping[str, Mapping[int, float]]

    def factor(self, region: str, year: int | None = None) -> CarbonFactor:
        """Return the newest factor that is not younger than ``year`` (None: the newest of all).

        Raise NotFound for an unknown region, or where every factor is younger.
        """
        years = self.g_per_kwh.get(region)
        if years is None:
            known = ", ".join(sorted(self.g_per_kwh))
            raise NotFound(f"no carbon factor for region {region!r}; known: {known}", region=region)
        usable = [one for one in years if year is None or one <= year]
        if not usable:
            message = f"the oldest carbon factor of {region} is of {min(years)}, asked for {year}"
            raise NotFound(message, region=region, year=year)
        newest = max(usable)
        return CarbonFactor(region=region, year=newest, g_per_kwh=years[newest])

    def factor_g_per_kwh(self, region: str, year: int | None = None) -> float:
        """Return only the number of ``factor``."""
        return self.factor(region, year).g_per_kwh
