"""What every KPI is told as: a value that never stands without its period, coverage and formula."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from collectors import quality
from suanwang.model.reading import Quality

WH_PER_KWH: Final = 1_000
COVERAGE_OFFICIAL: Final = quality.OFFICIAL_IT
"""Share of a year that must be known, of all meters together, for a figure that is not interim."""


class Kpi(StrEnum):
    """The figures of a site."""

    PUE = "pue"
    PPUE = "ppue"
    GB40879_GRADE = "gb40879_grade"
    WUE = "wue"
    CUE_LOCATION = "cue_location"
    CUE_MARKET = "cue_market"
    REF = "ref"
    ERF = "erf"
    ERE = "ere"
    STANDARD_RACKS = "standard_racks"
    RACK_INSTALLED = "rack_installed_ratio"
    RACK_POWER = "rack_power_ratio"
    RACK_CONTRACTED = "rack_contracted_ratio"
    POWER_DENSITY = "power_density"
    COMPUTE = "compute"
    INTELLIGENT_SHARE = "intelligent_share"
    IDLE_ENERGY = "idle_energy"
    PUE_FORECAST = "pue_forecast"


@dataclass(frozen=True, slots=True)
class Formula:
    """A KPI's rule: its version, the unit of its value, and how it is computed, in words."""

    version: str
    unit: str
    words: str


FORMULAS: Final[Mapping[Kpi, Formula]] = {
    Kpi.PUE: Formula("pue-1", "1", "facility energy / IT energy, of the same time"),
    Kpi.PPUE: Formula("ppue-2", "1", "(IT + infrastructure energy of a zone) / IT energy of it"),
    Kpi.GB40879_GRADE: Formula("gb40879-1", "grade", "grade of the PUE in the table of limits"),
    Kpi.WUE: Formula("wue-1", "L/kWh", "water of the site / IT energy, of the same time"),
    Kpi.CUE_LOCATION: Formula(
        "cue-location-1", "kgCO2/kWh", "energy x the region's yearly factor / IT energy"
    ),
    Kpi.CUE_MARKET: Formula(
        "cue-market-1",
        "kgCO2/kWh",
        "electricity without a cancelled certificate x residual factor / IT energy",
    ),
    Kpi.REF: Formula("ref-1", "1", "renewable energy, each certificate once / all energy"),
    Kpi.ERF: Formula("erf-1", "1", "energy handed on for reuse / facility energy"),
    Kpi.ERE: Formula("ere-1", "1", "(facility energy - energy reused) / IT energy"),
    Kpi.STANDARD_RACKS: Formula("standard-racks-1", "racks", "design IT power / 2.5 kW"),
    Kpi.RACK_INSTALLED: Formula("rack-installed-1", "1", "racks in use / deliverable racks"),
    Kpi.RACK_POWER: Formula("rack-power-1", "1", "drawn IT power / design IT power"),
    Kpi.RACK_CONTRACTED: Formula("rack-contracted-1", "1", "booked power / design IT power"),
    Kpi.POWER_DENSITY: Formula("power-density-1", "kW/rack", "IT power / racks"),
    Kpi.COMPUTE: Formula("compute-1", "FLOP/s", "units x dense performance at one precision"),
    Kpi.INTELLIGENT_SHARE: Formula(
        "intelligent-share-1", "1", "intelligent / all compute, at one precision"
    ),
    Kpi.IDLE_ENERGY: Formula("idle-energy-1", "kWh", "energy of accelerators that do nothing"),
    Kpi.PUE_FORECAST: Formula(
        "pue-forecast-1", "1", "energies so far and forecast ones, of the calendar year"
    ),
}
"""The rule of every KPI; a change of a rule is a new version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Which period is spoken of, and how much of it all the meters know together."""

    start: datetime
    end: datetime
    coverage: float = 1.0
    quality: Quality = Quality.MEASURED

    @property
    def is_official(self) -> bool:
        """Whether a figure of it is more than interim: a year, known and not estimated."""
        return (
            self.end - self.start >= quality.OFFICIAL_PERIOD
            and self.coverage >= COVERAGE_OFFICIAL
            and self.quality not in (Quality.ESTIMATED, Quality.MISSING)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KpiFigure:
    """A KPI of a period; ``value`` is None where it is withheld, and ``withheld`` says why.

    ``basis`` names what the value rests on (category, factor and its year, precision, definition);
    ``parts`` are the numbers that it was made of, with their units in their names.
    """

    kpi: Kpi
    value: float | None
    unit: str
    formula: str
    start: datetime
    end: datetime
    coverage: float
    quality: Quality
    is_interim: bool
    basis: str = ""
    withheld: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)


def told(
    kpi: Kpi,
    known: Known,
    value: float,
    *,
    basis: str = "",
    parts: Mapping[str, float] | None = None,
) -> KpiFigure:
    """Return a figure with its value."""
    rule = FORMULAS[kpi]
    return KpiFigure(
        kpi=kpi,
        value=value,
        unit=rule.unit,
        formula=rule.version,
        start=known.start,
        end=known.end,
        coverage=known.coverage,
        quality=known.quality,
        is_interim=not known.is_official,
        basis=basis,
        parts=parts or {},
    )


def withheld(
    kpi: Kpi, known: Known, why: str, *, basis: str = "", parts: Mapping[str, float] | None = None
) -> KpiFigure:
    """Return a figure without a value, with the reason."""
    rule = FORMULAS[kpi]
    return KpiFigure(
        kpi=kpi,
        value=None,
        unit=rule.unit,
        formula=rule.version,
        start=known.start,
        end=known.end,
        coverage=known.coverage,
        quality=known.quality,
        is_interim=True,
        basis=basis,
        withheld=why,
        parts=parts or {},
    )
